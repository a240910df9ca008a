"""Interactive figures of embeddings: of test images through the epochs, and of a batch with its selected tuples."""

import base64
import functools
import io
import math
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet._validation import check_margin
from siamese_triplet.datasets import Images
from siamese_triplet.datasets.images import check_in_memory
from siamese_triplet.evaluation import embed
from siamese_triplet.live.element import LiveFigure
from siamese_triplet.live.sheets import data_url, png_sheet
from siamese_triplet.selectors.by_name import SELECTORS
from siamese_triplet.trainer import History

GREATEST = 2**15 - 1  # the largest 16-bit integer
Limits = tuple[tuple[float, float], tuple[float, float]]


class EmbeddingRecorder:
    """A callback of `fit` that records the embeddings of some images after every epoch.

    `images` are embedded without augmentation; `which` are the indices of those to record, or their number, evenly
    spaced and in order. `record(model, "untrained")` before training adds an epoch. `embeddings` (epochs, N, D) are on
    the CPU, `labels` are (N,), and `epochs` are the names of the epochs. Raises ValueError for images that are not in
    memory, and for none.
    """

    def __init__(self, images: Images, which: int | Sequence[int] | Tensor = 1000) -> None:
        check_in_memory(images, "EmbeddingRecorder takes images that are in memory", ("data", "targets", "subset"))
        if isinstance(which, int):
            n = min(which, len(images))
            if n < 1:
                raise ValueError(f"{which=} of {len(images)} images must be at least 1")
            which = evenly_spaced(len(images), n)
        self.images = images.subset(which)
        self.labels = self.images.targets
        self.epochs: list[str] = []
        self._embeddings: list[Tensor] = []

    @property
    def embeddings(self) -> Tensor:
        """The embeddings (epochs, N, D). Raises ValueError if none were recorded."""
        if not self._embeddings:
            raise ValueError(
                "no embeddings were recorded: give the recorder to fit(…, callbacks=[recorder]), or call record"
            )
        return torch.stack(self._embeddings)

    def record(self, model: nn.Module, name: str) -> None:
        """Record the current embeddings of `model` as the epoch `name`."""
        self.keep(embed(model, self.images)[0], name)

    def keep(self, embeddings: Tensor, name: str) -> None:
        """Record given `embeddings` (N, D) as the epoch `name`. Raises ValueError unless there is one per image."""
        if embeddings.ndim != 2 or len(embeddings) != len(self.images):
            raise ValueError(f"expected embeddings of {len(self.images)} images, got shape {tuple(embeddings.shape)}")
        self._embeddings.append(embeddings.detach().cpu())
        self.epochs.append(name)

    def __call__(self, epoch: int, history: History, model: nn.Module) -> None:
        self.record(model, str(epoch))


def embedding_viewer(
    recorder: EmbeddingRecorder,
    name: str = "embeddings",
    title: str | None = None,
    *,
    step: str = "epoch",
    one_scale: bool = False,
) -> LiveFigure:
    """Show 2-D embeddings from a recorder through all epochs, with the images behind the points and their neighbours.

    On paper it is a scatter plot of the last epoch. `step` is the word for what was recorded, if not epochs. With
    `one_scale` all epochs are drawn on one scale, so that embeddings can be seen to shrink. `name`: see
    `triplet_playground`. Raises ValueError for embeddings that are not 2-D, and if none were recorded.
    """
    images = recorder.images
    alt = (
        f"scatter plot of the embeddings of {len(images):,} {'training' if images.train else 'test'} images of "
        f"{len(images.classes)} classes after the last {step} of training; in a browser, through all {step}s."
    )
    options = {"step": step, "isOneScale": one_scale}
    return LiveFigure(
        "embedding-viewer",
        name,
        title or f"Embeddings through the {step}s",
        _recorded_data(recorder) | options,
        alt,
        still=scatter_image(
            recorder.embeddings[-1],
            recorder.labels,
            images.classes,
            alt,
            limits=_limits(recorder.embeddings) if one_scale else None,
        ),
    )


