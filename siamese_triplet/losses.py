"""What pairs and triplets cost.

d is the Euclidean distance, d² its square, m the margin. Every loss is computed in at least float32. A batch without
any pair or triplet costs a zero that can be differentiated, never NaN.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet.batch_all import BatchAllTripletLoss
from siamese_triplet.checks import check_batch, check_embeddings, check_margin, check_margin_or_soft
from siamese_triplet.distances import chosen_distances, pairwise_distances, root, row_distances
from siamese_triplet.selectors import PairSelector, TripletSelector, pairs_of, triplets_of

__all__ = ["BatchAllTripletLoss", "ContrastiveLoss", "OnlineContrastiveLoss", "OnlineTripletLoss", "TripletLoss"]

Selector = TypeVar("Selector", PairSelector, TripletSelector)


class ContrastiveLoss(nn.Module):
    """½·y·d² + ½·(1 − y)·max(0, m − d)², mean over the pairs (Hadsell, Chopra and LeCun, 2006).

    Positive pairs (y = 1) are pulled together, negative pairs (y = 0) pushed apart up to the distance m.

    >>> import torch
    >>> from siamese_triplet import ContrastiveLoss
    >>> first, second = torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [0.4]])
    >>> ContrastiveLoss(margin=1.0)(first, second, torch.tensor([1, 0]))  # (½ · 1² + ½ · 0.6²) / 2
    tensor(0.3400)
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = check_margin(margin)

    def forward(self, out1: Tensor, out2: Tensor, target: Tensor) -> Tensor:
        """The mean loss of pairs of embeddings `out1`, `out2`, both (P, D), with `target` (P,), 1 for one class, else
        0.

        P = 0 gives a zero. Raises ValueError for embeddings that are not (P, D) matrices of one shape, and for a target
        that is not P numbers; on a CPU also for embeddings that are not finite and for a target other than 0 and 1.
        Elsewhere that would take a sync; there NaN gives NaN.
        """
        check_embeddings(out1=out1, out2=out2)
        if target.shape != out1.shape[:1]:
            raise ValueError(
                f"got {len(out1)} pairs but a target of shape {tuple(target.shape)}; there must be one each"
            )
        if target.device != out1.device:
            raise ValueError(f"the embeddings are on {out1.device}, the target on {target.device}; move one of them")
        is_positive = target == 1
        if target.device.type == "cpu" and not (is_positive | (target == 0)).all():  # elsewhere a sync
            raise ValueError(
                f"target must be 1 for a pair of one class and 0 for others, got {target.unique().tolist()}"
            )
        return _mean(_contrastive(row_distances(out1, out2, squared=True), is_positive, self.margin))


