"""A folder of small pictures and a small network, for the tests of the search."""

from pathlib import Path

import torch
from own_folders import write_classes
from torch import nn

from siamese_triplet import ConvEmbeddingNet
from siamese_triplet.networks import Preprocessing
from siamese_triplet.search import Index

SMALL = Preprocessing(16, 3, (0.5,) * 3, (0.25,) * 3)


def small_net(embedding_size: int = 8) -> nn.Module:
    """Make a network of 16 × 16 images in colour, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ConvEmbeddingNet(embedding_size, (3, 16, 16), width=8)


def small_folder(root: Path) -> Path:
    """Write five classes of six images."""
    return write_classes(root, [6] * 5, ["ape", "bee", "cat", "dog", "eel"])


def small_index(root: Path) -> Index:
    return Index.from_folder(small_folder(root), small_net(), SMALL, progress=False)
