"""Distances between the embeddings of a batch, and which of its pairs are positive and negative.

The one home of geometry: selectors and losses take every distance and every mask from here.
"""

import torch
from torch import Tensor


def pairwise_distances(embeddings: Tensor, squared: bool = True) -> Tensor:
    """Euclidean distances between all rows of `embeddings` (B, D), as a (B, B) matrix; squared unless asked otherwise.

    Distances are sums over coordinate differences, not the expansion |a|² + |b|² − 2ab: they are never negative,
    exactly zero on the diagonal and between equal rows, and keep their precision far from the origin. The gradient of
    both the squared and the plain distance is zero, not NaN, where two embeddings coincide. Half precision is
    computed, and returned, in float32. B = 0 gives a (0, 0) matrix.
    """
    rows = full_precision(embeddings)
    with torch.autocast(rows.device.type, enabled=False):
        distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")  # (B, B)
        return distances.square() if squared else distances


def row_distances(left: Tensor, right: Tensor) -> Tensor:
    """Euclidean distance (not squared) between `left[i]` and `right[i]`, both (P, D): a (P,) vector.

    Its gradient is zero, not NaN, where the two coincide. Half precision is computed, and returned, in float32.
    """
    return torch.linalg.vector_norm(full_precision(left) - full_precision(right), dim=1)


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
        finite = embeddings.isfinite()
        if not finite.all():  # a device-host sync
            bad_rows = int((~finite).any(dim=1).sum())
            raise ValueError(
                f"{name}: {bad_rows} of {len(embeddings)} rows hold NaN or infinite values; the network has "
                "probably diverged: lower the learning rate, or look for NaN in the images"
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
