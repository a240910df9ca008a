"""The best recipe of the book for FashionMNIST in the plane: online pairs, a residual network, slight warps."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from siamese_triplet._devices import best_device
from siamese_triplet.book.results import Key, check_complete, collect
from siamese_triplet.datasets import Images, RandomWarp, load
from siamese_triplet.evaluation import embed
from siamese_triplet.evaluation.summary import seen_classes
from siamese_triplet.loader import TensorLoader
from siamese_triplet.methods import Method
from siamese_triplet.networks import ResidualEmbeddingNet
from siamese_triplet.runs import provenance
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.trainer import History, fit


@dataclass(frozen=True)
class Plane:
    """The settings that decide the result: those of `Method` for the loss, and those of network, batches and warps."""

    method: str = "online-contrastive"
    selector: str = "hard"
    margin: float = 1.0
    n_epochs: int = 10
    n_classes: int = 10
    n_samples: int = 10
    width: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    shift: float = 0.07
    scale: float = 0.07
    mirrored: float = 0.5


def train_plane(
    settings: Plane,
    train_set: Images,
    seed: int = 0,
    *,
    device: torch.device | str | None = None,
    checkpoint: Path | None = None,
    verbose: bool = True,
) -> tuple[nn.Module, History]:
    """Train a network with two outputs on `train_set`, and return it with its history.

    The learning rate rises over the first tenth of the epochs and then falls to zero (Smith and Topin, 2019).
    """
    device = best_device() if device is None else torch.device(device)
    torch.manual_seed(seed)
    size = tuple(train_set[0][0].shape)
    model = ResidualEmbeddingNet(2, size, settings.width, unit_sphere=False).to(device)
    optimizer = AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    sampler = BalancedBatchSampler(
        train_set.targets, settings.n_classes, settings.n_samples, replacement=True, seed=seed
    )
    warp = RandomWarp(0, settings.shift, settings.scale, 0, 0, seed=seed, mirrored=settings.mirrored)
    history = fit(
        TensorLoader(train_set, batch_sampler=sampler, device=device, augment=warp),
        None,
        model,
        Method(settings.method, selector=settings.selector, margin=settings.margin).loss(seed),
        optimizer,
        OneCycleLR(optimizer, settings.learning_rate, total_steps=settings.n_epochs + 1, pct_start=0.1),
        settings.n_epochs,
        device=device,
        verbose=verbose,
        checkpoint=checkpoint,
        autocast=torch.bfloat16,
        channels_last=True,
    )
    check_complete(history, settings.n_epochs)
    return model, history


def measure_plane(
    path: Path | None,
    settings: Plane,
    seeds: Iterable[int] = (0, 1, 2),
    *,
    root: str | None = None,
    subset: str | None = None,
    device: torch.device | str | None = None,
    work: Path | None = None,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Train and evaluate with each seed, unless the list `path` has the result; return all results.

    Interrupted runs resume from their checkpoints in `work`. Without these paths nothing is kept.
    """

    def compute(key: Key) -> dict[str, Any]:
        train, test = (load("fashion-mnist", part, root, subset=subset) for part in (True, False))
        checkpoint = work and work / f"plane-{key['seed']}.pt"
        model, history = train_plane(
            settings, train, key["seed"], device=device, checkpoint=checkpoint, verbose=verbose
        )
        metrics = seen_classes(embed(model, train), embed(model, test))
        n_images = settings.n_epochs * len(train)
        extent = {"n_steps": n_images // (settings.n_classes * settings.n_samples), "n_images": n_images}
        return metrics | extent | {"seconds": sum(history["seconds"]), "made": provenance(model)}

    plain = json.loads(json.dumps(asdict(settings)))
    common = {"name": "residual network, slight warps", "dataset": "fashion-mnist", "subset": subset, "settings": plain}
    return collect(path, ({**common, "seed": seed} for seed in seeds), compute, verbose)
