"""Sorting of a batch by class, and batched searches in sorted rows."""

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 2**18


class ClassOrder(NamedTuple):
    """The images of a batch sorted by class; all (B,) int64, one entry per sorted position. The sort is stable."""

    image: Tensor  # the index of the image in the batch
    start: Tensor  # the first position of its class
    end: Tensor  # the first position after its class


def class_order(labels: Tensor) -> ClassOrder:
    """Sort a batch by its integer `labels` (B,)."""
    sorted_labels, image = labels.long().sort(stable=True)
    start, end = (torch.searchsorted(sorted_labels, sorted_labels, right=right) for right in (False, True))
    return ClassOrder(image, start, end)


def members_by_class(labels: Tensor) -> dict[int, Tensor]:
    """Group the places of integer `labels` (N,) by label: ascending labels, each with its places in ascending order.

    One sort, whatever the number of classes.
    """
    classes, sizes = labels.unique(return_counts=True)
    members = labels.argsort(stable=True).split(sizes.tolist())
    return dict(zip(classes.tolist(), members, strict=True))


def ranges(first: Tensor, count: Tensor, chosen: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Concatenate the ranges first[r] … first[r] + count[r] − 1; return row and value of each element, (Σ count,).

    `first` and `count` are (R,). With `chosen` (C,), indices into the result, return only these elements, (C,).
    """
    row = torch.arange(len(count), device=count.device).repeat_interleave(count)  # (Σ count,), a sync
    if chosen is None:
        chosen = torch.arange(len(row), device=row.device)
    else:
        row = row.index_select(0, chosen)
    return row, chosen - (count.cumsum(0) - count - first).index_select(0, row)


def count_at_most(boundaries: Tensor, values: Tensor) -> Tensor:
    """Count the `boundaries` (R, W), sorted within rows, that are ≤ each of `values` (R, N) in the same row: int32.

    Equals `torch.searchsorted(boundaries, values, right=True)`, with about log₂ W comparisons per value. On a CPU that
    function searches one value at a time, through unpredictable branches; here all values take each step together,
    which is several times faster. Values and boundaries must be finite, except for +∞ boundaries at the end of a row.
    """
    if values.device.type != "cpu":
        return torch.searchsorted(boundaries.contiguous(), values.contiguous(), right=True, out_int32=True)
    size = max(1, BLOCK // max(1, values.shape[1]))  # rows that fit into the caches
    blocks = zip(boundaries.split(size), values.split(size), strict=True)
    return torch.cat([_bisect(*block) for block in blocks])


def _bisect(boundaries: Tensor, values: Tensor) -> Tensor:
    n_rows, width = boundaries.shape
    depth = width.bit_length()
    row_length = 2**depth  # a complete tree of 2^depth − 1 boundaries, and one more so that no probe leaves the row
    padded = boundaries.new_full((n_rows, row_length), torch.inf)
    padded[:, :width] = boundaries
    flat, values_flat = padded.view(-1), values.reshape(-1)
    row_starts = torch.arange(0, n_rows * row_length, row_length, dtype=torch.int32)[:, None]  # (R, 1)
    position = row_starts.repeat(1, values.shape[1])  # (R, N), index of the first boundary that may be greater
    position_flat, is_past = position.view(-1), torch.empty_like(position)
    probe = torch.empty_like(values_flat)
    for step in (2**level for level in reversed(range(depth))):
        if step == row_length // 2:  # the first probe is the same for a whole row
            torch.le(padded[:, step - 1 : step], values, out=is_past)
        else:
            torch.index_select(flat[step - 1 :], 0, position_flat, out=probe)
            torch.le(probe, values_flat, out=is_past.view(-1))
        position.add_(is_past, alpha=step)
    return position.sub_(row_starts)
