"""The five methods, ready to train: network, loss, batches and optimizer from one row of settings.

`METHODS` has the settings of the book's chapters. Use them to train several methods on one data set and compare them.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import StepLR

from siamese_triplet._devices import best_device
from siamese_triplet.datasets import Images, SiameseMNIST, TripletMNIST
from siamese_triplet.diagnostics import SpreadMetric
from siamese_triplet.loader import TensorLoader
from siamese_triplet.losses import (
    BatchAllTripletLoss,
    ContrastiveLoss,
    OnlineContrastiveLoss,
    OnlineTripletLoss,
    TripletLoss,
)
from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric, Metric
from siamese_triplet.networks import ClassificationNet, EmbeddingNet, EmbeddingNetL2, SiameseNet, TripletNet
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.selectors.by_name import BATCH_ALL, PAIR_SELECTORS, SELECTORS, SOFT, TRIPLET_SELECTORS
from siamese_triplet.trainer import Callback, History, OnBatch, fit

FULL_EPOCHS = 20
SELECTORS_OF = {"online-contrastive": SELECTORS["pairs"], "online-triplet": SELECTORS["triplets"]}


@dataclass(frozen=True)
class Method:
    """A method and its settings: all that decides a training run except data, epochs and seed.

    - `method`: a key of `METHODS`.
    - `selector`: for online pairs a key of `PAIR_SELECTORS`, for online triplets one of `TRIPLET_SELECTORS` or
      "batch-all"; None for the other methods.
    - `batch_size`: images, pairs or triplets per batch; online methods take `n_classes` × `n_samples` images instead.

    Raises ValueError for settings that do not go together.
    """

    method: str
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    margin: float | str = 1.0
    selector: str | None = None
    embedding_size: int = 2
    unit_sphere: bool = False  # embeddings of length 1
    batch_size: int = 128
    n_classes: int = 10
    n_samples: int = 25

    def __post_init__(self) -> None:
        if self.method not in ("softmax", "siamese", "triplet", *SELECTORS_OF):
            raise ValueError(f"unknown method {self.method!r}; there are {', '.join(map(repr, METHODS))}")
        if self.method not in SELECTORS_OF and self.selector is not None:
            raise ValueError(f"{self.method} uses no selector, got {self.selector!r}; leave it out")
        if self.method in SELECTORS_OF and self.selector not in SELECTORS_OF[self.method]:
            possible = ", ".join(map(repr, SELECTORS_OF[self.method]))
            raise ValueError(f"unknown selector {self.selector!r} for {self.method}; there are {possible}")
        if self.method in SELECTORS_OF and self.n_samples < 2:
            raise ValueError(f"n_samples={self.n_samples} gives no positive pairs; it must be at least 2")
        if self.margin == "soft" and self.method != "triplet" and self.selector not in SOFT:
            raise ValueError(
                f"the soft margin is for triplets: for the method triplet, and for online-triplet with one of the "
                f"selectors {', '.join(map(repr, SOFT))}; got {self.method} with {self.selector!r}: give a number"
            )

    def network(self, images: Images) -> nn.Module:
        """Make a new network for images of this size and, for the softmax, for their classes."""
        return self.network_for(tuple(images[0][0].shape), len(images.classes))

    def network_for(self, input_size: tuple[int, int, int], n_classes: int) -> nn.Module:
        """Make a new network for images of `input_size` (C, H, W) and, for the softmax, for `n_classes`."""
        net = EmbeddingNetL2 if self.unit_sphere else EmbeddingNet
        embedding_net = net(self.embedding_size, input_size)
        if self.method == "softmax":
            return ClassificationNet(embedding_net, n_classes)
        wrapper = {"siamese": SiameseNet, "triplet": TripletNet}.get(self.method)
        return embedding_net if wrapper is None else wrapper(embedding_net)

    def loss(self, seed: int = 0) -> nn.Module:
        """Make the loss, with its selector if it has one; random selectors draw from `seed`."""
        generator = torch.Generator().manual_seed(seed)
        margin: Any = self.margin  # __post_init__ has checked margin and selector
        selector: Any = self.selector
        if self.method == "softmax":
            return nn.NLLLoss()
        if self.method == "siamese":
            return ContrastiveLoss(margin)
        if self.method == "triplet":
            return TripletLoss(margin)
        if self.method == "online-contrastive":
            return OnlineContrastiveLoss(margin, PAIR_SELECTORS[selector](generator))
        if selector == BATCH_ALL:
            return BatchAllTripletLoss(margin)
        return OnlineTripletLoss(margin, TRIPLET_SELECTORS[selector](margin, generator))

    def loader(self, images: Images, seed: int = 0, device: torch.device | str | None = None) -> TensorLoader:
        """Make the loader; batches of training images are shuffled from `seed`.

        A class with too few images for a batch repeats them. Balanced test batches are smaller if there are fewer
        classes or images, but have at least two images per class: a single one has no positive pair.
        """
        if self.method.startswith("online"):
            n_classes, n_samples = self.n_classes, self.n_samples
            if not images.train:
                sizes = torch.as_tensor(images.targets).unique(return_counts=True)[1]
                n_classes, n_samples = min(n_classes, len(sizes)), min(n_samples, max(2, int(sizes.min())))
            sampler = BalancedBatchSampler(images.targets, n_classes, n_samples, replacement=True, seed=seed)
            return TensorLoader(images, batch_sampler=sampler, device=device)
        sampled = {"siamese": SiameseMNIST, "triplet": TripletMNIST}.get(self.method)
        dataset = images if sampled is None else sampled(images, seed)
        return TensorLoader(dataset, self.batch_size, shuffle=images.train, seed=seed, device=device)

    def metrics(self) -> list[Metric]:
        """Make the metrics: accuracy for the softmax, number of triplets and spread for online triplets."""
        if self.method == "softmax":
            return [AccumulatedAccuracyMetric()]
        if self.method == "online-triplet":
            return [AverageNonzeroTripletsMetric(), SpreadMetric(self.margin)]
        return []


METHODS = {
    "softmax": Method("softmax", learning_rate=1e-2, batch_size=256),
    "siamese": Method("siamese"),
    "triplet": Method("triplet"),
    "online-contrastive": Method("online-contrastive", selector="hard"),
    "online-triplet": Method("online-triplet", selector="random", weight_decay=1e-4),
}


@dataclass(frozen=True)
class Speed:
    """Options that speed up training, as in `fit`; with all off, it runs in float32, layer by layer."""

    bfloat16: bool = False
    channels_last: bool = False
    compile: bool | str = False

    def __str__(self) -> str:
        """Return a description such as "bfloat16, channels last"."""
        mode = f" {self.compile}" if isinstance(self.compile, str) else ""
        words = {
            "bfloat16" if self.bfloat16 else "float32": True,
            "channels last": self.channels_last,
            f"compiled{mode}": self.compile,
        }
        return ", ".join(word for word, is_on in words.items() if is_on)


def fit_method(
    method: Method,
    train_set: Images,
    test_set: Images | None,
    n_epochs: int,
    seed: int = 0,
    *,
    model: nn.Module | None = None,
    device: torch.device | str | None = None,
    speed: Speed | None = None,
    checkpoint: str | os.PathLike | None = None,
    verbose: bool = True,
    metrics: Sequence[Metric] | None = None,
    callbacks: Sequence[Callback] = (),
    on_batch: OnBatch | None = None,
) -> tuple[nn.Module, History]:
    """Train `method` on `train_set`, validate on `test_set` unless it is None, and return the model and its history.

    The optimizer is Adam; the learning rate falls to a tenth after 8 and 16 of 20 epochs, and in proportion in a
    shorter run. The same `seed` gives the same result on one device; it seeds torch's global generator.

    - `model`: trained instead of a new network; torch's generator is then left alone.
    - `metrics`: replace those of the method.
    - `speed`: by default float32, layer by layer.

    For the other arguments and the errors raised, see `fit`.
    """
    device = best_device() if device is None else torch.device(device)
    speed = speed or Speed()
    if model is None:
        torch.manual_seed(seed)
        model = method.network(train_set)
    model = model.to(device)
    optimizer = Adam(
        model.parameters(),
        lr=method.learning_rate,
        weight_decay=method.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
    history = fit(
        method.loader(train_set, seed, device),
        None if test_set is None else method.loader(test_set, seed, device),
        model,
        method.loss(seed),
        optimizer,
        StepLR(optimizer, step_size(n_epochs), gamma=0.1),
        n_epochs,
        metrics=method.metrics() if metrics is None else metrics,
        device=device,
        verbose=verbose,
        checkpoint=checkpoint,
        callbacks=callbacks,
        on_batch=on_batch,
        autocast=torch.bfloat16 if speed.bfloat16 else None,
        channels_last=speed.channels_last,
        compile=speed.compile,
    )
    return model, history


def step_size(n_epochs: int) -> int:
    """Return the number of epochs after which the learning rate falls: 8 of 20, in proportion for other `n_epochs`."""
    return max(1, 8 * n_epochs // FULL_EPOCHS)
