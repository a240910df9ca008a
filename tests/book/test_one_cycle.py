"""Training under a one-cycle schedule: the rate's way up and down, and the momentum's."""

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from siamese_triplet import Images, TensorLoader
from siamese_triplet.book.one_cycle import fit_one_cycle

RATES = 0.02, 0.005  # of two groups


def train(n_epochs: int, per_batch: bool) -> tuple[list[tuple[float, ...]], list[float], int]:
    """Train a small network on 8 images; return the rates and momenta of all steps, and the length of the history."""
    images = Images(torch.randn(8, 16), torch.arange(8) % 2, ["a", "b"])
    model = nn.Sequential(nn.Linear(16, 3), nn.Linear(3, 2))
    optimizer = AdamW([{"params": part.parameters(), "lr": rate} for part, rate in zip(model, RATES, strict=True)])
    rates, momenta = [], []

    def record(*given: object) -> None:
        rates.append(tuple(group["lr"] for group in optimizer.param_groups))
        momenta.append(optimizer.param_groups[0]["betas"][0])

    optimizer.register_step_pre_hook(record)
    loader, loss = TensorLoader(images, batch_size=2, device="cpu"), nn.CrossEntropyLoss()
    options = {"device": "cpu", "verbose": False}
    history = fit_one_cycle(loader, model, loss, optimizer, n_epochs, per_batch=per_batch, **options)
    return rates, momenta, history.n_epochs


@pytest.mark.parametrize(("n_epochs", "per_batch"), [(20, False), (9, False), (5, True)])
def test_each_rate_rises_to_its_own_and_falls_to_nearly_nothing(n_epochs: int, per_batch: bool) -> None:
    rates, momenta, n_done = train(n_epochs, per_batch)
    assert n_done == n_epochs
    assert len(rates) == 4 * n_epochs
    for number, of_group in enumerate(zip(*rates, strict=True)):
        peak = of_group.index(max(of_group))
        assert max(of_group) == pytest.approx(RATES[number], rel=0.1)
        assert of_group[0] == pytest.approx(RATES[number] / 25)
        assert peak <= len(of_group) / 5
        assert of_group[-1] < RATES[number] / 20
        assert len(set(of_group)) == (len(of_group) if per_batch else n_epochs)  # changes after each batch, or epoch
    assert (len(set(momenta)) > 1) is not per_batch
