"""Diagrams of a batch, its pairs, and the triplets mined from it."""

import torch
from torch import Tensor

from siamese_triplet._style import PULL, PUSH, SOFT
from siamese_triplet.book.diagrams.drawing import Diagram, arrow, box, image, line, point, style_of, text
from siamese_triplet.distances import pair_masks, pairwise_distances
from siamese_triplet.selectors import AllTripletSelector

MOST = 60  # images in a batch; more could not be told apart
PLACES = (  # nine embeddings in a square of side 1, three per class
    *((0.15, 0.2), (0.4, 0.12), (0.32, 0.42)),
    *((0.8, 0.3), (0.62, 0.5), (0.88, 0.56)),
    *((0.2, 0.75), (0.45, 0.86), (0.6, 0.7)),
)


def balanced_batch(n_classes: int = 4, n_samples: int = 3) -> Diagram:
    """Draw a batch of `n_classes` × `n_samples` images, and the (B, B) matrix of its pairs.

    Positive pairs have the colour of their class; the diagonal is left out. Raises ValueError for less than one class
    or image per class, for more than 10 classes, as there are 10 colours, and for more than 60 images.
    """
    n_images = n_classes * n_samples
    if not (1 <= n_classes <= 10 and n_samples >= 1 and n_images <= MOST):
        raise ValueError(
            f"balanced_batch: {n_classes=} must be 1 to 10, {n_samples=} at least 1, and their product, the number of "
            f"images, at most {MOST}"
        )
    is_positive, is_negative = pair_masks(_labels(n_classes, n_samples))
    n_positive, n_negative = int(is_positive.sum()) // 2, int(is_negative.sum()) // 2
    side = min(48, 180 / max(n_classes, n_samples))
    left = 120 - side * n_samples / 2
    images = [
        image(left + side * (column + 0.5), 40 + side * (row + 0.5), row, 0.88 * side)
        for row in range(n_classes)
        for column in range(n_samples)
    ]
    return Diagram(
        f"A batch of {n_classes} × {n_samples} images and its pairs",
        f"A balanced batch of {n_images} images: a row for each class, {n_classes} in all, with {n_samples} of its "
        f"images. Beside it the square of all pairs of these images. Positive pairs, {n_positive} in number, form "
        f"blocks along the diagonal, a block for each class; the others, {n_negative}, are negative. The diagonal, an "
        "image with itself, is left out. Each pair stands there twice, on either side of the diagonal.",
        340,
        [
            text(120, 18, f"P × K = {n_classes} × {n_samples}", bold=True),
            text(416, 18, f"B × B = {n_images} × {n_images}", bold=True),
            *images,
            *_pair_matrix(is_positive, n_classes, 280, 40, 272),
            box(8, 240, 16, 16, fill=style_of(0)[0], edge="none"),
            text(34, 248, f"positive pairs: {n_positive:,}", anchor="start"),
            box(8, 266, 16, 16, edge="none"),
            text(34, 274, f"negative pairs: {n_negative:,}", anchor="start"),
            text(34, 300, "(each drawn twice)", anchor="start"),
            box(8, 318, 16, 16, fill="white", edge=SOFT),
            text(34, 326, "itself: left out", anchor="start"),
        ],
    )


