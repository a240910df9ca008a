"""Work of each process of `test_distributed.py`, in a group or alone.

Every process saves its results in a folder, where the test compares several processes with one.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from siamese_triplet.datasets import Images, normalization
from siamese_triplet.distributed import (
    Share,
    call_on_first,
    gather,
    gather_objects,
    is_first,
    process_group,
    send_to_all,
    sum_gradients,
)
from siamese_triplet.loader import TensorLoader
from siamese_triplet.losses import OnlineTripletLoss
from siamese_triplet.methods import METHODS, Method
from siamese_triplet.metrics import AverageNonzeroTripletsMetric
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.selectors import RandomNegativeTripletSelector
from siamese_triplet.selectors.by_name import BATCH_ALL, TRIPLET_SELECTORS
from siamese_triplet.trainer import BatchInfo, fit
from siamese_triplet.trainer.step import Step

SMALL = {"n_classes": 5, "n_samples": 6, "batch_size": 30}
CASES: dict[str, Method] = {name: replace(method, **SMALL) for name, method in METHODS.items()}
CASES |= {
    selector: replace(CASES["online-triplet"], selector=selector)
    for selector in [*TRIPLET_SELECTORS, BATCH_ALL]
    if selector != "random"
}


def images(n_per_class: int = 16, train: bool = True) -> Images:
    """Make 16 × 16 images of five classes, each with its own bright row."""
    generator = torch.Generator().manual_seed(0 if train else 1)
    labels = torch.arange(5 * n_per_class) % 5
    data = torch.randint(0, 120, (len(labels), 16, 16), generator=generator)
    data[torch.arange(len(labels)), 3 * labels] += 130
    return Images(data.to(torch.uint8), labels, list("abcde"), train=train, transform=normalization(0.3, 0.3))


def run_pass(experiment: Method) -> list[dict]:
    """Compute loss, gradients and selection for each batch of an epoch; the last batch may be short."""
    torch.manual_seed(0)
    model, loss_fn = experiment.network(images()), experiment.loss()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2 if weight.ndim > 1 else 1)  # a new network maps all images close together
    chosen = record_selections(loss_fn)
    step = Step(model, model, loss_fn, (), torch.device("cpu"), None, False)
    batches = []
    for batch in experiment.loader(images()):
        model.zero_grad()
        loss = step(batch)[0]
        loss.backward()
        sum_gradients(model.parameters())
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        batches.append({"loss": loss.detach(), "gradients": gradients, "chosen": chosen.copy()})
        chosen.clear()
    return batches


def record_selections(loss_fn: nn.Module) -> list[Tensor]:
    """Return a list that collects the selections of the loss's selector, if it has one."""
    chosen: list[Tensor] = []
    selector = getattr(loss_fn, "triplet_selector", None) or getattr(loss_fn, "pair_selector", None)
    if selector is not None:
        select = selector.select

        def record(*arguments: Tensor) -> Tensor | tuple[Tensor, Tensor]:
            selected = select(*arguments)
            chosen.extend([selected] if isinstance(selected, Tensor) else selected)
            return selected

        selector.select = record
    return chosen


class DoubleNet(nn.Module):
    """A small network in float64, where rounding does not decide which triplet is selected."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.PReLU(), nn.Linear(32, 2)).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.double())


def train(n_epochs: int, checkpoint: Path | None = None) -> dict:
    """Train by `fit`, each process starting from weights of its own."""
    torch.manual_seed(Share.current().rank)
    model = DoubleNet()
    optimizer = SGD(model.parameters(), lr=0.002, momentum=0.9)
    train_set, test_set = images(), images(train=False)
    sampler = BalancedBatchSampler(train_set.targets, 5, 3)
    calls = []
    history = fit(
        TensorLoader(train_set, batch_sampler=sampler),
        TensorLoader(test_set, 7),
        model,
        OnlineTripletLoss(1.0, RandomNegativeTripletSelector(1.0)),
        optimizer,
        StepLR(optimizer, 2, 0.5),
        n_epochs,
        metrics=[AverageNonzeroTripletsMetric()],
        callbacks=[lambda epoch, history, model: calls.append(epoch)] if is_first() else [],
        checkpoint=checkpoint,
        verbose=False,
    )
    history.pop("seconds")
    return {"history": dict(history), "weights": model.state_dict(), "calls": calls}


def train_until_stopped() -> dict:
    """Train until the last process alone asks to stop, after the third batch of the second epoch."""
    share = Share.current()
    model = DoubleNet()
    seen = []

    def on_batch(batch: BatchInfo) -> bool:
        seen.append((batch.epoch, batch.number))
        return share.rank == share.world_size - 1 and seen[-1] == (2, 3)

    loader = TensorLoader(images(), batch_sampler=BalancedBatchSampler(images().targets, 5, 3))
    loss = OnlineTripletLoss(1.0, RandomNegativeTripletSelector(1.0))
    history = fit(loader, None, model, loss, SGD(model.parameters(), 0.002), None, 9, on_batch=on_batch, verbose=False)
    return {"n_epochs": history.n_epochs, "last": seen[-1]}


def gather_rows(n_rows: list[int]) -> dict:
    """Gather rows of several processes, and return their gradients: 1 for the first row of all, 2 for the second …"""
    share = Share.current()
    n = n_rows[share.rank]
    rows = (torch.arange(n, dtype=torch.float32) + 10 * share.rank)[:, None].requires_grad_()
    together, labels = gather((rows, torch.full((n,), share.rank)))
    (together[:, 0] * torch.arange(1, len(together) + 1)).sum().backward()
    return {"rows": together.detach(), "labels": labels, "gradient": rows.grad}


def share_from_first() -> dict:
    """Send a value, an error and a model from the first process to all."""
    rank = Share.current().rank
    value = call_on_first(lambda: f"of {rank}")
    try:
        call_on_first(lambda: {}["missing"] if rank == 0 else None)
        error = None
    except KeyError as missing:
        error = str(missing)
    torch.manual_seed(rank)
    model = nn.BatchNorm1d(3)
    model.running_mean.fill_(rank)
    send_to_all(model)
    return {"value": value, "error": error, "buffer": model.running_mean.clone(), "all": gather_objects(rank)}


def main(folder: Path) -> None:
    with process_group():
        share = Share.current()
        results = {
            "passes": {name: run_pass(experiment) for name, experiment in CASES.items()},
            "trained": train(3),
            "stopped": train_until_stopped(),
            "shared": share_from_first(),
        }
        if share.world_size > 1:
            results["gathered"] = gather_rows([2, 0, 3, 1][: share.world_size])
            train(1, folder / "checkpoint.pt")
            results["resumed"] = train(3, folder / "checkpoint.pt")
            train(2, folder / "of_several.pt")
        torch.save(results, folder / f"{share.rank}.pt")


def run_as_rank(rank: int, group: dict[str, str], errors: Path, work: Callable[[], int | None]) -> None:
    """Do `work` like a process that torchrun has started in `group`, and exit with its result."""
    os.environ.update(group, RANK=str(rank), LOCAL_RANK=str(rank))
    with errors.open("w") as file, open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    torch.set_num_threads(1)
    sys.exit(work())
