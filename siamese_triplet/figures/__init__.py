"""Figures that move in the page itself, without a kernel: playgrounds, a bench of selectors, embeddings to look into.

Each function returns a `LiveFigure`. As the last line of a notebook's cell it is shown; what it computes, it computes
in the browser, with the arithmetic of `library/*.mjs`, which equals the package's (a test compares them).
"""

from siamese_triplet.figures.element import IN_BOOK, LiveFigure, library
from siamese_triplet.figures.embeddings import EmbeddingRecorder, embedding_viewer, selector_bench
from siamese_triplet.figures.playgrounds import pair_playground, triplet_playground
from siamese_triplet.figures.settings import settings_gallery

__all__ = [
    "IN_BOOK",
    "EmbeddingRecorder",
    "LiveFigure",
    "embedding_viewer",
    "library",
    "pair_playground",
    "selector_bench",
    "settings_gallery",
    "triplet_playground",
]
