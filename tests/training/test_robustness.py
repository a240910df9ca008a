"""Unusual arguments of `fit`: losses with parameters, loaders without a length, chained schedulers, and mistakes."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_trainer import linear
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR, SequentialLR
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from siamese_triplet.trainer import CheckpointError, History, checkpoints, evaluate, fit


class CentreLoss(nn.Module):
    """The squared distance to the centre of a class, which is learned too."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(2, 2))

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - self.centres[target]).square().sum(dim=1).mean()


def with_centres(seed: int = 0) -> tuple[DataLoader, nn.Module, nn.Module, Optimizer]:
    torch.manual_seed(seed)
    model, loader = linear()
    torch.manual_seed(seed + 1)
    loss = CentreLoss()
    return loader, model, loss, Adam([*model.parameters(), *loss.parameters()], lr=0.1)


def fitted(parts: tuple, n_epochs: int, **options: Any) -> History:
    loader, model, loss, optimizer = parts
    return fit(loader, None, model, loss, optimizer, None, n_epochs, verbose=False, **options)


def test_a_loss_with_parameters_resumes_from_a_checkpoint(tmp_path: Path) -> None:
    whole, first, second = with_centres(), with_centres(), with_centres(seed=5)
    expected = fitted(whole, 6)
    fitted(first, 3, checkpoint=tmp_path / "run.pt")
    found = fitted(second, 6, checkpoint=tmp_path / "run.pt")
    assert found["train_loss"] == expected["train_loss"]
    assert torch.equal(second[2].centres, whole[2].centres)
    assert not torch.equal(second[2].centres, with_centres()[2].centres)


def test_a_loss_with_other_weights_is_refused(tmp_path: Path) -> None:
    fitted(with_centres(), 1, checkpoint=tmp_path / "run.pt")
    loader, model, loss, _ = with_centres()
    loss.centres = nn.Parameter(torch.randn(3, 2))
    optimizer = Adam([*model.parameters(), *loss.parameters()], lr=0.1)
    with pytest.raises(CheckpointError, match=r"centres is \(2, 2\) there, \(3, 2\) here"):
        fitted((loader, model, loss, optimizer), 2, checkpoint=tmp_path / "run.pt")


@pytest.mark.parametrize(("before", "after"), [(0.0, torch.inf), (0.0, torch.nan), (torch.inf, torch.nan)])
def test_a_loss_whose_buffers_become_infinite_stops_training(before: float, after: float) -> None:
    loader, model, loss, optimizer = with_centres()
    loss.register_buffer("running", torch.tensor([before]))
    loss.register_forward_hook(lambda *_: setattr(loss, "running", torch.tensor([after])))
    with pytest.raises(FloatingPointError, match="after the last step"):
        fitted((loader, model, loss, optimizer), 1)


def test_a_constant_mask_of_infinities_is_allowed() -> None:
    loader, model, loss, optimizer = with_centres()
    model.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))
    assert fitted((loader, model, loss, optimizer), 2).n_epochs == 2


def test_ctrl_c_while_a_checkpoint_is_written_leaves_the_epoch_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, path = with_centres(), tmp_path / "run.pt"
    fitted(parts, 2, checkpoint=path)
    before = path.read_bytes()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_atomically", interrupted)
        assert fitted(with_centres(), 3, checkpoint=path).n_epochs == 2
    assert path.read_bytes() == before
    resumed = with_centres()
    assert fitted(resumed, 3, checkpoint=path).n_epochs == 3
    whole = with_centres()
    fitted(whole, 3)
    assert torch.equal(resumed[1].weight, whole[1].weight)


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        for number in range(8):
            yield torch.full((3,), float(number)), number % 2


def test_a_loader_without_a_length_trains() -> None:
    _, model, loss, optimizer = with_centres()
    history = fitted((DataLoader(Stream(), 4), model, loss, optimizer), 2)
    assert history.n_epochs == 2


@pytest.mark.parametrize("start_epoch", [0, 2])
def test_a_chained_scheduler_sets_the_learning_rates(start_epoch: int) -> None:
    loader, model, loss, optimizer = with_centres()
    scheduler = ChainedScheduler([ConstantLR(optimizer, 0.5, 1), ExponentialLR(optimizer, 0.1)])
    options = {"verbose": False, "start_epoch": start_epoch}
    history = fit(loader, None, model, loss, optimizer, scheduler, 4, **options)
    assert history["learning_rate"] == pytest.approx([0.05, 0.01, 0.001, 0.0001][start_epoch:])


