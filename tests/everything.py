"""Every selector and every loss of the package by name, for the tests of what they all have in common."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from siamese_triplet.losses import (
    BatchAllTripletLoss,
    ContrastiveLoss,
    OnlineContrastiveLoss,
    OnlineTripletLoss,
    TripletLoss,
)
from siamese_triplet.selectors import (
    AllPositivePairSelector,
    AllSemihardTripletSelector,
    AllTripletSelector,
    BatchHardPairSelector,
    BatchHardTripletSelector,
    DistanceWeightedPairSelector,
    DistanceWeightedTripletSelector,
    EasyPositiveTripletSelector,
    FunctionNegativeTripletSelector,
    HardestNegativeTripletSelector,
    HardestSemihardTripletSelector,
    HardNegativePairSelector,
    NearestBeyondPositiveTripletSelector,
    PairSelector,
    RandomNegativeTripletSelector,
    SemihardNegativeTripletSelector,
    TripletSelector,
)


class TheReadersTripletSelector(TripletSelector):
    """Ten lines by a reader who does not think of empty batches."""

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        hardest_positive = distances.masked_fill(~is_positive, -torch.inf).argmax(1)  # (B,)
        hardest_negative = distances.masked_fill(~is_negative, torch.inf).argmin(1)  # (B,)
        anchors = (is_positive.any(1) & is_negative.any(1)).nonzero().squeeze(1)  # (T,)
        return torch.stack([anchors, hardest_positive[anchors], hardest_negative[anchors]], dim=1)


def greatest_loss(losses: Tensor) -> Tensor:
    """The hardest negative, as a function for `FunctionNegativeTripletSelector`."""
    value, column = losses.max(dim=1)
    return torch.where(value > 0, column, -1)


def hardest_by_function(margin: float, both_anchors: bool = True, squared: bool = True) -> TripletSelector:
    return FunctionNegativeTripletSelector(margin, greatest_loss, both_anchors, squared)


WITH_MARGIN: dict[str, Callable[..., TripletSelector]] = {  # of the arguments margin, both_anchors and squared
    "hardest": HardestNegativeTripletSelector,
    "by function": hardest_by_function,
    "random": RandomNegativeTripletSelector,
    "semihard": SemihardNegativeTripletSelector,
    "hardest semihard": HardestSemihardTripletSelector,
    "all semihard": AllSemihardTripletSelector,
}
WITH_GENERATOR: dict[str, Callable[..., PairSelector | TripletSelector]] = {
    "balanced pairs": lambda **options: AllPositivePairSelector(**options),
    "random": lambda **options: RandomNegativeTripletSelector(1.0, **options),
    "semihard": lambda **options: SemihardNegativeTripletSelector(1.0, **options),
    "distance-weighted pairs": lambda **options: DistanceWeightedPairSelector(3, **options),
    "distance-weighted": lambda **options: DistanceWeightedTripletSelector(3, **options),
}


def pair_selectors() -> dict[str, PairSelector]:
    return {
        "all pairs": AllPositivePairSelector(balance=False),
        "balanced pairs": AllPositivePairSelector(),
        "hard negative pairs": HardNegativePairSelector(),
        "batch-hard pairs": BatchHardPairSelector(),
        "distance-weighted pairs": DistanceWeightedPairSelector(3),
    }


def triplet_selectors() -> dict[str, TripletSelector]:
    return {
        "all": AllTripletSelector(),
        "all, one anchor": AllTripletSelector(both_anchors=False),
        "batch-hard": BatchHardTripletSelector(),
        "the reader's": TheReadersTripletSelector(),
        "easy positive": EasyPositiveTripletSelector(),
        "easy positive, hard negative": EasyPositiveTripletSelector(semihard=False),
        "nearest beyond": NearestBeyondPositiveTripletSelector(),
        "distance-weighted": DistanceWeightedTripletSelector(3),
        **{name: make(1.0) for name, make in WITH_MARGIN.items()},
        **{f"{name}, one anchor": make(1.0, both_anchors=False) for name, make in WITH_MARGIN.items()},
        **{f"{name}, plain": make(1.0, squared=False) for name, make in WITH_MARGIN.items()},
    }


def selectors() -> dict[str, PairSelector | TripletSelector]:
    return pair_selectors() | triplet_selectors()


def losses() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Functions of embeddings (B, D) and labels (B,); the offline ones take the images of a batch one after another."""
    batch_all = {
        f"batch-all, {margin}, {'squared' if squared else 'plain'}, {mean_over}": BatchAllTripletLoss(
            margin, squared, mean_over
        )
        for margin in (0.0, 1.0, "soft")
        for squared in (True, False)
        for mean_over in ("active", "all")
    }
    online = {name: OnlineContrastiveLoss(1.0, selector) for name, selector in pair_selectors().items()}
    for name, selector in triplet_selectors().items():
        squared = getattr(selector, "squared", True)
        online |= {f"{name}, {m}": OnlineTripletLoss(m, selector, squared) for m in (1.0, "soft")}
    offline = {
        f"triplet, {margin}, {'squared' if squared else 'plain'}": offline_triplet(TripletLoss(margin, squared))
        for margin in (1.0, "soft")
        for squared in (True, False)
    }
    offline["contrastive"] = lambda e, y: ContrastiveLoss(1.0)(e, after(e, 1), y == after(y, 1))
    named = batch_all | online | offline
    return {name: lambda e, y, loss=loss: only_loss(loss(e, y)) for name, loss in named.items()}


def offline_triplet(loss: TripletLoss) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda embeddings, _: loss(embeddings, after(embeddings, 1), after(embeddings, 2))


def after(rows: Tensor, n: int) -> Tensor:
    """Each row's `n`-th after it, round and round."""
    return rows[(torch.arange(len(rows)) + n) % max(1, len(rows))]


def only_loss(result: Tensor | tuple[Tensor, Tensor | int]) -> Tensor:
    return result[0] if isinstance(result, tuple) else result


def select(selector: PairSelector | TripletSelector, embeddings: Tensor, labels: Tensor) -> list[Tensor]:
    if isinstance(selector, PairSelector):
        return list(selector.get_pairs(embeddings, labels))
    return [selector.get_triplets(embeddings, labels)]


def as_expected_by(name: str, embeddings: Tensor) -> Tensor:
    """`embeddings`, moved to the unit sphere for those that expect it."""
    return F.normalize(embeddings.double()).to(embeddings.dtype) if "distance-weighted" in name else embeddings
