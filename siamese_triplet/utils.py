"""The selectors, under the module name of the original tutorial."""

from siamese_triplet.selectors import *  # noqa: F403
from siamese_triplet.selectors import __all__ as __all__
