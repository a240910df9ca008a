"""Adapters to pytorch-metric-learning: selectors as its miners, and its miners as selectors.

The library need not be installed: a miner is any function of embeddings and labels that returns a tuple of index
tensors, three for triplets (anchor, positive, negative) and four for pairs (anchor, positive, anchor, negative).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from siamese_triplet.selectors import PairSelector, TripletSelector
from siamese_triplet.selectors.base import check_indices

Miner = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


class SelectorMiner(nn.Module):
    """A selector of this package as a miner: `loss_fn(embeddings, labels, miner(embeddings, labels))`.

    Pairs are unordered in this package; the miner lists them in both orders, as that library does.

    >>> import torch
    >>> from siamese_triplet import BatchHardTripletSelector, SelectorMiner
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> miner = SelectorMiner(BatchHardTripletSelector())
    >>> miner(embeddings, labels)  # anchors, positives, negatives
    (tensor([0, 1, 2, 3]), tensor([1, 0, 3, 2]), tensor([2, 2, 1, 1]))
    """

    def __init__(self, selector: PairSelector | TripletSelector) -> None:
        super().__init__()
        if isinstance(selector, type) or not (hasattr(selector, "get_pairs") or hasattr(selector, "get_triplets")):
            raise ValueError(
                f"expected a selector, an object with the method get_pairs or get_triplets, got {selector!r}"
            )
        self.selector = selector

    def forward(
        self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor | None = None, ref_labels: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Return the indices selected in a batch of `embeddings` (B, D) with integer `labels` (B,).

        For triplets these are anchors, positives and negatives, each (T,); for pairs both sides of the positive pairs,
        each (2P,), and of the negative pairs, each (2N,). Raises ValueError for reference embeddings, as a selector
        chooses within one batch, and as `PairSelector.get_pairs` and `TripletSelector.get_triplets` do.
        """
        if ref_emb is not None or ref_labels is not None:
            raise ValueError(
                "a selector chooses within one batch and cannot take positives and negatives from reference "
                "embeddings; use a miner of pytorch-metric-learning for those"
            )
        embeddings = embeddings.detach()
        if hasattr(self.selector, "get_triplets"):
            triplets = self.selector.get_triplets(embeddings, labels)
            return tuple(check_indices(self.selector, triplets, 3, embeddings.device).T)
        positive, negative = (
            check_indices(self.selector, pairs, 2, embeddings.device)
            for pairs in self.selector.get_pairs(embeddings, labels)
        )
        return (*torch.cat([positive, positive.flip(1)]).T, *torch.cat([negative, negative.flip(1)]).T)


class MinerTripletSelector(TripletSelector):
    """A triplet miner as a selector, for `OnlineTripletLoss`.

    The miner computes its own distances: by default, miners of pytorch-metric-learning normalise the embeddings and
    take plain distances. `LpDistance(normalize_embeddings=False, power=2)` is the squared distance of this package.

    >>> import torch
    >>> from siamese_triplet import MinerTripletSelector, OnlineTripletLoss
    >>> def miner(embeddings, labels):
    ...     return torch.tensor([0]), torch.tensor([1]), torch.tensor([2])  # one triplet
    >>> loss_fn = OnlineTripletLoss(1.0, MinerTripletSelector(miner))
    >>> loss, n_triplets = loss_fn(torch.tensor([[0.0], [1.0], [1.2]]), torch.tensor([0, 0, 1]))
    >>> n_triplets
    1
    """

    def __init__(self, miner: Miner) -> None:
        self.miner = miner

    @torch.no_grad()
    def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the miner's triplets (T, 3). Raises ValueError if it does not return three tensors."""
        indices = _mine(self.miner, 3, "triplets", "MinerPairSelector", embeddings, labels)
        return torch.stack(indices, dim=1)


class MinerPairSelector(PairSelector):
    """A pair miner as a selector, for `OnlineContrastiveLoss`; each pair is listed once.

    For the miner's distances see `MinerTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import MinerPairSelector
    >>> def miner(embeddings, labels):
    ...     return torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([0]), torch.tensor([2])
    >>> positive_pairs, negative_pairs = MinerPairSelector(miner).get_pairs(torch.rand(3, 2), torch.tensor([0, 0, 1]))
    >>> positive_pairs.tolist(), negative_pairs.tolist()
    ([[0, 1]], [[0, 2]])
    """

    def __init__(self, miner: Miner) -> None:
        self.miner = miner

    @torch.no_grad()
    def get_pairs(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the miner's positive pairs (P, 2) and negative pairs (N, 2).

        Raises ValueError if the miner does not return four tensors.
        """
        indices = _mine(self.miner, 4, "pairs", "MinerTripletSelector", embeddings, labels)
        positive_pairs, negative_pairs = (
            torch.stack(pair, dim=1).sort(dim=1).values.unique(dim=0) for pair in (indices[:2], indices[2:])
        )
        return positive_pairs, negative_pairs


def _mine(
    miner: Miner, n_expected: int, kind: str, other: str, embeddings: Tensor, labels: Tensor
) -> tuple[Tensor, ...]:
    if not len(labels):
        return (labels.new_zeros(0, dtype=torch.int64),) * n_expected
    indices = miner(embeddings.detach(), labels)
    if not isinstance(indices, tuple) or len(indices) != n_expected:
        given = f"{len(indices)} tensors" if isinstance(indices, tuple) else type(indices).__name__
        raise ValueError(
            f"a miner of {kind} returns {n_expected} tensors of indices, but {type(miner).__name__} returned {given}; "
            f"for miners of the other kind use {other}"
        )
    return tuple(index.to(embeddings.device) for index in indices)
