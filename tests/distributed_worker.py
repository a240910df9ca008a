"""What each process of `test_distributed.py` does, in a group or alone.

Every result is saved in FOLDER, for the test to compare those of several processes with those of one.
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
    from_first,
    gather,
    is_first,
    of_all,
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
from siamese_triplet.trainer import fit
from siamese_triplet.trainer.step import Step

SMALL = {"n_classes": 5, "n_samples": 6, "batch_size": 30}
CASES: dict[str, Method] = {name: replace(method, **SMALL) for name, method in METHODS.items()}
CASES |= {
    selector: replace(CASES["online-triplet"], selector=selector)
    for selector in [*TRIPLET_SELECTORS, BATCH_ALL]
    if selector != "random"
}


def images(n_per_class: int = 16, train: bool = True) -> Images:
    """Images of 16 × 16 of five classes, each with its own bright row."""
    generator = torch.Generator().manual_seed(0 if train else 1)
    labels = torch.arange(5 * n_per_class) % 5
    data = torch.randint(0, 120, (len(labels), 16, 16), generator=generator)
    data[torch.arange(len(labels)), 3 * labels] += 130
    return Images(data.to(torch.uint8), labels, list("abcde"), train=train, transform=normalization(0.3, 0.3))


def one_pass(experiment: Method) -> list[dict]:
    """Loss, gradients and choices of all batches of an epoch, the last of which may be a short one."""
    torch.manual_seed(0)
    model, loss_fn = experiment.network(images()), experiment.loss()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2 if weight.ndim > 1 else 1)  # a new network maps all images close together
    chosen = spy_on_choices(loss_fn)
    step = Step(model, model, loss_fn, (), torch.device("cpu"), None, False)
    found = []
    for batch in experiment.loader(images()):
        model.zero_grad()
        loss = step(batch)[0]
        loss.backward()
        sum_gradients(model.parameters())
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        found.append({"loss": loss.detach(), "gradients": gradients, "chosen": chosen.copy()})
        chosen.clear()
    return found


def spy_on_choices(loss_fn: nn.Module) -> list[Tensor]:
    """A list to which the selector of the loss, if it has one, adds what it selects."""
    chosen: list[Tensor] = []
    selector = getattr(loss_fn, "triplet_selector", None) or getattr(loss_fn, "pair_selector", None)
    if selector is not None:
        select = selector.select

        def spied(*arguments: Tensor) -> Tensor | tuple[Tensor, Tensor]:
            selected = select(*arguments)
            chosen.extend([selected] if isinstance(selected, Tensor) else selected)
            return selected

        selector.select = spied
    return chosen


class InDouble(nn.Module):
    """A small network in float64, where the order of sums does not decide which triplet is selected."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.PReLU(), nn.Linear(32, 2)).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.double())


def trained(n_epochs: int, checkpoint: Path | None = None) -> dict:
    """A whole run of `fit`, with every process asked to begin with weights of its own."""
    torch.manual_seed(Share.of_this_process().rank)
    model = InDouble()
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


def gathered(n_rows: list[int]) -> dict:
    """Rows of several processes, and the gradient that comes back: of 1, 2, 3 … for the first row, the second …"""
    share = Share.of_this_process()
    n = n_rows[share.rank]
    rows = (torch.arange(n, dtype=torch.float32) + 10 * share.rank)[:, None].requires_grad_()
    together, labels = gather((rows, torch.full((n,), share.rank)))
    (together[:, 0] * torch.arange(1, len(together) + 1)).sum().backward()
    return {"rows": together.detach(), "labels": labels, "gradient": rows.grad}


def told() -> dict:
    """Values, errors and models that go from the first process to all."""
    rank = Share.of_this_process().rank
    value = from_first(lambda: f"of {rank}")
    try:
        from_first(lambda: {}["missing"] if rank == 0 else None)
        error = None
    except KeyError as missing:
        error = str(missing)
    torch.manual_seed(rank)
    model = nn.BatchNorm1d(3)
    model.running_mean.fill_(rank)
    send_to_all(model)
    return {"value": value, "error": error, "buffer": model.running_mean.clone(), "all": of_all(rank)}


def main(folder: Path) -> None:
    with process_group():
        share = Share.of_this_process()
        results = {
            "passes": {name: one_pass(experiment) for name, experiment in CASES.items()},
            "trained": trained(3),
            "told": told(),
        }
        if share.world_size > 1:
            results["gathered"] = gathered([2, 0, 3, 1][: share.world_size])
            trained(1, folder / "checkpoint.pt")
            results["resumed"] = trained(3, folder / "checkpoint.pt")
            trained(2, folder / "of_several.pt")
        torch.save(results, folder / f"{share.rank}.pt")


def as_rank(rank: int, group: dict[str, str], errors: Path, work: Callable[[], int | None]) -> None:
    """Do `work` as a process that torchrun has started in `group`, and exit with what it gives."""
    os.environ.update(group, RANK=str(rank), LOCAL_RANK=str(rank))
    with errors.open("w") as file, open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    torch.set_num_threads(1)
    sys.exit(work())
