"""The display of the runs: progress and pictures of the current one, and the table of all."""

import base64
import html
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import ipywidgets as widgets

from siamese_triplet._style import plain
from siamese_triplet.explorer.pictures import curves_image, embedding_image
from siamese_triplet.explorer.records import Outcome, as_csv, as_html, as_json
from siamese_triplet.explorer.watching import Snapshot

READY = "Press Train: the pictures follow the network, beginning before its first batch."
PLACE = (
    '<div style="box-sizing:border-box;width:{width}px;max-width:100%;height:200px;padding:85px 1em 0;'
    'text-align:center;border:1px dashed rgba(128,128,128,.6);line-height:1.3">{text}</div>'
)
SIDE_BY_SIDE = (  # layouts that share a line: they shrink rather than break it, except in a narrow window
    {"flex": "634 1 0", "min_width": "19em", "max_width": "634px"},
    {"flex": "455 1 0", "min_width": "15em", "max_width": "455px"},
)
REST = 0.1  # seconds between two pictures, to leave the interpreter to the training
Drawn = TypeVar("Drawn")
WARNING = "border-left:4px solid #CC6677"
NOTE = "border-left:4px solid rgba(128,128,128,.5)"


class Painter(Generic[Drawn]):
    """Draw the latest item, in a thread of its own; items overtaken by a later one are skipped.

    `paint` draws an item; its errors go to `failed`.
    """

    def __init__(self, paint: Callable[[Drawn], None], failed: Callable[[Exception], None]) -> None:
        self.paint, self.failed = paint, failed
        self.waiting: list[Drawn] = []  # at most one
        self.is_painting = False
        self.changed = threading.Condition()

    def show(self, item: Drawn) -> None:
        """Draw `item` soon, unless a newer one comes first. Returns at once."""
        with self.changed:
            self.waiting = [item]
            if not self.is_painting:
                self.is_painting = True
                threading.Thread(target=self._work, daemon=True, name="explorer painter").start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is drawn, at most `timeout` seconds, and return whether it is."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.is_painting, timeout)

    def _work(self) -> None:
        while True:
            with self.changed:
                if not self.waiting:
                    self.is_painting = False
                    self.changed.notify_all()
                    return
                item = self.waiting.pop()
            try:
                self.paint(item)
            except Exception as error:
                self.failed(error)
            time.sleep(REST)


class Panel:
    """The listener of the sessions. It is called in their threads, and writes to widgets without controls.

    `ended` is called after the end of every session. `outcomes` are the records of the runs by their number.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self.ended = ended
        self.outcomes: dict[int, Outcome] = {}
        self.text = READY
        self.painter: Painter[Snapshot] = Painter(self._paint, self._cannot_paint)
        self.progress = widgets.FloatProgress(max=1.0, description="progress", layout={"width": "20em"})
        self.status_text, self.warning_html, self.table_html, self.links_html = (widgets.HTML() for _ in range(4))
        self.embedding_html, self.curves_html = (widgets.HTML(layout=layout) for layout in SIDE_BY_SIDE)
        pictures = widgets.Box([self.embedding_html, self.curves_html], layout={"flex_flow": "row wrap"})
        self.widget = widgets.VBox([self.status_text, self.warning_html, pictures, self.table_html, self.links_html])
        self.clear()

    def clear(self) -> None:
        """Restore the display to that before the first run, except for the table."""
        self.status(READY, 0.0)
        self.warning_html.value = ""
        self.embedding_html.value = PLACE.format(width=634, text="The embeddings of test images appear here.")
        self.curves_html.value = PLACE.format(width=455, text="The loss appears here.")

    def begin(self) -> None:
        """Prepare for a new run; the pictures of the last one stay until its own come."""
        self.warning_html.value = ""

    def status(self, text: str, done: float) -> None:
        """Show a status text and the fraction of the training that is done."""
        self.text, self.progress.value = text, done
        self.status_text.value = status_html(text)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Draw a new picture."""
        self.painter.show(snapshot)

    def outcome(self, outcome: Outcome) -> None:
        """Show a new record of a run."""
        before = self.outcomes.get(outcome.number)
        self.outcomes[outcome.number] = outcome
        if before is not None and outcome.message != before.message:
            self.warning_html.value = status_html(outcome.message, WARNING) if outcome.message else ""
        runs = list(self.outcomes.values())
        self.table_html.value = as_html(runs)
        self.links_html.value = links(runs)

    def _paint(self, snapshot: Snapshot) -> None:
        self.embedding_html.value = embedding_image(snapshot)
        self.curves_html.value = curves_image(snapshot)

    def _cannot_paint(self, error: Exception) -> None:
        self.embedding_html.value = status_html(
            f"The picture could not be drawn: {type(error).__name__}: {error}", WARNING
        )


def status_html(text: str, style: str = "") -> str:
    """Format `text` as HTML that screen readers announce."""
    indented = "padding:2px 10px;margin:2px 0;" if style else ""
    return (
        f'<div role="status" style="line-height:1.4;max-width:70em;{indented}{style}">{html.escape(plain(text))}</div>'
    )


def links(outcomes: Sequence[Outcome]) -> str:
    """Make links that save the table as a file; they work without the kernel."""
    files = (("CSV", "text/csv", as_csv(outcomes)), ("JSON", "application/json", as_json(outcomes)))
    anchors = [
        f'<a download="runs.{kind.lower()}" style="text-decoration:underline" '
        f'href="data:{media};charset=utf-8;base64,{base64.b64encode(contents.encode()).decode()}">{kind}</a>'
        for kind, media, contents in files
    ]
    return f'<div style="padding:2px 10px">Save the table as {" or ".join(anchors)}</div>'
