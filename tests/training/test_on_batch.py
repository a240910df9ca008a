"""The hook of `fit` after every batch: its argument, and how it ends a run."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from toy_data import stripes

from siamese_triplet import AverageNonzeroTripletsMetric, BatchAllTripletLoss, TensorLoader, fit, load_checkpoint
from siamese_triplet.trainer import BatchInfo, History


def train(n_epochs: int = 3, seed: int = 0, **options: object) -> tuple[nn.Module, History]:
    """Train on three batches of 20 images per epoch, with two batches of validation."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loaders = TensorLoader(stripes(), 20, shuffle=True), TensorLoader(stripes(False), 30)
    loss = BatchAllTripletLoss(1.0)
    options = {"metrics": [AverageNonzeroTripletsMetric()], "verbose": False, "device": "cpu"} | options
    return model, fit(*loaders, model, loss, optimizer, None, n_epochs, **options)


def test_it_is_called_after_every_batch_of_training_and_of_validation() -> None:
    seen: list[BatchInfo] = []
    model, history = train(2, on_batch=seen.append)
    places = [(batch.epoch, batch.is_training, batch.number, batch.n_batches) for batch in seen]
    an_epoch = [(True, 1, 3), (True, 2, 3), (True, 3, 3), (False, 1, 2), (False, 2, 2)]
    assert places == [(epoch, *place) for epoch in (1, 2) for place in an_epoch]
    assert all(batch.model is model for batch in seen)
    for name, position in (("loss", 0), ("nonzero_triplets", 1)):
        values = [float(batch.loss[position]) for batch in seen if batch.is_training]
        assert history[f"train_{name}"] == pytest.approx([sum(values[:3]) / 3, sum(values[3:]) / 3])
    assert not any(batch.loss[0].requires_grad for batch in seen)


def test_it_comes_after_the_step_of_the_optimizer() -> None:
    weights: list[torch.Tensor] = []
    torch.manual_seed(0)
    before = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))[1].weight.clone()
    train(1, on_batch=lambda batch: weights.append(batch.model[1].weight.detach().clone()))
    assert not torch.equal(weights[0], before)
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(weights[2], weights[3])  # validation changes nothing


def test_observing_changes_nothing() -> None:
    (plain, expected), (watched, history) = train(), train(on_batch=lambda batch: None)
    assert torch.equal(plain[1].weight, watched[1].weight)
    assert {**history, "seconds": []} == {**expected, "seconds": []}


@pytest.mark.parametrize(("is_training", "number"), [(True, 1), (True, 2), (True, 3), (False, 1), (False, 2)])
def test_true_ends_the_run_there_with_the_history_of_the_complete_epochs(
    is_training: bool, number: int, capsys: pytest.CaptureFixture
) -> None:
    seen: list[BatchInfo] = []

    def stop(batch: BatchInfo) -> bool:
        seen.append(batch)
        return (batch.epoch, batch.is_training, batch.number) == (2, is_training, number)

    called: list[int] = []
    _, history = train(5, on_batch=stop, callbacks=[lambda epoch, *_: called.append(epoch)], verbose=True)
    assert (history.n_epochs, called) == (1, [1])
    assert (seen[-1].epoch, seen[-1].is_training, seen[-1].number) == (2, is_training, number)
    assert "stopped in epoch 2; 1 of 5 epochs are complete" in capsys.readouterr().out
    assert {**history, "seconds": []} == {**train(1)[1], "seconds": []}


def test_a_stopped_run_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    train(4, checkpoint=path, on_batch=lambda batch: batch.epoch == 3)
    assert load_checkpoint(path)["epoch"] == 2
    resumed, history = train(4, seed=77, checkpoint=path)
    whole, expected = train(4)
    assert torch.equal(resumed[1].weight, whole[1].weight)
    assert {**history, "seconds": []} == {**expected, "seconds": []}


def test_a_loader_without_a_length_has_no_number_of_batches() -> None:
    seen: list[BatchInfo] = []
    batches = list(DataLoader(TensorDataset(torch.randn(8, 3), torch.arange(8) % 2), 4))
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    class Unmeasured:
        def __iter__(self) -> object:
            return iter(batches)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(Unmeasured(), None, model, nn.NLLLoss(), optimizer, None, 1, verbose=False, on_batch=seen.append)
    assert [(batch.n_batches, batch.number) for batch in seen] == [(None, 1), (None, 2)]


def test_an_error_in_it_is_raised() -> None:
    def fails(batch: BatchInfo) -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        train(on_batch=fails)
