"""Distances between embeddings, and masks of the positive and negative pairs of a batch.

Selectors and losses take every distance and every mask from here.

Distances in float32 come from one matrix product, |a|² + |b|² − 2ab. In float32 it would cancel badly, so the rows are
centred and the product is taken in float64, which has 29 bits more. The remaining rounding error, some 1e-15 of a row's
squared distance to the mean, vanishes when the result is rounded to float32. Distances of float64 rows, of short rows,
and on devices without float64 are sums of squared differences.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

BLOCK = 2**18  # numbers in a block of distances: 1 MB of float32, which fits into caches
TILE = 2000  # columns of a product in float64 on a CPU, for the same reason
FEW_ROWS = 32  # up to so many rows, a set of others is gone through once, tile by tile
FEW_COLUMNS = 8  # up to this embedding size, sums of squared differences are as fast as a matrix product


def pairwise_distances(embeddings: Tensor, squared: bool = True) -> Tensor:
    """Compute Euclidean distances (B, B) between all rows of `embeddings` (B, D), squared by default.

    They are never negative, exactly zero on the diagonal and between equal rows, and as precise far from the origin as
    near it. Rows closer than float32 can tell apart, some 1e-7 of their distance to the mean, count as equal. Where two
    embeddings coincide, the gradient of both the squared and the plain distance is zero (up to rounding), not NaN. Half
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
    """Compute Euclidean distances (P,) between `left[i]` and `right[i]`, rows of (P, D); not squared by default.

    They are sums of squared differences. Half precision is computed, and returned, in float32.

    >>> import torch
    >>> from siamese_triplet.distances import row_distances
    >>> row_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([5.])
    """
    distances = (full_precision(left) - full_precision(right)).square().sum(dim=1)
    return distances if squared else root(distances)


