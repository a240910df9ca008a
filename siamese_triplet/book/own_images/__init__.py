"""From a folder of images to a trained network and its test, whatever the folder: the machinery of that chapter.

Importing this module imports matplotlib.
"""

from siamese_triplet.book.own_images.figures import (
    list_copies,
    show_classes,
    show_neighbours,
    show_to_look_at,
    to_look_at,
)
from siamese_triplet.book.own_images.results import embeddings_of, results_table, score
from siamese_triplet.book.own_images.start import has_pretrained, make_start, pixel_parts
from siamese_triplet.book.own_images.training import plot_scores, train_by_plan

__all__ = [
    "embeddings_of",
    "has_pretrained",
    "list_copies",
    "make_start",
    "pixel_parts",
    "plot_scores",
    "results_table",
    "score",
    "show_classes",
    "show_neighbours",
    "show_to_look_at",
    "to_look_at",
    "train_by_plan",
]
