"""A widget that searches an index for an image that the reader chooses."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from siamese_triplet.explorer.output import show
from siamese_triplet.explorer.panel import NOTE, WARNING, status_html
from siamese_triplet.live import IN_BOOK
from siamese_triplet.search import Answer, Index
from siamese_triplet.search.answers import NONE_OF_THESE
from siamese_triplet.search.page import answer_html

MOST = 50  # neighbours that the slider offers


def find_images(index: Index, k: int = 8) -> "Finder":
    """Show a button that takes an image of your own, and its `k` nearest neighbours in `index`.

    Beyond the index's threshold the answer is "none of these". Needs a running kernel. Raises ValueError for an empty
    index, and for a `k` below 1.
    """
    return Finder(index, k)


class Finder:
    """The widget of `find_images`; `answer` is what it has found last. It displays itself in a notebook."""

    def __init__(self, index: Index, k: int = 8) -> None:
        if not len(index):
            raise ValueError("the index is empty; add images first")
        if k < 1:
            raise ValueError(f"{k=} must be at least 1")
        self.index = index
        self.answer: Answer | None = None
        self.contents, self.name = b"", ""
        self.upload = widgets.FileUpload(
            accept="image/*", multiple=False, description="Choose an image", layout={"width": "16em"}
        )
        self.neighbours = widgets.IntSlider(
            description="neighbours", min=1, max=max(k, min(MOST, len(index))), value=k, continuous_update=False
        )
        self.status_html, self.found_html = widgets.HTML(), widgets.HTML()
        controls = widgets.Box([self.upload, self.neighbours], layout={"flex_flow": "row wrap"})
        self.widget = widgets.VBox([controls, self.status_html, self.found_html])
        self.status_html.value = status_html(str(index), NOTE)
        self.upload.observe(lambda change: self._take(change["new"]), names="value")
        self.neighbours.observe(lambda _: self._search(), names="value")

    def _ipython_display_(self) -> None:
        words = "find_images(): controls that need a running kernel; run this cell in Jupyter or Colab"
        if IN_BOOK in os.environ:
            display({"text/plain": words}, raw=True)
            return
        show(self.widget, words)

    def _take(self, value: Any) -> None:
        uploaded = uploaded_file(value)
        if uploaded is not None:
            self.name, self.contents = uploaded
            self._search()

    def _search(self) -> None:
        """Search for the image that was uploaded last."""
        if not self.contents:
            return
        try:
            found = self.index.search(self.contents, self.neighbours.value)
            self.answer = dataclasses.replace(found, query=self.name)
        except (ValueError, ImportError) as error:
            self.answer, self.found_html.value = None, ""
            self.status_html.value = status_html(f"{self.name}: {error}", WARNING)
            return
        verdict = NONE_OF_THESE if self.answer.is_none else self.answer.class_name or "found"
        self.status_html.value = status_html(f"{self.name}: {verdict}", NOTE)
        self.found_html.value = answer_html(self.answer, self.contents)


def uploaded_file(value: Any) -> tuple[str, bytes] | None:
    """Return name and contents of the file that a `FileUpload` holds, if any.

    With ipywidgets 7, which Colab has, its value is a dictionary by name; since 8, a tuple of dictionaries.
    """
    if isinstance(value, Mapping):
        files = [(name, file["content"]) for name, file in value.items()]
    else:
        files = [(file["name"], file["content"]) for file in value]
    return (files[-1][0], bytes(files[-1][1])) if files else None
