"""Networks: small ones to train from scratch, pretrained ones, and what is built on them."""

from siamese_triplet.networks.architectures import architecture, build
from siamese_triplet.networks.embedding import ConvEmbeddingNet, EmbeddingNet, EmbeddingNetL2
from siamese_triplet.networks.freezing import freeze, freeze_batch_norm, layers, parameter_groups, unfreeze
from siamese_triplet.networks.heads import EmbeddingHead
from siamese_triplet.networks.pretrained import Preprocessing, PretrainedNet, load_pretrained
from siamese_triplet.networks.residual import ResidualEmbeddingNet
from siamese_triplet.networks.wrappers import ClassificationNet, SiameseNet, TripletNet

__all__ = [
    "ClassificationNet",
    "ConvEmbeddingNet",
    "EmbeddingHead",
    "EmbeddingNet",
    "EmbeddingNetL2",
    "Preprocessing",
    "PretrainedNet",
    "ResidualEmbeddingNet",
    "SiameseNet",
    "TripletNet",
    "architecture",
    "build",
    "freeze",
    "freeze_batch_norm",
    "layers",
    "load_pretrained",
    "parameter_groups",
    "unfreeze",
]
