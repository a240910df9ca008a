"""The pictures of a selection: the batch in the plane, and the images of one triplet or pair."""

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from siamese_triplet.explorer.drawing import DPI, image, plane
from siamese_triplet.explorer.picking import TRIPLETS, Batch, Selection, names_of
from siamese_triplet.plots import plot_embeddings

DRAWN = 60  # tuples that are drawn at most, but for the chosen one


def selection_image(batch: Batch, selection: Selection, chosen: int, margin: float) -> str:
    """The batch in the plane with its selected tuples, and one of them by its place, as HTML."""
    points, share = plane(batch.embeddings)
    figure = Figure(figsize=(6.4, 5.4), dpi=DPI, layout="constrained")
    ax = figure.add_subplot()
    plot_embeddings(points, batch.labels, classes=batch.classes, ax=ax)
    ends = [points[row[[0, -1]]].numpy() for row in selection.indices[evenly(len(selection), DRAWN)]]
    ax.add_collection(LineCollection(ends, colors="0.6", lw=0.5, zorder=0))
    title = f"{len(selection):,} {selection.kind}"
    if len(selection) > DRAWN:
        title += f", of which {DRAWN} are drawn"
    if len(selection):
        _draw_chosen(ax, points, batch, selection, chosen, margin if share is None else None)
    ax.set_title(title, fontsize=11)
    ax.set_xlabel("" if share is None else f"principal components 1 and 2, {share:.0%} of the variance")
    joined = "anchor and negative" if selection.kind == TRIPLETS else "the two images"
    return image(figure, f"The {len(points)} embeddings of the batch; {title}, a line between {joined} of each")


def examples_image(batch: Batch, selection: Selection, chosen: int) -> str:
    """The images of one of the tuples beside one another, as HTML; "" where the images are not known."""
    if batch.images is None or not len(selection):
        return ""
    indices = selection.indices[chosen].tolist()
    figure = Figure(figsize=(1.5 * len(indices), 1.8), dpi=DPI, layout="constrained")
    names = names_of(batch, selection, chosen)
    titles = [f"{name}: {batch.class_of(index)}" for name, index in zip(names, indices, strict=True)]
    for ax, index, title in zip(figure.subplots(1, len(indices)), indices, titles, strict=True):
        pixels = batch.images[index].permute(1, 2, 0)
        low, high = pixels.min(), pixels.max()
        ax.imshow(((pixels - low) / (high - low).clamp(min=1e-6)).squeeze(-1).numpy(), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize=9)
    return image(figure, f"The images of the chosen {selection.kind[:-1]}: {', '.join(titles)}")


def evenly(n: int, n_chosen: int) -> Tensor:
    """At most `n_chosen` of the places 0 … n − 1, evenly spaced."""
    return torch.linspace(0, n - 1, min(n, n_chosen)).round().long() if n else torch.empty(0, dtype=torch.int64)


def _draw_chosen(
    ax: Axes, points: Tensor, batch: Batch, selection: Selection, chosen: int, margin: float | None
) -> None:
    """The points of one tuple, large and black, and its distances; for triplets in the plane, where the loss ends."""
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
