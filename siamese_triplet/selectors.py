"""Which pairs and triplets of a batch to learn from.

A selector is one method, `select`: it sees the batch's squared distances and its positive and negative pairs, as (B, B)
matrices, and returns indices. `get_pairs` and `get_triplets` check the input and prepare those matrices; the online
losses, which have them already, hand them over with `pairs_of` and `triplets_of`.

Everything runs on the embeddings' device, without gradients. How many pairs or triplets there are depends on the
data, so each selection costs a device-host sync (every `nonzero`). An empty selection is an empty tensor, never
an arbitrary pair.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.distances import check_batch, check_margin, pair_masks, pairwise_distances


class PairSelector:
    """Base class of pair selectors: a subclass defines `select`."""

    @torch.no_grad()
    def get_pairs(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs to learn from in a batch of `embeddings` (B, D) with integer `labels` (B,).

        Returns `positive_pairs` (P, 2) and `negative_pairs` (N, 2): int64 indices into the batch, on the embeddings'
        device; a batch without such pairs gives (0, 2). Raises ValueError for embeddings that are not a finite
        (B, D) matrix and for labels that are not B integers.
        """
        check_batch(embeddings, labels)
        return self.select(pairwise_distances(embeddings), *pair_masks(labels))

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
        """Choose pairs from squared `distances` and two boolean masks, all (B, B) and symmetric."""
        raise NotImplementedError(f"{type(self).__name__} must define select (or get_pairs)")


class AllPositivePairSelector(PairSelector):
    """All positive pairs; all negative pairs or, with `balance`, at most as many random ones as there are positives.

    Pairs are unordered: each is listed once. The random choice is uniform and drawn from `generator`
    (a CPU generator; by default one of the selector's own with seed 0).
    """

    def __init__(self, balance: bool = True, generator: torch.Generator | None = None) -> None:
        self.balance = balance
        self.generator = generator or torch.Generator().manual_seed(0)

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
        positive_pairs, negative_pairs = _unordered(is_positive), _unordered(is_negative)
        if self.balance and len(negative_pairs) > len(positive_pairs):
            order = torch.randperm(len(negative_pairs), generator=self.generator)[: len(positive_pairs)]
            negative_pairs = negative_pairs[order.to(negative_pairs.device)]
        return positive_pairs, negative_pairs


class HardNegativePairSelector(PairSelector):
    """All positive pairs and the closest negative pairs: as many as positives, or all of them when there are fewer."""

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
        positive_pairs, negative_pairs = _unordered(is_positive), _unordered(is_negative)
        n_negatives = min(len(positive_pairs), len(negative_pairs))
        closest = distances[tuple(negative_pairs.T)].topk(n_negatives, largest=False, sorted=False).indices
        return positive_pairs, negative_pairs[closest]


