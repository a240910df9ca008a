"""The pictures of the book. A function of one panel draws into the `ax` it is given, or into a
new figure, and returns it; one of several panels returns a new figure.

matplotlib is imported when this module is; `import siamese_triplet` does not import it.
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
