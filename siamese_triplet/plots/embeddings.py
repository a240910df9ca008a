"""Pictures of embeddings in the plane, and of the negatives of one positive pair."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from torch import Tensor

from siamese_triplet._style import ANCHOR, INK, POSITIVE, ZONES, class_style
from siamese_triplet._validation import integer_vector
from siamese_triplet.distances import full_precision
from siamese_triplet.plots.figure import PAGE_WIDTH, add_legend, add_title, new_axes, new_figure

MAX_NAMED = 20  # classes in a legend at most; more would not fit beside the picture
LOOKS = 100  # pairs of colour and marker
MAX_POINTS = 10_000


def plot_embeddings(
    embeddings: Tensor,
    targets: Tensor,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    *,
    classes: Sequence[str] | None = None,
    title: str | None = None,
    legend: bool = True,
    max_points: int = MAX_POINTS,
    ax: Axes | None = None,
) -> Axes:
    """Scatter 2-D `embeddings` (N, 2), with one colour and marker per class of `targets` (N,).

    `classes` are the names for the legend, by default the labels. A legend has room for 20 classes; beyond, there is
    none. The looks of the labels 0 … 99 differ. Both axes have the same scale, so that distances can be read off. Of
    more than `max_points` images, evenly spaced ones are drawn. No embeddings give empty axes. Raises ValueError for
    embeddings that are not (N, 2), for targets that are not N integers, and for a target without a name in `classes`.
    """
    drawn = _in_the_plane(embeddings, targets, "plot_embeddings")
    ax = ax or new_axes(5.2)
    handles, names = _draw_classes(ax, *drawn, classes, max_points)
    if title is not None:
        add_title(ax, title)
    _set_scale(ax, xlim, ylim)
    if legend and len(names) <= MAX_NAMED:
        _make_opaque(add_legend(ax, handles, names, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2))
    return ax


def plot_side_by_side(panels: Mapping[str, tuple[Tensor, Tensor]], classes: Sequence[str] | None = None) -> Figure:
    """Scatter several sets of `(embeddings (N, 2), targets (N,))` side by side, all on the same scale.

    The keys of `panels` are the titles. See `plot_embeddings`. Raises ValueError as it does, and for no points at all.
    """
    drawn = {title: _in_the_plane(*given, "plot_side_by_side") for title, given in panels.items()}
    if not sum(len(targets) for _, targets in drawn.values()):
        raise ValueError(
            "plot_side_by_side got no points to draw; give a panel with embeddings (N, 2) and targets (N,)"
        )
    points = torch.cat([embeddings for embeddings, _ in drawn.values()])
    low, high = points.amin(dim=0), points.amax(dim=0)
    reach = 0.53 * (high - low).max()  # a square, with a little room at its border
    middle = (low + high) / 2
    limits = torch.stack([middle - reach, middle + reach], dim=1).tolist()
    figure, axes = new_figure(1, len(panels), PAGE_WIDTH / len(panels) + 0.8)
    handles: dict[int, Artist] = {}
    names: dict[int, object] = {}
    for ax, (title, (embeddings, targets)) in zip(axes[0], drawn.items(), strict=True):
        drawn_here, names_here = _draw_classes(ax, embeddings, targets, classes)
        handles, names = handles | drawn_here, names | names_here
        add_title(ax, title)
        _set_scale(ax, *limits)
    if len(names) <= MAX_NAMED:
        place = {"loc": "outside lower center", "ncols": 5, "markerscale": 2}
        _make_opaque(add_legend(figure, handles, names, **place))
    return figure


def plot_negative_zones(
    embeddings: Tensor, labels: Tensor, anchor: int, positive: int, margin: float, *, ax: Axes | None = None
) -> Axes:
    """Plot the negatives of one positive pair in the plane: hard, semi-hard and easy ones for the triplet loss.

    `anchor` and `positive` are indices into `embeddings` (B, 2) and `labels` (B,). Hard negatives lie within the inner
    circle, nearer to the anchor than the positive. Semi-hard negatives lie between the circles, where the loss is below
    the margin. Easy negatives, without a loss, lie outside. Raises ValueError as `plot_embeddings` does.
    """
    embeddings, labels = _in_the_plane(embeddings, labels, "plot_negative_zones")
    ax = ax or new_axes(4.6)
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


def _draw_classes(
    ax: Axes, embeddings: Tensor, targets: Tensor, classes: Sequence[str] | None, max_points: int = MAX_POINTS
) -> tuple[dict[int, Artist], dict[int, object]]:
    """Scatter each class of `targets`; return what was drawn of each, and its name.

    Of more than `LOOKS` classes, those with one look are drawn together.
    """
    step = -(-len(embeddings) // max_points) or 1
    embeddings, targets = embeddings[::step], targets[::step]
    names = _names(targets, classes)
    are_few = len(names) <= LOOKS
    drawn, keys = {}, targets if are_few else targets % LOOKS
    for key in keys.unique().tolist():
        x, y = embeddings[keys == key].T.numpy()
        look = dict(zip(("color", "marker"), class_style(key), strict=True))
        name = names[key] if are_few else None
        drawn[key] = ax.scatter(x, y, s=14, alpha=0.5, linewidths=0, label=name, rasterized=True, **look)
    return drawn, names


def _set_scale(ax: Axes, xlim: tuple[float, float] | None, ylim: tuple[float, float] | None) -> None:
    """Give both axes one scale, within the limits if there are any."""
    given = {"xlim": xlim, "ylim": ylim}
    ax.set(**{name: limits for name, limits in given.items() if limits is not None})
    ax.set_aspect("equal", adjustable="datalim" if xlim is None and ylim is None else "box")


def _names(targets: Tensor, classes: Sequence[str] | None) -> dict[int, object]:
    """Return the name of each class of `targets`: from `classes`, or by default the label."""
    labels = targets.unique().tolist()
    if classes is None:
        return {label: label for label in labels}
    if labels and not -1 <= min(labels) <= max(labels) < len(classes):
        raise ValueError(
            f"targets hold the labels {min(labels)} … {max(labels)}, but classes names 0 … {len(classes) - 1} only; "
            "give a name for every label, or leave classes out"
        )
    return {label: classes[label] if label >= 0 else "no class" for label in labels}


def _in_the_plane(embeddings: Tensor, targets: Tensor, function: str) -> tuple[Tensor, Tensor]:
    """Return `embeddings` (N, 2) and `targets` (N,) as tensors that can be drawn, or raise ValueError."""
    embeddings = full_precision(torch.as_tensor(embeddings).detach().cpu())
    labels = integer_vector(f"{function}: targets", targets).cpu()
    if embeddings.ndim != 2 or embeddings.shape[1] != 2 or len(labels) != len(embeddings):
        raise ValueError(
            f"{function} draws N points of the plane with N labels, got embeddings {tuple(embeddings.shape)} "
            f"and targets {tuple(labels.shape)}; project larger embeddings to two dimensions first"
        )
    return embeddings, labels.bool() if torch.as_tensor(targets).dtype == torch.bool else labels