class TripletSelector:
    """Base class of triplet selectors: a subclass defines `select`."""

    @torch.no_grad()
    def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Triplets to learn from in a batch of `embeddings` (B, D) with integer `labels` (B,).

        Returns int64 indices (T, 3) into the batch, on the embeddings' device: anchor, positive, negative. A batch
        without such triplets gives (0, 3). Raises ValueError for embeddings that are not a finite (B, D) matrix
        and for labels that are not B integers.
        """
        check_batch(embeddings, labels)
        return self.select(pairwise_distances(embeddings), *pair_masks(labels))

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        """Choose triplets from squared `distances` and two boolean masks, all (B, B) and symmetric."""
        raise NotImplementedError(f"{type(self).__name__} must define select (or get_triplets)")


class AllTripletSelector(TripletSelector):
    """All valid triplets.

    With `both_anchors`, the field's convention, a positive pair gives triplets with either of its images as the
    anchor; without, only with the one that comes first in the batch.
    """

    def __init__(self, both_anchors: bool = True) -> None:
        self.both_anchors = both_anchors

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        positive_pairs = _anchor_positive_pairs(is_positive, self.both_anchors)  # (P, 2)
        pair, negative = is_negative[positive_pairs[:, 0]].nonzero(as_tuple=True)  # (T,), (T,)
        return torch.cat([positive_pairs[pair], negative[:, None]], dim=1)


class FunctionNegativeTripletSelector(TripletSelector):
    """One negative per positive pair, chosen by a function of yours: the extension point.

    `negative_selection_fn` is called once per batch with the (P, B) matrix of the triplet losses
    d²(anchor, positive) − d²(anchor, image) + margin of all P positive pairs with every image of the batch; it is −inf
    where the image is not a negative of the pair. It returns the chosen column of each pair, (P,) int64, or −1
    for none. Anything else, or a column that is not a negative, raises a ValueError.

    `both_anchors`: see `AllTripletSelector`.
    """

    def __init__(
        self, margin: float, negative_selection_fn: Callable[[Tensor], Tensor], both_anchors: bool = True
    ) -> None:
        self.margin = check_margin(margin)
        self.negative_selection_fn = negative_selection_fn
        self.both_anchors = both_anchors

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        positive_pairs = _anchor_positive_pairs(is_positive, self.both_anchors)  # (P, 2)
        losses = _pair_losses(positive_pairs, distances, is_negative, self.margin)  # (P, B)
        if not losses.shape[1]:  # a function may rightly expect at least one column
            return positive_pairs.new_empty(0, 3)
        chosen = self.negative_selection_fn(losses)
        _check_chosen(chosen, losses)
        return _with_negatives(positive_pairs, chosen)


class HardestNegativeTripletSelector(TripletSelector):
    """Per positive pair the negative with the greatest loss, where that loss is > 0.

    The hardest negative of a pair is the negative nearest to its anchor; of several equally near, the first in the
    batch. `both_anchors`: see `AllTripletSelector`.
    """

    def __init__(self, margin: float, both_anchors: bool = True) -> None:
        self.margin = check_margin(margin)
        self.both_anchors = both_anchors

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        positive_pairs = _anchor_positive_pairs(is_positive, self.both_anchors)  # (P, 2)
        if not len(positive_pairs):
            return positive_pairs.new_empty(0, 3)
        anchor, positive = positive_pairs.T
        nearest = distances.masked_fill(~is_negative, torch.inf).min(dim=1)  # values, indices: (B,)
        violates = distances[anchor, positive] - nearest.values[anchor] + self.margin > 0
        return _with_negatives(positive_pairs, torch.where(violates, nearest.indices[anchor], -1))


class RandomNegativeTripletSelector(TripletSelector):
    """Per positive pair one uniformly random negative among those with loss > 0.

    Drawn from `generator` (a CPU generator; by default one of the selector's own with seed 0).
    `both_anchors`: see `AllTripletSelector`.
    """

    def __init__(self, margin: float, both_anchors: bool = True, generator: torch.Generator | None = None) -> None:
        self.margin = check_margin(margin)
        self.both_anchors = both_anchors
        self.generator = generator or torch.Generator().manual_seed(0)

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        positive_pairs = _anchor_positive_pairs(is_positive, self.both_anchors)  # (P, 2)
        losses = _pair_losses(positive_pairs, distances, is_negative, self.margin)  # (P, B)
        return _with_negatives(positive_pairs, _random_column(losses > 0, self.generator))


class SemihardNegativeTripletSelector(TripletSelector):
    """Per positive pair one uniformly random negative among those with 0 < loss < margin.

    Such a negative is farther from the anchor than the positive, but by less than the margin (Schroff, Kalenichenko and
    Philbin, "FaceNet", 2015). Drawn from `generator` (a CPU generator; by default one of the selector's own with
    seed 0). `both_anchors`: see `AllTripletSelector`.
    """

    def __init__(self, margin: float, both_anchors: bool = True, generator: torch.Generator | None = None) -> None:
        self.margin = check_margin(margin)
        self.both_anchors = both_anchors
        self.generator = generator or torch.Generator().manual_seed(0)

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        positive_pairs = _anchor_positive_pairs(is_positive, self.both_anchors)  # (P, 2)
        losses = _pair_losses(positive_pairs, distances, is_negative, self.margin)  # (P, B)
        semihard = (losses > 0) & (losses < self.margin)
        return _with_negatives(positive_pairs, _random_column(semihard, self.generator))


def pairs_of(selector: PairSelector, embeddings: Tensor, labels: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
    """The selector's pairs of a batch whose squared `distances` (B, B) are known already: they are not computed again.

    A selector with a `get_pairs` of its own is asked through it.
    """
    if getattr(type(selector), "get_pairs", None) is not PairSelector.get_pairs:
        return selector.get_pairs(embeddings.detach(), labels)
    with torch.no_grad():
        return selector.select(distances.detach(), *pair_masks(labels))


def triplets_of(selector: TripletSelector, embeddings: Tensor, labels: Tensor, distances: Tensor) -> Tensor:
    """The selector's triplets of a batch whose squared `distances` (B, B) are known already; see `pairs_of`."""
    if getattr(type(selector), "get_triplets", None) is not TripletSelector.get_triplets:
        return selector.get_triplets(embeddings.detach(), labels)
    with torch.no_grad():
        return selector.select(distances.detach(), *pair_masks(labels))


def _unordered(mask: Tensor) -> Tensor:
    return mask.triu(diagonal=1).nonzero()  # (P, 2), a sync


def _anchor_positive_pairs(is_positive: Tensor, both_anchors: bool) -> Tensor:
    return is_positive.nonzero() if both_anchors else _unordered(is_positive)  # (P, 2), a sync


def _pair_losses(positive_pairs: Tensor, distances: Tensor, is_negative: Tensor, margin: float) -> Tensor:
    anchor, positive = positive_pairs.T
    losses = distances[anchor, positive, None] - distances[anchor] + margin  # (P, B)
    return losses.masked_fill(~is_negative[anchor], -torch.inf)


def _random_column(candidates: Tensor, generator: torch.Generator) -> Tensor:
    """A uniformly random True column of each row of `candidates` (P, B), −1 where there is none."""
    if not candidates.numel():
        return candidates.new_full((len(candidates),), -1, dtype=torch.int64)
    rank_of = candidates.cumsum(dim=1, dtype=torch.int32)  # (P, B)
    count = rank_of[:, -1]
    uniform = torch.rand(len(candidates), generator=generator).to(candidates.device)
    rank = ((uniform * count).int() + 1).minimum(count)  # 1 … count, even where the product was rounded up
    column = torch.searchsorted(rank_of, rank[:, None]).squeeze(1)  # the first column with that rank
    return torch.where(count > 0, column, -1)


def _with_negatives(positive_pairs: Tensor, chosen: Tensor) -> Tensor:
    found = chosen >= 0
    return torch.cat([positive_pairs[found], chosen[found, None]], dim=1)  # (T, 3), a sync


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
