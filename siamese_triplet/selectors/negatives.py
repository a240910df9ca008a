"""Triplet selectors that choose one negative for each positive pair, and their base class."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from siamese_triplet._original import NO_CPU, explains_misfit
from siamese_triplet._validation import check_margin
from siamese_triplet.distances import root
from siamese_triplet.selectors._ranks import anchors_and_positives, draw, rank_negatives, with_negatives
from siamese_triplet.selectors.base import TripletSelector

ALL_PAIRS = (
    "it is called once, with the (P, B) losses of all pairs, not once per pair with a vector as in the original. A "
    "function f of a vector works as lambda losses: torch.tensor([-1 if (n := f(row)) is None else int(n) for row in "
    "losses.cpu().numpy()], dtype=torch.int64)"
)


class NegativeTripletSelector(TripletSelector):
    """Base class of selectors that choose one negative per positive pair: a subclass defines `choose`.

    - `both_anchors`: see `AllTripletSelector`.
    - `squared=False`: `choose` sees plain distances, for a loss that has `squared=False` too.

    A subclass without a margin sets `both_anchors` in an `__init__` of its own.

    >>> import torch
    >>> from siamese_triplet import NegativeTripletSelector
    >>> class FarthestViolatingTripletSelector(NegativeTripletSelector):
    ...     def choose(self, distances, is_negative, anchor, positive):
    ...         reach = (distances[anchor, positive] + self.margin)[:, None]  # (P, 1)
    ...         rows = distances[anchor].masked_fill(~is_negative[anchor], -torch.inf)  # (P, B)
    ...         farthest = rows.masked_fill(rows >= reach, -torch.inf).max(dim=1)  # values, indices: (P,)
    ...         return torch.where(farthest.values.isfinite(), farthest.indices, -1)
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.3], [1.5]]), torch.tensor([0, 0, 1, 1])
    >>> FarthestViolatingTripletSelector(margin=1.0).get_triplets(embeddings, labels).tolist()
    [[0, 1, 2], [1, 0, 3], [2, 3, 1], [3, 2, 1]]
    """

    both_anchors: bool = True
    squared: bool = True

    def __init__(self, margin: float, both_anchors: bool = True, squared: bool = True) -> None:
        self.margin, self.both_anchors, self.squared = check_margin(margin), both_anchors, squared

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        distances = distances if self.squared else root(distances)
        anchor, positive = anchors_and_positives(is_positive, self.both_anchors)  # (P,), (P,)
        return with_negatives(anchor, positive, self.choose(distances, is_negative, anchor, positive))

    def choose(self, distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor) -> Tensor:
        """Choose a negative (P,) for each pair of `anchor` and `positive` (P,), −1 for none.

        `distances` and `is_negative` are (B, B), P may be 0; anchors ascend.
        """
        raise NotImplementedError(f"{type(self).__name__} must define choose (or select)")


class FunctionNegativeTripletSelector(NegativeTripletSelector):
    """Select the negative that a function of yours chooses for each positive pair: the extension point.

    `negative_selection_fn` is called once per batch with the (P, B) matrix of the triplet losses
    d²(anchor, positive) + margin − d²(anchor, image) of all P positive pairs with every image of the batch; it is −inf
    where the image is not a negative of the pair. It returns the chosen column of each pair, (P,) int64, or −1
    for none. Any other result, or a column that is not a negative, raises a ValueError. The matrix takes O(B²K)
    memory with K images per class; a `NegativeTripletSelector` of your own need not build it.

    `both_anchors`: see `AllTripletSelector`. With `squared=False` the losses are of plain distances.

    >>> import torch
    >>> from siamese_triplet import FunctionNegativeTripletSelector
    >>> def hardest(losses):
    ...     greatest, column = losses.max(dim=1)
    ...     return torch.where(greatest > 0, column, -1)
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> FunctionNegativeTripletSelector(1.0, hardest).get_triplets(embeddings, labels).tolist()
    [[1, 0, 2], [2, 3, 1]]
    """

    @explains_misfit(NO_CPU)
    def __init__(
        self,
        margin: float,
        negative_selection_fn: Callable[[Tensor], Tensor],
        *,
        both_anchors: bool = True,
        squared: bool = True,
    ) -> None:
        super().__init__(margin, both_anchors, squared)
        self.negative_selection_fn = negative_selection_fn

    def choose(self, distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor) -> Tensor:
        losses = distances[anchor, positive, None] + self.margin - distances.index_select(0, anchor)  # (P, B)
        losses.masked_fill_(~is_negative.index_select(0, anchor), -torch.inf)
        try:
            chosen = self.negative_selection_fn(losses)
        except Exception as error:
            if not _takes_one_row(self.negative_selection_fn, losses):
                raise
            raise ValueError(f"negative_selection_fn raised {type(error).__name__}: {error}; {ALL_PAIRS}") from error
        _check_chosen(chosen, losses, self.negative_selection_fn)
        return chosen.to(losses.device)


class HardestNegativeTripletSelector(NegativeTripletSelector):
    """Select the negative with the greatest loss for each positive pair, where that loss is > 0.

    The hardest negative of a pair is the negative nearest to its anchor; of several equally near, the first in the
    batch. `both_anchors`: see `AllTripletSelector`; `squared`: see `NegativeTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import HardestNegativeTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> HardestNegativeTripletSelector(margin=1.0).get_triplets(embeddings, labels).tolist()
    [[1, 0, 2], [2, 3, 1]]
    """

    @explains_misfit(NO_CPU)
    def __init__(self, margin: float, *, both_anchors: bool = True, squared: bool = True) -> None:
        super().__init__(margin, both_anchors, squared)

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        # In place of `choose`: the negative depends on the anchor alone, so only pairs with a loss are ever listed.
        distances = distances if self.squared else root(distances)
        nearest = distances.masked_fill(~is_negative, torch.inf).min(dim=1)  # values, indices: (B,)
        violates = is_positive & (distances + self.margin > nearest.values[:, None])  # (B, B)
        anchor, positive = anchors_and_positives(violates, self.both_anchors)  # (T,), (T,)
        return torch.stack([anchor, positive, nearest.indices.index_select(0, anchor)], dim=1)


class RandomNegativeTripletSelector(NegativeTripletSelector):
    """Select one uniformly random negative for each positive pair, among those with loss > 0.

    Drawn from `generator` (by default one of the selector's own, on the CPU, with seed 0): the same seed draws the same
    ranks on every device. `both_anchors`: see `AllTripletSelector`; `squared`: see `NegativeTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import RandomNegativeTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> triplets = RandomNegativeTripletSelector(margin=1.0).get_triplets(embeddings, labels)
    >>> triplets[:, :2].tolist()  # the negatives are random
    [[1, 0], [2, 3]]
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
        reach = distances[anchor, positive] + self.margin  # (P,)
        order, end = rank_negatives(distances, is_negative, anchor, reach[:, None])
        return draw(order, anchor, torch.zeros_like(anchor), end[:, 0], self.generator)


