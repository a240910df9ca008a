"""Training under a one-cycle schedule of the learning rate."""

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from siamese_triplet.loader import TensorLoader
from siamese_triplet.trainer import History, fit


def fit_one_cycle(
    loader: TensorLoader,
    model: nn.Module,
    loss_fn: nn.Module,
    optimizer: Optimizer,
    n_epochs: int,
    *,
    per_batch: bool = False,
    **options: Any,
) -> History:
    """Train `model` in channels-last format with a learning rate that rises and then falls to zero; return the history.

    The rate of each group of `optimizer` rises to its own over the first tenth of the epochs, or of the batches with
    `per_batch` (Smith and Topin, 2019). By epochs, the momentum of the optimizer falls and rises the other way.
    `options` are those of `fit`, whose errors it raises.
    """
    n_steps = n_epochs * len(loader) if per_batch else n_epochs
    scheduler = OneCycleLR(
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        total_steps=n_steps + 1,
        pct_start=0.11 if n_steps == 9 else 0.1,  # a tenth of ten steps divides by zero
        cycle_momentum=not per_batch,
    )
    step_scheduler = "batch" if per_batch else "epoch"
    return fit(
        loader, None, model, loss_fn, optimizer, scheduler, n_epochs,
        channels_last=True, step_scheduler=step_scheduler, **options,
    )  # fmt: skip