def test_a_refused_scheduler_state_changes_nothing(tmp_path: Path) -> None:
    def parts(n: int) -> tuple:
        loader, model, loss, optimizer = with_centres(seed=n)
        parts_of_schedule = [ConstantLR(optimizer, 0.5, 1) for _ in range(n)]
        return loader, None, model, loss, optimizer, SequentialLR(optimizer, parts_of_schedule, list(range(1, n)))

    fit(*parts(3), 1, checkpoint=tmp_path / "run.pt", verbose=False)
    others = parts(2)
    before = copy.deepcopy([others[2].state_dict(), others[3].state_dict(), torch.get_rng_state().tolist()])
    with pytest.raises(CheckpointError, match="is not a checkpoint of this training run"):
        fit(*others, 2, checkpoint=tmp_path / "run.pt", verbose=False)
    after = [others[2].state_dict(), others[3].state_dict(), torch.get_rng_state().tolist()]
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("validated", ["before", "after"])
def test_adding_or_dropping_validation_is_refused_at_once(validated: str, tmp_path: Path) -> None:
    path, calls = tmp_path / "run.pt", []
    loader, model, loss, optimizer = with_centres()
    val_loaders = (loader, None) if validated == "before" else (None, loader)
    fit(loader, val_loaders[0], model, loss, optimizer, None, 1, checkpoint=path, verbose=False)
    optimizer.register_step_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(CheckpointError, match=r"has a history of .* this run would have one of .* val_loader"):
        fit(loader, val_loaders[1], model, loss, optimizer, None, 2, checkpoint=path, verbose=False)
    assert calls == []


def test_the_loss_gets_the_outputs_of_any_network_in_full_precision() -> None:
    loader, model, loss, optimizer = with_centres()
    found = fitted((loader, model, loss, optimizer), 1, autocast=torch.bfloat16)["train_loss"][0]
    assert found != float(torch.tensor(found).bfloat16())
    with pytest.raises(
        ValueError, match=r"autocast must be None, torch\.bfloat16 or torch\.float16, got torch\.float64"
    ):
        fitted((loader, model, loss, optimizer), 1, autocast=torch.float64)


def test_a_sampler_with_set_epoch_is_given_the_epoch(tmp_path: Path) -> None:
    epochs = []

    class Sampler(DistributedSampler):
        def set_epoch(self, epoch: int) -> None:
            epochs.append(epoch)
            super().set_epoch(epoch)

    loader, model, loss, optimizer = with_centres()
    loader = DataLoader(loader.dataset, 4, sampler=Sampler(loader.dataset, num_replicas=1, rank=0))
    fitted((loader, model, loss, optimizer), 2, checkpoint=tmp_path / "run.pt")
    fitted((loader, model, loss, optimizer), 3, checkpoint=tmp_path / "run.pt")
    assert epochs == [0, 1, 2]


ROWS = torch.ones(4, 3)
BATCHES: dict[str, tuple[Any, str]] = {
    "a tensor": (ROWS, r"a batch must be \(inputs, target\), with \[\] for no target, got a Tensor"),
    "three things": ((ROWS, ROWS, ROWS), "got a tuple of 3"),
    "a dictionary": (({"images": ROWS}, ROWS), "one row per image, got a dict"),
    "None": ((ROWS, None), "one row per image, got a NoneType"),
    "a number": ((ROWS, torch.tensor(1)), "one row per image, got a number"),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_an_invalid_batch_raises_and_describes_a_valid_one(kind: str) -> None:
    batch, message = BATCHES[kind]
    with pytest.raises(ValueError, match=message):
        evaluate([batch], nn.Identity(), torch.mean)


def test_a_loss_that_is_not_one_number_raises() -> None:
    with pytest.raises(ValueError, match=r"the loss must be one number, got a tensor of shape \(4,\)"):
        evaluate([(ROWS, [])], nn.Identity(), lambda outputs: outputs.mean(dim=1))


def test_metrics_with_the_same_name_raise() -> None:
    class Named:
        def __call__(self, *_: Any) -> None: ...

        def reset(self) -> None: ...

        def value(self) -> float:
            return 0.0

        def name(self) -> str:
            return "loss"

    with pytest.raises(ValueError, match="must have different names, got loss, loss"):
        fitted(with_centres(), 1, metrics=[Named()])


def test_a_state_that_is_not_safe_to_load_is_refused_before_it_is_written(tmp_path: Path) -> None:
    loader, model, loss, optimizer = with_centres()
    scheduler = ExponentialLR(optimizer, 0.9)
    scheduler.note = Path("refused by a safe load")
    with pytest.raises(CheckpointError, match="would not be safe to load"):
        fit(loader, None, model, loss, optimizer, scheduler, 1, checkpoint=tmp_path / "run.pt", verbose=False)
    assert not (tmp_path / "run.pt").exists()
