import math

import pytest
import reference
import torch
from torch import Tensor

from siamese_triplet.checks import check_batch, check_margin
from siamese_triplet.distances import pair_masks, pairwise_distances, row_distances

NEAR_DUPLICATES = 1000 + 1e-3 * torch.randn(40, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("seed", range(20))
def test_pairwise_distances_equal_brute_force(seed: int) -> None:
    embeddings, _ = reference.batch(seed)
    rows = embeddings.tolist()
    expected = torch.tensor([[reference.squared_distance(a, b) for b in rows] for a in rows], dtype=torch.float64)
    expected = expected.reshape(len(rows), len(rows))
    torch.testing.assert_close(pairwise_distances(embeddings), expected)
    torch.testing.assert_close(pairwise_distances(embeddings, squared=False), expected.sqrt())


def test_squared_distances_of_near_duplicates_far_from_the_origin_are_never_negative_and_precise() -> None:
    distances = pairwise_distances(NEAR_DUPLICATES)
    assert distances.min() == 0
    torch.testing.assert_close(distances, pairwise_distances(NEAR_DUPLICATES.double()).float())
    assert (distances.diagonal() == 0).all()
    assert torch.equal(distances, distances.T)


@pytest.mark.parametrize("squared", [True, False])
def test_pairwise_distances_gradient_is_right_and_zero_where_points_coincide(squared: bool) -> None:
    points = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    off_diagonal = ~torch.eye(5, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda x: pairwise_distances(x, squared)[off_diagonal], points)
    coinciding = torch.ones(4, 3, requires_grad=True)
    pairwise_distances(coinciding, squared).sum().backward()
    assert torch.equal(coinciding.grad, torch.zeros(4, 3))


def test_row_distances_equal_brute_force_with_zero_gradient_where_rows_coincide() -> None:
    left, right = torch.tensor([[0.0, 0.0], [1.0, 2.0]], requires_grad=True), torch.tensor([[3.0, 4.0], [1.0, 2.0]])
    distances = row_distances(left, right)
    assert distances.tolist() == [5, 0]
    distances.sum().backward()
    torch.testing.assert_close(left.grad, torch.tensor([[-0.6, -0.8], [0.0, 0.0]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    embeddings = torch.tensor([[300.0, 0.0], [-300.0, 0.0]], dtype=dtype)  # d² is beyond float16
    assert pairwise_distances(embeddings).tolist() == pairwise_distances(embeddings.float()).tolist()
    assert pairwise_distances(embeddings).dtype == row_distances(embeddings, embeddings).dtype == torch.float32


def test_distances_under_autocast_are_those_without() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        inside = pairwise_distances(NEAR_DUPLICATES)
    assert torch.equal(inside, pairwise_distances(NEAR_DUPLICATES))


@pytest.mark.parametrize("labels", [[], [4], [0, 0, 1], [2, 2, 2], [5, -1, 5, 7, -1]])
def test_pair_masks_equal_brute_force(labels: list[int]) -> None:
    is_positive, is_negative = pair_masks(torch.tensor(labels, dtype=torch.int64))
    assert is_positive.shape == is_negative.shape == (len(labels), len(labels))
    for i, left in enumerate(labels):
        for j, right in enumerate(labels):
            assert is_positive[i, j] == (i != j and left == right)
            assert is_negative[i, j] == (left != right)


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(4, dtype=torch.int64), "3 embeddings but 4 labels"),
        (torch.zeros(3, 2), torch.zeros(3), r"integers .* torch.float32 of shape \(3,\)"),
        (torch.zeros(3, 2), torch.zeros(3, 1, dtype=torch.int64), r"shape \(3, 1\)"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), r"\(batch, embedding size\).* of shape \(3,\)"),
        (torch.zeros(3, 2, 1), torch.zeros(3, dtype=torch.int64), r"of shape \(3, 2, 1\)"),
        (torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), "floating-point .* torch.int64"),
        (torch.tensor([[0.0], [math.nan], [math.inf]]), torch.zeros(3, dtype=torch.int64), "2 of 3 rows hold NaN"),
        (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64, device="meta"), "on cpu, labels on meta"),
    ],
)
def test_a_bad_batch_raises(embeddings: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_batch(embeddings, labels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_every_integer_type_is_a_label(dtype: torch.dtype) -> None:
    check_batch(torch.zeros(3, 2), torch.zeros(3, dtype=dtype))


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf, -math.inf])
def test_a_bad_margin_raises(margin: float) -> None:
    with pytest.raises(ValueError, match=f"margin must be a finite number ≥ 0, got {margin}"):
        check_margin(margin)


@pytest.mark.parametrize("margin", [0, 1, 0.3])
def test_a_good_margin_is_a_float(margin: float) -> None:
    assert isinstance(check_margin(margin), float)
    assert check_margin(margin) == margin


@pytest.mark.parametrize(("value", "dtype"), [(1e19, torch.float32), (1e154, torch.float64)])
def test_embeddings_whose_squared_distances_overflow_are_an_error(value: float, dtype: torch.dtype) -> None:
    embeddings = torch.tensor([[value, 0], [-value, 0], [0, 0]], dtype=dtype)
    with pytest.raises(ValueError, match="2 of 3 rows hold NaN or infinite values, or values whose squares overflow"):
        check_batch(embeddings, torch.tensor([0, 1, 1]))
    assert pairwise_distances(embeddings * 0.1).isfinite().all()


def test_no_tensor_of_all_coordinate_differences_is_held() -> None:
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.numel())
            return result

    embeddings = torch.randn(512, 64, requires_grad=True)
    with Watch():
        pairwise_distances(embeddings).sum().backward()
    assert largest <= 2 * 2**19  # a block; all differences at once would be 2**24


def test_the_backward_pass_is_in_full_precision_under_autocast() -> None:
    embeddings = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (expected,) = torch.autograd.grad(pairwise_distances(embeddings).sum(), embeddings)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (gradient,) = torch.autograd.grad(pairwise_distances(embeddings).sum(), embeddings)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)
