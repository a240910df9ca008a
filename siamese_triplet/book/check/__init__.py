"""Self-checking exercises of the book, one function each.

A check compares the reader's answer with the package's in a few small cases. It prints "correct", or the first case
that is not right yet, with a hint. It returns nothing and raises no error, whatever it is given.

>>> from siamese_triplet.book import check
>>> check.n_triplets(lambda n_classes, n_samples: 0)
not yet: n_classes=2, n_samples=2
  given     0
  expected  8
  hint      every image is an anchor: how many positives has it, and how many negatives?
"""

from siamese_triplet.book.check.choosing import chance_together, squared_distance, symptom
from siamese_triplet.book.check.experiments import conclusion, one_change
from siamese_triplet.book.check.losses import (
    contrastive_loss,
    kind_of_negative,
    negative_log_likelihood,
    share_with_a_loss,
    triplet_loss,
)
from siamese_triplet.book.check.own_images import families_in_both, mean_over_classes
from siamese_triplet.book.check.pretrained import mean_and_std, parts_trained
from siamese_triplet.book.check.retrieval import map_at_r
from siamese_triplet.book.check.search import chance_of_a_false_accept, none_of_these
from siamese_triplet.book.check.selection import (
    all_semihard,
    collapsed_loss,
    hard_negative_pairs,
    n_pairs,
    n_triplets,
    nearest_semihard,
)
from siamese_triplet.book.check.training import batches_until_all_seen, n_pairs_seen, n_steps, stop_early
from siamese_triplet.book.check.use import classify, nearest_prototype, threshold_at

__all__ = [
    "all_semihard",
    "batches_until_all_seen",
    "chance_of_a_false_accept",
    "chance_together",
    "classify",
    "collapsed_loss",
    "conclusion",
    "contrastive_loss",
    "families_in_both",
    "hard_negative_pairs",
    "kind_of_negative",
    "map_at_r",
    "mean_and_std",
    "mean_over_classes",
    "n_pairs",
    "n_pairs_seen",
    "n_steps",
    "n_triplets",
    "nearest_prototype",
    "nearest_semihard",
    "negative_log_likelihood",
    "none_of_these",
    "one_change",
    "parts_trained",
    "share_with_a_loss",
    "squared_distance",
    "stop_early",
    "symptom",
    "threshold_at",
    "triplet_loss",
]
