"""Tests for faults that were planted in distances and losses, and that no other test had found."""

import pytest
import torch
from torch import Tensor

from siamese_triplet import BatchAllTripletLoss, distances
from siamese_triplet.distances import chosen_distances, pairwise_distances, subtract_mean


def rows_of(n: int = 12, size: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed))


def gradient(rows: Tensor, through: str) -> Tensor:
    rows = rows.clone().requires_grad_()
    weights = torch.rand(len(rows), len(rows), generator=torch.Generator().manual_seed(1)).to(rows.dtype)
    if through == "all":
        (pairwise_distances(rows) * weights).sum().backward()
    else:
        left, right = torch.ones(len(rows), len(rows)).nonzero().T
        known = pairwise_distances(rows.detach())
        (chosen_distances(rows, known, left, right) * weights.flatten()).sum().backward()
    return rows.grad


@pytest.mark.parametrize("through", ["all", "chosen"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_round_the_gradient_of_distances(
    through: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distances, "wide_dtype", lambda rows: torch.float32)  # as on devices without float64
    expected = gradient(rows_of(), through)
    with torch.autocast("cpu", dtype):
        torch.testing.assert_close(gradient(rows_of(), through), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("through", ["all", "chosen"])
@pytest.mark.parametrize("far", [1e4, 1e7])
def test_the_gradient_of_distances_is_as_precise_far_from_the_origin(through: str, far: float) -> None:
    rows = (rows_of() * 2**10).round().double() / 2**10  # exact beside `far` too
    torch.testing.assert_close(gradient(rows + far, through), gradient(rows, through), rtol=1e-12, atol=1e-12)


def test_rows_without_their_mean_have_the_mean_zero() -> None:
    centred = subtract_mean(rows_of() + 1000)
    assert centred.dtype == torch.float64
    assert centred.mean(dim=0).abs().max() < 1e-9


@pytest.mark.parametrize("far", [1e4, 1e5])
def test_distances_from_a_product_are_as_precise_far_from_the_origin(far: float) -> None:
    rows = rows_of(size=700) * far / 2**21 + far  # products of few columns would be exact all the same
    exact = (rows.double()[:, None] - rows.double()).square().sum(dim=2)
    assert pairwise_distances(rows).dtype == torch.float32
    torch.testing.assert_close(pairwise_distances(rows).double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("margin", [1.0, "soft"])
@pytest.mark.parametrize("mean_over", ["active", "all"])
def test_the_sum_of_batch_all_is_wider_than_single_precision(margin: float | str, mean_over: str) -> None:
    rows, labels = rows_of(60, 4).double(), torch.arange(60) % 7
    squared = (rows[:, None] - rows).square().sum(dim=2)
    same = labels[:, None] == labels
    costs = squared[:, :, None] - squared[:, None, :]  # (anchor, positive, negative)
    costs = torch.logaddexp(costs, torch.zeros(())) if margin == "soft" else (costs + margin).clamp(min=0)
    costs = costs[(same & ~torch.eye(60, dtype=torch.bool))[:, :, None] & ~same[:, None, :]]
    expected = costs.sum() / ((costs > 0).sum() if mean_over == "active" else len(costs))
    loss, _ = BatchAllTripletLoss(margin, mean_over=mean_over)(rows, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-13)


def test_the_blocks_of_batch_all_are_summed_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK", 1)  # blocks of 32 rows
    rows, labels = torch.zeros(2019, 2), torch.arange(2019) % 673  # each of 2019 × 2 × 2016 triplets costs the margin
    margin = 1 + 2**-20
    loss, n_active = BatchAllTripletLoss(margin)(rows, labels)
    assert int(n_active) == 2019 * 2 * 2016
    assert loss.item() == margin
