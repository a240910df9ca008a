"""What a run of the explorer is: its settings, which of them apply, and what is wrong with them, in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from siamese_triplet.methods import METHODS, Method
from siamese_triplet.selectors.by_name import BATCH_ALL, PAIR_SELECTORS, SOFT, TRIPLET_SELECTORS

OWN = "own images"  # what the reader's data set is called
SELECTORS = {"online-contrastive": (*PAIR_SELECTORS,), "online-triplet": (*TRIPLET_SELECTORS, BATCH_ALL)}
LARGEST_BATCH = 4096  # images: a matrix of their distances is 64 MB


@dataclass(frozen=True)
class Settings:
    """What decides the result of a run, and where it is computed.

    `dataset` is "mnist", "fashion-mnist" or "own images"; `embedded` takes the small subset of the first two that comes
    with the package. The others are those of `Method`; one that does not apply to the method is not looked at.
    Anything can be held here, `problems` says what cannot be trained.
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

    def experiment(self) -> Method:
        """What to train. Raises ValueError for a method, selector and margin that do not go together."""
        return Method(
            self.method,
            learning_rate=self.learning_rate,
            weight_decay=METHODS[self.method].weight_decay if self.method in METHODS else 0.0,
            margin=self.margin if has_margin(self.method) else 1.0,
            selector=self.selector if self.method in SELECTORS else None,
            embedding_size=self.embedding_size,
            unit_sphere=self.unit_sphere,
            batch_size=self.batch_size,
            n_classes=self.n_classes,
            n_samples=self.n_samples,
        )


def has_margin(method: str) -> bool:
    """Whether the loss of `method` has a margin."""
    return method != "softmax"


def may_be_soft(settings: Settings) -> bool:
    """Whether the margin can be "soft": for triplets that are not chosen by a number."""
    return settings.method == "triplet" or (settings.method == "online-triplet" and settings.selector in SOFT)


def unused(settings: Settings) -> str:
    """Which settings do not apply to the method, and why, in a sentence; "" where all do."""
    if settings.method in SELECTORS:
        return ""
    if not has_margin(settings.method):
        return (
            "softmax learns from single images and their classes: it has no margin, no selector and no P × K batches."
        )
    kind = {"siamese": "pairs", "triplet": "triplets"}.get(settings.method, "batches")
    return f"{settings.method} takes random {kind}: it has no selector and no P × K batches."


def problems(settings: Settings, class_sizes: Sequence[int]) -> list[str]:
    """Why these settings cannot be trained on data with so many images of each class: a sentence each, or none."""
    found = [*_of_numbers(settings), *_of_method(settings)]
    if settings.method in SELECTORS:
        found += _of_batches(settings.n_classes, settings.n_samples, class_sizes)
    elif settings.batch_size < 1 or settings.batch_size > LARGEST_BATCH:
        found.append(f"A batch has 1 to {LARGEST_BATCH:,} images, pairs or triplets, not {settings.batch_size:,}.")
    if settings.device not in devices():
        found.append(f"There is no device {settings.device!r} here; there is {' and '.join(devices())}.")
    return found


def devices() -> list[str]:
    """What `Settings.device` can be on this machine, the fastest first."""
    return [*(f"cuda:{number}" for number in range(torch.cuda.device_count())), "cpu"]


def _of_numbers(settings: Settings) -> list[str]:
    found = []
    if not 0 < settings.learning_rate < math.inf:
        found.append(f"The learning rate must be above 0, not {settings.learning_rate:g}.")
    if settings.n_epochs < 1:
        found.append(f"At least one epoch, not {settings.n_epochs}.")
    if settings.embedding_size < 2:
        found.append(f"The embedding size must be at least 2, to be drawn in the plane, not {settings.embedding_size}.")
    return found


def _of_method(settings: Settings) -> list[str]:
    if settings.method not in METHODS:
        return [f"There is no method {settings.method!r}; there are {', '.join(METHODS)}."]
    of_method = SELECTORS.get(settings.method, ())
    if of_method and settings.selector not in of_method:
        return [f"{settings.method} has no selector {settings.selector!r}; there are {', '.join(of_method)}."]
    if not has_margin(settings.method):
        return []
    if settings.margin == "soft" and may_be_soft(settings):
        return []
    if settings.margin == "soft" and settings.method == "online-triplet":
        return [
            f"The selector {settings.selector} compares losses with a margin, so the margin must be a number: switch "
            f"soft off, or choose {', '.join(SOFT[:-1])} or {SOFT[-1]}, which need none."
        ]
    if settings.margin == "soft":
        return [f"The soft margin is for triplets; {settings.method} compares pairs: switch soft off."]
    if isinstance(settings.margin, str) or not 0 < settings.margin < math.inf:
        return [f"The margin must be a number above 0, or soft, not {settings.margin}."]
    return []


def _of_batches(n_classes: int, n_samples: int, class_sizes: Sequence[int]) -> list[str]:
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
