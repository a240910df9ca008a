"""Embeddings of a trained model, and metrics of embeddings that compare methods.

All functions take embeddings (N, D) and integer labels (N,), on a CPU or a GPU, from any network and loss. They are
exact and work block by block, so that memory is linear in the number of images. Ties between distances count against
the embedding: one that puts all images on one point scores nothing.
"""

from siamese_triplet.evaluation.embeddings import embed, extract_embeddings
from siamese_triplet.evaluation.few_shot import episode_accuracy, few_shot_accuracy
from siamese_triplet.evaluation.frozen import frozen_features
from siamese_triplet.evaluation.intervals import bootstrap_interval
from siamese_triplet.evaluation.neighbours import Neighbours, knn_accuracy, knn_predictions, nearest
from siamese_triplet.evaluation.open_set import Threshold, choose_threshold
from siamese_triplet.evaluation.retrieval import retrieval_metrics, retrieval_values
from siamese_triplet.evaluation.spread import spread_out
from siamese_triplet.evaluation.suspects import doubtful_labels, near_duplicates, near_pairs
from siamese_triplet.evaluation.verification import Roc, pair_metrics, roc_curve, verification_metrics

__all__ = [
    "Neighbours",
    "Roc",
    "Threshold",
    "bootstrap_interval",
    "choose_threshold",
    "doubtful_labels",
    "embed",
    "episode_accuracy",
    "extract_embeddings",
    "few_shot_accuracy",
    "frozen_features",
    "knn_accuracy",
    "knn_predictions",
    "near_duplicates",
    "near_pairs",
    "nearest",
    "pair_metrics",
    "retrieval_metrics",
    "retrieval_values",
    "roc_curve",
    "spread_out",
    "verification_metrics",
]
