"""The book's best recipe for FashionMNIST in the plane: online pairs on top of features that a softmax trains too."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW

from siamese_triplet._devices import best_device
from siamese_triplet.book.comparison import Settings
from siamese_triplet.book.one_cycle import fit_one_cycle
from siamese_triplet.book.results import Key, check_complete, collect
from siamese_triplet.datasets import Images, RandomWarp
from siamese_triplet.evaluation import embed
from siamese_triplet.evaluation.summary import seen_classes
from siamese_triplet.loader import TensorLoader
from siamese_triplet.losses import OnlineContrastiveLoss
from siamese_triplet.networks import ResidualEmbeddingNet
from siamese_triplet.runs import provenance
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.selectors import HardNegativePairSelector
from siamese_triplet.trainer import History

PLANE = "residual network, trained by pairs and a softmax"


@dataclass(frozen=True)
class Plane:
    """The settings that decide the result.

    - `width`, `n_features`, `hidden`: of `PlaneNet`.
    - `shift`, `mirrored`: of the random changes of an image, see `RandomWarp`.
    """

    n_epochs: int = 24
    n_classes: int = 10
    n_samples: int = 10
    margin: float = 1.0
    width: int = 32
    n_features: int = 64
    hidden: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    shift: float = 0.07
    mirrored: float = 0.5


class PlaneNet(nn.Module):
    """Images (B, C, H, W) to points (B, 2) of the plane, by way of features from which classes are predicted too.

    In training mode `forward` returns points and logits (B, n_classes), in evaluation mode the points alone.
    """

    def __init__(self, input_size: tuple[int, int, int], n_classes: int, settings: Plane) -> None:
        super().__init__()
        n_features = settings.n_features
        self.features = ResidualEmbeddingNet(n_features, input_size, settings.width, unit_sphere=False)
        hidden = nn.Linear(n_features, settings.hidden)
        self.plane = nn.Sequential(nn.PReLU(), hidden, nn.PReLU(), nn.Linear(settings.hidden, 2))
        self.classes = nn.Sequential(nn.PReLU(), nn.Linear(n_features, n_classes))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.features(x)
        return (self.plane(features), self.classes(features)) if self.training else self.plane(features)

    def get_embedding(self, x: Tensor) -> Tensor:
        return self.plane(self.features(x))


class PairsAndClasses(nn.Module):
    """The sum of the loss of hard pairs of points (B, 2), and the cross entropy of logits (B, n_classes)."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.pairs = OnlineContrastiveLoss(margin, HardNegativePairSelector())

    def forward(self, points: Tensor, logits: Tensor, target: Tensor) -> Tensor:
        return self.pairs(points, target) + F.cross_entropy(logits.float(), target)


def train_plane(
    settings: Plane,
    train_set: Images,
    seed: int = 0,
    *,
    device: torch.device | str | None = None,
    checkpoint: Path | None = None,
    verbose: bool = True,
) -> tuple[nn.Module, History]:
    """Train a `PlaneNet` on `train_set` by `fit_one_cycle`, and return it with its history."""
    device = best_device() if device is None else torch.device(device)
    torch.manual_seed(seed)
    size = tuple(train_set[0][0].shape)
    model = PlaneNet(size, len(train_set.classes), settings).to(device)
    optimizer = AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    n_classes, n_samples = settings.n_classes, settings.n_samples
    sampler = BalancedBatchSampler(train_set.targets, n_classes, n_samples, replacement=True, seed=seed)
    warp = RandomWarp(0, settings.shift, settings.shift, 0, 0, seed=seed, mirrored=settings.mirrored)
    history = fit_one_cycle(
        TensorLoader(train_set, batch_sampler=sampler, device=device, augment=warp),
        model,
        PairsAndClasses(settings.margin),
        optimizer,
        settings.n_epochs,
        device=device,
        verbose=verbose,
        checkpoint=checkpoint,
        autocast=torch.bfloat16,
    )
    check_complete(history, settings.n_epochs)
    return model.eval(), history


def measure_plane(
    path: Path | None, chosen: Plane, settings: Settings, work: Path | None = None
) -> list[dict[str, Any]]:
    """Train on FashionMNIST and evaluate with each seed of `settings` without a result in `path`; return all results.

    Of `settings` the epochs and the speed are not used. Interrupted runs resume from their checkpoints in `work`.
    """

    def compute(key: Key) -> dict[str, Any]:
        train, test = settings.load(key["dataset"])
        checkpoint = work and work / f"plane-{chosen.n_epochs}-{key['seed']}.pt"
        model, history = train_plane(
            chosen, train, key["seed"], device=settings.device, checkpoint=checkpoint, verbose=settings.verbose
        )
        metrics = seen_classes(embed(model, train), embed(model, test))
        n_images = chosen.n_epochs * len(train)
        extent = {"n_steps": n_images // (chosen.n_classes * chosen.n_samples), "n_images": n_images}
        return metrics | extent | {"seconds": sum(history["seconds"]), "made": provenance(model)}

    plain = json.loads(json.dumps(asdict(chosen)))
    common = {"name": PLANE, "dataset": "fashion-mnist", "subset": settings.subset, "settings": plain}
    return collect(path, ({**common, "seed": seed} for seed in settings.seeds), compute, settings.verbose)
