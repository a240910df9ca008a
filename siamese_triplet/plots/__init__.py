"""The pictures of the book.

Functions with one panel draw into `ax`, by default the axes of a new figure, and return it. Functions with several
panels return a new figure. Importing this module imports matplotlib; `import siamese_triplet` does not.
"""

from siamese_triplet._style import COLOURS, MARKERS
from siamese_triplet.plots.embeddings import plot_embeddings, plot_negative_zones, plot_side_by_side
from siamese_triplet.plots.figure import PAGE_WIDTH, new_axes, new_figure
from siamese_triplet.plots.grids import plot_images, plot_neighbours, plot_tuples
from siamese_triplet.plots.numbers import plot_groups, plot_history, plot_negative_choices

__all__ = [
    "COLOURS",
    "MARKERS",
    "PAGE_WIDTH",
    "new_axes",
    "new_figure",
    "plot_embeddings",
    "plot_groups",
    "plot_history",
    "plot_images",
    "plot_negative_choices",
    "plot_negative_zones",
    "plot_neighbours",
    "plot_side_by_side",
    "plot_tuples",
]
