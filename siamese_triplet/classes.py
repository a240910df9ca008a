"""The images of a batch in the order of their classes, so that those of one class stand side by side."""

from typing import NamedTuple

import torch
from torch import Tensor


class ClassOrder(NamedTuple):
    """Places 0 … B − 1 of the sorted images; all (B,) int64. Equal labels keep their order."""

    image: Tensor  # the image at a place
    start: Tensor  # the first place of its class
    end: Tensor  # the first place after its class


def class_order(labels: Tensor) -> ClassOrder:
    """Sort a batch by its integer `labels` (B,)."""
    sorted_labels, image = labels.long().sort(stable=True)
    start, end = (torch.searchsorted(sorted_labels, sorted_labels, right=right) for right in (False, True))
    return ClassOrder(image, start, end)


def runs(first: Tensor, count: Tensor, chosen: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Row by row, the `count` (R,) integers from `first` (R,) on: the rows and the integers, both (Σ count,).

    With `chosen` (C,), indices into these, only the chosen ones, (C,).
    """
    row = torch.arange(len(count), device=count.device).repeat_interleave(count)  # (Σ count,), a sync
    if chosen is None:
        chosen = torch.arange(len(row), device=row.device)
    else:
        row = row.index_select(0, chosen)
    return row, chosen - (count.cumsum(0) - count - first).index_select(0, row)
