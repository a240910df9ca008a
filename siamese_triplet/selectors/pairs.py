"""Pair selectors. Pairs are unordered; each is listed once, with the image that comes first in the batch first."""

import torch
from torch import Tensor

from siamese_triplet._original import NO_CPU, explains_misfit
from siamese_triplet._sorting import class_order, ranges
from siamese_triplet.selectors._ranks import unordered_pairs
from siamese_triplet.selectors.base import PairSelector


class AllPositivePairSelector(PairSelector):
    """Select all positive pairs and all negative pairs, or with `balance` at most as many negatives as positives.

    The negatives are drawn uniformly from `generator` (by default one of the selector's own, on the CPU, with seed 0).

    >>> import torch
    >>> from siamese_triplet import AllPositivePairSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> positive_pairs, negative_pairs = AllPositivePairSelector(balance=False).get_pairs(embeddings, labels)
    >>> positive_pairs.tolist(), negative_pairs.tolist()
    ([[0, 1], [2, 3]], [[0, 2], [0, 3], [1, 2], [1, 3]])
    >>> [len(pairs) for pairs in AllPositivePairSelector().get_pairs(embeddings, labels)]
    [2, 2]
    """

    def __init__(self, balance: bool = True, generator: torch.Generator | None = None) -> None:
        self.balance = balance
        self.generator = generator or torch.Generator().manual_seed(0)

    def select_by_labels(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        image, _, end = class_order(labels)
        place = torch.arange(len(labels), device=labels.device)
        positive_pairs = _in_order(image, *ranges(place + 1, end - place - 1))  # all places of the class after this one
        n_later = len(labels) - end  # how many places come after the class
        n_negatives, drawn = int(n_later.sum()), None  # a sync
        if self.balance and n_negatives > len(positive_pairs):
            drawn = _draw(n_negatives, len(positive_pairs), self.generator).to(labels.device)
        return positive_pairs, _in_order(image, *ranges(end, n_later, drawn))


class HardNegativePairSelector(PairSelector):
    """Select all positive pairs and the closest negative pairs: as many as positives, or all where there are fewer.

    >>> import torch
    >>> from siamese_triplet import HardNegativePairSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> positive_pairs, negative_pairs = HardNegativePairSelector().get_pairs(embeddings, labels)
    >>> positive_pairs.tolist(), negative_pairs.unique(dim=0).tolist()
    ([[0, 1], [2, 3]], [[0, 2], [1, 2]])
    """

    @explains_misfit(NO_CPU)
    def __init__(self) -> None:
        pass

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
        n_images = len(distances)
        left, right = torch.triu_indices(
            n_images, n_images, offset=1, device=distances.device
        )  # (B(B − 1)/2,), all pairs
        cell = left * n_images + right
        is_positive, is_negative = (mask.view(-1).index_select(0, cell) for mask in (is_positive, is_negative))
        positive = is_positive.nonzero().squeeze(1)  # (P,), a sync
        n_negatives = min(len(positive), int(is_negative.sum()))  # a sync
        distance = distances.view(-1).index_select(0, cell).masked_fill_(~is_negative, torch.inf)
        closest = distance.topk(n_negatives, largest=False, sorted=False).indices  # (N,)
        positive_pairs, negative_pairs = (
            torch.stack([left.index_select(0, pair), right.index_select(0, pair)], dim=1)
            for pair in (positive, closest)
        )
        return positive_pairs, negative_pairs


class BatchHardPairSelector(PairSelector):
    """Select the farthest positive and the nearest negative of every image, as pairs (Hermans, Beyer and Leibe, 2017).

    A pair that both of its images choose is listed once.

    >>> import torch
    >>> from siamese_triplet import BatchHardPairSelector
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> positive_pairs, negative_pairs = BatchHardPairSelector().get_pairs(embeddings, labels)
    >>> positive_pairs.tolist(), negative_pairs.tolist()
    ([[0, 1], [2, 3]], [[0, 2], [1, 2], [1, 3]])
    """

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
        farthest = distances.masked_fill(~is_positive, -torch.inf).argmax(dim=1, keepdim=True)  # (B, 1)
        nearest = distances.masked_fill(~is_negative, torch.inf).argmin(dim=1, keepdim=True)  # (B, 1)
        return _chosen(is_positive, farthest), _chosen(is_negative, nearest)


def _in_order(image: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Pair the images at two places of the class order, the image that comes first in the batch first."""
    left, right = image.index_select(0, left), image.index_select(0, right)
    return torch.stack([torch.minimum(left, right), torch.maximum(left, right)], dim=1)


def _draw(n: int, k: int, generator: torch.Generator) -> Tensor:
    """Draw `k` different numbers below `n`; every set of `k` is equally likely.

    Where `k` is small, more numbers than needed are drawn and repetitions dropped, which prefers no set. In the rare
    case that too few are left, all numbers are shuffled instead.
    """
    if 4 * k <= n:
        numbers = torch.randint(n, (k + k // 4 + 16,), generator=generator, device=generator.device)
        place = torch.arange(len(numbers), device=numbers.device)
        last = numbers.new_zeros(n).scatter_reduce_(0, numbers, place, "amax", include_self=False)
        numbers = numbers[last.index_select(0, numbers) == place]
        if len(numbers) >= k:
            return numbers[:k]
    return torch.randperm(n, generator=generator, device=generator.device)[:k]


def _chosen(mask: Tensor, column: Tensor) -> Tensor:
    chosen = torch.zeros_like(mask).scatter_(1, column, True) & mask
    return unordered_pairs(chosen | chosen.T)
