"""Records of the runs, and the tables and files made from them."""

import csv
import html
import io
import json
import math
import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet._style import plain
from siamese_triplet.datasets._naming import expand
from siamese_triplet.explorer.settings import Settings, has_margin
from siamese_triplet.methods import SELECTORS_OF
from siamese_triplet.trainer import History

RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"


@dataclass(frozen=True)
class Outcome:
    """The record of a run and how it ended.

    `knn_accuracy` (5 neighbours among the training images) and `map_at_r` (among the test images) are None where they
    were not computed. `seconds` is the training time, pictures included.
    """

    number: int
    settings: Settings
    ended: str = RUNNING  # or finished, stopped, failed
    n_images: int = 0  # to train on
    n_epochs: int = 0  # complete
    seconds: float = 0.0
    knn_accuracy: float | None = None
    map_at_r: float | None = None
    message: str = ""  # an error, a collapse
    history: History = field(default_factory=History)
    seconds_to_stop: float | None = None  # from the call of `stop` to its report

    def row(self) -> dict[str, Any]:
        """Return all but the history as one flat dict; settings that do not apply are None."""
        settings = asdict(self.settings)
        is_online = self.settings.method in SELECTORS_OF
        for name in ("batch_size",) if is_online else ("selector", "n_classes", "n_samples"):
            settings[name] = None
        if not has_margin(self.settings.method):
            settings["margin"] = None
        settings["asked_epochs"] = settings.pop("n_epochs")
        names = "ended", "n_images", "n_epochs", "seconds", "knn_accuracy", "map_at_r", "message"
        return {"run": self.number, **settings, **{name: getattr(self, name) for name in names}}


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """Format the runs as CSV: a header, and a line per run."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(Outcome(0, Settings()).row()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(outcome.row() for outcome in outcomes)
    return plain(lines.getvalue())


def as_json(outcomes: Sequence[Outcome]) -> str:
    """Format the runs with their histories as a JSON list; a number that is not finite becomes null."""
    runs = [{**outcome.row(), "history": dict(outcome.history)} for outcome in outcomes]
    return plain(json.dumps(_finite(runs), indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def export(outcomes: Sequence[Outcome], path: str | os.PathLike) -> None:
    """Write the runs to `path`, as CSV or JSON by its suffix. Raises ValueError for another suffix."""
    writers = {".csv": as_csv, ".json": as_json}
    path = expand(path)
    ending = path.suffix.lower()
    if ending not in writers:
        raise ValueError(f"{path} ends in {ending!r}; the runs can be written to a .csv or a .json file")
    write_atomically(path, writers[ending](outcomes).encode())


COLUMNS: dict[str, Callable[[Outcome], str]] = {
    "run": lambda outcome: str(outcome.number),
    "data": lambda outcome: f"{outcome.settings.dataset}{f', {outcome.n_images:,}' if outcome.n_images else ''}",
    "method": lambda outcome: outcome.settings.method,
    "selector": lambda outcome: _cell_text(outcome.row()["selector"]),
    "margin": lambda outcome: _cell_text(outcome.row()["margin"]),
    "size": lambda outcome: f"{outcome.settings.embedding_size}{' (sphere)' if outcome.settings.unit_sphere else ''}",
    "batch": lambda outcome: _batch(outcome.settings),
    "rate": lambda outcome: f"{outcome.settings.learning_rate:g}",
    "epochs": lambda outcome: f"{outcome.n_epochs} of {outcome.settings.n_epochs}",
    "kNN accuracy": lambda outcome: _percent(outcome.knn_accuracy),
    "MAP@R": lambda outcome: _percent(outcome.map_at_r),
    "seconds": lambda outcome: f"{outcome.seconds:.1f}" if outcome.seconds else "–",
    "ended": lambda outcome: _ended(outcome),
}
NUMBERS = ("run", "epochs", "kNN accuracy", "MAP@R", "seconds")  # right-aligned columns


def as_html(outcomes: Sequence[Outcome]) -> str:
    """Format the runs as the table of the widget, the best accuracy in bold; "" for no runs."""
    if not outcomes:
        return ""
    best = max((outcome.knn_accuracy for outcome in outcomes if outcome.knn_accuracy is not None), default=None)
    cell = "padding:2px 10px;border-bottom:1px solid rgba(128,128,128,.35);white-space:nowrap"
    wide = "padding:2px 10px;border-bottom:1px solid rgba(128,128,128,.35);min-width:12em"
    head = "".join(
        f'<th scope="col" style="{cell};text-align:{"right" if name in NUMBERS else "left"}">{name}</th>'
        for name in COLUMNS
    )
    rows = []
    for outcome in outcomes:
        cells = []
        for name, text_of in COLUMNS.items():
            text = html.escape(plain(text_of(outcome)))
            if name == "kNN accuracy" and outcome.knn_accuracy is not None and outcome.knn_accuracy == best:
                text = f"<b>{text}</b>"
            style = f"{wide if name == 'ended' else cell};text-align:{'right' if name in NUMBERS else 'left'}"
            cells.append(f'<td style="{style}">{text}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<div style="overflow-x:auto;line-height:1.5"><table style="border-collapse:collapse;font-size:13px">'
        '<caption style="text-align:left;padding:2px 10px">The runs of this session</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def time_left(seconds: float, done: float) -> str:
    """Estimate in words how long a run still takes, after `seconds` for the fraction `done`; "" where unknown."""
    if done <= 0:
        return ""
    left = seconds * (1 - done) / done
    if left < 1:
        return "less than a second left"
    if left < 90:
        return f"about {left:.0f} s left"
    return f"about {left / 60:.0f} min left" if left < 90 * 60 else f"about {left / 3600:.1f} h left"


def _batch(settings: Settings) -> str:
    if settings.method in SELECTORS_OF:
        return f"{settings.n_classes} × {settings.n_samples}"
    return str(settings.batch_size)


def _ended(outcome: Outcome) -> str:
    """Return how the run ended, with the beginning of its message; the widget and the files have all of it."""
    message = textwrap.shorten(outcome.message, 60, placeholder=" …")
    return f"{outcome.ended}: {message}" if message else outcome.ended


def _cell_text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"


def _finite(value: Any) -> Any:
    """Replace numbers that are not finite by None, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(held) for key, held in value.items()}
    return [_finite(held) for held in value] if isinstance(value, list) else value
