"""The supervised contrastive loss: against plain loops and the peer library, and its edge cases."""

import math

import pytest
import reference
import torch
from torch import Tensor, nn

from siamese_triplet.losses import SupervisedContrastiveLoss


def by_loops(rows: list[list[float]], labels: list[int], temperature: float) -> float:
    """Compute the loss of one anchor and one positive after the other."""
    units = [[value / (math.hypot(*row) or 1) for value in row] for row in rows]
    scores = [[sum(map(math.prod, zip(a, b, strict=True))) / temperature for b in units] for a in units]
    losses = []
    for anchor, label in enumerate(labels):
        others = [other for other in range(len(labels)) if other != anchor]
        positives = [other for other in others if labels[other] == label]
        if positives and len(positives) < len(others):
            log_sum = math.log(sum(math.exp(scores[anchor][other]) for other in others))
            losses.append(sum(log_sum - scores[anchor][p] for p in positives) / len(positives))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("seed", range(40))
def test_it_equals_plain_loops(seed: int, temperature: float) -> None:
    embeddings, labels = reference.batch(seed)
    loss = SupervisedContrastiveLoss(temperature)(embeddings, labels)
    assert loss.item() == pytest.approx(by_loops(embeddings.tolist(), labels.tolist(), temperature), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_the_peer_library(seed: int) -> None:
    peers = pytest.importorskip("pytorch_metric_learning.losses")
    generator = torch.Generator().manual_seed(seed)
    embeddings, labels = torch.randn(12, 4, generator=generator), torch.arange(12) % 4
    ours = SupervisedContrastiveLoss(0.2)(embeddings, labels)
    torch.testing.assert_close(ours, peers.SupConLoss(0.2)(embeddings, labels))


def test_its_gradient_is_right() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(7, 3, dtype=torch.float64, generator=generator).requires_grad_()
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 3])
    assert torch.autograd.gradcheck(lambda rows: SupervisedContrastiveLoss(0.5)(rows, labels), embeddings)


@pytest.mark.parametrize("labels", [[], [0], [0, 0, 0], [0, 1, 2]])
def test_a_batch_without_triplets_gives_a_differentiable_zero(labels: list[int]) -> None:
    embeddings = torch.rand(len(labels), 2).requires_grad_()
    loss_fn = SupervisedContrastiveLoss()
    loss = loss_fn(embeddings, torch.tensor(labels, dtype=torch.int64))
    assert loss == 0
    assert bool(loss_fn.is_empty)
    loss.backward()
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_a_batch_with_triplets_is_not_empty() -> None:
    loss_fn = SupervisedContrastiveLoss()
    assert loss_fn(torch.rand(3, 2), torch.tensor([0, 0, 1])) > 0
    assert not loss_fn.is_empty


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e-20, 1e15])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_points_of_any_length_and_coinciding_ones_have_finite_gradients(scale: float, dtype: torch.dtype) -> None:
    embeddings = (torch.ones(4, 2) * min(scale, float(torch.finfo(dtype).max) / 4)).to(dtype).requires_grad_()
    loss = SupervisedContrastiveLoss(0.01)(embeddings, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(3), rel=1e-3)
    assert loss.dtype == torch.float32
    assert embeddings.grad.isfinite().all()


def test_it_does_not_depend_on_the_lengths_of_embeddings() -> None:
    embeddings, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    lengths = torch.tensor([0.5, 1, 2, 3, 4, 5])[:, None]
    loss = SupervisedContrastiveLoss()
    torch.testing.assert_close(loss(lengths * embeddings, labels), loss(embeddings, labels))


def test_autocast_does_not_change_it() -> None:
    embeddings, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    expected = SupervisedContrastiveLoss()(embeddings, labels)
    with torch.autocast("cpu", torch.bfloat16):
        loss = SupervisedContrastiveLoss()(embeddings, labels)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("temperature", [0, -1.0, math.inf, math.nan])
def test_a_temperature_that_cannot_be_raises(temperature: float) -> None:
    with pytest.raises(ValueError, match="must be a finite number > 0"):
        SupervisedContrastiveLoss(temperature)


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (torch.rand(3), torch.zeros(3).long(), "embeddings must be a floating-point tensor"),
        (torch.rand(3, 2), torch.zeros(2).long(), "got 3 embeddings but 2 target"),
        (torch.rand(3, 2), torch.zeros(3), "target must be integers"),
        (torch.full((3, 2), math.nan), torch.zeros(3).long(), "NaN"),
    ],
)
def test_bad_input_raises(embeddings: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SupervisedContrastiveLoss()(embeddings, labels)


def test_it_trains_a_network() -> None:
    torch.manual_seed(0)
    labels = torch.arange(12) % 3
    images = torch.randn(12, 5) + 2 * nn.functional.one_hot(labels, 5)
    net, loss_fn = nn.Linear(5, 2), SupervisedContrastiveLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    first = loss_fn(net(images), labels).item()
    for _ in range(30):
        optimizer.zero_grad()
        loss = loss_fn(net(images), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7 * first