def chosen_distances(embeddings: Tensor, distances: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Gather squared distances (P,) between rows `left` and `right` (P,) of `embeddings` (B, D), with gradient.

    The values come from `distances` (B, B), the known squared distances; the gradient costs O(PD) for few pairs, else
    O(B²D).
    """
    return _ChosenDistances.apply(full_precision(embeddings), distances, left, right)


def distance_blocks(rows: Tensor) -> Iterator[Tensor]:
    """Yield squared distances between all `rows` (B, D), float32 or float64, in blocks of rows of the (B, B) matrix.

    No gradients. Each block has `block_rows(rows)` rows, the last may have fewer.
    """
    distances, size = SquaredDistances(rows), block_rows(rows)
    for first in range(0, max(1, len(rows)), size):  # one empty block for B = 0
        yield distances.block(first, first + size)


class SquaredDistances:
    """Squared distances of `rows` (B, D), float32 or float64, to `others` (N, D), by default `rows`, block by block.

    Computations shared by all blocks of the (B, N) matrix are done once. `mean` (D,), near which the rows are centred,
    is by default that of the others. No gradients.
    """

    def __init__(self, rows: Tensor, others: Tensor | None = None, mean: Tensor | None = None) -> None:
        self.rows, self.others = rows, rows if others is None else others
        n_columns = rows.shape[1]
        self.by_product = rows.dtype != wide_dtype(rows) and n_columns > FEW_COLUMNS
        if self.by_product:
            self.transposed = None
            if others is not None and len(rows) <= FEW_ROWS and len(others) > TILE and rows.device.type == "cpu":
                self.mean = mean_of(others) if mean is None else mean  # (D,); no copy of the others in float64
                left = _Wide.centre(rows, self.mean)
            else:
                right = _Wide.centre(self.others, mean)
                left = right if others is None else _Wide.centre(rows, right.mean)
                self.transposed = right.transposed()
            self.factors = torch.cat([-2 * left.rows, left.norms, left.ones], dim=1)  # (B, D + 2)
            self.rounding = (4 * (n_columns + 2) * torch.finfo(torch.float64).eps * left.norms).float()  # (B, 1)

    def block(self, first: int, end: int) -> Tensor:
        """Compute rows `first` to `end` − 1 of the matrix; the caller may overwrite the result."""
        if not self.by_product:
            return _sums_of_squares(self.rows[first:end], self.others)
        factors, rounding = self.factors[first:end], self.rounding[first:end]
        distances = rounding.new_empty(len(factors), len(self.others))
        width = TILE if distances.device.type == "cpu" else max(1, len(self.others))
        for tile, columns in zip(distances.split(width, dim=1), self._columns(width), strict=True):
            tile.copy_(factors @ columns)
            tile.mul_(torch.gt(tile, rounding, out=torch.empty_like(tile)))
        return distances

    def _columns(self, width: int) -> Iterable[Tensor]:
        """Yield the factors of the others, (D + 2, n), in tiles of `width` of them."""
        if self.transposed is not None:
            return self.transposed.split(width, dim=1)
        return (_Wide.centre(part, self.mean).transposed() for part in self.others.split(width))


def block_rows(rows: Tensor, on_cpu: int | None = None) -> int:
    """Return the number of rows per block of distances to `rows` (B, D): at least 32, few enough to fit into caches.

    On a CPU a block has about `on_cpu` numbers, by default `BLOCK`. Memory is linear in B.
    """
    numbers = (on_cpu or BLOCK) if rows.device.type == "cpu" else 64 * BLOCK
    return max(32, numbers // max(1, len(rows)))


class _Wide(NamedTuple):
    """Rows in float64 minus a mean, and their squared norms."""

    rows: Tensor  # (B, D)
    norms: Tensor  # (B, 1), squared
    ones: Tensor  # (B, 1)
    mean: Tensor  # (D,)

    @classmethod
    def centre(cls, rows: Tensor, mean: Tensor | None = None) -> "_Wide":
        wide = rows.to(wide_dtype(rows))
        mean = wide.mean(dim=0) if mean is None else mean
        wide = wide - mean
        norms = wide.square().sum(dim=1, keepdim=True)
        return cls(wide, norms, torch.ones_like(norms), mean)

    def transposed(self) -> Tensor:
        """Return the factors (D + 2, B) of these rows as the right-hand side of distances."""
        return torch.cat([self.rows, self.ones, self.norms], dim=1).T


def mean_of(rows: Tensor) -> Tensor:
    """Compute the mean (D,) of `rows` (N, D) in float64, without a copy of them."""
    total = torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device)
    for part in rows.split(TILE):
        total += part.double().sum(dim=0)
    return total / len(rows)


def _sums_of_squares(left: Tensor, right: Tensor) -> Tensor:
    total = left.new_zeros(len(left), len(right))
    for left_column, right_column in zip(left.T.contiguous(), right.T.contiguous(), strict=True):
        difference = left_column[:, None] - right_column  # (b, B)
        total.addcmul_(difference, difference)
    return total


def root(squared: Tensor) -> Tensor:
    """Take the square root of squared distances, with gradient zero instead of infinity at zero. NaN stays NaN."""
    is_positive = squared > 0
    return torch.where(is_positive, torch.where(is_positive, squared, 1).sqrt(), squared.detach())


def pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return masks of the positive and the negative pairs of a batch with `labels` (B,), two boolean (B, B) matrices.

    Both are symmetric. No image is its own positive, so both diagonals are False.

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
    """Convert `embeddings` from half precision to float32; return others unchanged."""
    return embeddings.float() if embeddings.dtype in (torch.float16, torch.bfloat16) else embeddings


def wide_dtype(tensor: Tensor) -> torch.dtype:
    """Return the dtype for sums that need more than float32: float64, but float32 on devices without it."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def exponent_of(*sets: Tensor) -> int:
    """Return the least e such that all numbers of `sets` are below 2^e in size; 0 if there are only zeros, or none."""
    ends = [float(end) for rows in sets if rows.numel() for end in rows.aminmax()]
    return math.frexp(max(map(abs, ends), default=0.0))[1]


def exponent_if_tiny(*sets: Tensor) -> int:
    """Return `exponent_of(*sets)`, of one dtype, if squares of differences of their numbers may vanish, else 0."""
    exponent, info = exponent_of(*sets), torch.finfo(sets[0].dtype)
    return exponent if 2.0**exponent < info.tiny**0.5 / info.eps else 0


def scale(rows: Tensor, exponent: int) -> Tensor:
    """Multiply `rows` by 2^`exponent`, which rounds nothing; in two steps, as the power itself may overflow."""
    half = exponent // 2
    return rows * 2.0**half * 2.0 ** (exponent - half) if exponent else rows


class _SquaredDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        first, *others = distance_blocks(rows)
        return torch.cat([first, *others]) if others else first  # (B, B)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        return _grad_rows(grad_output, rows)


class _ChosenDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, distances: Tensor, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(rows, left, right)
        return distances.reshape(-1).index_select(0, left * len(rows) + right)  # (P,)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None, None]:
        rows, left, right = ctx.saved_tensors
        if len(left) * 16 < len(rows) ** 2:  # few pairs: pair by pair
            pulls = 2 * grad_output[:, None] * (rows[left] - rows[right])  # (P, D)
            grad_rows = torch.zeros_like(rows).index_add(0, left, pulls).index_add(0, right, -pulls)
        else:
            weights = grad_output.new_zeros(len(rows) ** 2).index_add(0, left * len(rows) + right, grad_output)
            grad_rows = _grad_rows(weights.view(len(rows), len(rows)), rows)
        return grad_rows, None, None, None


def _grad_rows(weights: Tensor, rows: Tensor) -> Tensor:
    """Compute the gradient of Σ weights[i, j] · |rows[i] − rows[j]|² with respect to `rows` (B, D)."""
    wide = subtract_mean(rows)
    weights = (weights + weights.T).to(wide.dtype)  # (B, B): row i occurs in row and column i
    with torch.autocast(rows.device.type, enabled=False):
        return (2 * (weights.sum(dim=1, keepdim=True) * wide - weights @ wide)).to(rows.dtype)


def subtract_mean(rows: Tensor) -> Tensor:
    """Centre `rows` (B, D), in the dtype `wide_dtype(rows)`."""
    wide = rows.to(wide_dtype(rows))
    return wide - wide.mean(dim=0)
