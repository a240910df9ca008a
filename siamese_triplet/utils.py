"""The selectors, under the name of the module where the original tutorial kept them."""

from siamese_triplet.selectors import (
    AllPositivePairSelector,
    AllTripletSelector,
    FunctionNegativeTripletSelector,
    HardestNegativeTripletSelector,
    HardNegativePairSelector,
    PairSelector,
    RandomNegativeTripletSelector,
    SemihardNegativeTripletSelector,
    TripletSelector,
)

__all__ = [
    "AllPositivePairSelector",
    "AllTripletSelector",
    "FunctionNegativeTripletSelector",
    "HardNegativePairSelector",
    "HardestNegativeTripletSelector",
    "PairSelector",
    "RandomNegativeTripletSelector",
    "SemihardNegativeTripletSelector",
    "TripletSelector",
]
