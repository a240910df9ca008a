"""Base classes of the selectors, and the functions through which the losses call them.

A selector is one method, `select`: it sees the batch's squared distances and its positive and negative pairs, as (B, B)
matrices, and returns indices. `get_pairs` and `get_triplets` check the input and prepare those matrices; the online
losses, which have them already, hand them over with `pairs_of` and `triplets_of`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet._validation import check_batch
from siamese_triplet.distances import pair_masks, pairwise_distances


class PairSelector:
    """Base class of pair selectors: a subclass defines `select`.

    >>> import torch
    >>> from siamese_triplet import PairSelector
    >>> class EveryPair(PairSelector):
    ...     def select(self, distances, is_positive, is_negative):
    ...         return is_positive.triu(1).nonzero(), is_negative.triu(1).nonzero()
    >>> EveryPair().get_pairs(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]))
    (tensor([[0, 1]]), tensor([[0, 2],
            [1, 2]]))
    """

    @torch.no_grad()
    def get_pairs(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Select pairs to learn from in a batch of `embeddings` (B, D) with integer `labels` (B,).

        Returns `positive_pairs` (P, 2) and `negative_pairs` (N, 2): int64 indices into the batch, on the embeddings'
        device; a batch without such pairs gives (0, 2). Raises ValueError for embeddings that are not a finite
        (B, D) matrix and for labels that are not B integers.
        """
        check_batch(embeddings, labels)
        return _select_pairs(self, lambda: pairwise_distances(embeddings), labels)

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
        """Choose pairs from squared `distances` and two boolean masks, all (B, B) with B ≥ 1."""
        raise NotImplementedError(f"{type(self).__name__} must define select (or get_pairs)")

    def select_by_labels(self, labels: Tensor) -> tuple[Tensor, Tensor] | None:
        """Choose pairs from `labels` (B,) alone, without any distance; None to have `select` choose."""
        return None


class TripletSelector:
    """Base class of triplet selectors: a subclass defines `select`.

    >>> import torch
    >>> from siamese_triplet import TripletSelector
    >>> class NearestOfEach(TripletSelector):
    ...     def select(self, distances, is_positive, is_negative):
    ...         positive = distances.masked_fill(~is_positive, torch.inf).argmin(dim=1)
    ...         negative = distances.masked_fill(~is_negative, torch.inf).argmin(dim=1)
    ...         anchor = (is_positive.any(dim=1) & is_negative.any(dim=1)).nonzero().squeeze(1)
    ...         return torch.stack([anchor, positive[anchor], negative[anchor]], dim=1)
    >>> NearestOfEach().get_triplets(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])).tolist()
    [[0, 1, 2], [1, 0, 2]]
    """

    @torch.no_grad()
    def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Select triplets to learn from in a batch of `embeddings` (B, D) with integer `labels` (B,).

        Returns int64 indices (T, 3) into the batch, on the embeddings' device: anchor, positive, negative. A batch
        without such triplets gives (0, 3). Raises ValueError for embeddings that are not a finite (B, D) matrix
        and for labels that are not B integers.
        """
        check_batch(embeddings, labels)
        return _select_triplets(self, pairwise_distances(embeddings), labels)

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        """Choose triplets from squared `distances` and two boolean masks, all (B, B) with B ≥ 1."""
        raise NotImplementedError(f"{type(self).__name__} must define select (or get_triplets)")


def pairs_of(selector: PairSelector, embeddings: Tensor, labels: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
    """Select pairs of a checked batch whose squared `distances` (B, B) are known already.

    A selector with a `get_pairs` of its own is called through that. Indices on another device are moved.
    """
    if getattr(type(selector), "get_pairs", None) is not PairSelector.get_pairs:
        positive_pairs, negative_pairs = selector.get_pairs(embeddings.detach(), labels)
        return _check_pairs(selector, positive_pairs, negative_pairs, distances.device)
    with torch.no_grad():
        return _select_pairs(selector, distances.detach, labels)


def triplets_of(selector: TripletSelector, embeddings: Tensor, labels: Tensor, distances: Tensor) -> Tensor:
    """Select triplets of a checked batch whose squared `distances` (B, B) are known already; see `pairs_of`."""
    if getattr(type(selector), "get_triplets", None) is not TripletSelector.get_triplets:
        triplets = selector.get_triplets(embeddings.detach(), labels)
        return check_indices(selector, triplets, 3, distances.device)
    with torch.no_grad():
        return _select_triplets(selector, distances.detach(), labels)


def _select_pairs(selector: PairSelector, distances: Callable[[], Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
    if not len(labels):
        return _no_indices(labels, 2), _no_indices(labels, 2)
    pairs = selector.select_by_labels(labels)
    positive_pairs, negative_pairs = selector.select(distances(), *pair_masks(labels)) if pairs is None else pairs
    return _check_pairs(selector, positive_pairs, negative_pairs, labels.device)


def _select_triplets(selector: TripletSelector, distances: Tensor, labels: Tensor) -> Tensor:
    if not len(labels):
        return _no_indices(distances, 3)
    return check_indices(selector, selector.select(distances, *pair_masks(labels)), 3, distances.device)


def _no_indices(like: Tensor, width: int) -> Tensor:
    return torch.empty(0, width, dtype=torch.int64, device=like.device)


def _check_pairs(
    selector: PairSelector, positive_pairs: Tensor, negative_pairs: Tensor, device: torch.device
) -> tuple[Tensor, Tensor]:
    return check_indices(selector, positive_pairs, 2, device), check_indices(selector, negative_pairs, 2, device)


def check_indices(
    selector: PairSelector | TripletSelector, indices: Tensor, width: int, device: torch.device
) -> Tensor:
    """Return the `indices` that a selector chose, on `device`; a ValueError if they are not (number, width) int64."""
    if not isinstance(indices, Tensor) or indices.shape[1:] != (width,) or indices.dtype != torch.int64:
        is_tensor = isinstance(indices, Tensor)
        given = f"{indices.dtype} of shape {tuple(indices.shape)}" if is_tensor else type(indices).__name__
        raise ValueError(f"{type(selector).__name__} must return int64 indices of shape (number, {width}), got {given}")
    return indices.to(device)