def _pair_matrix(is_positive: Tensor, n_classes: int, left: float, top: float, size: float) -> list[str]:
    """Draw the pairs of a batch as cells, with the markers of the classes along two sides."""
    n_images = len(is_positive)
    cell, block = size / n_images, size / n_classes
    markers = [
        point(*place, style_of(label), min(7, 0.3 * block))
        for label in range(n_classes)
        for place in ((left - 14, top + block * (label + 0.5)), (left + block * (label + 0.5), top + size + 14))
    ]
    cells = []
    for row, column in (is_positive | torch.eye(n_images, dtype=torch.bool)).nonzero().tolist():
        colour = style_of(row * n_classes // n_images)[0] if row != column else "white"
        cells.append(box(left + cell * column, top + cell * row, cell, cell, fill=colour, edge="none"))
    grid = [
        line(*ends, colour="white", width=min(1.5, 0.15 * cell))
        for place in (cell * step for step in range(1, n_images))
        for ends in (
            ((left + place, top), (left + place, top + size)),
            ((left, top + place), (left + size, top + place)),
        )
    ]
    return [box(left, top, size, size, edge="none"), *cells, *grid, *markers]


def online_mining() -> Diagram:
    """Draw the same images as ready-made triplets, and as a batch whose triplets are selected after the network."""
    labels, embeddings = _labels(3, 3), torch.tensor(PLACES)  # (B,), (B, 2)
    ready_made = torch.tensor([[0, 1, 3], [4, 5, 6], [7, 8, 2]])  # (T, 3): each image in one triplet
    possible = AllTripletSelector().get_triplets(embeddings, labels)  # (T, 3)
    above, below = 104, 250  # heights of the two rows
    return Diagram(
        "Ready-made triplets and online mining",
        f"Above, {len(labels)} images form {len(ready_made)} ready-made triplets of anchor, positive and negative: "
        f"three passes through the network give one triplet. Below, the same {len(labels)} images are one batch: each "
        "passes through the network once, all distances between the embeddings are computed, and a selector chooses "
        f"the triplets for the loss among {len(possible)} possible ones.",
        322,
        [
            text(8, 18, f"Ready-made: {len(labels)} passes, {len(ready_made)} triplets", anchor="start", bold=True),
            *(text(22 + 28 * column, 46, name) for column, name in enumerate("apn")),
            *_forward_pass(labels[ready_made], embeddings, labels, above),
            *(_triplet_sides(embeddings[triplet], above) for triplet in ready_made),
            arrow((290, above), (308, above)),
            box(308, above - 30, 178, 60, "two distances", "a triplet"),
            arrow((486, above), (504, above)),
            box(504, above - 24, 48, 48, "loss"),
            text(
                8,
                178,
                f"Online: {len(labels)} passes, {len(possible)} triplets to choose from",
                anchor="start",
                bold=True,
            ),
            *_forward_pass(labels.view(3, 3), embeddings, labels, below),
            arrow((290, below), (308, below)),
            *_distance_matrix(pairwise_distances(embeddings), 308, below - 40, 80),
            arrow((388, below), (406, below)),
            box(406, below - 24, 80, 48, "selector"),
            arrow((486, below), (504, below)),
            box(504, below - 24, 48, 48, "loss"),
            text(50, below + 56, "batch"),
            text(250, below + 56, "embeddings"),
            text(349, below + 56, "distances"),
        ],
    )


def _forward_pass(rows: Tensor, embeddings: Tensor, labels: Tensor, middle: float) -> list[str]:
    """Draw images of the classes `rows` (3, 3), the network, and the embeddings in their plane."""
    images = [
        image(22 + 28 * column, middle + 28 * (row - 1), label, 24)
        for row, row_labels in enumerate(rows.tolist())
        for column, label in enumerate(row_labels)
    ]
    places = zip(_in_plane(embeddings, middle), labels.tolist(), strict=True)
    return [
        *images,
        arrow((94, middle), (112, middle)),
        box(112, middle - 24, 84, 48, "network"),
        arrow((196, middle), (212, middle)),
        box(212, middle - 40, 78, 80, fill="white", edge=SOFT),
        *(point(*place, style_of(label), 5) for place, label in places),
    ]


def _in_plane(embeddings: Tensor, middle: float) -> list[tuple[float, float]]:
    return [(212 + 78 * x, middle - 40 + 80 * y) for x, y in embeddings.tolist()]


def _triplet_sides(triplet: Tensor, middle: float) -> str:
    """Draw lines from the anchor of a triplet of embeddings (3, 2) to its positive and its negative."""
    anchor, positive, negative = _in_plane(triplet, middle)
    return line(anchor, positive, colour=PULL) + line(anchor, negative, colour=PUSH, dashed=True)


def _distance_matrix(distances: Tensor, left: float, top: float, size: float) -> list[str]:
    """Draw a (B, B) matrix of distances in grey, short ones dark."""
    cell = size / len(distances)
    shades = (80 + 165 * (distances / distances.max()).sqrt()).round().int().tolist()
    return [
        box(left + cell * column, top + cell * row, cell, cell, fill=f"#{3 * f'{shade:02x}'}", edge="none")
        for row, row_shades in enumerate(shades)
        for column, shade in enumerate(row_shades)
    ]


def _labels(n_classes: int, n_samples: int) -> Tensor:
    return torch.arange(n_classes).repeat_interleave(n_samples)  # (B,)
