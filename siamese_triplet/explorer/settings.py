"""The settings of a run: which of them apply, what is wrong with them, and the data sets they name."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from siamese_triplet.datasets import Images
from siamese_triplet.datasets.mnist import SOURCES
from siamese_triplet.methods import METHODS, SELECTORS_OF, Method
from siamese_triplet.runs import Data
from siamese_triplet.selectors.by_name import SOFT

OWN = "own images"  # the name of the reader's data set
LARGEST_BATCH = 4096  # images: the matrix of their distances is 64 MB
SMALLEST_CLASS = {"mnist": 5421, "fashion-mnist": 6000}  # images, of the full training sets


@dataclass(frozen=True)
class Settings:
    """All that decides the result of a run, and the device that computes it.

    - `dataset`: "mnist", "fashion-mnist" or "own images".
    - `embedded`: use the small subset of the first two that comes with the package.
    - `n_epochs`, `device`, `seed`: as in `fit_method`.

    The other fields are those of `Method`; a field that does not apply to the method is ignored. Any value is accepted
    here: `problems` lists those that cannot be trained.
    """

    dataset: str = "mnist"
    embedded: bool = True
    method: str = "online-triplet"
    selector: str | None = "random"
    margin: float | str = 1.0  # or "soft"
    embedding_size: int = 2
    unit_sphere: bool = False
    batch_size: int = 128
    n_classes: int = 10
    n_samples: int = 25
    learning_rate: float = 1e-3
    n_epochs: int = 5
    device: str = "cpu"
    seed: int = 0

    def to_method(self) -> Method:
        """Make the method to train. Raises ValueError for a method, selector and margin that do not go together."""
        return Method(
            self.method,
            learning_rate=self.learning_rate,
            weight_decay=METHODS[self.method].weight_decay if self.method in METHODS else 0.0,
            margin=self.margin if has_margin(self.method) else 1.0,
            selector=self.selector if self.method in SELECTORS_OF else None,
            embedding_size=self.embedding_size,
            unit_sphere=self.unit_sphere,
            batch_size=self.batch_size,
            n_classes=self.n_classes,
            n_samples=max(2, self.n_samples),  # `problems` says it better
        )


def has_margin(method: str) -> bool:
    """Tell whether the loss of `method` has a margin."""
    return method != "softmax"


def may_be_soft(settings: Settings) -> bool:
    """Tell whether the margin may be "soft": for triplets whose selector needs no margin."""
    return settings.method == "triplet" or (settings.method == "online-triplet" and settings.selector in SOFT)


def unused(settings: Settings) -> str:
    """Explain in a sentence which settings do not apply to the method; "" where all do."""
    if settings.method in SELECTORS_OF:
        return ""
    if not has_margin(settings.method):
        return (
            "softmax learns from single images and their classes: it has no margin, no selector and no P × K batches."
        )
    kind = {"siamese": "pairs", "triplet": "triplets"}.get(settings.method, "batches")
    return f"{settings.method} takes random {kind}: it has no selector and no P × K batches."


def problems(settings: Settings, class_sizes: Sequence[int]) -> list[str]:
    """List, in one sentence each, why these settings cannot be trained on classes of these sizes."""
    found = [*_number_problems(settings), *_method_problems(settings)]
    if settings.method in SELECTORS_OF:
        found += _batch_problems(settings.n_classes, settings.n_samples, class_sizes)
    elif not 1 <= settings.batch_size <= LARGEST_BATCH:
        found.append(f"A batch has 1 to {LARGEST_BATCH:,} images, pairs or triplets, not {settings.batch_size:,}.")
    if settings.device not in devices():
        found.append(f"There is no device {settings.device!r} here; there is {' and '.join(devices())}.")
    return found


def devices() -> list[str]:
    """List the devices of this machine, the fastest first."""
    return [*(f"cuda:{number}" for number in range(torch.cuda.device_count())), "cpu"]


def _number_problems(settings: Settings) -> list[str]:
    found = []
    if not 0 < settings.learning_rate < math.inf:
        found.append(f"The learning rate must be above 0, not {settings.learning_rate:g}.")
    if settings.n_epochs < 1:
        found.append(f"At least one epoch, not {settings.n_epochs}.")
    if settings.embedding_size < 2:
        found.append(f"The embedding size must be at least 2, to be drawn in the plane, not {settings.embedding_size}.")
    return found


def _method_problems(settings: Settings) -> list[str]:
    is_number = isinstance(settings.margin, (int, float)) and 0 < settings.margin < math.inf
    if has_margin(settings.method) and settings.margin != "soft" and not is_number:
        return [f"The margin must be a number above 0, or soft, not {settings.margin}."]
    try:
        settings.to_method()
    except ValueError as error:
        return [f"{str(error)[0].upper()}{str(error)[1:]}."]
    return []


def _batch_problems(n_classes: int, n_samples: int, class_sizes: Sequence[int]) -> list[str]:
    found = []
    if n_classes > len(class_sizes):
        found.append(f"A batch of {n_classes} classes: the data has only {len(class_sizes)}. Lower P.")
    if n_samples > min(class_sizes):
        found.append(f"{n_samples} images of each class: a class has only {min(class_sizes):,}. Lower K.")
    if n_classes < 2:
        found.append(f"A batch of {n_classes} class has no negatives. P must be at least 2.")
    if n_samples < 2:
        found.append(f"With {n_samples} image of each class there are no positive pairs. K must be at least 2.")
    if n_classes * n_samples > LARGEST_BATCH:
        size = f"{n_classes} × {n_samples} = {n_classes * n_samples:,}"
        found.append(f"A batch of {size} images: their distances need too much memory. At most {LARGEST_BATCH:,}.")
    return found


class DataSets:
    """The data sets on offer: MNIST, FashionMNIST and the reader's own, each loaded when it is first used.

    `root` is the folder of the full data, see `datasets.load`; `own` are the reader's training and test images.
    """

    def __init__(self, root: str | os.PathLike | None = None, own: tuple[Images, Images] | None = None) -> None:
        self.root = root
        self.own = own
        self.loaded: dict[Data, tuple[Images, Images]] = {}

    def names(self) -> list[str]:
        """List the values of `Settings.dataset`."""
        return [*([OWN] if self.own else []), *SOURCES]

    def load(self, settings: Settings) -> tuple[Images, Images]:
        """Return the training and the test images. Raises as `datasets.load` does."""
        if settings.dataset == OWN and self.own is not None:
            return self.own
        data = Data(settings.dataset, settings.embedded)
        if data not in self.loaded:
            self.loaded[data] = data.load(self.root)
        return self.loaded[data]

    def class_sizes(self, settings: Settings) -> list[int]:
        """Count the training images of each class; a lower bound where the full data is not loaded yet."""
        is_loaded = Data(settings.dataset, settings.embedded) in self.loaded
        if settings.dataset in SMALLEST_CLASS and not settings.embedded and not is_loaded:
            return [SMALLEST_CLASS[settings.dataset]] * 10
        return torch.as_tensor(self.load(settings)[0].targets).unique(return_counts=True)[1].tolist()
