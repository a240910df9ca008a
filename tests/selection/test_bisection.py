import pytest
import torch

import siamese_triplet._sorting
from siamese_triplet._sorting import count_at_most


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    """Make whole numbers, so that boundaries repeat and equal some values."""
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize("n_values", [0, 1, 7, 50])
@pytest.mark.parametrize("width", [0, 1, 2, 3, 4, 7, 8, 9, 31, 32, 33])
def test_counts_equal_searchsorted_and_plain_loops(width: int, n_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    boundaries = points(6, width).sort(dim=1).values
    for row in range(6):  # from none to all of them at +∞
        boundaries[row, width - (width * row + 4) // 5 :] = torch.inf
    values = points(6, n_values, seed=1) + torch.tensor([0, 0, 0.5, 0, -5, 5])[:, None]
    expected = [
        [sum(boundary <= value for boundary in row_boundaries) for value in row_values]
        for row_boundaries, row_values in zip(boundaries.tolist(), values.tolist(), strict=True)
    ]
    assert torch.searchsorted(boundaries, values, right=True).tolist() == expected
    for block in (1, 100, 2**18):
        monkeypatch.setattr(siamese_triplet._sorting, "BLOCK", block)
        for dtype in (torch.float32, torch.float64):
            counts = count_at_most(boundaries.to(dtype), values.to(dtype))
            assert counts.dtype == torch.int32
            assert counts.tolist() == expected


def test_a_boundary_equal_to_a_value_counts() -> None:
    boundaries, values = torch.tensor([[1.0, 2.0, 2.0, 3.0]]), torch.tensor([[0.5, 1.0, 2.0, 2.5, 3.0, 9.0]])
    assert count_at_most(boundaries, values).tolist() == [[0, 1, 3, 3, 4, 4]]


def test_boundaries_and_values_do_not_change_and_may_be_views_of_a_matrix() -> None:
    boundaries, values = points(5, 9).sort(dim=1).values[:, 1:], points(7, 5, seed=1).T
    before = boundaries.clone(), values.clone()
    expected = torch.searchsorted(boundaries.contiguous(), values.contiguous(), right=True)
    assert count_at_most(boundaries, values).tolist() == expected.tolist()
    assert torch.equal(boundaries, before[0])
    assert torch.equal(values, before[1])
