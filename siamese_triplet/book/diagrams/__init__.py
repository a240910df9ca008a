"""Diagrams of the book: vector pictures that notebooks show and `save` writes to a file.

Each function returns a `Diagram` and needs no matplotlib. Colours and markers are those of the plots, from `_style`.
"""

from siamese_triplet.book.diagrams.batches import balanced_batch, online_mining
from siamese_triplet.book.diagrams.drawing import Diagram
from siamese_triplet.book.diagrams.networks import classifier, siamese_network, triplet_network
from siamese_triplet.book.diagrams.plane import selection_strategies
from siamese_triplet.book.diagrams.splits import evaluation_splits

__all__ = [
    "Diagram",
    "balanced_batch",
    "classifier",
    "evaluation_splits",
    "online_mining",
    "selection_strategies",
    "siamese_network",
    "triplet_network",
]
