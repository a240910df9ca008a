"""Selection algorithms of the original tutorial (2018): loops over pairs on the CPU, with NumPy.

Rewritten for the comparison in `selection.py`: the same steps, the same libraries, the same order of work.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

ChooseNegative = Callable[[np.ndarray], int | None]


def all_pairs(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Select all positive pairs and as many random negative ones."""
    positive, negative = _pairs_by_class(labels)
    return positive, negative[torch.randperm(len(negative))[: len(positive)]]


def hard_negative_pairs(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Select all positive pairs and as many of the closest negative ones."""
    distances = _distances(embeddings)
    positive, negative = _pairs_by_class(labels)
    negative_distances = distances[negative[:, 0], negative[:, 1]].cpu().numpy()
    closest = np.argpartition(negative_distances, len(positive))[: len(positive)]
    return positive, negative[torch.from_numpy(closest)]


def all_triplets(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Select every positive pair, its first image as the anchor, with every negative."""
    triplets: list[list[int]] = []
    for pairs, negatives in _classes(labels.cpu().numpy()):
        triplets += [[anchor, positive, negative] for anchor, positive in pairs for negative in negatives]
    return torch.from_numpy(np.array(triplets))


def triplets_with(choose: ChooseNegative, margin: float, embeddings: Tensor, labels: Tensor) -> Tensor:
    """Select for each positive pair, its first image as the anchor, the negative that `choose` takes by the losses."""
    distances = _distances(embeddings).cpu()
    triplets = []
    for pairs, negatives in _classes(labels.cpu().numpy()):
        pair_array = np.array(pairs)
        positive_distances = distances[pair_array[:, 0], pair_array[:, 1]]
        for pair, distance in zip(pair_array, positive_distances, strict=True):
            negative_distances = distances[torch.LongTensor(np.array([pair[0]])), torch.LongTensor(negatives)]
            losses = distance - negative_distances + margin
            chosen = choose(losses.data.cpu().numpy())
            if chosen is not None:
                triplets.append([pair[0], pair[1], negatives[chosen]])
    return torch.from_numpy(np.array(triplets))


def hardest(losses: np.ndarray) -> int | None:
    greatest = int(np.argmax(losses))
    return greatest if losses[greatest] > 0 else None


def random_violating(losses: np.ndarray) -> int | None:
    return _draw(np.where(losses > 0)[0])


def random_semihard(losses: np.ndarray, margin: float = 1.0) -> int | None:
    return _draw(np.where(np.logical_and(losses < margin, losses > 0))[0])


def _draw(candidates: np.ndarray) -> int | None:
    return np.random.choice(candidates) if len(candidates) else None  # noqa: NPY002 - as in the original


def _classes(labels: np.ndarray) -> list[tuple[list[tuple[int, int]], np.ndarray]]:
    """List the positive pairs and the negatives of each class."""
    classes = []
    for label in set(labels):
        is_in_class = labels == label
        images = np.where(is_in_class)[0]
        if len(images) > 1:
            classes.append((list(combinations(images, 2)), np.where(np.logical_not(is_in_class))[0]))
    return classes


def _pairs_by_class(labels: Tensor) -> tuple[Tensor, Tensor]:
    classes = labels.cpu().numpy()
    pairs = torch.LongTensor(np.array(list(combinations(range(len(classes)), 2))))
    is_positive = classes[pairs[:, 0]] == classes[pairs[:, 1]]
    return pairs[is_positive.nonzero()], pairs[np.logical_not(is_positive).nonzero()]


def _distances(embeddings: Tensor) -> Tensor:
    norms = embeddings.pow(2).sum(dim=1)
    return -2 * embeddings.mm(embeddings.t()) + norms.view(1, -1) + norms.view(-1, 1)
