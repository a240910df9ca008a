"""Interactive figures that run in the page, without a kernel: playgrounds, embeddings, a search, training.

Each function returns a `LiveFigure`, which a notebook shows if it is the last line of a cell. All computation is in the
browser, by the JavaScript in `js/*.mjs`; a test compares it with the package.
"""

from siamese_triplet.live.element import IN_BOOK, LiveFigure, script
from siamese_triplet.live.embeddings import EmbeddingRecorder, embedding_viewer, selector_bench
from siamese_triplet.live.in_page import digit_pad, train_in_page
from siamese_triplet.live.playgrounds import loss_family, pair_playground, triplet_playground
from siamese_triplet.live.search import search_figure

__all__ = [
    "IN_BOOK",
    "EmbeddingRecorder",
    "LiveFigure",
    "digit_pad",
    "embedding_viewer",
    "loss_family",
    "pair_playground",
    "script",
    "search_figure",
    "selector_bench",
    "train_in_page",
    "triplet_playground",
]
