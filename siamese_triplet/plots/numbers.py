"""Pictures of numbers: curves over the epochs, metrics of several seeds, and distances on a line."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from siamese_triplet._style import AS_IT_IS, COLOURS, SOFT, plain, series_style
from siamese_triplet.plots.figure import add_legend, new_axes


def plot_history(history: Mapping[str, Sequence[float]], name: str = "loss", *, ax: Axes | None = None) -> Axes:
    """Plot the curves `train_<name>` and `val_<name>` of a history of `fit` over the epochs."""
    ax = ax or new_axes(3.2)
    styles = {"train": ("training", "-", "o", COLOURS[0]), "val": ("validation", "--", "s", COLOURS[4])}
    for part, (label, line, marker, colour) in styles.items():
        values = history.get(f"{part}_{name}", [])
        if len(values):
            ax.plot(range(1, len(values) + 1), values, line, marker=marker, color=colour, label=label)
    ax.set_xlabel("epoch")
    ax.set_ylabel(plain(name).replace("_", " "), **AS_IT_IS)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False)
    return ax


def plot_groups(
    groups: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, *, percent: bool = True, ax: Axes | None = None
) -> Axes:
    """Plot the values of several seeds, with one row per name in a group, and one colour and marker per group.

    `groups[group][name]` are the values. Each value is a small mark, their mean a large one, and a line joins the least
    and the greatest. Data sets and methods of the book have the same colour and marker in every picture.
    """
    names = list(dict.fromkeys(name for rows in groups.values() for name in rows))
    ax = ax or new_axes(0.9 + 0.42 * len(names))
    factor = 100 if percent else 1
    offsets = np.linspace(-0.18, 0.18, len(groups)) if len(groups) > 1 else [0.0]
    handles: dict[str, Artist] = {}
    for number, ((group, rows), offset) in enumerate(zip(groups.items(), offsets, strict=True)):
        colour, marker = series_style(group, number)
        for name, values in rows.items():
            row, scaled = names.index(name) + offset, [factor * value for value in values]
            ax.plot([min(scaled), max(scaled)], [row, row], "-", color=colour, lw=1.2)
            ax.plot(scaled, [row] * len(scaled), marker, color=colour, ms=3, alpha=0.6)
            [handles[group]] = ax.plot([sum(scaled) / len(scaled)], [row], marker, color=colour, ms=8, mec="white")
    ax.set_yticks(range(len(names)), [plain(name) for name in names], **AS_IT_IS)
    ax.invert_yaxis()
    ax.set(xlabel=xlabel)
    ax.grid(axis="x", alpha=0.3)
    if len(groups) > 1:
        add_legend(ax, handles, {group: group for group in groups}, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def plot_negative_choices(
    choices: Mapping[str, Sequence[float]],
    negatives: Sequence[float],
    positive: float,
    margin: float,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Plot which of the `negatives` on a line each selector can choose for one anchor at 0, one row per selector.

    All numbers are distances from the anchor, not squared, except the `margin`, which is for squared distances. The
    band of semi-hard negatives, from the positive to the end of the loss, is shaded.
    """
    ax = ax or new_axes(1.1 + 0.42 * len(choices))
    end = (positive**2 + margin) ** 0.5
    ax.axvspan(positive, end, color=COLOURS[3], alpha=0.35, lw=0, label="semi-hard")
    ax.axvline(positive, color=COLOURS[0], ls="--", label="positive")
    for row, chosen in enumerate(choices.values()):
        ax.plot(negatives, [row] * len(negatives), "s", mfc="white", mec=SOFT, label="" if row else "negative")
        ax.plot(chosen, [row] * len(chosen), "s", color=COLOURS[4], label="" if row else "can be chosen")
    ax.set_yticks(range(len(choices)), [plain(name) for name in choices], **AS_IT_IS)
    ax.invert_yaxis()
    ax.set(xlabel="distance from the anchor", xlim=(0, 1.1 * max(negatives)))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    return ax
