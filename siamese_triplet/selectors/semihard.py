"""The four definitions of "semi-hard" that circulate.

All look beyond the positive: at negatives n with d(anchor, n) > d(anchor, positive). Three of them end the band where
the loss ends, at d²(anchor, n) = d²(anchor, positive) + margin, and take a random one of it, its hardest, or all; the
fourth knows no margin.
"""

import torch
from torch import Tensor

from siamese_triplet._validation import check_margin
from siamese_triplet.distances import root
from siamese_triplet.selectors._ranks import draw, nearest_beyond, rank_negatives
from siamese_triplet.selectors.base import TripletSelector
from siamese_triplet.selectors.triplets import all_ranked, anchors_and_positives, with_negatives


class SemihardNegativeTripletSelector(TripletSelector):
    """Per positive pair one uniformly random negative among those with 0 < loss < margin.

    Such a negative is farther from the anchor than the positive, but by less than the margin (Schroff, Kalenichenko and
    Philbin, "FaceNet", 2015). Drawn from `generator` (by default one of the selector's own, on the CPU, with seed 0):
    the same seed draws the same ranks on every device. `both_anchors`: see `AllTripletSelector`; `squared`: see
    `FunctionNegativeTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import SemihardNegativeTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [0.5], [0.8], [0.9], [4.0]]), torch.tensor([0, 0, 1, 1, 1])
    >>> triplets = SemihardNegativeTripletSelector(margin=1.0).get_triplets(embeddings, labels)
    >>> triplets[:, :2].unique(dim=0).tolist()  # the negatives are random
    [[0, 1], [2, 3], [3, 2]]
    """

    def __init__(
        self,
        margin: float,
        both_anchors: bool = True,
        generator: torch.Generator | None = None,
        squared: bool = True,
    ) -> None:
        self.margin, self.both_anchors, self.squared = check_margin(margin), both_anchors, squared
        self.generator = generator or torch.Generator().manual_seed(0)

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        distances = distances if self.squared else root(distances)
        anchor, positive = anchors_and_positives(is_positive, self.both_anchors)  # (P,), (P,)
        order, first, end = _band(distances, is_negative, anchor, positive, self.margin)
        return with_negatives(anchor, positive, draw(order, anchor, first, end, self.generator))


class AllSemihardTripletSelector(TripletSelector):
    """All triplets with 0 < loss < margin, as the miners of pytorch-metric-learning read FaceNet (Schroff and others,
    2015).

    `both_anchors`: see `AllTripletSelector`; `squared`: see `FunctionNegativeTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import AllSemihardTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [0.5], [0.8], [0.9], [4.0]]), torch.tensor([0, 0, 1, 1, 1])
    >>> AllSemihardTripletSelector(margin=1.0, both_anchors=False).get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [0, 1, 3], [2, 3, 0], [2, 3, 1]]
    """

    def __init__(self, margin: float, both_anchors: bool = True, squared: bool = True) -> None:
        self.margin, self.both_anchors, self.squared = check_margin(margin), both_anchors, squared

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        distances = distances if self.squared else root(distances)
        anchor, positive = anchors_and_positives(is_positive, self.both_anchors)  # (P,), (P,)
        order, first, end = _band(distances, is_negative, anchor, positive, self.margin)
        return all_ranked(anchor, positive, order, first, (end - first).clamp(min=0))


class HardestSemihardTripletSelector(TripletSelector):
    """Per positive pair the nearest negative beyond the positive, where 0 < loss < margin: FaceNet as it is mostly
    read.

    Of equally near negatives the first in the batch is taken (Schroff, Kalenichenko and Philbin, 2015).
    `both_anchors`: see `AllTripletSelector`; `squared`: see `FunctionNegativeTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import HardestSemihardTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [0.5], [0.8], [0.9], [4.0]]), torch.tensor([0, 0, 1, 1, 1])
    >>> HardestSemihardTripletSelector(margin=1.0, both_anchors=False).get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [2, 3, 1]]
    """

    def __init__(self, margin: float, both_anchors: bool = True, squared: bool = True) -> None:
        self.margin, self.both_anchors, self.squared = check_margin(margin), both_anchors, squared

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        distances = distances if self.squared else root(distances)
        anchor, positive = anchors_and_positives(is_positive, self.both_anchors)  # (P,), (P,)
        negative, distance = nearest_beyond(distances, is_negative, anchor, positive)  # (P,), (P,)
        violates = distances[anchor, positive] + self.margin > distance
        return with_negatives(anchor, positive, torch.where(violates, negative, -1))


class NearestBeyondPositiveTripletSelector(TripletSelector):
    """Per positive pair the nearest negative beyond the positive or, where none is, the farthest negative.

    This is what TensorFlow Addons' `TripletSemiHardLoss` and sentence-transformers' `BatchSemiHardTripletLoss` call
    semi-hard. It knows no margin: triplets without a loss are among them. Of equally near negatives the first in the
    batch is taken, of equally far ones too. `both_anchors`: see `AllTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import NearestBeyondPositiveTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [0.5], [0.8], [0.9], [4.0]]), torch.tensor([0, 0, 1, 1, 1])
    >>> NearestBeyondPositiveTripletSelector(both_anchors=False).get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [2, 3, 1], [2, 4, 0], [3, 4, 0]]
    """

    def __init__(self, both_anchors: bool = True) -> None:
        self.both_anchors = both_anchors

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        anchor, positive = anchors_and_positives(is_positive, self.both_anchors)  # (P,), (P,)
        nearest, _ = nearest_beyond(distances, is_negative, anchor, positive)  # (P,), −1 for none
        farthest = distances.masked_fill(~is_negative, -torch.inf).argmax(dim=1)  # (B,)
        farthest = torch.where(is_negative.any(dim=1), farthest, -1)[anchor]
        return with_negatives(anchor, positive, torch.where(nearest >= 0, nearest, farthest))


def _band(
    distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor, margin: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The images `order` (B, B) of each row, and from where to where, (P,) and (P,), the semi-hard ones of a pair
    stand."""
    inner = distances[anchor, positive]  # (P,)
    beyond = torch.nextafter(inner, torch.full_like(inner, torch.inf))  # n is farther than p where d(a, n) ≥ this
    order, counts = rank_negatives(distances, is_negative, anchor, torch.stack([beyond, inner + margin], dim=1))
    return order, counts[:, 0], counts[:, 1]