def selector_bench(
    recorder: EmbeddingRecorder,
    selector: str = "semihard",
    margin: float = 1.0,
    name: str = "selectors",
    *,
    kind: str = "triplets",
) -> LiveFigure:
    """Show which tuples selectors take from a batch: the 2-D embeddings in a recorder of the batch's images.

    `kind` is "triplets" or "pairs". `selector`, a name from `bench_selectors(kind)`, and `margin` are the first state.
    `name`: see `triplet_playground`. Raises ValueError for another kind or selector, for embeddings that are not 2-D,
    and if none were recorded.
    """
    known = bench_selectors(kind) if kind in SELECTORS else ()
    if selector not in known:
        raise ValueError(f"unknown {selector=} for {kind=}; there are {', '.join(known) or ' and '.join(SELECTORS)}")
    images = recorder.images
    chosen = {"selector": f"{kind.removesuffix('s')}:{selector}", "margin": check_margin(margin)}
    alt = (
        f"a batch of {len(images)} images of {len(recorder.labels.unique())} classes in the plane, and the triplets or "
        "pairs that a selector takes from it; their number falls from epoch to epoch."
    )
    return LiveFigure(
        "selector-bench",
        name,
        "Selector bench",
        _recorded_data(recorder) | chosen,
        alt,
        still=scatter_image(recorder.embeddings[-1], recorder.labels, images.classes, alt),
    )


def evenly_spaced(n: int, n_chosen: int) -> Tensor:
    """Return at most `n_chosen` of the indices 0 … n − 1, evenly spaced."""
    n_chosen = min(n, n_chosen)
    return torch.arange(n_chosen) * n // max(1, n_chosen)


@functools.cache
def bench_selectors(kind: str) -> tuple[str, ...]:
    """List the selectors of the bench: the names of `kind` in `selectors.by_name.SELECTORS` that run in a page."""
    source = (resources.files("siamese_triplet.live") / "js" / "tuples.mjs").read_text(encoding="utf-8")
    [names] = re.findall(rf"const {kind.removesuffix('s').upper()}_SELECTORS = \[(.*?)\]", source, re.DOTALL)
    return tuple(re.findall(r'"(.*?)"', names))


def encode_points(points: Tensor) -> dict[str, Any]:
    """Encode points (N, 2) as base64 of little-endian 16-bit integers, in multiples of `unit`.

    The unit is a power of two, so scaling by it adds no rounding.
    """
    n_bad = int((~points.isfinite()).sum())
    if points.ndim != 2 or points.shape[1] != 2 or n_bad:
        bad = f", {n_bad} numbers of which are not finite" if n_bad else ""
        raise ValueError(f"the page draws finite points (N, 2) of the plane, got {tuple(points.shape)}{bad}")
    greatest = max(float(points.abs().max()), 2.0**-20)
    unit = 2.0 ** math.ceil(math.log2(greatest / GREATEST))
    numbers = (points.double() / unit).round().to(torch.int16).numpy().astype("<i2")
    return {"points": base64.b64encode(numbers.tobytes()).decode(), "unit": unit}


def _recorded_data(recorder: EmbeddingRecorder) -> dict[str, Any]:
    """Collect the data of a recorder for a page: the epochs, and the images with their classes."""
    epochs = zip(recorder.epochs, recorder.embeddings, strict=True)
    return {
        "epochs": [{"name": name, **encode_points(points)} for name, points in epochs],
        "labels": recorder.labels.tolist(),
        "classes": recorder.images.classes,
        "sheet": png_sheet(recorder.images.data),
    }


def scatter_image(
    embeddings: Tensor, labels: Tensor, classes: Sequence[str], alt: str, limits: Limits | None = None
) -> str:
    """Draw embeddings (N, 2) as an HTML image, described by `alt`, within the `limits` of x and y."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from siamese_triplet.plots import plot_embeddings

    figure = Figure(figsize=(7, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    plot_embeddings(embeddings, labels, *(limits or ()), classes=classes, ax=figure.add_subplot())
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=80)
    return f'<img alt="{alt}" src="{data_url("png", stream.getvalue())}">'


def _limits(embeddings: Tensor) -> Limits:
    """Return the limits of x and of y within which all embeddings (epochs, N, 2) lie, of a square."""
    low, high = embeddings.amin(dim=(0, 1)), embeddings.amax(dim=(0, 1))
    middle, reach = (low + high) / 2, 0.54 * float((high - low).max())
    (x, y) = middle.tolist()
    return (x - reach, x + reach), (y - reach, y + reach)
