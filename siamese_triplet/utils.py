"""The selectors, under the module name of the original tutorial."""

from siamese_triplet._original import old_names
from siamese_triplet.selectors import *  # noqa: F403
from siamese_triplet.selectors import __all__ as __all__

__getattr__ = old_names(
    __name__,
    {
        "pdist": "siamese_triplet.distances.pairwise_distances(vectors) gives the same squared distances",
        "hardest_negative": "use HardestNegativeTripletSelector(margin)",
        "random_hard_negative": "use RandomNegativeTripletSelector(margin)",
        "semihard_negative": "use SemihardNegativeTripletSelector(margin)",
    },
)
