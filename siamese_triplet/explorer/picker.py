"""A widget that shows which triplets or pairs of one batch a selector selects."""

import os

import ipywidgets as widgets
from IPython.display import display
from torch import Tensor, nn

from siamese_triplet.datasets import Images
from siamese_triplet.explorer.controls import LABEL, WIDE, keep_in_order
from siamese_triplet.explorer.output import show
from siamese_triplet.explorer.panel import NOTE, SIDE_BY_SIDE, WARNING, status_html
from siamese_triplet.explorer.pictures import examples_image, selection_image
from siamese_triplet.explorer.selection import (
    TRIPLETS,
    Batch,
    Selection,
    batch_of,
    bench_of,
    describe,
    select,
)
from siamese_triplet.live import IN_BOOK, LiveFigure
from siamese_triplet.selectors.by_name import SELECTORS


def pick_triplets(
    embeddings: Tensor | None = None,
    labels: Tensor | None = None,
    images: Images | None = None,
    *,
    model: nn.Module | None = None,
    kind: str = TRIPLETS,
    selector: str = "semihard",
    margin: float = 1.0,
    n_classes: int = 10,
    n_samples: int = 16,
    seed: int = 0,
) -> "TripletPicker":
    """Show which triplets a selector takes from a batch of `n_classes` × `n_samples` images, and their losses.

    The batch is drawn from `embeddings` (N, D) with `labels` (N,), and their `images` if given; or `model` embeds a
    batch of `images`. Without arguments it is a batch of the embedded MNIST after one epoch of training, which takes
    seconds. `kind` is "triplets" or "pairs", `selector` a name of that kind in `selectors.by_name.SELECTORS`. Needs a
    running kernel.

    Raises ValueError for an unknown kind or selector, a margin that is not a number ≥ 0, embeddings without labels, and
    sizes that do not fit together.
    """
    batch = batch_of(embeddings, labels, images, model, n_classes, n_samples, seed)
    return TripletPicker(batch, kind, selector, margin, seed)


class TripletPicker:
    """The widget of `pick_triplets`, which shows tuple `place` of `selection`. It displays itself in a notebook."""

    def __init__(self, batch: Batch, kind: str, selector: str, margin: float, seed: int = 0) -> None:
        self.batch, self.seed, self.place = batch, seed, 0
        self.selection: Selection = select(batch, kind, selector, margin, seed)
        self.kind = widgets.Dropdown(description="kind", options=list(SELECTORS), value=kind, style=LABEL, layout=WIDE)
        self.selector = widgets.Dropdown(
            description="selector", options=SELECTORS[kind], value=selector, style=LABEL, layout=WIDE
        )
        self.margin = widgets.BoundedFloatText(
            description="margin", min=0, max=max(1000, margin), step=0.1, value=margin, style=LABEL, layout=WIDE
        )
        self.previous_button = widgets.Button(
            description="Previous", icon="arrow-left", tooltip="Show the previous one"
        )
        self.next_button = widgets.Button(description="Next", icon="arrow-right", tooltip="Show the next one")
        self.count_html, self.chosen_html, self.examples_html = (widgets.HTML() for _ in range(3))
        self.picture_html = widgets.HTML(layout=SIDE_BY_SIDE[0])
        wrap = {"flex_flow": "row wrap"}
        beside = widgets.VBox(
            [widgets.HBox([self.previous_button, self.next_button]), self.chosen_html, self.examples_html],
            layout=SIDE_BY_SIDE[1],
        )
        self.widget = widgets.VBox(
            [
                widgets.Box([self.kind, self.selector, self.margin], layout=wrap),
                self.count_html,
                widgets.Box([self.picture_html, beside], layout=wrap),
            ]
        )
        self.kind.observe(self._offer, names="value")
        for control in (self.selector, self.margin):
            control.observe(lambda _: self._select(), names="value")
        self.previous_button.on_click(lambda _: self.previous())
        self.next_button.on_click(lambda _: self.next())
        self._show()

    def _ipython_display_(self) -> None:
        if IN_BOOK in os.environ:
            display(self.to_figure())
            return
        words = "pick_triplets(): controls that need a running kernel; run this cell in Jupyter or Colab"
        show(self.widget, words)

    def to_figure(self) -> LiveFigure:
        """Show the same batch, selector and margin as a figure that needs no kernel; see `live.selector_bench`.

        Raises ValueError for embeddings that are not 2-D.
        """
        return bench_of(self.batch, self.kind.value, self.selector.value, self.margin.value)

    def next(self) -> None:
        """Show the next selected tuple; after the last comes the first."""
        self._step(1)

    def previous(self) -> None:
        """Show the previous tuple; before the first comes the last."""
        self._step(-1)

    def _step(self, by: int) -> None:
        self.place = (self.place + by) % max(1, len(self.selection))
        self._show()

    def _offer(self, change: dict) -> None:
        self.selector.options = SELECTORS[self.kind.value]  # this chooses the first one
        self._select()

    def _select(self) -> None:
        if self.selector.value not in SELECTORS[self.kind.value]:
            return  # while the options change
        self.place = 0
        self.selection = select(self.batch, self.kind.value, self.selector.value, self.margin.value, self.seed)
        self._show()

    def _show(self) -> None:
        keep_in_order([self.kind, self.selector, self.margin, self.previous_button, self.next_button])
        selection = self.selection
        self.previous_button.disabled = self.next_button.disabled = len(selection) < 2
        self.count_html.value = status_html(str(selection), NOTE)
        self.chosen_html.value = status_html(
            describe(self.batch, selection, self.place), "" if len(selection) else WARNING
        )
        self.picture_html.value = selection_image(self.batch, selection, self.place, self.margin.value)
        self.examples_html.value = examples_image(self.batch, selection, self.place)
