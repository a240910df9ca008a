"""The losses of the chapter on what came after triplets, with their usual settings and those to choose from."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet.losses import BatchAllTripletLoss, OnlineTripletLoss, SupervisedContrastiveLoss
from siamese_triplet.networks.heads import scale_to_unit_length
from siamese_triplet.selectors.by_name import TRIPLET_SELECTORS

LIBRARY = "pytorch_metric_learning"
RATES = (1.0, 10.0, 100.0)  # of class vectors, times that of the network
Make = Callable[[Mapping[str, float], int, int], nn.Module]  # from settings, number of classes, embedding size


@dataclass(frozen=True)
class ModernLoss:
    """A loss: how to make it, and the usual settings of its paper, or several to choose from.

    `rate` among the settings is the learning rate of its own parameters, as a multiple of the network's.
    """

    make: Make
    candidates: tuple[dict[str, float], ...]
    needs_library: bool = False


class _OfDirections(nn.Module):
    """A loss of the directions of the embeddings: they are scaled to length 1 before."""

    def __init__(self, loss_fn: nn.Module) -> None:
        super().__init__()
        self.loss_fn = loss_fn

    def forward(self, embeddings: Tensor, target: Tensor) -> Any:
        return self.loss_fn(scale_to_unit_length(embeddings), target)


class _Softmax(nn.Module):
    """A linear layer and the cross-entropy of its classes, of embeddings as they are."""

    def __init__(self, embedding_size: int, n_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(embedding_size, n_classes)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(self.layer(embeddings), target)


class _Mined(nn.Module):
    """A loss of the library, of the pairs that its miner selects."""

    def __init__(self, loss_fn: nn.Module, miner: nn.Module) -> None:
        super().__init__()
        self.loss_fn, self.miner = loss_fn, miner

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        return self.loss_fn(embeddings, target, self.miner(embeddings, target))


def _semihard(settings: Mapping[str, float], n_classes: int, size: int) -> nn.Module:
    margin = settings["margin"]
    return _OfDirections(
        OnlineTripletLoss(margin, TRIPLET_SELECTORS["semihard"](margin, torch.Generator().manual_seed(0)))
    )


def _multi_similarity(settings: Mapping[str, float], n_classes: int, size: int) -> nn.Module:
    from pytorch_metric_learning.losses import MultiSimilarityLoss
    from pytorch_metric_learning.miners import MultiSimilarityMiner

    own = {name: settings[name] for name in ("alpha", "beta", "base")}
    return _Mined(MultiSimilarityLoss(**own), MultiSimilarityMiner(settings["epsilon"]))


def _of_library(name: str) -> Make:
    """Make a loss with a vector per class; its settings are those of the library except for `rate`."""

    def make(settings: Mapping[str, float], n_classes: int, size: int) -> nn.Module:
        from pytorch_metric_learning import losses

        own = {key: value for key, value in settings.items() if key != "rate"}
        return getattr(losses, name)(num_classes=n_classes, embedding_size=size, **own)

    return make


def _rates(**usual: float) -> tuple[dict[str, float], ...]:
    return tuple({"rate": rate, **usual} for rate in RATES)


LOSSES = {
    "softmax": ModernLoss(lambda _, n_classes, size: _Softmax(size, n_classes), _rates()),
    "semi-hard": ModernLoss(_semihard, ({"margin": 0.2},)),
    "batch-all": ModernLoss(lambda settings, *_: _OfDirections(BatchAllTripletLoss(**settings)), ({"margin": 0.2},)),
    "SupCon": ModernLoss(lambda settings, *_: SupervisedContrastiveLoss(**settings), ({"temperature": 0.1},)),
    "MultiSimilarity": ModernLoss(
        _multi_similarity, ({"alpha": 2.0, "beta": 50.0, "base": 0.5, "epsilon": 0.1},), needs_library=True
    ),
    "normalised softmax": ModernLoss(
        _of_library("NormalizedSoftmaxLoss"), _rates(temperature=0.05), needs_library=True
    ),
    "ProxyAnchor": ModernLoss(_of_library("ProxyAnchorLoss"), _rates(margin=0.1, alpha=32.0), needs_library=True),
    "ArcFace": ModernLoss(_of_library("ArcFaceLoss"), _rates(margin=28.6, scale=64.0), needs_library=True),
    "CosFace": ModernLoss(_of_library("CosFaceLoss"), _rates(margin=0.35, scale=64.0), needs_library=True),
}


def make_loss(name: str, settings: Mapping[str, float], n_classes: int, embedding_size: int) -> nn.Module:
    """Make a loss of `LOSSES` for embeddings of `embedding_size` and labels from 0 to `n_classes` − 1.

    Raises ModuleNotFoundError, with the command that installs it, where the loss needs pytorch-metric-learning.
    """
    loss = LOSSES[name]
    if loss.needs_library and not has_library():
        raise ModuleNotFoundError(
            f"{name} is a loss of pytorch-metric-learning, which is not installed: pip install pytorch-metric-learning"
        )
    return loss.make(settings, n_classes, embedding_size)


def has_library() -> bool:
    """Tell whether pytorch-metric-learning is installed."""
    return importlib.util.find_spec(LIBRARY) is not None
