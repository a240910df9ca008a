"""Distances between the embeddings of a batch, and which of its pairs are positive and negative.

The one home of geometry: selectors and losses take every distance and every mask from here.

Distances in float32 come from one matrix product, |a|² + |b|² − 2ab, which cancels badly in float32. Here it does not:
the rows are centred, and the product is taken in float64, which has 29 bits more. What is left of rounding, some 1e-15
of a row's squared distance to the mean, vanishes when the result is rounded to float32. Distances of float64 rows, of
rows of a few numbers, and on devices without float64 are sums of squared differences.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

BLOCK = 2**18  # numbers in a block of distances: 1 MB of float32, which caches hold
TILE = 2000  # columns of a product in float64 on a CPU, for the same reason
FEW_COLUMNS = 8  # up to this embedding size sums of squared differences are as fast as a matrix product


def pairwise_distances(embeddings: Tensor, squared: bool = True) -> Tensor:
    """Euclidean distances between all rows of `embeddings` (B, D), a (B, B) matrix; squared unless asked otherwise.

    Never negative, exactly zero on the diagonal and between equal rows, and as precise far from the origin as near it.
    Rows nearer than float32 can tell apart, some 1e-7 of their distance to the mean, count as equal. The gradient of
    both the squared and the plain distance is zero (up to rounding), not NaN, where two embeddings coincide. Half
    precision is computed, and returned, in float32. Memory is O(B²). B = 0 gives a (0, 0) matrix.

    >>> import torch
    >>> from siamese_triplet.distances import pairwise_distances
    >>> pairwise_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[ 0., 25.],
            [25.,  0.]])
    """
    distances = _SquaredDistances.apply(full_precision(embeddings))
    return distances if squared else root(distances)


def row_distances(left: Tensor, right: Tensor, squared: bool = False) -> Tensor:
    """Euclidean distance between `left[i]` and `right[i]`, both (P, D), as a (P,) vector; not squared unless asked.

    A sum of squared differences. Half precision is computed, and returned, in float32.

    >>> import torch
    >>> from siamese_triplet.distances import row_distances
    >>> row_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([5.])
    """
    distances = (full_precision(left) - full_precision(right)).square().sum(dim=1)
    return distances if squared else root(distances)


def chosen_distances(embeddings: Tensor, distances: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Squared distances (P,) between rows `left` and `right` (P,) of `embeddings` (B, D), with their gradient.

    The values are taken from `distances` (B, B), the squared distances that are known already; the gradient costs O(PD)
    where the pairs are few, else O(B²D).
    """
    return _ChosenDistances.apply(full_precision(embeddings), distances, left, right)


def distance_blocks(rows: Tensor) -> Iterator[Tensor]:
    """The squared distances of `rows` (B, D), float32 or float64, to all rows: block after block of the (B, B) matrix.

    Without gradients. A block has `block_rows(rows)` rows, the last one perhaps fewer.
    """
    distances, size = SquaredDistances(rows), block_rows(rows)
    for first in range(0, max(1, len(rows)), size):  # one block, empty, of no rows
        yield distances.block(first, first + size)


class SquaredDistances:
    """The squared distances of `rows` (B, D), float32 or float64, to all `others` (N, D), by default `rows` again.

    What all blocks of the (B, N) matrix need is computed once. Without gradients.
    """

    def __init__(self, rows: Tensor, others: Tensor | None = None) -> None:
        self.rows, self.others = rows, rows if others is None else others
        n_columns = rows.shape[1]
        self.by_product = rows.dtype != wide_dtype(rows) and n_columns > FEW_COLUMNS
        if self.by_product:
            right = _Wide.of(self.others)
            left = right if others is None else _Wide.of(rows, right.mean)
            self.factors = torch.cat([-2 * left.rows, left.norms, left.ones], dim=1)  # (B, D + 2)
            self.transposed = torch.cat([right.rows, right.ones, right.norms], dim=1).T  # (D + 2, N)
            self.rounding = (4 * (n_columns + 2) * torch.finfo(torch.float64).eps * left.norms).float()  # (B, 1)

    def block(self, first: int, end: int) -> Tensor:
        """The rows from `first` up to `end` of the matrix, which the caller may overwrite."""
        if not self.by_product:
            return _sum_of_squares(self.rows[first:end], self.others)
        factors, rounding = self.factors[first:end], self.rounding[first:end]
        distances = rounding.new_empty(len(factors), len(self.others))
        width = TILE if distances.device.type == "cpu" else max(1, len(self.others))
        for some, columns in zip(distances.split(width, dim=1), self.transposed.split(width, dim=1), strict=True):
            some.copy_(factors @ columns)
            some.mul_(torch.gt(some, rounding, out=torch.empty_like(some)))
        return distances


