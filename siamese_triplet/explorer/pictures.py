"""The pictures of the explorer, as HTML. They avoid pyplot, which belongs to the main thread."""

import base64
import html
import io

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from siamese_triplet._style import COLOURS, plain
from siamese_triplet.datasets.images import unit_range
from siamese_triplet.distances import full_precision
from siamese_triplet.explorer.selection import TRIPLETS, Batch, Selection, names_of
from siamese_triplet.explorer.watching import Snapshot
from siamese_triplet.live.embeddings import evenly_spaced
from siamese_triplet.plots import plot_embeddings, plot_history
from siamese_triplet.plots.figure import add_title
from siamese_triplet.selectors.by_name import BATCH_ALL, SOFT

DPI = 110
BINS = 200  # points of a curve at most
DRAWN = 60  # tuples at most, besides the chosen one


def plane(embeddings: Tensor) -> tuple[Tensor, float | None]:
    """Project `embeddings` (N, D) to points of the plane (N, 2), and return the share of their variance kept.

    The axes are the first two principal components. Each points to where its greatest weight is positive, so that
    pictures do not flip from one moment to the next. For D = 2 nothing is projected and the share is None; for D = 1
    the points lie on a line.
    """
    if embeddings.shape[1] == 2:
        return embeddings.float(), None
    if embeddings.shape[1] == 1:
        return torch.cat([embeddings, torch.zeros_like(embeddings)], dim=1).float(), 1.0
    centred = full_precision(embeddings).double()
    centred = centred - centred.mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    chosen = directions[:, [-1, -2]]  # (D, 2)
    greatest = chosen.gather(0, chosen.abs().argmax(dim=0, keepdim=True))  # (1, 2)
    total = float(variances.sum())
    share = float(variances[-2:].sum()) / total if total > 0 else 1.0
    return (centred @ (chosen * greatest.sign())).float(), share


def embedding_image(snapshot: Snapshot) -> str:
    """Draw the scatter of a snapshot's test images."""
    points, share = plane(snapshot.embeddings)
    size = snapshot.embeddings.shape[1]
    figure = Figure(figsize=(6.4, 4.7), dpi=DPI, layout="constrained")
    ax = figure.add_subplot()
    plot_embeddings(points, snapshot.labels, classes=snapshot.classes, ax=ax)
    moment = moment_of(snapshot)
    shown = f"{len(points):,} of {snapshot.n_test_images:,} test images"
    ax.set_title(f"{moment[0].upper()}{moment[1:]}: {shown}", fontsize=11)
    projected = "" if share is None else f"principal components 1 and 2 of {size}-D embeddings, {share:.0%} of variance"
    ax.set_xlabel(projected)
    alt = (
        f"Scatter of the embeddings of {shown}, {moment}, one colour and marker for each of "
        f"{len(snapshot.classes)} classes{projected and '; '}{projected}"
    )
    return image(figure, alt)


