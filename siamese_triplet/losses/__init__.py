"""Losses of pairs and triplets: of given ones, and of those selected in a batch.

d is the Euclidean distance, d² its square, m the margin. Every loss is computed in at least float32. A batch without
pairs or triplets gives a differentiable zero, never NaN.

After a call, `loss.is_empty` tells whether the batch allowed no pair or triplet: a bool, or a boolean scalar on the
device, as reading it is a sync. `fit` and `evaluate` leave such batches out of their means.
"""

from siamese_triplet.losses.batch_all import BatchAllTripletLoss
from siamese_triplet.losses.contrastive import ContrastiveLoss, OnlineContrastiveLoss
from siamese_triplet.losses.supervised import SupervisedContrastiveLoss
from siamese_triplet.losses.triplet import OnlineTripletLoss, TripletLoss

__all__ = [
    "BatchAllTripletLoss",
    "ContrastiveLoss",
    "OnlineContrastiveLoss",
    "OnlineTripletLoss",
    "SupervisedContrastiveLoss",
    "TripletLoss",
]
