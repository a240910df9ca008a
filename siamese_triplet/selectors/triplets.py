"""Triplet selectors that go by the anchor: all triplets, or one triplet per image."""

import torch
from torch import Tensor

from siamese_triplet.selectors._ranks import all_ranked, anchors_and_positives
from siamese_triplet.selectors.base import TripletSelector


class AllTripletSelector(TripletSelector):
    """Select all valid triplets.

    With `both_anchors`, the field's convention, either image of a positive pair is an anchor; without, only the one
    that comes first in the batch. For their loss alone, `BatchAllTripletLoss` lists no triplets.

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
    """Select the farthest positive and the nearest negative of every image (Hermans, Beyer and Leibe, 2017).

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
    """Select the nearest positive of every image, so that a class need not become one cluster (Xuan, Stylianou and
    Pless, 2020).

    - `semihard=True` (the paper's EPSHN) adds the nearest negative beyond that positive; an image without one is no
      anchor.
    - `semihard=False` (EPHN) adds the nearest negative of all.

    Triplets without a loss are among them. Of equally near images the first in the batch is taken.

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