def curves_image(snapshot: Snapshot) -> str:
    """Draw the curve of the loss and, if the method counts something, that of the counts."""
    counted = counted_by(snapshot)
    figure = Figure(figsize=(4.6, 4.7), dpi=DPI, layout="constrained")
    axes = figure.subplots(2 if counted else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_curve(axes[0], snapshot, "loss", snapshot.losses)
    if counted:
        name, label = counted
        _draw_curve(axes[1], snapshot, name, snapshot.counts)
        axes[1].set_ylabel(label)
        if legend := axes[1].get_legend():
            legend.remove()
        axes[0].set_xlabel("")
    axes[-1].set_xlim(0, 1.03 * snapshot.n_epochs)
    curves = " and of ".join(["the loss", *([counted[1]] if counted else [])])
    last = f"the loss of the last batch is {snapshot.losses[-1]:.3g}" if snapshot.losses else "no batch yet"
    return image(figure, f"Curves of {curves} over the epochs, {moment_of(snapshot)}; {last}")


def moment_of(snapshot: Snapshot) -> str:
    """Describe in words when a snapshot was taken."""
    if not snapshot.epochs:
        return "before training"
    if snapshot.epochs == int(snapshot.epochs):
        return f"after epoch {snapshot.epochs:.0f} of {snapshot.n_epochs}"
    return f"within epoch {int(snapshot.epochs) + 1} of {snapshot.n_epochs}"


def counted_by(snapshot: Snapshot) -> tuple[str, str] | None:
    """Return the name in the history and the label of the second curve; None if the method has none."""
    method = snapshot.method
    if method.method == "softmax":
        return "accuracy", "accuracy (%)"
    if method.method != "online-triplet":
        return None
    counts_all = method.selector in SOFT and method.selector != BATCH_ALL  # with or without a loss
    return "nonzero_triplets", f"{'selected' if counts_all else 'active'} triplets per batch"


def image(figure: Figure, alt: str) -> str:
    """Render `figure` as an HTML image that shrinks to the width available."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    width, height = (round(side * figure.dpi * 0.9) for side in figure.get_size_inches())
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    size = f'width="{width}" height="{height}" style="max-width:100%;height:auto"'
    return f'<img alt="{html.escape(plain(alt), quote=True)}" {size} src="{source}">'


def selection_image(batch: Batch, selection: Selection, chosen: int, margin: float) -> str:
    """Draw the batch in the plane with its selected tuples; the one at place `chosen` stands out."""
    points, share = plane(batch.embeddings)
    figure = Figure(figsize=(6.4, 5.4), dpi=DPI, layout="constrained")
    ax = figure.add_subplot()
    plot_embeddings(points, batch.labels, classes=batch.classes, ax=ax)
    ends = [points[row[[0, -1]]].numpy() for row in selection.indices[evenly_spaced(len(selection), DRAWN)]]
    ax.add_collection(LineCollection(ends, colors="0.6", lw=0.5, zorder=0))
    title = f"{len(selection):,} {selection.kind}"
    if len(selection) > DRAWN:
        title += f", {DRAWN} of them drawn"
    if len(selection):
        _draw_chosen(ax, points, batch, selection, chosen, margin if share is None else None)
    ax.set_title(title, fontsize=11)
    ax.set_xlabel("" if share is None else f"principal components 1 and 2, {share:.0%} of the variance")
    joined = "anchor and negative" if selection.kind == TRIPLETS else "the two images"
    return image(figure, f"The {len(points)} embeddings of the batch; {title}, a line between {joined} of each")


def examples_image(batch: Batch, selection: Selection, chosen: int) -> str:
    """Draw the images of one tuple side by side; "" for a batch without images."""
    if batch.images is None or not len(selection):
        return ""
    indices = selection.indices[chosen].tolist()
    figure = Figure(figsize=(1.5 * len(indices), 1.8), dpi=DPI, layout="constrained")
    names = names_of(batch, selection, chosen)
    titles = [f"{name}: {batch.class_of(index)}" for name, index in zip(names, indices, strict=True)]
    for ax, index, title in zip(figure.subplots(1, len(indices)), indices, titles, strict=True):
        ax.imshow(unit_range(batch.images[index]).permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        add_title(ax, title, fontsize=9)
    return image(figure, f"The images of the chosen {selection.kind[:-1]}: {', '.join(titles)}")


def _draw_chosen(
    ax: Axes, points: Tensor, batch: Batch, selection: Selection, chosen: int, margin: float | None
) -> None:
    """Draw one tuple in black, with its distances and, for triplets in the plane, the circle where the loss ends."""
    row = selection.indices[chosen]
    x, y = points[row].T.numpy()
    names = names_of(batch, selection, chosen)
    looks = {"anchor": "*", "image": "*", "positive": "P", "negative": "X"}
    for place, name in enumerate(names):
        ax.scatter(x[place], y[place], s=150, color="black", edgecolors="white", marker=looks[name], zorder=4)
        ax.annotate(name, (x[place], y[place]), xytext=(7, 7), textcoords="offset points", fontsize=9, zorder=5)
    for place, name in enumerate(names[1:], start=1):
        line = "-" if name == "positive" else "--"
        ax.plot(x[[0, place]], y[[0, place]], line, color="black", lw=1.4, zorder=3)
    if margin is not None and selection.kind == TRIPLETS:
        squared = float((points[row[0]] - points[row[1]]).square().sum())
        for radius, line in ((squared**0.5, "-"), ((squared + margin) ** 0.5, ":")):
            ax.add_patch(Circle((x[0], y[0]), radius, fill=False, ls=line, color="0.3", lw=1))


def _draw_curve(ax: Axes, snapshot: Snapshot, name: str, values: list[float]) -> None:
    """Draw the `values` of the batches, faint and in bins, and those of the epochs as `plot_history` does."""
    if values:
        size = -(-len(values) // BINS)
        means = [sum(part) / len(part) for part in (values[i : i + size] for i in range(0, len(values), size))]
        places = [min((i + 0.5) * size, len(values)) / snapshot.batches_per_epoch for i in range(len(means))]
        ax.plot(places, means, color=COLOURS[1], lw=1, label="batches")
    plot_history(snapshot.history, name, ax=ax)
    if not values:
        ax.set_yticks([])  # there is no scale yet
