"""The pictures of the book. A function of one panel draws into the `ax` it is given, or into a
new figure, and returns it; one of several panels returns a new figure.

matplotlib is imported when this module is; `import siamese_triplet` does not import it.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from torch.utils.data import Dataset

from siamese_triplet.images import Images

# Ten colours that stay apart for colour-blind readers (after Paul Tol's "muted"), each with a marker of its own.
COLOURS = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#AA4499", "#44AA99", "#999933", "#882255", "#777777")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def plot_embeddings(
    embeddings: Tensor,
    targets: Tensor,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    *,
    classes: Sequence[str] | None = None,
    title: str | None = None,
    legend: bool = True,
    max_points: int = 10_000,
    ax: Axes | None = None,
) -> Axes:
    """A scatter of 2-D `embeddings` (N, 2), one colour and marker for each class of `targets` (N,).

    `classes` are the names for the legend, by default the labels. Both axes have one scale, so that distances can be
    read off. Of more than `max_points` images an evenly spaced part is drawn. Raises ValueError for embeddings that
    are not (N, 2).
    """
    embeddings, targets = torch.as_tensor(embeddings).cpu(), torch.as_tensor(targets).cpu()
    if embeddings.ndim != 2 or embeddings.shape[1] != 2 or len(targets) != len(embeddings):
        raise ValueError(
            f"plot_embeddings draws N points of the plane with N labels, got embeddings {tuple(embeddings.shape)} "
            f"and targets {tuple(targets.shape)}; project larger embeddings to two dimensions first"
        )
    step = -(-len(embeddings) // max_points) or 1
    embeddings, targets = embeddings[::step], targets[::step]
    ax = ax or plt.subplots(figsize=(7, 6))[1]
    for label in targets.unique().tolist():
        x, y = embeddings[targets == label].T.numpy()
        name = classes[label] if classes is not None else label
        colour, marker = COLOURS[label % 10], MARKERS[label % 10]
        ax.scatter(x, y, s=14, color=colour, marker=marker, alpha=0.5, linewidths=0, label=name, rasterized=True)
    given = {"xlim": xlim, "ylim": ylim}
    ax.set(title=title, **{name: limits for name, limits in given.items() if limits is not None})
    ax.set_aspect("equal", adjustable="datalim" if xlim is None and ylim is None else "box")
    if legend:
        legend_box = ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
        for handle in filter(None, legend_box.legend_handles):
            handle.set_alpha(1)
    return ax


def plot_side_by_side(panels: Mapping[str, tuple[Tensor, Tensor]], classes: Sequence[str] | None = None) -> Figure:
    """Scatters of several sets of `(embeddings (N, 2), targets (N,))` beside one another, all on one scale.

    The keys of `panels` are the titles. See `plot_embeddings`.
    """
    points = torch.cat([torch.as_tensor(embeddings).cpu() for embeddings, _ in panels.values()])
    low, high = points.amin(dim=0), points.amax(dim=0)
    reach = 0.53 * (high - low).max()  # a square, with a little room at its border
    middle = (low + high) / 2
    limits = torch.stack([middle - reach, middle + reach], dim=1).tolist()
    figure, axes = plt.subplots(1, len(panels), figsize=(6 * len(panels) + 1, 6), squeeze=False)
    for ax, (title, (embeddings, targets)) in zip(axes[0], panels.items(), strict=True):
        is_last = ax is axes[0, -1]
        plot_embeddings(embeddings, targets, *limits, classes=classes, title=title, legend=is_last, ax=ax)
    figure.tight_layout()
    return figure


def plot_negative_zones(
    embeddings: Tensor, labels: Tensor, anchor: int, positive: int, margin: float, *, ax: Axes | None = None
) -> Axes:
    """The negatives of one positive pair in the plane, by what the triplet loss says of them.

    `embeddings` (B, 2), `labels` (B,); `anchor` and `positive` are indices. Hard negatives lie within the inner circle,
    nearer to the anchor than the positive; semi-hard ones between the circles, where the loss is below the margin;
    easy ones, without a loss, outside.
    """
    ax = ax or plt.subplots(figsize=(7, 6))[1]
    embeddings, labels = embeddings.cpu(), labels.cpu()
    squared = (embeddings - embeddings[anchor]).square().sum(dim=1)  # (B,)
    inner, outer = squared[positive], squared[positive] + margin
    is_negative = labels != labels[anchor]
    zones = {
        "hard": is_negative & (squared <= inner),
        "semi-hard": is_negative & (squared > inner) & (squared < outer),
        "easy": is_negative & (squared >= outer),
    }
    for (name, chosen), colour, marker in zip(zones.items(), ("#CC6677", "#DDCC77", "#88CCEE"), "vDo", strict=True):
        label = f"{name} negatives ({int(chosen.sum())})"
        ax.scatter(
            *embeddings[chosen].T.numpy(), s=26, color=colour, marker=marker, edgecolors="#444444", lw=0.4, label=label
        )
    for index, name, marker in ((anchor, "anchor", "*"), (positive, "positive", "P")):
        ax.scatter(*embeddings[index].numpy(), s=180, color="black", marker=marker, label=name, zorder=3)
    centre = tuple(embeddings[anchor].tolist())
    for radius, line in ((inner.sqrt().item(), "--"), (outer.sqrt().item(), "-")):
        ax.add_patch(plt.Circle(centre, radius, fill=False, ls=line, color="#444444"))
    reach = 2.2 * outer.sqrt().item()
    x, y = centre
    ax.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach), aspect="equal")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, labelspacing=1)
    return ax


def plot_negative_choices(
    choices: Mapping[str, Sequence[float]],
    negatives: Sequence[float],
    positive: float,
    margin: float,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Which of some `negatives` on a line each selector chooses for one anchor, which stands at 0; a row each.

    All numbers are distances from the anchor, not squared, but for the `margin`, which is that of a loss of squared
    distances. The band of semi-hard negatives, from the positive to where the loss ends, is shaded.
    """
    ax = ax or plt.subplots(figsize=(9, 0.8 + 0.42 * len(choices)), layout="constrained")[1]
    end = (positive**2 + margin) ** 0.5
    ax.axvspan(positive, end, color=COLOURS[3], alpha=0.35, lw=0, label="semi-hard")
    ax.axvline(positive, color=COLOURS[0], ls="--", label="positive")
    for row, chosen in enumerate(choices.values()):
        ax.plot(negatives, [row] * len(negatives), "s", mfc="white", mec="0.5", label="" if row else "negative")
        ax.plot(chosen, [row] * len(chosen), "s", color=COLOURS[4], label="" if row else "can be chosen")
    ax.set_yticks(range(len(choices)), list(choices))
    ax.invert_yaxis()
    ax.set(xlabel="distance from the anchor", xlim=(0, 1.1 * max(negatives)))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax


