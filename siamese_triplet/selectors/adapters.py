"""Selectors as miners of pytorch-metric-learning, and its miners as selectors.

Neither needs that library to be installed: what it calls a miner is any function of embeddings and labels that returns
a tuple of indices, three tensors for triplets (anchor, positive, negative), four for pairs (anchor, positive, anchor,
negative).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from siamese_triplet.selectors import PairSelector, TripletSelector

Miner = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


class SelectorMiner(nn.Module):
    """A selector of this package as a miner: `loss_fn(embeddings, labels, miner(embeddings, labels))`.

    Pairs, which are unordered here, are listed in both orders, as that library does.

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
        """The indices (T,) of anchors, positives and negatives, or those of positive pairs (2P,), (2P,) and of negative
        pairs (2N,), (2N,), in a batch of `embeddings` (B, D) with integer `labels` (B,).

        Raises ValueError for reference embeddings, as a selector chooses within one batch; for the rest see
        `PairSelector.get_pairs` and `TripletSelector.get_triplets`.
        """
        if ref_emb is not None or ref_labels is not None:
            raise ValueError(
                "a selector chooses within one batch and cannot take positives and negatives from reference "
                "embeddings; use a miner of pytorch-metric-learning for those"
            )
        embeddings = embeddings.detach()
        if hasattr(self.selector, "get_triplets"):
            return tuple(self.selector.get_triplets(embeddings, labels).T)
        positive, negative = self.selector.get_pairs(embeddings, labels)
        return (*torch.cat([positive, positive.flip(1)]).T, *torch.cat([negative, negative.flip(1)]).T)


class MinerTripletSelector(TripletSelector):
    """A miner of triplets as a selector, for `OnlineTripletLoss`.

    Mind the miner's own idea of distance: by default those of pytorch-metric-learning normalise the embeddings and take
    plain distances. `LpDistance(normalize_embeddings=False, power=2)` is the squared distance of this package.

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
        """The miner's triplets (T, 3); a ValueError if it returns anything but three tensors of one length."""
        indices = _mined(self.miner, 3, "triplets", "MinerPairSelector", embeddings, labels)
        return torch.stack(indices, dim=1)


class MinerPairSelector(PairSelector):
    """A miner of pairs as a selector, for `OnlineContrastiveLoss`; each pair is listed once. See
    `MinerTripletSelector`.

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
        """The miner's positive pairs (P, 2) and negative pairs (N, 2); a ValueError if it does not return four
        tensors."""
        indices = _mined(self.miner, 4, "pairs", "MinerTripletSelector", embeddings, labels)
        positive_pairs, negative_pairs = (
            torch.stack(pair, dim=1).sort(dim=1).values.unique(dim=0) for pair in (indices[:2], indices[2:])
        )
        return positive_pairs, negative_pairs


def _mined(
    miner: Miner, n_expected: int, kind: str, other: str, embeddings: Tensor, labels: Tensor
) -> tuple[Tensor, ...]:
    if not len(labels):
        return (labels.new_zeros(0, dtype=torch.int64),) * n_expected
    indices = miner(embeddings.detach(), labels)
    if not isinstance(indices, tuple) or len(indices) != n_expected:
        given = f"{len(indices)} tensors" if isinstance(indices, tuple) else type(indices).__name__
        raise ValueError(
            f"a miner of {kind} returns {n_expected} tensors of indices, but {type(miner).__name__} returned {given}; "
            f"for a miner of the other kind there is {other}"
        )
    return tuple(index.to(embeddings.device) for index in indices)
