"""Every selector and every loss of the package by name, for the tests of their common properties."""

import functools
import inspect
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
    AllTripletSelector,
    DistanceWeightedPairSelector,
    DistanceWeightedTripletSelector,
    EasyPositiveTripletSelector,
    FunctionNegativeTripletSelector,
    PairSelector,
    TripletSelector,
)
from siamese_triplet.selectors.by_name import PAIR_SELECTORS, TRIPLET_SELECTORS


class TheReadersTripletSelector(TripletSelector):
    """A short selector by a reader who did not think of empty batches."""

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        hardest_positive = distances.masked_fill(~is_positive, -torch.inf).argmax(1)  # (B,)
        hardest_negative = distances.masked_fill(~is_negative, torch.inf).argmin(1)  # (B,)
        anchors = (is_positive.any(1) & is_negative.any(1)).nonzero().squeeze(1)  # (T,)
        return torch.stack([anchors, hardest_positive[anchors], hardest_negative[anchors]], dim=1)


def greatest_loss(losses: Tensor) -> Tensor:
    """Choose the hardest negative, as a function for `FunctionNegativeTripletSelector`."""
    value, column = losses.max(dim=1)
    return torch.where(value > 0, column, -1)


def hardest_by_function(margin: float, both_anchors: bool = True, squared: bool = True) -> TripletSelector:
    return FunctionNegativeTripletSelector(margin, greatest_loss, both_anchors=both_anchors, squared=squared)


def named(name: str, margin: float = 1.0, **options: object) -> TripletSelector:
    """Make a selector of `selectors/by_name.py`, with those of the options that it has."""
    cls = type(TRIPLET_SELECTORS[name](1.0, torch.Generator()))
    known = inspect.signature(cls).parameters
    return cls(**{option: value for option, value in {"margin": margin, **options}.items() if option in known})


WITH_MARGIN: dict[str, Callable[..., TripletSelector]] = {  # with the arguments margin, both_anchors and squared
    "by function": hardest_by_function,
    **{name: functools.partial(named, name) for name in TRIPLET_SELECTORS if hasattr(named(name), "margin")},
}
WITH_GENERATOR: dict[str, Callable[..., PairSelector | TripletSelector]] = {
    "balanced pairs": AllPositivePairSelector,
    "distance-weighted pairs": functools.partial(DistanceWeightedPairSelector, 3),
    "distance-weighted": functools.partial(DistanceWeightedTripletSelector, 3),
    **{name: functools.partial(named, name) for name in TRIPLET_SELECTORS if hasattr(named(name), "generator")},
}


def pair_selectors() -> dict[str, PairSelector]:
    return {
        "all pairs": AllPositivePairSelector(balance=False),
        "distance-weighted pairs": DistanceWeightedPairSelector(3),
        **{f"{name}, pairs": make(torch.Generator().manual_seed(0)) for name, make in PAIR_SELECTORS.items()},
    }


def triplet_selectors() -> dict[str, TripletSelector]:
    return {
        "all": AllTripletSelector(),
        "all, one anchor": AllTripletSelector(both_anchors=False),
        "the reader's": TheReadersTripletSelector(),
        "easy positive, hard negative": EasyPositiveTripletSelector(semihard=False),
        "distance-weighted": DistanceWeightedTripletSelector(3),
        **{name: named(name) for name in TRIPLET_SELECTORS if name not in WITH_MARGIN},
        **{name: make(1.0) for name, make in WITH_MARGIN.items()},
        **{f"{name}, one anchor": make(1.0, both_anchors=False) for name, make in WITH_MARGIN.items()},
        **{f"{name}, plain": make(1.0, squared=False) for name, make in WITH_MARGIN.items()},
    }


def selectors() -> dict[str, PairSelector | TripletSelector]:
    return pair_selectors() | triplet_selectors()


def losses() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Make functions of embeddings (B, D) and labels (B,); the offline losses combine consecutive images."""
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
    offline["contrastive"] = lambda e, y: ContrastiveLoss(1.0)(e, shift(e, 1), y == shift(y, 1))
    named = batch_all | online | offline
    return {name: lambda e, y, loss=loss: take_loss(loss(e, y)) for name, loss in named.items()}


def offline_triplet(loss: TripletLoss) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda embeddings, _: loss(embeddings, shift(embeddings, 1), shift(embeddings, 2))


def shift(rows: Tensor, n: int) -> Tensor:
    """Replace each row by the `n`-th after it, cyclically."""
    return rows[(torch.arange(len(rows)) + n) % max(1, len(rows))]


def take_loss(result: Tensor | tuple[Tensor, Tensor | int]) -> Tensor:
    return result[0] if isinstance(result, tuple) else result


def select(selector: PairSelector | TripletSelector, embeddings: Tensor, labels: Tensor) -> list[Tensor]:
    if isinstance(selector, PairSelector):
        return list(selector.get_pairs(embeddings, labels))
    return [selector.get_triplets(embeddings, labels)]


def to_domain(name: str, embeddings: Tensor) -> Tensor:
    """Move `embeddings` to the unit sphere, if the selector or loss `name` expects that."""
    return F.normalize(embeddings.double()).to(embeddings.dtype) if "distance-weighted" in name else embeddings
