"""Pictures of embeddings in the plane, and of the negatives of one positive pair."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from torch import Tensor

from siamese_triplet._style import ANCHOR, COLOURS, INK, MARKERS, POSITIVE, ZONES
from siamese_triplet.plots.figure import PAGE_WIDTH, new_axes, new_figure


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
    """Scatter 2-D `embeddings` (N, 2), with one colour and marker per class of `targets` (N,).

    `classes` are the names for the legend, by default the labels. Both axes have the same scale, so that distances can
    be read off. Of more than `max_points` images, evenly spaced ones are drawn. Raises ValueError for embeddings that
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
    ax = ax or new_axes(5.2)
    for label in targets.unique().tolist():
        x, y = embeddings[targets == label].T.numpy()
        name = classes[label] if classes is not None else label
        colour, marker = COLOURS[label % 10], MARKERS[label % 10]
        ax.scatter(x, y, s=14, color=colour, marker=marker, alpha=0.5, linewidths=0, label=name, rasterized=True)
    given = {"xlim": xlim, "ylim": ylim}
    ax.set(title=title, **{name: limits for name, limits in given.items() if limits is not None})
    ax.set_aspect("equal", adjustable="datalim" if xlim is None and ylim is None else "box")
    if legend:
        _make_opaque(ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2))
    return ax


def plot_side_by_side(panels: Mapping[str, tuple[Tensor, Tensor]], classes: Sequence[str] | None = None) -> Figure:
    """Scatter several sets of `(embeddings (N, 2), targets (N,))` side by side, all on the same scale.

    The keys of `panels` are the titles. See `plot_embeddings`.
    """
    points = torch.cat([torch.as_tensor(embeddings).cpu() for embeddings, _ in panels.values()])
    low, high = points.amin(dim=0), points.amax(dim=0)
    reach = 0.53 * (high - low).max()  # a square, with a little room at its border
    middle = (low + high) / 2
    limits = torch.stack([middle - reach, middle + reach], dim=1).tolist()
    figure, axes = new_figure(1, len(panels), PAGE_WIDTH / len(panels) + 0.8)
    handles: dict[str, Artist] = {}
    for ax, (title, (embeddings, targets)) in zip(axes[0], panels.items(), strict=True):
        plot_embeddings(embeddings, targets, *limits, classes=classes, title=title, legend=False, ax=ax)
        handles |= {name: handle for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    place = {"loc": "outside lower center", "ncols": 5, "frameon": False, "markerscale": 2}
    _make_opaque(figure.legend(handles.values(), handles.keys(), **place))
    return figure


def plot_negative_zones(
    embeddings: Tensor, labels: Tensor, anchor: int, positive: int, margin: float, *, ax: Axes | None = None
) -> Axes:
    """Plot the negatives of one positive pair in the plane: hard, semi-hard and easy ones for the triplet loss.

    `anchor` and `positive` are indices into `embeddings` (B, 2) and `labels` (B,). Hard negatives lie within the inner
    circle, nearer to the anchor than the positive. Semi-hard negatives lie between the circles, where the loss is below
    the margin. Easy negatives, without a loss, lie outside.
    """
    ax = ax or new_axes(4.6)
    embeddings, labels = embeddings.cpu(), labels.cpu()
    squared = (embeddings - embeddings[anchor]).square().sum(dim=1)  # (B,)
    inner, outer = squared[positive], squared[positive] + margin
    is_negative = labels != labels[anchor]
    zones = {
        "hard": is_negative & (squared <= inner),
        "semi-hard": is_negative & (squared > inner) & (squared < outer),
        "easy": is_negative & (squared >= outer),
    }
    for name, chosen in zones.items():
        colour, marker = ZONES[name]
        options = {"s": 26, "color": colour, "marker": marker, "edgecolors": INK, "lw": 0.4}
        ax.scatter(*embeddings[chosen].T.numpy(), label=f"{name} negatives ({int(chosen.sum())})", **options)
    for index, name, (colour, marker) in ((anchor, "anchor", ANCHOR), (positive, "positive", POSITIVE)):
        ax.scatter(*embeddings[index].numpy(), s=120, color=colour, marker=marker, label=name, zorder=3)
    centre = tuple(embeddings[anchor].tolist())
    for radius, line in ((inner.sqrt().item(), "--"), (outer.sqrt().item(), "-")):
        ax.add_patch(plt.Circle(centre, radius, fill=False, ls=line, color=INK))
    reach = 2.2 * outer.sqrt().item()
    x, y = centre
    ax.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach), aspect="equal")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, labelspacing=1)
    return ax


def _make_opaque(legend: Legend) -> None:
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)
