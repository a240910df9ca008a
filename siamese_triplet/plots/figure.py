"""Figures in the book's style, as wide as a page, to which wider figures would be shrunk."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from siamese_triplet._style import AS_IT_IS, plain

PAGE_WIDTH = 7.2  # inches, of 100 pixels each
PHONE_WIDTH = 3.4


def new_figure(n_rows: int, n_columns: int, height: float, *, width: float = PAGE_WIDTH) -> tuple[Figure, np.ndarray]:
    """Make a figure of `width` × `height` inches in the book's style, and its axes (n_rows, n_columns)."""
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(width, height), layout="constrained", squeeze=False)
    for ax in axes.flat:  # with rc_context, a notebook would no longer show its figures
        ax.spines[["right", "top"]].set_visible(False)
    return figure, axes


def new_axes(height: float) -> Axes:
    """Make the axes of a new figure with one panel, as wide as a page and `height` inches high."""
    return new_figure(1, 1, height)[1][0, 0]


def add_title(ax: Axes, title: object, **options: Any) -> None:
    """Set the title of `ax` to a name, drawn as it is."""
    ax.set_title(plain(title), **AS_IT_IS, **options)


def add_legend(to: Axes | Figure, handles: Mapping[Any, Artist], names: Mapping[Any, object], **options: Any) -> Legend:
    """Add a legend of `handles`, with the name of each key drawn as it is."""
    legend = to.legend(
        list(handles.values()), [str(number) for number in range(len(handles))], frameon=False, **options
    )
    for text, key in zip(legend.get_texts(), handles, strict=True):
        text.set(text=plain(names[key]), **AS_IT_IS)  # given at once, a name with a leading _ would be left out
    return legend
