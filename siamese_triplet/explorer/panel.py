"""What the explorer shows of its runs: how far the one that goes on is, its pictures, and the table of all."""

import base64
import html
from collections.abc import Callable, Sequence

import ipywidgets as widgets

from siamese_triplet.explorer.drawing import Painter, curves_image, embedding_image
from siamese_triplet.explorer.outcomes import Outcome, as_csv, as_html, as_json
from siamese_triplet.explorer.watching import Snapshot

READY = "Press Train: the pictures show the network from before its first batch on."
PLACE = (
    '<div style="box-sizing:border-box;width:{width}px;max-width:100%;height:200px;padding:85px 1em 0;'
    'text-align:center;border:1px dashed rgba(128,128,128,.6);line-height:1.3">{text}</div>'
)
WARNING = "border-left:4px solid #CC6677"
NOTE = "border-left:4px solid rgba(128,128,128,.5)"


class Panel:
    """The listener of the sessions: it is told in their threads, and writes into widgets that only show.

    `ended` is called after the end of every session. `outcomes` are the records of the runs by their number.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self.ended = ended
        self.outcomes: dict[int, Outcome] = {}
        self.text = READY
        self.painter: Painter[Snapshot] = Painter(self._paint, self._cannot_paint)
        self.progress = widgets.FloatProgress(max=1.0, description="progress", layout={"width": "20em"})
        self.status_html, self.warning_html, self.table_html, self.links_html = (widgets.HTML() for _ in range(4))
        self.embedding_html, self.curves_html = (widgets.HTML(layout={"max_width": "100%"}) for _ in range(2))
        pictures = widgets.Box([self.embedding_html, self.curves_html], layout={"flex_flow": "row wrap"})
        self.widget = widgets.VBox([self.status_html, self.warning_html, pictures, self.table_html, self.links_html])
        self.clear()

    def clear(self) -> None:
        """As before the first run, but for the table."""
        self.status(READY, 0.0)
        self.warning_html.value = ""
        self.embedding_html.value = PLACE.format(width=634, text="here the embeddings of test images in the plane")
        self.curves_html.value = PLACE.format(width=455, text="here the loss")

    def begin(self) -> None:
        """A run begins; the pictures of the one before stay until its own come."""
        self.warning_html.value = ""

    def status(self, text: str, done: float) -> None:
        """What goes on, in words, and how much of the training is done, 0 to 1."""
        self.text, self.progress.value = text, done
        self.status_html.value = said(text)

    def snapshot(self, snapshot: Snapshot) -> None:
        """There is a new picture to draw."""
        self.painter.show(snapshot)

    def outcome(self, outcome: Outcome) -> None:
        """There is a new record of a run."""
        before = self.outcomes.get(outcome.number)
        self.outcomes[outcome.number] = outcome
        if before is not None and outcome.message != before.message:
            self.warning_html.value = said(outcome.message, WARNING) if outcome.message else ""
        runs = list(self.outcomes.values())
        self.table_html.value = as_html(runs)
        self.links_html.value = links(runs)

    def _paint(self, snapshot: Snapshot) -> None:
        self.embedding_html.value = embedding_image(snapshot)
        self.curves_html.value = curves_image(snapshot)

    def _cannot_paint(self, error: Exception) -> None:
        self.embedding_html.value = said(f"The picture could not be drawn: {type(error).__name__}: {error}", WARNING)


def said(text: str, style: str = "") -> str:
    """`text` as HTML."""
    indented = "padding:2px 10px;margin:2px 0;" if style else ""
    return f'<div role="status" style="line-height:1.4;max-width:70em;{indented}{style}">{html.escape(text)}</div>'


def links(outcomes: Sequence[Outcome]) -> str:
    """Links that save the table as a file, without a way back to the kernel."""
    files = (("CSV", "text/csv", as_csv(outcomes)), ("JSON", "application/json", as_json(outcomes)))
    made = [
        f'<a download="runs.{kind.lower()}" style="text-decoration:underline" '
        f'href="data:{media};charset=utf-8;base64,{base64.b64encode(contents.encode()).decode()}">{kind}</a>'
        for kind, media, contents in files
    ]
    return f'<div style="padding:2px 10px">Save the table as {" or ".join(made)}</div>'
