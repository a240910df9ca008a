"""The negatives of each anchor by their distance, and random draws among them, in O(B²) memory."""

import torch
from torch import Tensor

from siamese_triplet.bisection import count_at_most


def rank_negatives(distances: Tensor, is_negative: Tensor, anchor: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
    """Sort the negatives of every image as far as the distances `below` (P, C) of pairs with `anchor` (P,) ask for it.

    Returns `order` (B, B), the images of each row such that the negatives come first, and `counts` (P, C): the first
    counts[p, c] images of order[anchor[p]] are those of its negatives with a distance < below[p, c].

    The distances `below` of an anchor cut the line into intervals. It is enough to know the interval of each negative,
    a small integer, which costs less to sort than the distances themselves.
    """
    n_images = len(distances)
    table, row, column = side_by_side(anchor, below, n_images)  # (B, W), (P, 1), (P, C)
    boundaries, position = table.sort(dim=1)
    width = table.shape[1]
    interval = count_at_most(boundaries, distances).masked_fill_(~is_negative, width + 1)  # (B, B)
    histogram = torch.zeros(n_images, width + 2, dtype=torch.int64, device=distances.device)
    histogram.scatter_add_(1, interval.long(), torch.ones_like(interval, dtype=torch.int64))
    n_below = histogram.cumsum(dim=1)[:, :width]  # (B, W), of the sorted boundaries
    counts = torch.empty_like(n_below).scatter_(1, position, n_below)[row, column]
    return _sort_small(interval, width + 2), counts


def nearest_beyond(distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """For each anchor and positive (P,) the nearest negative beyond the positive, and its distance, both (P,).

    −1 and ∞ where there is none. Of equally near negatives the first in the batch is taken.
    """
    sorted_negatives = distances.masked_fill(~is_negative, torch.inf).sort(dim=1, stable=True)  # (B, B)
    table, row, column = side_by_side(anchor, distances[anchor, positive, None], len(distances))
    n_nearer = torch.searchsorted(sorted_negatives.values, table, right=True)[row, column]  # (P, 1)
    rank = n_nearer.clamp(max=len(distances) - 1)
    distance = sorted_negatives.values[row, rank].squeeze(1)
    negative = sorted_negatives.indices[row, rank].squeeze(1)
    return torch.where(distance.isinf(), -1, negative), distance


def draw(order: Tensor, anchor: Tensor, first: Tensor, end: Tensor, generator: torch.Generator) -> Tensor:
    """For each anchor (P,) one uniformly random image of order[anchor, first:end]; −1 where there is none. (P,)"""
    count = end - first
    rank = (uniform(len(anchor), generator, anchor.device) * count).long().minimum(count - 1)
    chosen = order.view(-1).index_select(0, anchor * len(order) + (first + rank).clamp(min=0))
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


def side_by_side(anchor: Tensor, values: Tensor, n_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """The values (P, C) of each anchor (P,), side by side in its row of a table (B, W) that is padded with ∞.

    The anchors must ascend. Returns the table and where in it the values are: rows (P, 1) and columns (P, C).
    """
    n_values = values.shape[1]
    count = torch.bincount(anchor, minlength=n_rows)  # (B,)
    first = count.cumsum(0) - count
    of_pair = torch.arange(len(anchor), device=anchor.device) - first[anchor]  # (P,)
    column = of_pair[:, None] * n_values + torch.arange(n_values, device=anchor.device)  # (P, C)
    row = anchor[:, None]
    width = int(count.max()) * n_values  # a sync
    table = values.new_full((n_rows, width), torch.inf)
    table[row, column] = values
    return table, row, column
