"""The pictures of the explorer, drawn without pyplot, which belongs to the main thread."""

import base64
import html
import io
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from siamese_triplet._style import COLOURS
from siamese_triplet.distances import full_precision
from siamese_triplet.explorer.watching import Snapshot
from siamese_triplet.plots import plot_embeddings
from siamese_triplet.selectors.by_name import BATCH_ALL, SOFT

DPI = 110
BINS = 200  # points of a curve at most
REST = 0.1  # seconds between two pictures, which leave the interpreter to the training
Shown = TypeVar("Shown")


def plane(embeddings: Tensor) -> tuple[Tensor, float | None]:
    """`embeddings` (N, D) as points of the plane (N, 2), and the share of their variance that it shows.

    Larger embeddings are projected on their first two principal components; each points to where its greatest weight
    is positive, so that a picture does not flip from one moment to the next. For D = 2 they stay as they are, and the
    share is None; for D = 1 they lie on a line.
    """
    if embeddings.shape[1] == 2:
        return embeddings.float(), None
    if embeddings.shape[1] == 1:
        return torch.cat([embeddings, torch.zeros_like(embeddings)], dim=1).float(), 1.0
    centred = full_precision(embeddings).double()
    centred = centred - centred.mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    chosen = directions[:, [-1, -2]]  # (D, 2)
    greatest = chosen.gather(0, chosen.abs().argmax(dim=0, keepdim=True))  # (1, 2)
    total = float(variances.sum())
    share = float(variances[-2:].sum()) / total if total > 0 else 1.0
    return (centred @ (chosen * greatest.sign())).float(), share


def embedding_image(snapshot: Snapshot) -> str:
    """The scatter of a snapshot's test images, as HTML."""
    points, share = plane(snapshot.embeddings)
    size = snapshot.embeddings.shape[1]
    figure = Figure(figsize=(6.4, 5.2), dpi=DPI, layout="constrained")
    ax = figure.add_subplot()
    plot_embeddings(points, snapshot.labels, classes=snapshot.classes, ax=ax)
    moment = moment_of(snapshot)
    shown = f"{len(points):,} of {snapshot.n_test_images:,} test images"
    ax.set_title(f"{moment[0].upper()}{moment[1:]}: {shown}", fontsize=11)
    projected = "" if share is None else f"principal components 1 and 2 of {size}-D embeddings, {share:.0%} of variance"
    ax.set_xlabel(projected)
    alt = (
        f"Scatter of the embeddings of {shown}, {moment}, one colour and marker for each of "
        f"{len(snapshot.classes)} classes{projected and '; '}{projected}"
    )
    return image(figure, alt)


def curves_image(snapshot: Snapshot) -> str:
    """The curves of the loss, and of what else the method counts, as HTML."""
    counted = counted_by(snapshot)
    figure = Figure(figsize=(4.6, 5.2), dpi=DPI, layout="constrained")
    axes = figure.subplots(2 if counted else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_curve(axes[0], snapshot, "loss", snapshot.losses)
    axes[0].set_ylabel("loss")
    axes[0].legend(frameon=False, fontsize=9)
    if counted:
        name, label = counted
        _draw_curve(axes[1], snapshot, name, snapshot.counts)
        axes[1].set_ylabel(label)
    axes[-1].set(xlabel="epoch", xlim=(0, 1.03 * snapshot.n_epochs))
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    curves = " and of ".join(["the loss", *([counted[1]] if counted else [])])
    last = f"the loss of the last batch is {snapshot.losses[-1]:.3g}" if snapshot.losses else "no batch yet"
    return image(figure, f"Curves of {curves} over the epochs, {moment_of(snapshot)}; {last}")


def moment_of(snapshot: Snapshot) -> str:
    """When a snapshot was taken, in words."""
    if not snapshot.epochs:
        return "before training"
    if snapshot.epochs == int(snapshot.epochs):
        return f"after epoch {snapshot.epochs:.0f} of {snapshot.n_epochs}"
    return f"within epoch {int(snapshot.epochs) + 1} of {snapshot.n_epochs}"


def counted_by(snapshot: Snapshot) -> tuple[str, str] | None:
    """What there is a second curve of: its name in the history, and its label; None where there is none."""
    experiment = snapshot.experiment
    if experiment.method == "softmax":
        return "accuracy", "accuracy (%)"
    if experiment.method != "online-triplet":
        return None
    counts_all = experiment.selector in SOFT and experiment.selector != BATCH_ALL  # with a loss or without
    return "nonzero_triplets", f"{'selected' if counts_all else 'active'} triplets a batch"


def image(figure: Figure, alt: str) -> str:
    """`figure` as an HTML image, as wide as it is or as there is room for."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    width, height = (round(side * figure.dpi * 0.9) for side in figure.get_size_inches())
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    size = f'width="{width}" height="{height}" style="max-width:100%;height:auto"'
    return f'<img alt="{html.escape(alt, quote=True)}" {size} src="{source}">'


class Painter(Generic[Shown]):
    """Draws the latest of what it is given, in a thread of its own: what was overtaken meanwhile is left out.

    `paint` draws one; what it raises goes to `failed`.
    """

    def __init__(self, paint: Callable[[Shown], None], failed: Callable[[Exception], None]) -> None:
        self.paint, self.failed = paint, failed
        self.waiting: list[Shown] = []  # one at most
        self.is_painting = False
        self.changed = threading.Condition()

    def show(self, shown: Shown) -> None:
        """Draw `shown` as soon as may be, unless something newer comes. Returns at once."""
        with self.changed:
            self.waiting = [shown]
            if not self.is_painting:
                self.is_painting = True
                threading.Thread(target=self._work, daemon=True, name="explorer painter").start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is drawn, `timeout` seconds at most; whether it is."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.is_painting, timeout)

    def _work(self) -> None:
        while True:
            with self.changed:
                if not self.waiting:
                    self.is_painting = False
                    self.changed.notify_all()
                    return
                shown = self.waiting.pop()
            try:
                self.paint(shown)
            except Exception as error:
                self.failed(error)
            time.sleep(REST)


def _draw_curve(ax: Axes, snapshot: Snapshot, name: str, of_batches: list[float]) -> None:
    """The values of the batches, faint and in bins, and those of the epochs as `plot_history` draws them."""
    if of_batches:
        size = -(-len(of_batches) // BINS)
        means = [sum(part) / len(part) for part in (of_batches[i : i + size] for i in range(0, len(of_batches), size))]
        places = [min((i + 0.5) * size, len(of_batches)) / snapshot.batches_per_epoch for i in range(len(means))]
        ax.plot(places, means, color=COLOURS[1], lw=1, label="batches")
    styles = {"train": ("training", "-", "o", COLOURS[0]), "val": ("validation", "--", "s", COLOURS[4])}
    for part, (label, line, marker, colour) in styles.items():
        values = snapshot.history.get(f"{part}_{name}", [])
        ax.plot(range(1, len(values) + 1), values, line, marker=marker, ms=5, color=colour, label=label)
    if not of_batches:
        ax.set_yticks([])  # there is no scale yet
