"""Brute force: what pairs, triplets and losses are, as plain loops over Python numbers.

Nothing here imports the package or computes with tensors: `batch` makes tensors, the rest takes lists.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

Rows = Sequence[Sequence[float]]


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """A batch of 0 to 14 embeddings (float64) and labels: uneven classes, singletons, one class, ties, duplicates.

    Half of the batches lie on the integers of a line, where distances, and so ties and zero losses, are exact.
    """
    rng = random.Random(seed)
    size = rng.choice([0, 1, 2, 3, *range(4, 15), *range(4, 15)])
    names = rng.sample(range(-3, 100), rng.randint(1, 5))
    weights = [rng.random() ** 2 for _ in names]
    labels = rng.choices(names, weights, k=size)
    if rng.random() < 0.5:
        rows = [[float(rng.randint(-3, 3))] for _ in labels]
    else:
        rows = [[rng.gauss(0, 0.8) for _ in range(3)] for _ in labels]
        for row in range(1, size):
            if rng.random() < 0.2:
                rows[row] = rows[rng.randrange(row)]
    embeddings = torch.tensor(rows, dtype=torch.float64).reshape(size, len(rows[0]) if rows else 2)
    return embeddings, torch.tensor(labels, dtype=torch.int64)


def squared_distance(left: Sequence[float], right: Sequence[float]) -> float:
    total = 0.0
    for a, b in zip(left, right, strict=True):
        total += (a - b) ** 2
    return total


def positive_pairs(labels: Sequence[int]) -> set[tuple[int, int]]:
    """Unordered: the first is the smaller index."""
    return {(i, j) for i in range(len(labels)) for j in range(i + 1, len(labels)) if labels[i] == labels[j]}


def negative_pairs(labels: Sequence[int]) -> set[tuple[int, int]]:
    return {(i, j) for i in range(len(labels)) for j in range(i + 1, len(labels)) if labels[i] != labels[j]}


def anchor_positive_pairs(labels: Sequence[int], both_anchors: bool) -> list[tuple[int, int]]:
    pairs = []
    for anchor in range(len(labels)):
        for positive in range(len(labels)):
            if anchor != positive and labels[anchor] == labels[positive] and (both_anchors or anchor < positive):
                pairs.append((anchor, positive))
    return pairs


def all_triplets(labels: Sequence[int], both_anchors: bool = True) -> set[tuple[int, int, int]]:
    triplets = set()
    for anchor, positive in anchor_positive_pairs(labels, both_anchors):
        for negative in range(len(labels)):
            if labels[negative] != labels[anchor]:
                triplets.add((anchor, positive, negative))
    return triplets


def triplet_cost(rows: Rows, triplet: tuple[int, int, int], margin: float) -> float:
    """What is inside max(0, …)."""
    anchor, positive, negative = (rows[i] for i in triplet)
    return squared_distance(anchor, positive) - squared_distance(anchor, negative) + margin


def candidates(
    rows: Rows, labels: Sequence[int], is_candidate: Callable[[float], bool], margin: float, both_anchors: bool = True
) -> dict[tuple[int, int], set[int]]:
    """For each positive pair that has any, the negatives whose cost satisfies `is_candidate`."""
    found: dict[tuple[int, int], set[int]] = {}
    for triplet in all_triplets(labels, both_anchors):
        if is_candidate(triplet_cost(rows, triplet, margin)):
            found.setdefault(triplet[:2], set()).add(triplet[2])
    return found


def hardest_triplets(
    rows: Rows, labels: Sequence[int], margin: float, both_anchors: bool = True
) -> set[tuple[int, int, int]]:
    """Per positive pair the negative nearest to the anchor (of equals the first), where the loss is > 0."""
    triplets = set()
    for anchor, positive in anchor_positive_pairs(labels, both_anchors):
        best, best_cost = None, 0.0
        for negative in range(len(labels)):
            if labels[negative] != labels[anchor]:
                cost = triplet_cost(rows, (anchor, positive, negative), margin)
                if cost > best_cost:
                    best, best_cost = negative, cost
        if best is not None:
            triplets.add((anchor, positive, best))
    return triplets


def contrastive_loss(left: Rows, right: Rows, target: Sequence[int], margin: float) -> float:
    total = 0.0
    for a, b, same in zip(left, right, target, strict=True):
        squared = squared_distance(a, b)
        total += squared / 2 if same else max(0.0, margin - math.sqrt(squared)) ** 2 / 2
    return total / len(target)


def triplet_loss(anchors: Rows, positives: Rows, negatives: Rows, margin: float) -> float:
    total = 0.0
    for a, p, n in zip(anchors, positives, negatives, strict=True):
        total += max(0.0, squared_distance(a, p) - squared_distance(a, n) + margin)
    return total / len(anchors)


def gradient(loss: Callable[[list[list[float]]], float], rows: Rows, step: float = 1e-5) -> list[list[float]]:
    """Of `loss` with respect to every number of `rows`, by central differences."""
    result = []
    for i, row in enumerate(rows):
        result.append([])
        for j in range(len(row)):
            values = []
            for sign in (1, -1):
                moved = [list(other) for other in rows]
                moved[i][j] += sign * step
                values.append(loss(moved))
            result[-1].append((values[0] - values[1]) / (2 * step))
    return result


def knn_accuracy(gallery: Rows, gallery_labels: Sequence[int], queries: Rows, labels: Sequence[int], k: int) -> float:
    """A tie between classes goes to the smaller label."""
    n_correct = 0
    for query, label in zip(queries, labels, strict=True):
        nearest = sorted(range(len(gallery)), key=lambda i: squared_distance(gallery[i], query))[:k]
        votes = Counter(gallery_labels[i] for i in nearest)
        n_correct += label == min(votes, key=lambda name: (-votes[name], name))
    return n_correct / len(labels)


def tuples(indices: Tensor) -> list[tuple[int, ...]]:
    """The rows of a tensor of indices, after a check that none is repeated."""
    rows = [tuple(row) for row in indices.tolist()]
    assert len(rows) == len(set(rows))
    return rows


def assert_uniform(drawn: Iterable[int], expected: set[int]) -> None:
    """All of `expected` (at most ten) were drawn, nothing else, and equally often: χ² below 40."""
    counts = Counter(drawn)
    assert set(counts) == expected
    mean = sum(counts.values()) / len(expected)
    assert sum((count - mean) ** 2 / mean for count in counts.values()) < 40


BAD_BATCHES = {  # embeddings, labels, and what the error says of them
    "lengths": (torch.zeros(3, 2), torch.tensor([0, 1]), "3 embeddings but 2 labels"),
    "float labels": (torch.zeros(2, 2), torch.tensor([0.0, 1.0]), "labels must be integers"),
    "1-D": (torch.zeros(2), torch.tensor([0, 1]), r"shape \(batch, embedding size\)"),
    "NaN": (torch.tensor([[math.nan], [0.0]]), torch.tensor([0, 1]), "1 of 2 rows hold NaN"),
    "inf": (torch.tensor([[math.inf], [0.0]]), torch.tensor([0, 1]), "1 of 2 rows hold NaN or infinite"),
    "devices": (
        torch.zeros(2, 2),
        torch.zeros(2, dtype=torch.int64, device="meta"),
        "embeddings are on cpu, labels on meta",
    ),
}
