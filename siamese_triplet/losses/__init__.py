"""Losses of pairs and triplets, for embeddings given one by one and for batches that a selector looks through.

d is the Euclidean distance, d² its square, m the margin. Every loss is computed in at least float32. A batch without
any pair or triplet gives a zero with a gradient, never NaN.
"""

from siamese_triplet.losses.batch_all import BatchAllTripletLoss
from siamese_triplet.losses.contrastive import ContrastiveLoss, OnlineContrastiveLoss
from siamese_triplet.losses.triplet import OnlineTripletLoss, TripletLoss

__all__ = ["BatchAllTripletLoss", "ContrastiveLoss", "OnlineContrastiveLoss", "OnlineTripletLoss", "TripletLoss"]
