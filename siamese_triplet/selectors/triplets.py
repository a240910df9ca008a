"""Triplet selectors that go by the anchor: all triplets, or one for every image."""

import torch
from torch import Tensor

from siamese_triplet._sorting import ranges
from siamese_triplet.selectors.base import TripletSelector


class AllTripletSelector(TripletSelector):
    """All valid triplets.

    With `both_anchors`, the field's convention, a positive pair gives triplets with either of its images as the
    anchor; without, only with the one that comes first in the batch. For their loss alone, `BatchAllTripletLoss`
    does without listing them.

    >>> import torch
    >>> from siamese_triplet import AllTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> AllTripletSelector(both_anchors=False).get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [0, 1, 3], [2, 3, 0], [2, 3, 1]]
    >>> len(AllTripletSelector().get_triplets(embeddings, labels))
    8
    """

    def __init__(self, both_anchors: bool = True) -> None:
        self.both_anchors = both_anchors

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        anchor, positive = anchors_and_positives(is_positive, self.both_anchors)  # (P,), (P,)
        order = is_negative.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices  # (B, B): negatives first
        n_negatives = is_negative.sum(dim=1)[anchor]  # (P,)
        return all_ranked(anchor, positive, order, torch.zeros_like(anchor), n_negatives)


class BatchHardTripletSelector(TripletSelector):
    """The farthest positive and the nearest negative of every image (Hermans, Beyer and Leibe, 2017).

    Triplets without a loss are among them. Of equally far images the first in the batch is taken.

    >>> import torch
    >>> from siamese_triplet import BatchHardTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> BatchHardTripletSelector().get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [1, 0, 2], [2, 3, 1], [3, 2, 1]]
    """

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        positive = distances.masked_fill(~is_positive, -torch.inf).max(dim=1)  # values, indices: (B,)
        negative = distances.masked_fill(~is_negative, torch.inf).min(dim=1)  # values, indices: (B,)
        anchors = (positive.values.isfinite() & negative.values.isfinite()).nonzero().squeeze(1)  # (T,), a sync
        return torch.stack([anchors, positive.indices[anchors], negative.indices[anchors]], dim=1)


class EasyPositiveTripletSelector(TripletSelector):
    """The nearest positive of every image (Xuan, Stylianou and Pless, 2020), so that a class need not become one
    cluster.

    With it goes, with `semihard` (the paper's EPSHN), the nearest of the negatives farther than this positive; an
    image without such a negative is no anchor. Without `semihard` (EPHN) it is the nearest negative of all. Triplets
    without a loss are among them. Of equally near images the first in the batch is taken.

    >>> import torch
    >>> from siamese_triplet import EasyPositiveTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> EasyPositiveTripletSelector().get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [1, 0, 3], [3, 2, 1]]
    >>> EasyPositiveTripletSelector(semihard=False).get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [1, 0, 2], [2, 3, 1], [3, 2, 1]]
    """

    def __init__(self, semihard: bool = True) -> None:
        self.semihard = semihard

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        positive = distances.masked_fill(~is_positive, torch.inf).min(dim=1)  # values, indices: (B,)
        is_eligible = is_negative
        if self.semihard:
            is_eligible = is_negative & (distances > positive.values[:, None])
        negative = distances.masked_fill(~is_eligible, torch.inf).min(dim=1)  # values, indices: (B,)
        anchors = (positive.values.isfinite() & negative.values.isfinite()).nonzero().squeeze(1)  # (T,), a sync
        return torch.stack([anchors, positive.indices[anchors], negative.indices[anchors]], dim=1)


def anchors_and_positives(is_positive: Tensor, both_anchors: bool) -> tuple[Tensor, Tensor]:
    """The positive pairs as anchors, which ascend, and positives, both (P,); with `both_anchors` in both orders."""
    anchor, positive = (is_positive if both_anchors else is_positive.triu(diagonal=1)).nonzero(as_tuple=True)  # a sync
    return anchor, positive


def with_negatives(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """The triplets (T, 3) of anchors, positives and negatives (P,), without those where the negative is −1."""
    found = (negative >= 0).nonzero().squeeze(1)  # a sync
    return torch.stack([column.index_select(0, found) for column in (anchor, positive, negative)], dim=1)


def all_ranked(anchor: Tensor, positive: Tensor, order: Tensor, first: Tensor, count: Tensor) -> Tensor:
    """The triplets (T, 3) of every pair (P,) with each of the `count` (P,) images of order[anchor] from `first` (P,)
    on."""
    pair, rank = ranges(first, count)  # (T,), (T,)
    negative = order.view(-1).index_select(0, (anchor * len(order)).index_select(0, pair) + rank)
    return torch.stack([anchor.index_select(0, pair), positive.index_select(0, pair), negative], dim=1)
