"""Figures in the book's style, as wide as a page, to which wider figures would be shrunk."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PAGE_WIDTH = 7.2  # inches, of 100 pixels each


def new_figure(n_rows: int, n_columns: int, height: float, *, width: float = PAGE_WIDTH) -> tuple[Figure, np.ndarray]:
    """Make a figure of `width` × `height` inches in the book's style, and its axes (n_rows, n_columns)."""
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(width, height), layout="constrained", squeeze=False)
    for ax in axes.flat:  # with rc_context, a notebook would no longer show its figures
        ax.spines[["right", "top"]].set_visible(False)
    return figure, axes


def new_axes(height: float) -> Axes:
    """Make the axes of a new figure with one panel, as wide as a page and `height` inches high."""
    return new_figure(1, 1, height)[1][0, 0]