def block_rows(rows: Tensor, on_cpu: int | None = None) -> int:
    """How many rows a block of distances to `rows` (B, D) has: few enough for the caches, memory linear in B.

    On a CPU so many that a block has about `on_cpu` numbers, by default `BLOCK`, and 32 rows at least.
    """
    numbers = (on_cpu or BLOCK) if rows.device.type == "cpu" else 64 * BLOCK
    return max(32, numbers // max(1, len(rows)))


class _Wide(NamedTuple):
    """Rows in float64, less a mean, and the squares of their lengths."""

    rows: Tensor  # (B, D)
    norms: Tensor  # (B, 1)
    ones: Tensor  # (B, 1)
    mean: Tensor  # (D,)

    @classmethod
    def of(cls, rows: Tensor, mean: Tensor | None = None) -> "_Wide":
        wide = rows.to(wide_dtype(rows))
        mean = wide.mean(dim=0) if mean is None else mean
        wide = wide - mean
        norms = wide.square().sum(dim=1, keepdim=True)
        return cls(wide, norms, torch.ones_like(norms), mean)


def _sum_of_squares(left: Tensor, right: Tensor) -> Tensor:
    total = left.new_zeros(len(left), len(right))
    for of_left, of_right in zip(left.T.contiguous(), right.T.contiguous(), strict=True):  # a coordinate
        difference = of_left[:, None] - of_right  # (b, B)
        total.addcmul_(difference, difference)
    return total


def root(squared: Tensor) -> Tensor:
    """The square root of squared distances, with gradient zero instead of infinity where a distance is zero.

    NaN stays NaN.
    """
    is_positive = squared > 0
    return torch.where(is_positive, torch.where(is_positive, squared, 1).sqrt(), squared.detach())


def pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs of a batch with `labels` (B,) have the same class, and which have not: two boolean (B, B) matrices.

    Both are symmetric. No image is its own positive, so the diagonal is False in both.

    >>> import torch
    >>> from siamese_triplet.distances import pair_masks
    >>> is_positive, is_negative = pair_masks(torch.tensor([0, 0, 1]))
    >>> is_positive.nonzero().tolist(), is_negative.nonzero().tolist()
    ([[0, 1], [1, 0]], [[0, 2], [1, 2], [2, 0], [2, 1]])
    """
    same = labels[:, None] == labels[None, :]  # (B, B)
    different = ~same
    return same.fill_diagonal_(False), different


def full_precision(embeddings: Tensor) -> Tensor:
    """`embeddings` in float32 where they are in half precision, as they are otherwise."""
    return embeddings.float() if embeddings.dtype in (torch.float16, torch.bfloat16) else embeddings


def wide_dtype(tensor: Tensor) -> torch.dtype:
    """What to compute in where float32 is not enough: float64, but for devices that have none."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


class _SquaredDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        first, *others = distance_blocks(rows)
        return torch.cat([first, *others]) if others else first  # (B, B)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        return _gradient(gradient, rows)


class _ChosenDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, distances: Tensor, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(rows, left, right)
        return distances.reshape(-1).index_select(0, left * len(rows) + right)  # (P,)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        rows, left, right = ctx.saved_tensors
        if len(left) * 16 < len(rows) ** 2:  # few pairs: row by row
            pulls = 2 * gradient[:, None] * (rows[left] - rows[right])  # (P, D)
            of_rows = torch.zeros_like(rows).index_add(0, left, pulls).index_add(0, right, -pulls)
        else:
            weights = gradient.new_zeros(len(rows) ** 2).index_add(0, left * len(rows) + right, gradient)
            of_rows = _gradient(weights.view(len(rows), len(rows)), rows)
        return of_rows, None, None, None


def _gradient(weights: Tensor, rows: Tensor) -> Tensor:
    """The gradient of Σ weights[i, j] · |rows[i] − rows[j]|² with respect to `rows` (B, D)."""
    wide = centred(rows)
    weights = (weights + weights.T).to(wide.dtype)  # (B, B): each distance is that of a row and of a column
    with torch.autocast(rows.device.type, enabled=False):
        return (2 * (weights.sum(dim=1, keepdim=True) * wide - weights @ wide)).to(rows.dtype)


def centred(rows: Tensor) -> Tensor:
    """`rows` (B, D) less their mean, in the dtype `wide_dtype`."""
    wide = rows.to(wide_dtype(rows))
    return wide - wide.mean(dim=0)
