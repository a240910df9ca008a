"""Selectors by name: the one list that the command line, the explorer, the figures and the benchmarks read.

A new selector gets its name here and nowhere else. The page's bench, in JavaScript, offers the part of these names
that `live/js/tuples.mjs` implements.
"""

from collections.abc import Callable
from typing import Any

import torch

from siamese_triplet.selectors.base import PairSelector, TripletSelector
from siamese_triplet.selectors.negatives import (
    HardestNegativeTripletSelector,
    RandomNegativeTripletSelector,
    UniformNegativeTripletSelector,
)
from siamese_triplet.selectors.pairs import AllPositivePairSelector, BatchHardPairSelector, HardNegativePairSelector
from siamese_triplet.selectors.semihard import (
    AllSemihardTripletSelector,
    HardestSemihardTripletSelector,
    NearestBeyondPositiveTripletSelector,
    SemihardNegativeTripletSelector,
)
from siamese_triplet.selectors.triplets import BatchHardTripletSelector, EasyPositiveTripletSelector

PairSelectorMaker = Callable[[torch.Generator], PairSelector]
TripletSelectorMaker = Callable[[Any, torch.Generator], TripletSelector]  # margin ("soft" only for `SOFT`), generator

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
    "uniform": lambda margin, generator: UniformNegativeTripletSelector(generator=generator),
}
BATCH_ALL = "batch-all"  # all triplets with a loss, by `BatchAllTripletLoss`, which does not list them
SOFT = (  # need no margin, so that the margin of the loss may be soft
    *(name for name, make in TRIPLET_SELECTORS.items() if not hasattr(make(1.0, torch.Generator()), "margin")),
    BATCH_ALL,
)
SELECTORS = {"triplets": (*TRIPLET_SELECTORS, BATCH_ALL), "pairs": (*PAIR_SELECTORS,)}  # all names of each kind
