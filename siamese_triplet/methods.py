"""The five methods of the book, ready to train: the settings of its chapters in one table.

The chapters on MNIST spell each of them out; this is for training several on one data set and comparing them.
"""

import os
from collections.abc import Callable, Iterable, Sequence
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
from siamese_triplet.selectors.by_name import BATCH_ALL, PAIR_SELECTORS, SOFT, TRIPLET_SELECTORS
from siamese_triplet.trainer import Callback, History, fit

FULL_EPOCHS = 20
Through = Callable[[TensorLoader, nn.Module], Iterable]


@dataclass(frozen=True)
class Method:
    """A method and its settings: what to train, but for the data, the epochs and the seed.

    `method` is a key of `METHODS`. `selector` is a key of `PAIR_SELECTORS` for online pairs, and of `TRIPLET_SELECTORS`
    or "batch-all" for online triplets; the other methods have none. Batches are `batch_size` images, pairs or triplets,
    or, for the online methods, `n_classes` × `n_samples` images.
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
        selectors_of = {"online-contrastive": [*PAIR_SELECTORS], "online-triplet": [*TRIPLET_SELECTORS, BATCH_ALL]}
        if self.method not in ("softmax", "siamese", "triplet", *selectors_of):
            raise ValueError(f"unknown method {self.method!r}; there are {', '.join(map(repr, METHODS))}")
        if self.method not in selectors_of and self.selector is not None:
            raise ValueError(f"{self.method} takes its batches as they come, without a selector; got {self.selector!r}")
        if self.method in selectors_of and self.selector not in selectors_of[self.method]:
            possible = ", ".join(map(repr, selectors_of[self.method]))
            raise ValueError(f"unknown selector {self.selector!r} for {self.method}; there are {possible}")
        if self.method in selectors_of and self.n_samples < 2:
            raise ValueError(f"n_samples={self.n_samples} of a class in a batch give no positive pair; give 2 or more")
        if self.margin == "soft" and self.method != "triplet" and self.selector not in SOFT:
            raise ValueError(
                f"the soft margin is for triplets: the method triplet, or online-triplet with one of the selectors "
                f"{', '.join(map(repr, SOFT))}; got {self.method} with {self.selector!r}"
            )

    def network(self, images: Images) -> nn.Module:
        """A new network for images of this size and, for the softmax, for their classes."""
        first = images[0][0]
        net = EmbeddingNetL2 if self.unit_sphere else EmbeddingNet
        embedding_net = net(self.embedding_size, tuple(first.shape))
        if self.method == "softmax":
            return ClassificationNet(embedding_net, len(images.classes))
        around = {"siamese": SiameseNet, "triplet": TripletNet}.get(self.method)
        return embedding_net if around is None else around(embedding_net)

    def loss(self, seed: int = 0) -> nn.Module:
        """The loss, with a selector that draws from `seed`, where there is one."""
        generator = torch.Generator().manual_seed(seed)
        margin: Any = self.margin  # soft only where that can be: `__post_init__` looks at it and at the selector
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
        """The batches of an epoch; those of training images are shuffled, from `seed`.

        A class with fewer images than a batch takes repeats them. Balanced batches of test images have fewer classes
        and images of each where there are no more, but two of each at least: otherwise no pair would be positive.
        """
        if self.method.startswith("online"):
            n_classes, n_samples = self.n_classes, self.n_samples
            if not images.train:
                sizes = torch.as_tensor(images.targets).unique(return_counts=True)[1]
                n_classes, n_samples = min(n_classes, len(sizes)), min(n_samples, max(2, int(sizes.min())))
            sampler = BalancedBatchSampler(images.targets, n_classes, n_samples, replacement=True, seed=seed)
            return TensorLoader(images, batch_sampler=sampler, device=device)
        made = {"siamese": SiameseMNIST, "triplet": TripletMNIST}.get(self.method)
        dataset = images if made is None else made(images, seed)
        return TensorLoader(dataset, self.batch_size, shuffle=images.train, seed=seed, device=device)

    def metrics(self) -> list[Metric]:
        """New metrics: accuracy for the softmax; the number of triplets and the spread for online triplets."""
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
    """How the same training is computed; see `fit`. Everything off is 32-bit floating point, layer by layer."""

    bfloat16: bool = False
    channels_last: bool = False
    compile: bool | str = False

    def __str__(self) -> str:
        """Such as "bfloat16, channels last"."""
        mode = f" {self.compile}" if isinstance(self.compile, str) else ""
        words = {
            "bfloat16" if self.bfloat16 else "float32": True,
            "channels last": self.channels_last,
            f"compiled{mode}": self.compile,
        }
        return ", ".join(word for word, is_on in words.items() if is_on)


def fit_method(
    experiment: Method,
    train_set: Images,
    test_set: Images,
    n_epochs: int,
    seed: int = 0,
    *,
    device: torch.device | str | None = None,
    speed: Speed | None = None,
    checkpoint: str | os.PathLike | None = None,
    verbose: bool = True,
    metrics: Sequence[Metric] | None = None,
    callbacks: Sequence[Callback] = (),
    through: Through | None = None,
) -> tuple[nn.Module, History]:
    """Train an experiment from `seed`, validating on `test_set`; the model and its history.

    The optimizer is Adam; the learning rate falls to a tenth after 8 and 16 of 20 epochs. `metrics` take the place of
    those of the experiment. `through(loader, model)`, called for the loader of the training and then for that of the
    test images, returns what `fit` takes its batches from instead: the same ones, with a look between them. See `fit`
    for the rest.
    """
    device = best_device() if device is None else torch.device(device)
    speed = speed or Speed()
    torch.manual_seed(seed)
    model = experiment.network(train_set).to(device)
    optimizer = Adam(
        model.parameters(),
        lr=experiment.learning_rate,
        weight_decay=experiment.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
    loaders = [experiment.loader(images, seed, device) for images in (train_set, test_set)]
    train_loader, val_loader = loaders if through is None else [through(loader, model) for loader in loaders]
    history = fit(
        train_loader,
        val_loader,
        model,
        experiment.loss(seed),
        optimizer,
        StepLR(optimizer, step_size(n_epochs), gamma=0.1),
        n_epochs,
        metrics=experiment.metrics() if metrics is None else metrics,
        device=device,
        verbose=verbose,
        checkpoint=checkpoint,
        callbacks=callbacks,
        autocast=torch.bfloat16 if speed.bfloat16 else None,
        channels_last=speed.channels_last,
        compile=speed.compile,
    )
    return model, history


def step_size(n_epochs: int) -> int:
    """After how many of `n_epochs` the learning rate falls: 8 of 20, and in the same proportion in a shorter run."""
    return max(1, 8 * n_epochs // FULL_EPOCHS)