def plot_history(history: Mapping[str, Sequence[float]], name: str = "loss", *, ax: Axes | None = None) -> Axes:
    """The curves `train_<name>` and `val_<name>` of a history of `fit` over the epochs."""
    ax = ax or plt.subplots(figsize=(6, 3.5))[1]
    styles = {"train": ("training", "-", "o", COLOURS[0]), "val": ("validation", "--", "s", COLOURS[4])}
    for part, (label, line, marker, colour) in styles.items():
        values = history.get(f"{part}_{name}", [])
        if len(values):
            ax.plot(range(1, len(values) + 1), values, line, marker=marker, color=colour, label=label)
    ax.set(xlabel="epoch", ylabel=name.replace("_", " "))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False)
    return ax


def plot_images(images: Images, indices: Tensor) -> Figure:
    """The images at `indices` (rows, columns) in a grid, each under the name of its class."""
    grid = [[images[index] for index in row] for row in indices.tolist()]
    figure, axes = _image_grid([[image for image, _ in row] for row in grid])
    for ax, (_, label) in zip(axes.flat, (item for row in grid for item in row), strict=True):
        ax.set_title(images.classes[label], fontsize=9)
    return figure


def plot_tuples(dataset: Dataset, indices: Sequence[int], titles: Sequence[str] | None = None) -> Figure:
    """The pairs or triplets at `indices` of `dataset`, a column each: `titles` name the rows, by default by number.

    Above the column of a pair stands whether it is positive or negative.
    """
    items = [dataset[index] for index in indices]
    figure, axes = _image_grid(list(zip(*(images for images, _ in items), strict=True)))
    for ax, (_, target) in zip(axes[0], items, strict=True):
        if isinstance(target, int):
            ax.set_title("positive" if target else "negative", fontsize=9)
    for row, ax in enumerate(axes[:, 0]):
        ax.set_ylabel(titles[row] if titles else f"image {row + 1}")
    return figure


