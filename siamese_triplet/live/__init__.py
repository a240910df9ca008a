"""Figures that move in the page itself, without a kernel: playgrounds, a bench of selectors, embeddings to look into.

Each function returns a `LiveFigure`. As the last line of a notebook's cell it is shown; what it computes, it computes
in the browser, with the arithmetic of `js/*.mjs`, which equals the package's (a test compares them).
"""

from siamese_triplet.live.element import IN_BOOK, LiveFigure, script
from siamese_triplet.live.embeddings import EmbeddingRecorder, embedding_viewer, selector_bench
from siamese_triplet.live.playgrounds import pair_playground, triplet_playground

__all__ = [
    "IN_BOOK",
    "EmbeddingRecorder",
    "LiveFigure",
    "embedding_viewer",
    "pair_playground",
    "script",
    "selector_bench",
    "triplet_playground",
]
