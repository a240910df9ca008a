import math

import pytest
import reference
import torch
from elsewhere import Largest
from torch import Tensor

import siamese_triplet.distances
from siamese_triplet._validation import check_batch, check_margin
from siamese_triplet.distances import (
    SquaredDistances,
    block_rows,
    chosen_distances,
    distance_blocks,
    pair_masks,
    pairwise_distances,
    row_distances,
)

NEAR_DUPLICATES = 1000 + 1e-3 * torch.randn(40, 40, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("seed", range(20))
def test_pairwise_distances_equal_brute_force(seed: int) -> None:
    embeddings, _ = reference.batch(seed)
    rows = embeddings.tolist()
    expected = torch.tensor([[reference.squared_distance(a, b) for b in rows] for a in rows], dtype=torch.float64)
    expected = expected.reshape(len(rows), len(rows))
    torch.testing.assert_close(pairwise_distances(embeddings), expected)
    torch.testing.assert_close(pairwise_distances(embeddings, squared=False), expected.sqrt())


def test_squared_distances_of_near_duplicates_far_from_the_origin_are_precise_and_never_negative() -> None:
    distances = pairwise_distances(NEAR_DUPLICATES)
    assert distances.min() == 0
    torch.testing.assert_close(distances, pairwise_distances(NEAR_DUPLICATES.double()).float())
    assert (distances.diagonal() == 0).all()
    assert torch.equal(distances, distances.T)


@pytest.mark.parametrize("squared", [True, False])
def test_the_gradient_of_pairwise_distances_is_right_and_zero_where_points_coincide(squared: bool) -> None:
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
    embeddings = torch.tensor([[300.0, 0.0], [-300.0, 0.0]], dtype=dtype)  # d² overflows float16
    assert pairwise_distances(embeddings).tolist() == pairwise_distances(embeddings.float()).tolist()
    assert pairwise_distances(embeddings).dtype == row_distances(embeddings, embeddings).dtype == torch.float32


def test_autocast_does_not_change_distances() -> None:
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
def test_embeddings_whose_squared_distances_overflow_raise(value: float, dtype: torch.dtype) -> None:
    embeddings = torch.tensor([[value, 0], [-value, 0], [0, 0]], dtype=dtype)
    with pytest.raises(ValueError, match="2 of 3 rows hold NaN or infinite values, or values whose squares overflow"):
        check_batch(embeddings, torch.tensor([0, 1, 1]))
    assert pairwise_distances(embeddings * 0.1).isfinite().all()


def test_no_tensor_of_all_coordinate_differences_is_held() -> None:
    embeddings = torch.randn(512, 64, requires_grad=True)
    with Largest() as largest:
        pairwise_distances(embeddings).sum().backward()
    assert largest.numel <= 2 * 2**19  # a block; all differences at once would be 2**24


def test_the_backward_pass_is_in_full_precision_under_autocast() -> None:
    embeddings = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (expected,) = torch.autograd.grad(pairwise_distances(embeddings).sum(), embeddings)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (gradient,) = torch.autograd.grad(pairwise_distances(embeddings).sum(), embeddings)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)


# float32


