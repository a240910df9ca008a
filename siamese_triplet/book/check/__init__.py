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

from siamese_triplet.book.check.all_triplets import batch_all
from siamese_triplet.book.check.characters import few_shot_error
from siamese_triplet.book.check.choosing import (
    balanced_batches,
    chance_together,
    label_doubts,
    squared_distance,
    symptom,
)
from siamese_triplet.book.check.episodes import one_shot
from siamese_triplet.book.check.experiments import conclusion, one_change
from siamese_triplet.book.check.family import arcface
from siamese_triplet.book.check.gradients import share_of_gradient, train_accumulated
from siamese_triplet.book.check.losses import (
    contrastive_loss,
    kind_of_negative,
    negative_log_likelihood,
    triplet_gradients,
    triplet_loss,
)
from siamese_triplet.book.check.own_experiment import mining_experiment
from siamese_triplet.book.check.own_images import families_in_both, interval_over_classes
from siamese_triplet.book.check.pretrained import mean_and_std, supervised_contrastive_loss
from siamese_triplet.book.check.retrieval import area_under_curve, average_precision, map_at_r
from siamese_triplet.book.check.search import approximate_search, none_of_these, search_threshold
from siamese_triplet.book.check.selection import (
    all_semihard,
    batch_hard,
    hard_negative_pairs,
    n_pairs,
    n_triplets,
    nearest_semihard,
)
from siamese_triplet.book.check.training import stop_early, training_loop
from siamese_triplet.book.check.use import classify, nearest_prototype, threshold_at

__all__ = [
    "all_semihard",
    "approximate_search",
    "arcface",
    "area_under_curve",
    "average_precision",
    "balanced_batches",
    "batch_all",
    "batch_hard",
    "chance_together",
    "classify",
    "conclusion",
    "contrastive_loss",
    "families_in_both",
    "few_shot_error",
    "hard_negative_pairs",
    "interval_over_classes",
    "kind_of_negative",
    "label_doubts",
    "map_at_r",
    "mean_and_std",
    "mining_experiment",
    "n_pairs",
    "n_triplets",
    "nearest_prototype",
    "nearest_semihard",
    "negative_log_likelihood",
    "none_of_these",
    "one_change",
    "one_shot",
    "search_threshold",
    "share_of_gradient",
    "squared_distance",
    "stop_early",
    "supervised_contrastive_loss",
    "symptom",
    "threshold_at",
    "train_accumulated",
    "training_loop",
    "triplet_gradients",
    "triplet_loss",
]
