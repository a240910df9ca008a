"""Distances between the embeddings of a batch, and which of its pairs are positive and negative.

The one home of geometry: selectors and losses take every distance and every mask from here.
"""

from typing import Any

import torch
from torch import Tensor

MAX_BLOCK = 2**19  # numbers in a block of coordinate differences: 2 MB of float32, which caches hold


def pairwise_distances(embeddings: Tensor, squared: bool = True) -> Tensor:
    """Euclidean distances between all rows of `embeddings` (B, D), a (B, B) matrix; squared unless asked otherwise.

    They are sums of squared coordinate differences, not the expansion |a|² + |b|² − 2ab: never negative, exactly zero
    on the diagonal and between equal rows, and as precise far from the origin as near it. The gradient of both the
    squared and the plain distance is zero, not NaN, where two embeddings coincide. Half precision is computed, and
    returned, in float32. Memory is O(B²). B = 0 gives a (0, 0) matrix.
    """
    distances = _SquaredDistances.apply(full_precision(embeddings))
    return distances if squared else root(distances)


def row_distances(left: Tensor, right: Tensor, squared: bool = False) -> Tensor:
    """Euclidean distance between `left[i]` and `right[i]`, both (P, D), as a (P,) vector; not squared unless asked.

    Computed as in `pairwise_distances`.
    """
    distances = (full_precision(left) - full_precision(right)).square().sum(dim=1)
    return distances if squared else root(distances)


def root(squared: Tensor) -> Tensor:
    """The square root of squared distances, with gradient zero instead of infinity where a distance is zero."""
    is_positive = squared > 0
    return torch.where(is_positive, torch.where(is_positive, squared, 1).sqrt(), 0)


class _SquaredDistances(torch.autograd.Function):
    """Squared distances of all rows, block after block of them, so that no (B, B, D) tensor is ever held."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        blocks = [(block[:, None] - rows).square_().sum(dim=2) for block in rows.split(_block_size(rows))]
        return torch.cat(blocks)  # (B, B)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        weights = 2 * (gradient + gradient.T)  # (B, B): each distance is that of a row and of a column
        size = _block_size(rows)
        blocks = zip(weights.split(size), rows.split(size), strict=True)
        with torch.autocast(rows.device.type, enabled=False):  # in full precision, as the forward pass
            return torch.cat([torch.einsum("ij,ijd->id", weight, block[:, None] - rows) for weight, block in blocks])


def _block_size(rows: Tensor) -> int:
    return max(1, MAX_BLOCK // max(1, rows.numel()))


def pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs of a batch with `labels` (B,) have the same class, and which have not: two boolean (B, B) matrices.

    Both are symmetric. No image is its own positive, so the diagonal is False in both.
    """
    same = labels[:, None] == labels[None, :]  # (B, B)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return same & ~itself, ~same


def full_precision(embeddings: Tensor) -> Tensor:
    """`embeddings` in float32 where they are in half precision, as they are otherwise."""
    return embeddings.float() if embeddings.dtype in (torch.float16, torch.bfloat16) else embeddings


def check_embeddings(**named: Tensor) -> None:
    """Raise a ValueError unless each tensor is a finite floating-point matrix, all of one shape and on one device."""
    first_name, first = next(iter(named.items()))
    for name, embeddings in named.items():
        if embeddings.ndim != 2 or not embeddings.is_floating_point():
            raise ValueError(
                f"{name} must be a floating-point tensor of shape (batch, embedding size), "
                f"got {embeddings.dtype} of shape {tuple(embeddings.shape)}"
            )
        if embeddings.shape != first.shape:
            raise ValueError(
                f"{first_name} and {name} must have the same shape, "
                f"got {tuple(first.shape)} and {tuple(embeddings.shape)}"
            )
        if embeddings.device != first.device:
            raise ValueError(
                f"{first_name} is on {first.device}, {name} on {embeddings.device}; move one of them with .to(device)"
            )
        rows = full_precision(embeddings)
        limit = (torch.finfo(rows.dtype).max / 4 / max(1, rows.shape[1])) ** 0.5  # squared distances must not overflow
        is_bad = ~(rows.abs() < limit)  # (B, D)
        if is_bad.any():  # a device-host sync
            raise ValueError(
                f"{name}: {int(is_bad.any(dim=1).sum())} of {len(embeddings)} rows hold NaN or infinite values, "
                "or values whose squares overflow; the network has probably diverged: lower the learning rate, "
                "or look for NaN in the images"
            )


def check_batch(embeddings: Tensor, labels: Tensor) -> None:
    """Raise a ValueError unless `embeddings` (B, D) are finite and `labels` are B integers on the same device."""
    check_embeddings(embeddings=embeddings)
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"labels must be integers of shape (batch,), got {labels.dtype} of shape {tuple(labels.shape)}; "
            "convert class labels with .long()"
        )
    if len(labels) != len(embeddings):
        raise ValueError(f"got {len(embeddings)} embeddings but {len(labels)} labels; there must be one label each")
    if labels.device != embeddings.device:
        raise ValueError(
            f"embeddings are on {embeddings.device}, labels on {labels.device}; move one of them with .to(device)"
        )


def check_margin(margin: float) -> float:
    """`margin` as a float; a ValueError unless it is finite and not negative."""
    if not 0 <= margin < float("inf"):
        raise ValueError(f"margin must be a finite number ≥ 0, got {margin}")
    return float(margin)
