"""The selectors, under the name of the module where the original tutorial kept them."""

from siamese_triplet.selectors import *  # noqa: F403
from siamese_triplet.selectors import __all__ as __all__