class UniformNegativeTripletSelector(NegativeTripletSelector):
    """Select one uniformly random negative for each positive pair, with a loss or without: triplets that are not mined.

    The control for mining: what another selector gains over this one, it gains by its choice of negatives. Drawn from
    `generator` (by default one of the selector's own, on the CPU, with seed 0): the same seed draws the same negatives
    on every device. `both_anchors`: see `AllTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import UniformNegativeTripletSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> triplets = UniformNegativeTripletSelector().get_triplets(embeddings, labels)
    >>> triplets[:, :2].tolist()  # the negatives are random
    [[0, 1], [1, 0], [2, 3], [3, 2]]
    """

    def __init__(self, *, both_anchors: bool = True, generator: torch.Generator | None = None) -> None:
        self.both_anchors = both_anchors
        self.generator = generator or torch.Generator().manual_seed(0)

    def choose(self, distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor) -> Tensor:
        order = is_negative.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices  # (B, B): negatives first
        return draw(order, anchor, torch.zeros_like(anchor), is_negative.sum(dim=1)[anchor], self.generator)


def _takes_one_row(function: Callable[[Any], Any], losses: Tensor) -> bool:
    """Tell whether `function` chooses a column from a vector, as the original's functions do."""
    try:
        column = function(losses[0].cpu().numpy())
        return column is None or operator.index(column) is not None
    except Exception:
        return False


def _check_chosen(chosen: Tensor, losses: Tensor, function: Callable[[Any], Any]) -> None:
    n_pairs, n_images = losses.shape
    if not isinstance(chosen, Tensor) or chosen.shape != (n_pairs,) or chosen.dtype != torch.int64:
        given = (
            f"{chosen.dtype} of shape {tuple(chosen.shape)}" if isinstance(chosen, Tensor) else type(chosen).__name__
        )
        raise ValueError(
            f"negative_selection_fn must return int64 of shape ({n_pairs},), one column per pair, got {given}"
            + (f"; {ALL_PAIRS}" if _takes_one_row(function, losses) else "")
        )
    chosen = chosen.to(losses.device)
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
