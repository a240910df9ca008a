"""Helpers for the tests of the live widgets: small settings, a listener, a snapshot, and readers of HTML."""

import base64
import html
import io
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import ipywidgets as widgets
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from toy_data import part

from siamese_triplet.explorer import (
    Explorer,
    Outcome,
    Settings,
    explore,
)
from siamese_triplet.explorer.session import Session
from siamese_triplet.explorer.settings import OWN
from siamese_triplet.explorer.watching import Snapshot
from siamese_triplet.methods import METHODS, SELECTORS_OF
from siamese_triplet.trainer import History

SMALL = Settings(dataset=OWN, n_samples=5, n_epochs=2)
LONG = 120  # seconds, longer than any run here takes
EVERY_METHOD = [(method, selector) for method in METHODS for selector in SELECTORS_OF.get(method, (None,))]


def small_explorer(**changes) -> Explorer:
    """Make an explorer with 100 training and 50 test images."""
    return explore((part(True, 10), part(False, 5)), settings=replace(SMALL, **changes))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def parts_of(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    """Yield the widget and all widgets inside it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts_of(child)


def text_of(markup: str) -> str:
    return html.unescape(re.sub("<[^>]*>", " ", markup))


def picture(markup: str) -> tuple[np.ndarray, str]:
    """Decode the pixels and the alternative text of an HTML image."""
    [(alt, source)] = re.findall('<img alt="([^"]*)".* src="data:image/png;base64,([^"]*)">', markup)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGB")), html.unescape(alt)


class Listening:
    """A listener that records its calls."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.parts: list[float] = []
        self.snapshots: list[Snapshot] = []
        self.outcomes: list[Outcome] = []
        self.n_ended = 0

    def status(self, text: str, done: float) -> None:
        self.texts.append(text)
        self.parts.append(done)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def ended(self) -> None:
        self.n_ended += 1


def session_of(listener: object, **changes) -> Session:
    return Session(3, replace(SMALL, **changes), lambda: (part(True, 10), part(False, 5)), listener)


def snapshot_of(n: int = 30, size: int = 2, **changes) -> Snapshot:
    generator = torch.Generator().manual_seed(0)
    made = Snapshot(
        method=METHODS["online-triplet"],
        n_epochs=3,
        epochs=1.5,
        embeddings=torch.randn(n, size, generator=generator),
        labels=torch.arange(n) % 10,
        n_test_images=n,
        classes=[f"class {label}" for label in range(10)],
        batches_per_epoch=2,
        losses=[1.0, 0.5, 0.25],
        counts=[30.0, 20.0, 10.0],
        history=History(train_loss=[0.75], val_loss=[0.5], train_nonzero_triplets=[25.0], val_nonzero_triplets=[9.0]),
    )
    return replace(made, **changes)


def finished(number: int = 1, **changes) -> Outcome:
    made = Outcome(number, SMALL, "finished", 100, 2, 1.25, 0.5, 0.25, history=History(train_loss=[1.0, math.nan]))
    return replace(made, **changes)


def clusters(n_classes: int = 5, n_samples: int = 4, size: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(n_classes).repeat_interleave(n_samples)
    return torch.randn(len(labels), size, generator=generator) + labels[:, None] / 2, labels
