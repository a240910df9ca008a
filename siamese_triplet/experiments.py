"""The five methods of the book, ready to train: the settings of its chapters in one table.

The chapters on MNIST spell each of them out; this is for training several on one data set and comparing them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader

from siamese_triplet.evaluation import extract_embeddings
from siamese_triplet.images import Images
from siamese_triplet.losses import ContrastiveLoss, OnlineContrastiveLoss, OnlineTripletLoss, TripletLoss
from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric, Metric
from siamese_triplet.networks import ClassificationNet, EmbeddingNet, SiameseNet, TripletNet
from siamese_triplet.recipes import Recipe
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.selectors import HardNegativePairSelector, RandomNegativeTripletSelector
from siamese_triplet.trainer import History, fit
from siamese_triplet.tuples import SiameseMNIST, TripletMNIST

MARGIN = 1.0
N_CLASSES, N_SAMPLES = 10, 25  # of a balanced batch


@dataclass(frozen=True)
class Method:
    """What a method needs beside the data: how to make its network, loss and batches."""

    network: Callable[[Images], nn.Module]
    loss: Callable[[], nn.Module]
    loader: Callable[[Images, int], DataLoader]
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    metrics: tuple[Callable[[], Metric], ...] = ()


@dataclass(frozen=True)
class Result:
    """A trained model, its history, and the `(embeddings (N, 2), labels (N,))` of the training and the test images."""

    model: nn.Module
    history: History
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def balanced_loader(images: Images, seed: int = 0) -> DataLoader:
    """Batches of 10 classes × 25 images."""
    sampler = BalancedBatchSampler(images.targets, N_CLASSES, N_SAMPLES, seed=seed)
    return DataLoader(images, batch_sampler=sampler)


METHODS = {
    "softmax": Method(
        network=lambda images: ClassificationNet(EmbeddingNet(), len(images.classes)),
        loss=nn.NLLLoss,
        loader=lambda images, seed: DataLoader(images, batch_size=256, shuffle=images.train),
        learning_rate=1e-2,
        metrics=(AccumulatedAccuracyMetric,),
    ),
    "siamese": Method(
        network=lambda images: SiameseNet(EmbeddingNet()),
        loss=lambda: ContrastiveLoss(MARGIN),
        loader=lambda images, seed: DataLoader(SiameseMNIST(images, seed), batch_size=128, shuffle=images.train),
    ),
    "triplet": Method(
        network=lambda images: TripletNet(EmbeddingNet()),
        loss=lambda: TripletLoss(MARGIN),
        loader=lambda images, seed: DataLoader(TripletMNIST(images, seed), batch_size=128, shuffle=images.train),
    ),
    "online pairs": Method(
        network=lambda images: EmbeddingNet(),
        loss=lambda: OnlineContrastiveLoss(MARGIN, HardNegativePairSelector()),
        loader=balanced_loader,
    ),
    "online triplets": Method(
        network=lambda images: EmbeddingNet(),
        loss=lambda: OnlineTripletLoss(MARGIN, RandomNegativeTripletSelector(MARGIN)),
        loader=balanced_loader,
        weight_decay=1e-4,
        metrics=(AverageNonzeroTripletsMetric,),
    ),
}


def train(
    name: str, train_set: Images, test_set: Images, recipe: Recipe, seed: int = 0, verbose: bool = True
) -> Result:
    """Train the method `name` of `METHODS` on `train_set`, validating on `test_set`, as `recipe` says.

    The same `seed` gives the same result on one device. Raises ValueError for an unknown name.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; there are {', '.join(map(repr, METHODS))}")
    method = METHODS[name]
    torch.manual_seed(seed)
    model = method.network(train_set).to(recipe.device)
    optimizer = Adam(model.parameters(), lr=method.learning_rate, weight_decay=method.weight_decay)
    history = fit(
        method.loader(train_set, seed),
        method.loader(test_set, seed),
        model,
        method.loss(),
        optimizer,
        StepLR(optimizer, recipe.step_size, gamma=0.1),
        recipe.n_epochs,
        metrics=[metric() for metric in method.metrics],
        verbose=verbose,
    )
    train_embeddings, test_embeddings = (
        extract_embeddings(DataLoader(images, batch_size=1000), model) for images in (train_set, test_set)
    )
    return Result(model, history, train_embeddings, test_embeddings)