def points(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize(("n_columns", "n_ulps"), [(1, 4), (2, 4), (3, 4), (8, 4), (9, 1), (64, 1), (512, 1)])
def test_float32_distances_equal_float64_to_the_last_place(n_columns: int, n_ulps: int, offset: float) -> None:
    """Sums of up to 8 squared differences round more than once, a product in float64 only at its end."""
    for seed in range(5):
        embeddings = points(60, n_columns, seed=seed) + offset
        exact = pairwise_distances(embeddings.double())
        ulp = torch.nextafter(exact.float(), torch.tensor(torch.inf)) - exact.float()
        errors = (pairwise_distances(embeddings).double() - exact).abs() / ulp
        assert errors[exact > 0].max() <= n_ulps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_columns", [2, 64, 512])
@pytest.mark.parametrize("n_images", [3, 5, 16, 33, 97, 300])
def test_distances_of_duplicates_are_zero_in_every_position(
    n_images: int, n_columns: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(n_images)
    which = torch.randint(0, n_images // 3 + 1, (n_images,), generator=generator)
    embeddings = (points(n_images, n_columns, dtype=dtype) + 10)[which]
    for block in (2**18, 1):
        monkeypatch.setattr(siamese_triplet.distances, "BLOCK", block)
        distances = pairwise_distances(embeddings)
        assert torch.equal(distances == 0, which[:, None] == which)
        assert distances.min() == 0
        torch.testing.assert_close(distances, distances.T, rtol=torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_columns", [2, 8, 9, 20])
def test_blocks_of_distances_are_the_rows_of_the_matrix(
    n_columns: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = points(70, n_columns, dtype=dtype)
    (expected,) = distance_blocks(embeddings)
    monkeypatch.setattr(siamese_triplet.distances, "BLOCK", 40 * 70)
    blocks = list(distance_blocks(embeddings))
    assert [len(block) for block in blocks] == [40, 30]
    torch.testing.assert_close(torch.cat(blocks), expected, rtol=torch.finfo(dtype).eps, atol=0)
    torch.testing.assert_close(pairwise_distances(embeddings), torch.cat(blocks), rtol=0, atol=0)


def test_a_block_of_distances_fits_into_a_cache_but_has_at_least_32_rows() -> None:
    sizes = {n: block_rows(torch.empty(n, 3, device="meta" if n > 1000 else "cpu")) for n in (1, 0, 256, 1000, 2**20)}
    assert sizes == {1: 2**18, 0: 2**18, 256: 2**10, 1000: 262, 2**20: 32}


# the gradient of chosen distances


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_pairs", [0, 1, 5, 24, 25, 26, 300])  # up to 24 pairs of 20 images are few
def test_chosen_distances_and_their_gradient_equal_row_distances(n_pairs: int, dtype: torch.dtype) -> None:
    embeddings = points(20, 12, dtype=dtype).requires_grad_()
    left, right = torch.randint(0, 20, (2, n_pairs), generator=torch.Generator().manual_seed(1))
    weights = points(n_pairs, dtype=dtype)
    chosen = chosen_distances(embeddings, pairwise_distances(embeddings.detach()), left, right)
    expected = row_distances(embeddings[left], embeddings[right], squared=True)
    torch.testing.assert_close(chosen, expected)
    gradients = [torch.autograd.grad((weights * d).sum(), embeddings)[0] for d in (chosen, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("n_pairs", [2, 30])
def test_second_derivatives_of_distances_are_right(n_pairs: int) -> None:
    embeddings = points(6, 2, dtype=torch.float64).requires_grad_()
    left, right = torch.randint(0, 6, (2, n_pairs), generator=torch.Generator().manual_seed(1))
    distances = pairwise_distances(embeddings.detach())
    for function in (pairwise_distances, lambda rows: chosen_distances(rows, distances, left, right)):
        if function is pairwise_distances:
            assert torch.autograd.gradcheck(function, embeddings)
        assert torch.autograd.gradgradcheck(function, embeddings)


def test_each_row_has_its_own_resolution_in_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siamese_triplet.distances, "BLOCK", 1)  # blocks of 32 rows
    generator = torch.Generator().manual_seed(0)
    far = 1e4 * torch.randn(16, 16, generator=generator)
    near = 1e-4 * torch.randn(32, 16, generator=generator)
    distances = pairwise_distances(torch.cat([far, -far, near]))[32:, 32:]
    torch.testing.assert_close(distances, pairwise_distances(near.double()).float(), rtol=1e-4, atol=1e-12)


# distances to other rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("n_columns", [1, 8, 9, 64])
@pytest.mark.parametrize(("n_rows", "n_others"), [(1, 1), (5, 40), (40, 3)])
def test_distances_to_other_rows_equal_brute_force(
    n_rows: int, n_others: int, n_columns: int, offset: float, dtype: torch.dtype
) -> None:
    rows, others = (points(n, n_columns, seed=n, dtype=dtype) + offset for n in (n_rows, n_others))
    expected = [[reference.squared_distance(a, b) for b in others.tolist()] for a in rows.tolist()]
    found = SquaredDistances(rows, others).block(0, n_rows)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=dtype), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_columns", [3, 9])
def test_distances_to_other_rows_come_in_blocks_of_any_size(n_columns: int, dtype: torch.dtype) -> None:
    rows, others = points(23, n_columns, dtype=dtype), points(50, n_columns, seed=1, dtype=dtype) + 1
    distances = SquaredDistances(rows, others)
    blocks = torch.cat([distances.block(first, first + 5) for first in range(0, 23, 5)])
    torch.testing.assert_close(blocks, distances.block(0, 23), rtol=torch.finfo(dtype).eps, atol=0)
    torch.testing.assert_close(blocks, SquaredDistances(others, rows).block(0, 50).T, rtol=1e-6, atol=0)


@pytest.mark.parametrize("n_columns", [2, 9, 64])
def test_only_coinciding_rows_are_at_distance_zero(n_columns: int) -> None:
    others = 1000 + points(60, n_columns)
    which = torch.randint(60, (40,), generator=torch.Generator().manual_seed(0))
    is_zero = SquaredDistances(others[which], others).block(0, 40) == 0
    assert torch.equal(is_zero, which[:, None] == torch.arange(60))


@pytest.mark.parametrize("n_columns", [2, 9, 40])
def test_distances_between_integers_are_exact(n_columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, others = (torch.randint(-9, 10, (n, n_columns), generator=generator).float() + 500 for n in (30, 70))
    assert torch.equal(SquaredDistances(rows, others).block(0, 30), (rows[:, None] - others).square().sum(dim=2))
