"""Images in rows and columns, with titles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import Dataset

from siamese_triplet._style import AS_IT_IS, plain
from siamese_triplet.datasets import Images
from siamese_triplet.datasets.images import unit_range
from siamese_triplet.distances import full_precision
from siamese_triplet.plots.figure import PAGE_WIDTH, add_title, new_figure

MAX_SIDE = 1.25  # inches, of an image with its border
TITLE_SIZE = 8  # points


def plot_images(images: Images, indices: Tensor) -> Figure:
    """Plot the images at `indices` (rows, columns) in a grid, each under the name of its class.

    Raises ValueError for no indices, as `plot_tuples` and `plot_neighbours` do.
    """
    figure, axes = _image_grid([[_picture(images, index) for index in row] for row in indices.tolist()])
    for ax, index in zip(axes.flat, indices.flatten().tolist(), strict=True):
        add_title(ax, images.classes[int(images.targets[index])], fontsize=TITLE_SIZE)
    return figure


def plot_tuples(dataset: Dataset, indices: Sequence[int], titles: Sequence[str] | None = None) -> Figure:
    """Plot the pairs or triplets at `indices` of `dataset`, one per column.

    `titles` name the rows, by default by number. The title of a pair says whether it is positive or negative.
    """
    items = [dataset[index] for index in indices]
    figure, axes = _image_grid(list(zip(*(images for images, _ in items), strict=True)))
    for ax, (_, target) in zip(axes[0], items, strict=True):
        if isinstance(target, int):
            ax.set_title("positive" if target else "negative", fontsize=TITLE_SIZE)
    for row, ax in enumerate(axes[:, 0]):
        ax.set_ylabel(plain(titles[row]) if titles else f"image {row + 1}", **AS_IT_IS)
    return figure


def plot_neighbours(
    queries: Images, gallery: Images, indices: Sequence[int], found: Tensor, distances: Tensor | None = None
) -> Figure:
    """Plot one row per query: the image at each of `indices`, then the images of `gallery` `found` (n, k) for it.

    Titles are the classes, in red with a cross if not the query's, with `distances` (n, k) followed by the distance.
    """
    rows = [
        [_picture(queries, index), *(_picture(gallery, neighbour) for neighbour in row)]
        for index, row in zip(indices, found.tolist(), strict=True)
    ]
    figure, axes = _image_grid(rows, n_lines=1 if distances is None else 2)
    for number, (index, row) in enumerate(zip(indices, found.tolist(), strict=True)):
        label = int(queries.targets[index])
        add_title(axes[number, 0], queries.classes[label], fontsize=TITLE_SIZE, fontweight="bold")
        for place, (ax, neighbour) in enumerate(zip(axes[number, 1:], row, strict=True)):
            other = int(gallery.targets[neighbour])
            far = "" if distances is None else f"\n{distances[number, place]:.2f}"
            right = other == label
            title = f"{'' if right else '✗ '}{gallery.classes[other]}{far}"
            add_title(ax, title, fontsize=TITLE_SIZE, color="black" if right else "#AA2222")
    for ax in axes[:, 0]:
        for spine in ax.spines.values():
            spine.set_linewidth(2.5)
    return figure


def _image_grid(rows: Sequence[Sequence[Any]], n_lines: int = 1) -> tuple[Figure, np.ndarray]:
    """Draw images (1 or 3, H, W) in rows of equal length, without ticks, with room for titles of `n_lines` lines.

    Returns the figure and its axes.
    """
    n_rows, n_columns = len(rows), len(rows[0]) if rows else 0
    if not n_columns:
        raise ValueError("there are no images to draw; give the index of at least one")
    side = min(MAX_SIDE, PAGE_WIDTH / n_columns)
    figure, axes = new_figure(n_rows, n_columns, n_rows * (side + 0.17 * n_lines), width=side * n_columns)
    for ax, image in zip(axes.flat, (image for row in rows for image in row), strict=True):
        ax.imshow(_as_array(image), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
    return figure, axes


def _picture(images: Images, index: int) -> Any:
    """Return an image to draw: in colour as it was before its normalisation, which would tint it."""
    data = getattr(images, "data", None)
    is_colour = isinstance(data, Tensor) and data.dtype == torch.uint8 and data.ndim == 4 and data.shape[3] == 3
    return images.data[index].numpy() if is_colour else images[index][0]


def _as_array(image: Any) -> np.ndarray:
    """Convert an image for imshow: (1, H, W) to (H, W), colours (3, H, W) to (H, W, 3) in 0…1, a PIL image as it is."""
    if not isinstance(image, Tensor):
        return np.asarray(image)
    image = full_precision(image.detach().cpu())
    return image.squeeze(0).numpy() if len(image) == 1 else unit_range(image).permute(1, 2, 0).numpy()
