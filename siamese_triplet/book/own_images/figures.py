"""Figures of a folder of images: its classes, neighbours of some images, and images to look at."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from siamese_triplet.datasets import FolderImages, FolderPlan, read_photo
from siamese_triplet.evaluation import doubtful_labels, nearest, spread_out
from siamese_triplet.plots.figure import PAGE_WIDTH, add_title, new_figure

LONGEST = 14  # characters of a title
SIDE = 96  # pixels of a drawn image
N_COLUMNS, N_ROWS = 8, 3
N_NEIGHBOURS, N_QUERIES = 6, 6
N_SUSPECTS = 28
MOST_LISTED = 12  # pairs of copies


def show_images(photos: FolderImages, rows: Sequence[Sequence[int]], titles: Sequence[Sequence[str]]) -> Figure:
    """Draw images of `photos` by number, in rows, each under its title; rows may differ in length."""
    n_columns = max(map(len, rows))
    side = min(1.0, PAGE_WIDTH / n_columns)  # inches
    figure, axes = new_figure(len(rows), n_columns, len(rows) * (side + 0.17), width=PAGE_WIDTH)
    for ax in axes.flat:
        ax.set_axis_off()
    for drawn, row, names in zip(axes, rows, titles, strict=True):
        for ax, number, name in zip(drawn, row, names, strict=False):
            ax.imshow(read_photo(photos.paths[number], SIDE, photos.channels), cmap="gray")
            add_title(ax, name, fontsize=8)
    return figure


def name_of(photos: FolderImages, number: int) -> str:
    """Return the name of the class of an image on one short line, or nothing where it has none."""
    label = int(photos.targets[number])
    name = " ".join(photos.classes[label].split()) if label >= 0 else ""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def show_classes(photos: FolderImages) -> Figure:
    """Draw up to three images of up to eight classes, a column each; without classes, 24 images from all over."""
    labels = photos.targets
    known = labels[labels >= 0].unique()
    if not len(known):
        numbers = torch.linspace(0, len(photos) - 1, min(N_COLUMNS * N_ROWS, len(photos))).long().tolist()
        rows = [numbers[first : first + N_COLUMNS] for first in range(0, len(numbers), N_COLUMNS)]
        return show_images(photos, rows, [[""] * len(row) for row in rows])
    chosen = known[torch.linspace(0, len(known) - 1, min(N_COLUMNS, len(known))).long()]
    columns = [(labels == label).nonzero()[:N_ROWS, 0].tolist() for label in chosen]
    rows = [[column[row % len(column)] for column in columns] for row in range(max(map(len, columns)))]
    titles = [[name_of(photos, number) if row == 0 else "" for number in rows[row]] for row in range(len(rows))]
    return show_images(photos, rows, titles)


def list_copies(photos: FolderImages, pairs: Tensor) -> str:
    """List `pairs` (P, 2) of images that are almost the same by name, except for those within a class."""
    labels = photos.targets.tolist()
    apart = [[one, other] for one, other in pairs.tolist() if labels[one] != labels[other] or labels[one] < 0]
    names = [[f"{photos.paths[number].parent.name}/{photos.paths[number].name}" for number in pair] for pair in apart]
    lines = [f"{one!r:<40} {other!r}" for one, other in names[:MOST_LISTED]]
    more = [f"and {len(apart) - MOST_LISTED:,} more"] if len(apart) > MOST_LISTED else []
    within = len(pairs) - len(apart)
    head = f"{len(pairs):,} pairs" + f", {within:,} of them within a class; the others:" * bool(within)
    return "\n".join([head, *lines, *more])


def show_neighbours(photos: FolderImages, embeddings: Tensor, plan: FolderPlan) -> Figure:
    """Draw test images, each with its nearest among the others of the test, or of all images if no class is new.

    Without a test the images drawn are far from each other. A cross marks a neighbour of another class. `embeddings`
    (N, D) are those of `photos`.
    """
    place = {path: number for number, path in enumerate(photos.paths)}
    test = [place[path] for path in plan.parts.test.paths]
    first = dict(zip(reversed(photos.targets[test].tolist()), reversed(test), strict=True))  # image of each class
    queries = sorted(first.values())[:: max(1, len(first) // N_QUERIES)][:N_QUERIES]
    if not queries:
        queries = spread_out(embeddings, min(N_QUERIES, len(photos))).tolist()
    gallery = torch.tensor(test if test and plan.new_classes else range(len(photos)))
    found = nearest(embeddings[queries], embeddings[gallery], k=min(N_NEIGHBOURS + 1, len(gallery))).indices
    rows, titles = [], []
    for query, row in zip(queries, gallery[found].tolist(), strict=True):
        others = [number for number in row if number != query][:N_NEIGHBOURS]
        is_wrong = (photos.targets[others] != photos.targets[query]).tolist()
        rows.append([query, *others])
        titles.append([name_of(photos, query), *("✗" if wrong else "" for wrong in is_wrong)])
    return show_images(photos, rows, titles)


def to_look_at(photos: FolderImages, embeddings: Tensor) -> tuple[str, list[int]]:
    """Choose up to 28 images that somebody should look at, and say why these.

    They are those with the most doubtful labels (see `doubtful_labels`), or without a class with two images those to
    label first (see `spread_out`). `embeddings` (N, D) are those of `photos`.
    """
    known = (photos.targets >= 0).nonzero()[:, 0]
    labels = photos.targets[known]
    if len(labels.unique()) >= 2 and int(labels.bincount().max()) >= 2:
        doubts = doubtful_labels(embeddings[known], labels)
        order = doubts.nan_to_num(-torch.inf).argsort(descending=True, stable=True)
        order = order[~doubts[order].isnan()]
        return "the most doubtful labels:", known[order[:N_SUSPECTS]].tolist()
    chosen = spread_out(embeddings, min(N_SUSPECTS, len(photos))).tolist()
    return "there are no two classes to compare, so these are the images to label first:", chosen


def show_to_look_at(photos: FolderImages, numbers: Sequence[int], n_columns: int = 7) -> Figure:
    """Draw images in rows, each under its class."""
    rows = [list(numbers[first : first + n_columns]) for first in range(0, len(numbers), n_columns)]
    return show_images(photos, rows, [[name_of(photos, number) for number in row] for row in rows])