class TripletLoss(nn.Module):
    """max(0, d²(anchor, positive) + m − d²(anchor, negative)), mean over the triplets (Schroff and others, 2015).

    With `margin="soft"` it is log(1 + exp(d²(anchor, positive) − d²(anchor, negative))), which never quite vanishes
    (Hermans, Beyer and Leibe, 2017). With `squared` False plain distances d take the place of d².

    >>> import torch
    >>> from siamese_triplet import TripletLoss
    >>> anchor, positive, negative = torch.tensor([[0.0]]), torch.tensor([[1.0]]), torch.tensor([[1.2]])
    >>> TripletLoss(margin=1.0)(anchor, positive, negative)  # 1² + 1 − 1.2²
    tensor(0.5600)
    >>> TripletLoss(margin=1.0, squared=False)(anchor, positive, negative)  # 1 + 1 − 1.2
    tensor(0.8000)
    """

    def __init__(self, margin: float | str, squared: bool = True) -> None:
        super().__init__()
        self.margin, self.squared = check_margin_or_soft(margin), squared

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The mean loss of triplets of embeddings, each (T, D).

        T = 0 gives a zero. Raises ValueError for embeddings that are not (T, D) matrices of one shape, on a CPU also
        for those that are not finite; elsewhere, where that would take a sync, NaN gives NaN.
        """
        check_embeddings(anchor=anchor, positive=positive, negative=negative)
        positive_distances = row_distances(anchor, positive, self.squared)  # (T,)
        negative_distances = row_distances(anchor, negative, self.squared)  # (T,)
        return _mean(_triplet(positive_distances, negative_distances, self.margin))


class OnlineContrastiveLoss(nn.Module):
    """The contrastive loss of the pairs that `pair_selector` finds in a batch; see `ContrastiveLoss`.

    >>> import torch
    >>> from siamese_triplet import HardNegativePairSelector, OnlineContrastiveLoss
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.4]]), torch.tensor([0, 0, 1])
    >>> OnlineContrastiveLoss(1.0, HardNegativePairSelector())(embeddings, labels)  # (½ · 1² + ½ · 0.6²) / 2
    tensor(0.3400)
    """

    def __init__(self, margin: float, pair_selector: PairSelector) -> None:
        super().__init__()
        self.margin = check_margin(margin)
        self.pair_selector = _check_selector(pair_selector, "get_pairs")

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """The mean loss over the selected pairs of `embeddings` (B, D) with integer class labels `target` (B,).

        A batch without pairs gives a zero. Raises ValueError for embeddings that are not a finite (B, D) matrix and for
        labels that are not B integers.
        """
        check_batch(embeddings, target)
        distances = pairwise_distances(embeddings.detach())  # (B, B), squared, for the selector and the loss alike
        positive_pairs, negative_pairs = pairs_of(self.pair_selector, embeddings, target, distances)
        pairs = torch.cat([positive_pairs, negative_pairs])  # (P + N, 2)
        is_positive = torch.arange(len(pairs), device=pairs.device) < len(positive_pairs)
        squared = chosen_distances(embeddings, distances, pairs[:, 0], pairs[:, 1])  # (P + N,)
        return _mean(_contrastive(squared, is_positive, self.margin))


class OnlineTripletLoss(nn.Module):
    """The triplet loss of the triplets that `triplet_selector` finds in a batch; for its options see `TripletLoss`.

    A selector that looks for triplets with a loss has a margin too, and measures squared or plain distances: give both
    the same.

    >>> import torch
    >>> from siamese_triplet import HardestNegativeTripletSelector, OnlineTripletLoss
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.2]]), torch.tensor([0, 0, 1])
    >>> loss, n_triplets = OnlineTripletLoss(1.0, HardestNegativeTripletSelector(1.0))(embeddings, labels)
    >>> round(loss.item(), 3), n_triplets  # the mean of 1² + 1 − 1.2² and 1² + 1 − 0.2²
    (1.26, 2)
    """

    def __init__(self, margin: float | str, triplet_selector: TripletSelector, squared: bool = True) -> None:
        super().__init__()
        self.margin, self.squared = check_margin_or_soft(margin), squared
        self.triplet_selector = _check_selector(triplet_selector, "get_triplets")
        if getattr(triplet_selector, "squared", squared) != squared:
            raise ValueError(
                f"{type(triplet_selector).__name__} has squared={not squared} but the loss squared={squared}; "
                "their margins would mean different things: give both the same"
            )

    def forward(self, embeddings: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """The mean loss over the selected triplets of `embeddings` (B, D) with integer class labels `target` (B,),
        and how many triplets those are.

        A batch without triplets gives a zero, and 0. Raises ValueError for embeddings that are not a finite (B, D)
        matrix and for labels that are not B integers.
        """
        check_batch(embeddings, target)
        distances = pairwise_distances(embeddings.detach())  # (B, B), squared, for the selector and the loss alike
        triplets = triplets_of(self.triplet_selector, embeddings, target, distances)  # (T, 3)
        anchor = triplets[:, 0].repeat(2)  # (2T,): of the positive pairs, then of the negative ones
        other = triplets[:, 1:].T.reshape(-1)  # (2T,)
        chosen = chosen_distances(embeddings, distances, anchor, other)
        chosen = chosen if self.squared else root(chosen)
        to_positives, to_negatives = chosen.chunk(2)  # (T,), (T,)
        return _mean(_triplet(to_positives, to_negatives, self.margin)), len(triplets)


def _check_selector(selector: Selector, method: str) -> Selector:
    if isinstance(selector, type) or not hasattr(selector, method):
        raise ValueError(
            f"expected a selector, an object with the method {method}, got {selector!r}; a class must be called first: "
            "HardestNegativeTripletSelector(margin=1.0), and pair and triplet selectors have a loss each"
        )
    return selector


def _contrastive(squared: Tensor, is_positive: Tensor, margin: float) -> Tensor:
    return 0.5 * torch.where(is_positive, squared, F.relu(margin - root(squared)).square())


def _triplet(positive_distances: Tensor, negative_distances: Tensor, margin: float | str) -> Tensor:
    if isinstance(margin, str):  # the soft one
        return -F.logsigmoid(negative_distances - positive_distances)
    return F.relu(positive_distances + margin - negative_distances)


def _mean(losses: Tensor) -> Tensor:
    return losses.mean() if len(losses) else losses.sum()
