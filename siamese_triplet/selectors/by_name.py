"""The selectors by the names that the command line, the explorer, the figures and the benchmarks give them."""

from collections.abc import Callable
from typing import Any

import torch

from siamese_triplet.selectors.base import PairSelector, TripletSelector
from siamese_triplet.selectors.negatives import HardestNegativeTripletSelector, RandomNegativeTripletSelector
from siamese_triplet.selectors.pairs import AllPositivePairSelector, BatchHardPairSelector, HardNegativePairSelector
from siamese_triplet.selectors.semihard import (
    AllSemihardTripletSelector,
    HardestSemihardTripletSelector,
    NearestBeyondPositiveTripletSelector,
    SemihardNegativeTripletSelector,
)
from siamese_triplet.selectors.triplets import BatchHardTripletSelector, EasyPositiveTripletSelector

PairSelectorMaker = Callable[[torch.Generator], PairSelector]
TripletSelectorMaker = Callable[[Any, torch.Generator], TripletSelector]  # of a margin, "soft" for `SOFT`

PAIR_SELECTORS: dict[str, PairSelectorMaker] = {
    "hard": lambda generator: HardNegativePairSelector(),
    "all": lambda generator: AllPositivePairSelector(generator=generator),
    "batch-hard": lambda generator: BatchHardPairSelector(),
}
TRIPLET_SELECTORS: dict[str, TripletSelectorMaker] = {
    "random": lambda margin, generator: RandomNegativeTripletSelector(margin, generator=generator),
    "semihard": lambda margin, generator: SemihardNegativeTripletSelector(margin, generator=generator),
    "hardest": lambda margin, generator: HardestNegativeTripletSelector(margin),
    "hardest-semihard": lambda margin, generator: HardestSemihardTripletSelector(margin),
    "all-semihard": lambda margin, generator: AllSemihardTripletSelector(margin),
    "nearest-beyond-positive": lambda margin, generator: NearestBeyondPositiveTripletSelector(),
    "batch-hard": lambda margin, generator: BatchHardTripletSelector(),
    "easy-positive": lambda margin, generator: EasyPositiveTripletSelector(),
}
BATCH_ALL = "batch-all"  # a loss of its own rather than a selector: no triplet is listed
SOFT = ("batch-hard", "easy-positive", "nearest-beyond-positive", BATCH_ALL)  # those that look for no margin
