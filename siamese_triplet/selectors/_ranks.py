"""Helpers of selectors: list positive pairs and triplets, rank the negatives of each anchor, draw among them.

Memory is O(B²) beyond the result: no matrix of pairs × images is ever made.
"""

import torch
from torch import Tensor

from siamese_triplet._sorting import count_at_most, ranges


def unordered_pairs(mask: Tensor) -> Tensor:
    """List the pairs (P, 2) above the diagonal of a symmetric `mask` (B, B)."""
    return mask.triu(diagonal=1).nonzero()  # (P, 2), a sync


def anchors_and_positives(is_positive: Tensor, both_anchors: bool) -> tuple[Tensor, Tensor]:
    """List the positive pairs as anchors, in ascending order, and positives, both (P,); `both_anchors` in both orders.

    >>> import torch
    >>> from siamese_triplet.distances import pair_masks
    >>> from siamese_triplet.selectors._ranks import anchors_and_positives
    >>> is_positive, _ = pair_masks(torch.tensor([0, 0, 1, 1]))
    >>> anchors_and_positives(is_positive, both_anchors=True)
    (tensor([0, 1, 2, 3]), tensor([1, 0, 3, 2]))
    """
    anchor, positive = (is_positive if both_anchors else is_positive.triu(diagonal=1)).nonzero(as_tuple=True)  # a sync
    return anchor, positive


def with_negatives(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Join anchors, positives and negatives (P,) to triplets (T, 3), leaving out pairs whose negative is −1."""
    negative = negative.to(anchor.device)
    found = (negative >= 0).nonzero().squeeze(1)  # a sync
    return torch.stack([column.index_select(0, found) for column in (anchor, positive, negative)], dim=1)


def all_ranked(anchor: Tensor, positive: Tensor, order: Tensor, first: Tensor, count: Tensor) -> Tensor:
    """Join each pair (P,) with `count` (P,) negatives, from place `first` (P,) of order[anchor] on: triplets (T, 3)."""
    pair, rank = ranges(first, count)  # (T,), (T,)
    negative = order.view(-1).index_select(0, (anchor * len(order)).index_select(0, pair) + rank)
    return torch.stack([anchor.index_select(0, pair), positive.index_select(0, pair), negative], dim=1)


def rank_negatives(distances: Tensor, is_negative: Tensor, anchor: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
    """Sort each image's negatives by the intervals between the distances `below` (P, C) of pairs with `anchor` (P,).

    Returns `order` (B, B), the images of each row with the negatives first, and `counts` (P, C): the first
    counts[p, c] images of order[anchor[p]] are the negatives with a distance < below[p, c].

    The distances `below` of an anchor cut the line into intervals. Only the interval of each negative is needed: a
    small integer, which sorts faster than a distance.

    Anchor 0 has negatives 1, 2, 3 at distances 5, 1, 3, and one pair with the thresholds 2 and 4. They lie in the
    intervals 2, 0 and 1, so the order is 2, 3, 1; one of them is nearer than 2, two are nearer than 4:

    >>> import torch
    >>> from siamese_triplet.selectors._ranks import rank_negatives
    >>> distances = torch.tensor([[0.0, 5.0, 1.0, 3.0]] + [[0.0] * 4] * 3)
    >>> is_negative = torch.tensor([[False, True, True, True]] + [[False] * 4] * 3)
    >>> order, counts = rank_negatives(distances, is_negative, torch.tensor([0]), torch.tensor([[2.0, 4.0]]))
    >>> order[0], counts
    (tensor([2, 3, 1, 0]), tensor([[1, 2]]))
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
    """Find the nearest negative beyond each positive, and its distance from the anchor, both (P,).

    −1 and ∞ where there is none. Of equally near negatives the first in the batch is taken.
    """
    sorted_negatives = distances.masked_fill(~is_negative, torch.inf).sort(dim=1, stable=True)  # (B, B)
    table, cell = side_by_side(anchor, distances[anchor, positive, None], len(distances))
    n_nearer = take(torch.searchsorted(sorted_negatives.values, table, right=True), cell).squeeze(1)  # (P,)
    place = anchor * len(distances) + n_nearer  # within the row: anchor and positive, no negatives, are at its end
    distance, negative = take(sorted_negatives.values, place), take(sorted_negatives.indices, place)
    return torch.where(distance.isinf(), -1, negative), distance


def draw(order: Tensor, anchor: Tensor, first: Tensor, end: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one uniformly random image of order[anchor, first:end] for each anchor (P,); −1 where there is none."""
    count = end - first
    rank = (uniform(len(anchor), generator, anchor.device) * count).long().minimum(count - 1)
    chosen = take(order, anchor * len(order) + (first + rank).clamp(min=0))
    return torch.where(count > 0, chosen, -1)


def uniform(n: int, generator: torch.Generator, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw `n` numbers from [0, 1) where the generator is, so that they are the same on every device."""
    return torch.rand(n, generator=generator, dtype=dtype, device=generator.device).to(device)


def _sort_small(keys: Tensor, limit: int) -> Tensor:
    """Return the order that sorts each row of `keys` (R, N), int32 from 0 to limit − 1.

    All rows are sorted as one long row of integers: by radix sort, where there is one, several times faster.
    """
    n_rows, n_columns = keys.shape
    wide = torch.int32 if n_rows * limit < 2**31 else torch.int64
    offset = torch.arange(n_rows, dtype=wide, device=keys.device)[:, None]
    order = (keys + offset * limit).view(-1).sort(stable=True).indices.view(n_rows, n_columns)
    return order - offset * n_columns


def side_by_side(anchor: Tensor, values: Tensor, n_rows: int) -> tuple[Tensor, Tensor]:
    """Put the values (P, C) of each anchor (P,) side by side in its row of a table (B, W), padded with ∞.

    The anchors must ascend. Returns the table and the cells (P, C) where the values are, for `take`.

    Anchor 0 has two pairs, anchor 2 has one, and each pair has one value:

    >>> import torch
    >>> from siamese_triplet.selectors._ranks import side_by_side, take
    >>> table, cell = side_by_side(torch.tensor([0, 0, 2]), torch.tensor([[7.0], [8.0], [9.0]]), n_rows=3)
    >>> table
    tensor([[7., 8.],
            [inf, inf],
            [9., inf]])
    >>> take(table, cell).squeeze(1)
    tensor([7., 8., 9.])
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
    """Gather `table` at flat, row-major indices; the result has the shape of `cell`."""
    return table.reshape(-1).index_select(0, cell.view(-1)).view(cell.shape)
