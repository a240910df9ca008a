"""The negatives of each anchor by their distance, and random draws among them, in O(B²) memory."""

import torch
from torch import Tensor

from siamese_triplet._sorting import count_at_most


def rank_negatives(distances: Tensor, is_negative: Tensor, anchor: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
    """Sort the negatives of every image as far as the distances `below` (P, C) of pairs with `anchor` (P,) ask for it.

    Returns `order` (B, B), the images of each row such that the negatives come first, and `counts` (P, C): the first
    counts[p, c] images of order[anchor[p]] are those of its negatives with a distance < below[p, c].

    The distances `below` of an anchor cut the line into intervals. It is enough to know the interval of each negative,
    a small integer, which costs less to sort than the distances themselves.
    """
    n_images = len(distances)
    table, cell = side_by_side(anchor, below, n_images)  # (B, W), (P, C)
    boundaries, position = table.sort(dim=1)
    width = table.shape[1]
    interval = count_at_most(boundaries, distances).masked_fill_(~is_negative, width + 1)  # (B, B)
    histogram = torch.zeros(n_images, width + 2, dtype=torch.int64, device=distances.device)
    histogram.scatter_add_(1, interval.long(), torch.ones_like(interval, dtype=torch.int64))
    n_below = histogram.cumsum(dim=1)[:, :width]  # (B, W), of the sorted boundaries
    counts = take(torch.empty_like(table, dtype=torch.int64).scatter_(1, position, n_below), cell)
    return _sort_small(interval, width + 2), counts


def nearest_beyond(distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """For each anchor and positive (P,) the nearest negative beyond the positive, and its distance, both (P,).

    −1 and ∞ where there is none. Of equally near negatives the first in the batch is taken.
    """
    sorted_negatives = distances.masked_fill(~is_negative, torch.inf).sort(dim=1, stable=True)  # (B, B)
    table, cell = side_by_side(anchor, distances[anchor, positive, None], len(distances))
    n_nearer = take(torch.searchsorted(sorted_negatives.values, table, right=True), cell).squeeze(1)  # (P,)
    place = anchor * len(distances) + n_nearer  # within the row: anchor and positive, no negatives, are at its end
    distance, negative = take(sorted_negatives.values, place), take(sorted_negatives.indices, place)
    return torch.where(distance.isinf(), -1, negative), distance


def draw(order: Tensor, anchor: Tensor, first: Tensor, end: Tensor, generator: torch.Generator) -> Tensor:
    """For each anchor (P,) one uniformly random image of order[anchor, first:end]; −1 where there is none. (P,)"""
    count = end - first
    rank = (uniform(len(anchor), generator, anchor.device) * count).long().minimum(count - 1)
    chosen = take(order, anchor * len(order) + (first + rank).clamp(min=0))
    return torch.where(count > 0, chosen, -1)


def uniform(n: int, generator: torch.Generator, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """`n` numbers from [0, 1), drawn where the generator is, so that they are the same on every device."""
    return torch.rand(n, generator=generator, dtype=dtype, device=generator.device).to(device)


def _sort_small(keys: Tensor, limit: int) -> Tensor:
    """The order of the `keys` (R, N) int32 of each row, all from 0 to limit − 1.

    As one long row of integers, which is sorted by radix where that is at hand, several times faster.
    """
    n_rows, n_columns = keys.shape
    wide = torch.int32 if n_rows * limit < 2**31 else torch.int64
    offset = torch.arange(n_rows, dtype=wide, device=keys.device)[:, None]
    order = (keys + offset * limit).view(-1).sort(stable=True).indices.view(n_rows, n_columns)
    return order - offset * n_columns


def side_by_side(anchor: Tensor, values: Tensor, n_rows: int) -> tuple[Tensor, Tensor]:
    """The values (P, C) of each anchor (P,), side by side in its row of a table (B, W) that is padded with ∞.

    The anchors must ascend. Returns the table and the cells (P, C) where the values are, for `take`.
    """
    n_values = values.shape[1]
    count = torch.bincount(anchor, minlength=n_rows)  # (B,)
    width = int(count.max()) * n_values  # a sync
    row_start = torch.arange(n_rows, device=anchor.device) * width - (count.cumsum(0) - count) * n_values  # (B,)
    cell = torch.arange(values.numel(), device=anchor.device).view(values.shape)
    cell = cell + row_start.index_select(0, anchor)[:, None]  # (P, C)
    table = values.new_full((n_rows * width,), torch.inf)
    table[cell.view(-1)] = values.reshape(-1)
    return table.view(n_rows, width), cell


def take(table: Tensor, cell: Tensor) -> Tensor:
    """What is in these cells of a table, counted row after row; in the shape of `cell`."""
    return table.reshape(-1).index_select(0, cell.view(-1)).view(cell.shape)
