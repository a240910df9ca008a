"""Siamese and triplet networks in PyTorch: data, networks, losses, and the selection of pairs and triplets.

Every name below can be imported from here and from the module that defines it. `plot_embeddings` is imported on first
use, so that importing the package does not import matplotlib.
"""

from typing import TYPE_CHECKING, Any

from siamese_triplet.datasets import Images, RandomWarp, SiameseMNIST, TripletMNIST, load, load_folder
from siamese_triplet.diagnostics import CollapseWarning, Diagnosis, SpreadMetric, diagnose
from siamese_triplet.evaluation import (
    bootstrap_interval,
    embed,
    extract_embeddings,
    few_shot_accuracy,
    knn_accuracy,
    knn_predictions,
    nearest,
    retrieval_metrics,
    retrieval_values,
    verification_metrics,
)
from siamese_triplet.export import export_onnx
from siamese_triplet.gallery import Gallery
from siamese_triplet.loader import TensorLoader
from siamese_triplet.losses import (
    BatchAllTripletLoss,
    ContrastiveLoss,
    OnlineContrastiveLoss,
    OnlineTripletLoss,
    SupervisedContrastiveLoss,
    TripletLoss,
)
from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric
from siamese_triplet.networks import (
    ClassificationNet,
    ConvEmbeddingNet,
    EmbeddingNet,
    EmbeddingNetL2,
    ResidualEmbeddingNet,
    SiameseNet,
    TripletNet,
)
from siamese_triplet.samplers import BalancedBatchSampler, GroupedBatchSampler
from siamese_triplet.selectors import (
    AllPositivePairSelector,
    AllSemihardTripletSelector,
    AllTripletSelector,
    BatchHardPairSelector,
    BatchHardTripletSelector,
    DistanceWeightedPairSelector,
    DistanceWeightedTripletSelector,
    EasyPositiveTripletSelector,
    FunctionNegativeTripletSelector,
    HardestNegativeTripletSelector,
    HardestSemihardTripletSelector,
    HardNegativePairSelector,
    NearestBeyondPositiveTripletSelector,
    NegativeTripletSelector,
    PairSelector,
    RandomNegativeTripletSelector,
    SemihardNegativeTripletSelector,
    TripletSelector,
    UniformNegativeTripletSelector,
)
from siamese_triplet.selectors.adapters import MinerPairSelector, MinerTripletSelector, SelectorMiner
from siamese_triplet.trainer import CheckpointError, History, evaluate, fit, load_checkpoint, load_weights

if TYPE_CHECKING:
    from siamese_triplet.plots import plot_embeddings

__version__ = "1.0.0"

__all__ = [
    "AccumulatedAccuracyMetric",
    "AllPositivePairSelector",
    "AllSemihardTripletSelector",
    "AllTripletSelector",
    "AverageNonzeroTripletsMetric",
    "BalancedBatchSampler",
    "BatchAllTripletLoss",
    "BatchHardPairSelector",
    "BatchHardTripletSelector",
    "CheckpointError",
    "ClassificationNet",
    "CollapseWarning",
    "ContrastiveLoss",
    "ConvEmbeddingNet",
    "Diagnosis",
    "DistanceWeightedPairSelector",
    "DistanceWeightedTripletSelector",
    "EasyPositiveTripletSelector",
    "EmbeddingNet",
    "EmbeddingNetL2",
    "FunctionNegativeTripletSelector",
    "Gallery",
    "GroupedBatchSampler",
    "HardNegativePairSelector",
    "HardestNegativeTripletSelector",
    "HardestSemihardTripletSelector",
    "History",
    "Images",
    "MinerPairSelector",
    "MinerTripletSelector",
    "NearestBeyondPositiveTripletSelector",
    "NegativeTripletSelector",
    "OnlineContrastiveLoss",
    "OnlineTripletLoss",
    "PairSelector",
    "RandomNegativeTripletSelector",
    "RandomWarp",
    "ResidualEmbeddingNet",
    "SelectorMiner",
    "SemihardNegativeTripletSelector",
    "SiameseMNIST",
    "SiameseNet",
    "SpreadMetric",
    "SupervisedContrastiveLoss",
    "TensorLoader",
    "TripletLoss",
    "TripletMNIST",
    "TripletNet",
    "TripletSelector",
    "UniformNegativeTripletSelector",
    "bootstrap_interval",
    "diagnose",
    "embed",
    "evaluate",
    "export_onnx",
    "extract_embeddings",
    "few_shot_accuracy",
    "fit",
    "knn_accuracy",
    "knn_predictions",
    "load",
    "load_checkpoint",
    "load_folder",
    "load_weights",
    "nearest",
    "plot_embeddings",
    "retrieval_metrics",
    "retrieval_values",
    "verification_metrics",
]


def __getattr__(name: str) -> Any:
    if name == "plot_embeddings":
        from siamese_triplet.plots import plot_embeddings

        return plot_embeddings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