def _image_grid(rows: Sequence[Sequence[Tensor]]) -> tuple[Figure, np.ndarray]:
    """Images (1, H, W) in rows of equal length, dark on light, without ticks; the figure and its axes."""
    n_rows, n_columns = len(rows), len(rows[0])
    size = (1.25 * n_columns, 1.45 * n_rows)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained")
    for ax, image in zip(axes.flat, (image for row in rows for image in row), strict=True):
        ax.imshow(image.squeeze(0).numpy(), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
    return figure, axes


def plot_groups(
    groups: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, *, percent: bool = True, ax: Axes | None = None
) -> Axes:
    """Figures of several seeds, one row for each name in a group and one colour and marker for each group.

    `groups[group][name]` are the values; each is a small mark, their mean a large one, and a line joins the least and
    the greatest.
    """
    names = list(dict.fromkeys(name for of_group in groups.values() for name in of_group))
    ax = ax or plt.subplots(figsize=(7, 0.9 + 0.42 * len(names)), layout="constrained")[1]
    factor = 100 if percent else 1
    offsets = np.linspace(-0.18, 0.18, len(groups)) if len(groups) > 1 else [0.0]
    for number, ((group, of_group), offset) in enumerate(zip(groups.items(), offsets, strict=True)):
        colour, marker = COLOURS[2 * number % 10], MARKERS[number]
        for name, values in of_group.items():
            row, scaled = names.index(name) + offset, [factor * value for value in values]
            ax.plot([min(scaled), max(scaled)], [row, row], "-", color=colour, lw=1.2)
            ax.plot(scaled, [row] * len(scaled), marker, color=colour, ms=3, alpha=0.6)
            label = group if name == next(iter(of_group)) else ""
            ax.plot([sum(scaled) / len(scaled)], [row], marker, color=colour, ms=8, mec="white", label=label)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set(xlabel=xlabel)
    ax.grid(axis="x", alpha=0.3)
    if len(groups) > 1:
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax


def plot_neighbours(
    queries: Images, gallery: Images, indices: Sequence[int], found: Tensor, distances: Tensor | None = None
) -> Figure:
    """A row for each of `indices` into `queries`: the image, then those of `gallery` that were `found` (n, k) for it.

    Above each stands its class, in red with a cross where it is not the query's, and, with `distances` (n, k), how far
    it is.
    """
    rows = [
        [queries[index][0], *(gallery[neighbour][0] for neighbour in row)]
        for index, row in zip(indices, found.tolist(), strict=True)
    ]
    figure, axes = _image_grid(rows)
    for number, (index, row) in enumerate(zip(indices, found.tolist(), strict=True)):
        label = int(queries.targets[index])
        axes[number, 0].set_title(queries.classes[label], fontsize=9, fontweight="bold")
        for place, (ax, neighbour) in enumerate(zip(axes[number, 1:], row, strict=True)):
            other = int(gallery.targets[neighbour])
            far = "" if distances is None else f" {distances[number, place]:.2f}"
            right = other == label
            title = f"{'' if right else '✗ '}{gallery.classes[other]}{far}"
            ax.set_title(title, fontsize=8, color="black" if right else "#AA2222")
    for ax in axes[:, 0]:
        for spine in ax.spines.values():
            spine.set_linewidth(2.5)
    return figure
