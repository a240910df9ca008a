"""The four definitions of "semi-hard" that circulate.

All look beyond the positive: at negatives n with d(anchor, n) > d(anchor, positive). Three of them end the band where
the loss ends, at d²(anchor, n) = d²(anchor, positive) + margin, and take a random negative of the band, its hardest,
or all of it. The fourth has no margin.
"""

import torch
from torch import Tensor

from siamese_triplet._original import NO_CPU, explains_misfit
from siamese_triplet._validation import check_margin
from siamese_triplet.distances import root
from siamese_triplet.selectors._ranks import all_ranked, anchors_and_positives, draw, nearest_beyond, rank_negatives
from siamese_triplet.selectors.base import TripletSelector
from siamese_triplet.selectors.negatives import NegativeTripletSelector


class SemihardNegativeTripletSelector(NegativeTripletSelector):
    """Select one uniformly random negative for each positive pair, among those with 0 < loss < margin.

    Such a negative is farther from the anchor than the positive, but by less than the margin (Schroff, Kalenichenko and
    Philbin, "FaceNet", 2015). Drawn from `generator` (by default one of the selector's own, on the CPU, with seed 0):
    the same seed draws the same ranks on every device. `both_anchors`: see `AllTripletSelector`; `squared`: see
    `NegativeTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import SemihardNegativeTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [0.5], [0.8], [0.9], [4.0]]), torch.tensor([0, 0, 1, 1, 1])
    >>> triplets = SemihardNegativeTripletSelector(margin=1.0).get_triplets(embeddings, labels)
    >>> triplets[:, :2].unique(dim=0).tolist()  # the negatives are random
    [[0, 1], [2, 3], [3, 2]]
    """

    @explains_misfit(NO_CPU)
    def __init__(
        self,
        margin: float,
        *,
        both_anchors: bool = True,
        generator: torch.Generator | None = None,
        squared: bool = True,
    ) -> None:
        super().__init__(margin, both_anchors, squared)
        self.generator = generator or torch.Generator().manual_seed(0)

    def choose(self, distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor) -> Tensor:
        order, first, end = _band(distances, is_negative, anchor, positive, self.margin)
        return draw(order, anchor, first, end, self.generator)


class AllSemihardTripletSelector(TripletSelector):
    """Select all triplets with 0 < loss < margin, as the miners of pytorch-metric-learning read FaceNet (Schroff and
    others, 2015).

    `both_anchors`: see `AllTripletSelector`; `squared`: see `NegativeTripletSelector`.

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


class HardestSemihardTripletSelector(NegativeTripletSelector):
    """Select the nearest negative beyond the positive of each pair, where 0 < loss < margin: the usual reading of
    FaceNet.

    Of equally near negatives the first in the batch is taken (Schroff, Kalenichenko and Philbin, 2015).
    `both_anchors`: see `AllTripletSelector`; `squared`: see `NegativeTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import HardestSemihardTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [0.5], [0.8], [0.9], [4.0]]), torch.tensor([0, 0, 1, 1, 1])
    >>> HardestSemihardTripletSelector(margin=1.0, both_anchors=False).get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [2, 3, 1]]
    """

    def choose(self, distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor) -> Tensor:
        negative, distance = nearest_beyond(distances, is_negative, anchor, positive)  # (P,), (P,)
        violates = distances[anchor, positive] + self.margin > distance
        return torch.where(violates, negative, -1)


class NearestBeyondPositiveTripletSelector(NegativeTripletSelector):
    """Select the nearest negative beyond the positive of each pair or, if there is none, the farthest negative.

    TensorFlow Addons' `TripletSemiHardLoss` and sentence-transformers' `BatchSemiHardTripletLoss` call this semi-hard.
    It has no margin: triplets without a loss are among them. Of equally near negatives the first in the batch is taken,
    of equally far ones too. `both_anchors`: see `AllTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import NearestBeyondPositiveTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [0.5], [0.8], [0.9], [4.0]]), torch.tensor([0, 0, 1, 1, 1])
    >>> NearestBeyondPositiveTripletSelector(both_anchors=False).get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [2, 3, 1], [2, 4, 0], [3, 4, 0]]
    """

    def __init__(self, both_anchors: bool = True) -> None:
        self.both_anchors = both_anchors

    def choose(self, distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor) -> Tensor:
        nearest, _ = nearest_beyond(distances, is_negative, anchor, positive)  # (P,), −1 for none
        farthest = distances.masked_fill(~is_negative, -torch.inf).argmax(dim=1)  # (B,)
        farthest = torch.where(is_negative.any(dim=1), farthest, -1)[anchor]
        return torch.where(nearest >= 0, nearest, farthest)


def _band(
    distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor, margin: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Rank the images of each row, `order` (B, B); a pair's semi-hard negatives are at first (P,) to end − 1 (P,)."""
    inner = distances[anchor, positive]  # (P,)
    beyond = torch.nextafter(inner, torch.full_like(inner, torch.inf))  # n is farther than p where d(a, n) ≥ this
    order, counts = rank_negatives(distances, is_negative, anchor, torch.stack([beyond, inner + margin], dim=1))
    return order, counts[:, 0], counts[:, 1]
