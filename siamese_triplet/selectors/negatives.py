"""Triplet selectors that go by the positive pair and choose one negative for it."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet._validation import check_margin
from siamese_triplet.distances import root
from siamese_triplet.selectors._ranks import draw, rank_negatives
from siamese_triplet.selectors.base import TripletSelector
from siamese_triplet.selectors.triplets import anchors_and_positives, with_negatives


class FunctionNegativeTripletSelector(TripletSelector):
    """One negative per positive pair, chosen by a function of yours: the extension point.

    `negative_selection_fn` is called once per batch with the (P, B) matrix of the triplet losses
    d²(anchor, positive) + margin − d²(anchor, image) of all P positive pairs with every image of the batch; it is −inf
    where the image is not a negative of the pair. It returns the chosen column of each pair, (P,) int64, or −1
    for none. Anything else, or a column that is not a negative, raises a ValueError. This matrix takes O(B²K) memory,
    where K is the number of images of a class; a `TripletSelector` of your own need not build it.

    With `squared` False the losses are of plain distances, for a loss that has `squared=False` too.
    `both_anchors`: see `AllTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import FunctionNegativeTripletSelector
    >>> def hardest(losses):
    ...     greatest, column = losses.max(dim=1)
    ...     return torch.where(greatest > 0, column, -1)
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> FunctionNegativeTripletSelector(1.0, hardest).get_triplets(embeddings, labels).tolist()
    [[1, 0, 2], [2, 3, 1]]
    """

    def __init__(
        self,
        margin: float,
        negative_selection_fn: Callable[[Tensor], Tensor],
        both_anchors: bool = True,
        squared: bool = True,
    ) -> None:
        self.margin, self.both_anchors, self.squared = check_margin(margin), both_anchors, squared
        self.negative_selection_fn = negative_selection_fn

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        distances = distances if self.squared else root(distances)
        anchor, positive = anchors_and_positives(is_positive, self.both_anchors)  # (P,), (P,)
        losses = distances[anchor, positive, None] + self.margin - distances.index_select(0, anchor)  # (P, B)
        losses.masked_fill_(~is_negative.index_select(0, anchor), -torch.inf)
        chosen = self.negative_selection_fn(losses)
        _check_chosen(chosen, losses)
        return with_negatives(anchor, positive, chosen)


class HardestNegativeTripletSelector(TripletSelector):
    """Per positive pair the negative with the greatest loss, where that loss is > 0.

    The hardest negative of a pair is the negative nearest to its anchor; of several equally near, the first in the
    batch. `both_anchors`: see `AllTripletSelector`; `squared`: see `FunctionNegativeTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import HardestNegativeTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> HardestNegativeTripletSelector(margin=1.0).get_triplets(embeddings, labels).tolist()
    [[1, 0, 2], [2, 3, 1]]
    """

    def __init__(self, margin: float, both_anchors: bool = True, squared: bool = True) -> None:
        self.margin, self.both_anchors, self.squared = check_margin(margin), both_anchors, squared

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        distances = distances if self.squared else root(distances)
        nearest = distances.masked_fill(~is_negative, torch.inf).min(dim=1)  # values, indices: (B,)
        violates = is_positive & (distances + self.margin > nearest.values[:, None])  # (B, B)
        anchor, positive = anchors_and_positives(violates, self.both_anchors)  # (T,), (T,)
        return torch.stack([anchor, positive, nearest.indices.index_select(0, anchor)], dim=1)


class RandomNegativeTripletSelector(TripletSelector):
    """Per positive pair one uniformly random negative among those with loss > 0.

    Drawn from `generator` (by default one of the selector's own, on the CPU, with seed 0): the same seed draws the same
    ranks on every device. `both_anchors`: see `AllTripletSelector`; `squared`: see `FunctionNegativeTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import RandomNegativeTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> triplets = RandomNegativeTripletSelector(margin=1.0).get_triplets(embeddings, labels)
    >>> triplets[:, :2].tolist()  # the negatives are random
    [[1, 0], [2, 3]]
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
        reach = distances[anchor, positive] + self.margin  # (P,)
        order, end = rank_negatives(distances, is_negative, anchor, reach[:, None])
        chosen = draw(order, anchor, torch.zeros_like(anchor), end[:, 0], self.generator)
        return with_negatives(anchor, positive, chosen)


def _check_chosen(chosen: Tensor, losses: Tensor) -> None:
    n_pairs, n_images = losses.shape
    if not isinstance(chosen, Tensor) or chosen.shape != (n_pairs,) or chosen.dtype != torch.int64:
        given = (
            f"{chosen.dtype} of shape {tuple(chosen.shape)}" if isinstance(chosen, Tensor) else type(chosen).__name__
        )
        raise ValueError(
            f"negative_selection_fn must return int64 of shape ({n_pairs},), one column a pair, got {given}"
        )
    if not n_pairs:
        return
    if chosen.min() < -1 or chosen.max() >= n_images:  # a sync
        raise ValueError(
            f"negative_selection_fn returned columns from {chosen.min()} to {chosen.max()}; "
            f"a column is 0 to {n_images - 1}, or −1 for no negative"
        )
    wrong = (chosen >= 0) & losses.gather(1, chosen.clamp(min=0)[:, None]).squeeze(1).isneginf()
    if wrong.any():
        pair = int(wrong.nonzero()[0])
        raise ValueError(
            f"negative_selection_fn chose column {int(chosen[pair])} for pair {pair}, which is not a negative of it "
            "(its loss is −inf); return −1 where a pair has no suitable negative"
        )
