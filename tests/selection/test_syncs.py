"""On devices other than the CPU, a training step waits for the device only if a selector has to know a size."""

import math
from collections.abc import Callable

import pytest
import torch
from elsewhere import Elsewhere
from torch import Tensor

from siamese_triplet.diagnostics import SpreadMetric
from siamese_triplet.losses import BatchAllTripletLoss, ContrastiveLoss, TripletLoss
from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric

Loss = Callable[..., Tensor]


def points(n: int = 12, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))


CASES: dict[str, tuple[Loss, tuple[Tensor, ...]]] = {
    "contrastive": (ContrastiveLoss(1.0), (points(), points(seed=1), torch.arange(12) % 2)),
    "triplet": (TripletLoss(1.0), (points(), points(seed=1), points(seed=2))),
    "soft triplet": (TripletLoss("soft", squared=False), (points(), points(seed=1), points(seed=2))),
}


@pytest.mark.parametrize("case", CASES)
def test_offline_losses_do_not_wait(case: str) -> None:
    loss_fn, arguments = CASES[case]
    expected = loss_fn(*arguments)
    with Elsewhere() as elsewhere:
        sent = [elsewhere.send(argument) for argument in arguments]
        sent[0].requires_grad_()
        loss = loss_fn(*sent)
        loss.backward()
    assert elsewhere.syncs == []
    torch.testing.assert_close(loss.inner, expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_embeddings_that_are_not_finite_give_a_loss_that_is_not_finite(case: str, value: float) -> None:
    loss_fn, (first, *others) = CASES[case]
    for row in range(2):  # a negative and a positive pair
        broken = first.clone()
        broken[row, 0] = value
        with pytest.raises(ValueError, match="rows hold NaN or infinite values"):
            loss_fn(broken, *others)
        with Elsewhere() as elsewhere:
            loss = loss_fn(elsewhere.send(broken), *(elsewhere.send(other) for other in others))
        assert not loss.inner.isfinite() or (value == math.inf and case == "contrastive" and row == 0)


def test_metrics_do_not_wait_until_they_are_read() -> None:
    with Elsewhere() as elsewhere:
        outputs, target = elsewhere.send(points()), elsewhere.send(torch.arange(12) % 3)
        loss, n_triplets = BatchAllTripletLoss(1.0)(outputs, target)
        for metric in (AccumulatedAccuracyMetric(), AverageNonzeroTripletsMetric(), SpreadMetric(1.0)):
            metric((outputs,), (target,), (loss, n_triplets))
            metric((outputs,), (target,), (loss, n_triplets))
    assert elsewhere.syncs == []
