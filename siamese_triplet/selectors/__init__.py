"""Selectors: which pairs and triplets of a batch to learn from.

A selector of your own is one method: `choose` of a `NegativeTripletSelector`, which picks a negative for each positive
pair, or `select` of a `TripletSelector` or a `PairSelector`. Everything runs on the embeddings' device, without
gradients, in O(B²) memory beyond the result. How many pairs or triplets there are depends on the data, so each
selection costs device-host syncs (every `nonzero`). An empty selection is an empty tensor, never an arbitrary pair.
"""

from siamese_triplet.selectors.base import PairSelector, TripletSelector, pairs_of, triplets_of
from siamese_triplet.selectors.negatives import (
    FunctionNegativeTripletSelector,
    HardestNegativeTripletSelector,
    NegativeTripletSelector,
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
from siamese_triplet.selectors.triplets import AllTripletSelector, BatchHardTripletSelector, EasyPositiveTripletSelector
from siamese_triplet.selectors.weighted import DistanceWeightedPairSelector, DistanceWeightedTripletSelector

__all__ = [
    "AllPositivePairSelector",
    "AllSemihardTripletSelector",
    "AllTripletSelector",
    "BatchHardPairSelector",
    "BatchHardTripletSelector",
    "DistanceWeightedPairSelector",
    "DistanceWeightedTripletSelector",
    "EasyPositiveTripletSelector",
    "FunctionNegativeTripletSelector",
    "HardNegativePairSelector",
    "HardestNegativeTripletSelector",
    "HardestSemihardTripletSelector",
    "NearestBeyondPositiveTripletSelector",
    "NegativeTripletSelector",
    "PairSelector",
    "RandomNegativeTripletSelector",
    "SemihardNegativeTripletSelector",
    "TripletSelector",
    "UniformNegativeTripletSelector",
    "pairs_of",
    "triplets_of",
]
