"""Training on a folder as its plan says."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from siamese_triplet.book.own_images.results import score
from siamese_triplet.book.own_images.start import Start
from siamese_triplet.datasets import FolderImages, FolderPlan, RandomWarp
from siamese_triplet.loader import TensorLoader
from siamese_triplet.losses import BatchAllTripletLoss
from siamese_triplet.plots import COLOURS, new_axes
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.trainer import EarlyStopping, History, fit


@dataclass(frozen=True)
class Training:
    """What came of a training; without a history there was none."""

    history: History | None = None
    scores: dict[int, float] | None = None
    best_epoch: int = 0

    def __str__(self) -> str:
        if self.history is None:
            return "nothing was trained: the plan says why"
        kept = f", kept the weights of epoch {self.best_epoch}" if self.best_epoch else ""
        return f"trained for {self.history.n_epochs} epochs{kept}"


def plot_scores(training: Training, before: float | None) -> Axes | None:
    """Plot the validation over the epochs, with a line for `before` the training; None if there was no validation."""
    if not training.scores or before is None:
        print("no validation to plot")
        return None
    ax, best = new_axes(height=2.6), training.best_epoch
    ax.plot(list(training.scores), list(training.scores.values()), ".-", color=COLOURS[0])
    ax.plot(best, training.scores[best], "o", ms=10, color=COLOURS[4], label="kept")
    ax.axhline(before, color="0.5", ls=":", label="before training")
    ax.set(xlabel="epoch", ylabel="MAP@R of the validation")
    ax.locator_params(axis="x", integer=True)
    ax.legend(frameon=False)
    return ax


def train_by_plan(plan: FolderPlan, start: Start, device: torch.device | str = "cpu", seed: int = 0) -> Training:
    """Train the model of `start` as `plan` says; it then has the weights of the best epoch."""
    if not plan.can_train:
        return Training()
    model, training = start.model, start.parts.training
    sampler = BalancedBatchSampler(
        training.targets, plan.n_classes, plan.n_samples, replacement=plan.replacement, seed=seed
    )
    loader = batches(training, sampler, device, seed)
    has_validation = score(plan, start.parts, model) is not None
    stopping = EarlyStopping(lambda model: score(plan, start.parts, model) or 0.0, max(1, plan.patience))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    history = fit(
        loader,
        None,
        model,
        BatchAllTripletLoss(margin=0.2),
        optimizer,
        None,
        plan.n_epochs,
        device=device,
        callbacks=[stopping] if has_validation else [],
    )
    if has_validation:
        stopping.restore(model)
    return Training(history, stopping.scores, stopping.best_epoch)


def batches(images: Any, sampler: BalancedBatchSampler, device: torch.device | str, seed: int = 0) -> Any:
    """Load batches of `images`: feature maps as they are, others changed at random."""
    if isinstance(images, FolderImages):
        lazy = copy.copy(images)
        lazy.transform = v2.Compose([v2.RandomAffine(10, (0.1, 0.1), fill=255), *images.transform.transforms])
        return DataLoader(lazy, batch_sampler=sampler)
    warp = RandomWarp(degrees=10, scale=0.15, shear=0.1, elastic=0.02, seed=seed)
    augment = warp if images.data.ndim == 4 else None
    return TensorLoader(images, batch_sampler=sampler, device=device, augment=augment)
