"""Brute-force definitions of pairs, triplets and losses, as plain loops over Python numbers.

Nothing here imports the package or computes with tensors: `batch` makes tensors, the other functions take lists.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence

import torch
from torch import Tensor

Rows = Sequence[Sequence[float]]


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """Draw 0 to 14 embeddings (float64) and labels: uneven classes, singletons, one class, ties, duplicates.

    Half of the batches are integers on a line. Their distances are exact, and so are ties and zero losses.
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
    """List the unordered pairs, the smaller index first."""
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


def distance(left: Sequence[float], right: Sequence[float], squared: bool) -> float:
    return squared_distance(left, right) if squared else math.sqrt(squared_distance(left, right))


def triplet_cost(rows: Rows, triplet: tuple[int, int, int], margin: float, squared: bool = True) -> float:
    """Compute the argument of max(0, …) in the loss."""
    anchor, positive, negative = (rows[i] for i in triplet)
    return distance(anchor, positive, squared) - distance(anchor, negative, squared) + margin


def candidates(
    rows: Rows,
    labels: Sequence[int],
    is_candidate: Callable[[float], bool],
    margin: float,
    both_anchors: bool = True,
    squared: bool = True,
) -> dict[tuple[int, int], set[int]]:
    """Map each positive pair to the negatives whose cost satisfies `is_candidate`, if there are any."""
    negatives: dict[tuple[int, int], set[int]] = {}
    for triplet in all_triplets(labels, both_anchors):
        if is_candidate(triplet_cost(rows, triplet, margin, squared)):
            negatives.setdefault(triplet[:2], set()).add(triplet[2])
    return negatives


def hardest_triplets(
    rows: Rows, labels: Sequence[int], margin: float, both_anchors: bool = True, squared: bool = True
) -> set[tuple[int, int, int]]:
    """Select per positive pair the negative nearest to the anchor, the first on a tie, if the loss is > 0."""
    triplets = set()
    for anchor, positive in anchor_positive_pairs(labels, both_anchors):
        best, best_cost = None, 0.0
        for negative in range(len(labels)):
            if labels[negative] != labels[anchor]:
                cost = triplet_cost(rows, (anchor, positive, negative), margin, squared)
                if cost > best_cost:
                    best, best_cost = negative, cost
        if best is not None:
            triplets.add((anchor, positive, best))
    return triplets


def all_semihard_triplets(
    rows: Rows, labels: Sequence[int], margin: float, both_anchors: bool = True, squared: bool = True
) -> set[tuple[int, int, int]]:
    """Select all triplets with 0 < loss < margin."""
    triplets = set()
    for triplet in all_triplets(labels, both_anchors):
        if 0 < triplet_cost(rows, triplet, margin, squared) < margin:
            triplets.add(triplet)
    return triplets


def hardest_semihard_triplets(
    rows: Rows, labels: Sequence[int], margin: float, both_anchors: bool = True, squared: bool = True
) -> set[tuple[int, int, int]]:
    """Select per positive pair the negative with the greatest loss in (0, margin), the first on a tie."""
    triplets = set()
    for anchor, positive in anchor_positive_pairs(labels, both_anchors):
        best, best_cost = None, 0.0
        for negative in range(len(labels)):
            if labels[negative] != labels[anchor]:
                cost = triplet_cost(rows, (anchor, positive, negative), margin, squared)
                if best_cost < cost < margin:
                    best, best_cost = negative, cost
        if best is not None:
            triplets.add((anchor, positive, best))
    return triplets


def nearest_beyond_triplets(rows: Rows, labels: Sequence[int], both_anchors: bool = True) -> set[tuple[int, int, int]]:
    """Select per positive pair the nearest negative farther than the positive, else the farthest negative."""
    triplets = set()
    for anchor, positive in anchor_positive_pairs(labels, both_anchors):
        negatives = [i for i in range(len(labels)) if labels[i] != labels[anchor]]
        inner = squared_distance(rows[anchor], rows[positive])
        beyond = [i for i in negatives if squared_distance(rows[anchor], rows[i]) > inner]
        if negatives:
            negative = nearest(rows, anchor, beyond) if beyond else farthest(rows, anchor, negatives)
            triplets.add((anchor, positive, negative))
    return triplets


def batch_hard_triplets(rows: Rows, labels: Sequence[int]) -> set[tuple[int, int, int]]:
    """Select the farthest positive and the nearest negative of each image that has both."""
    triplets = set()
    for anchor in range(len(labels)):
        positives, negatives = others(labels, anchor)
        if positives and negatives:
            triplets.add((anchor, farthest(rows, anchor, positives), nearest(rows, anchor, negatives)))
    return triplets


def easy_positive_triplets(rows: Rows, labels: Sequence[int], semihard: bool) -> set[tuple[int, int, int]]:
    """Select the nearest positive of each image, and the nearest negative; with `semihard`, one beyond the positive."""
    triplets = set()
    for anchor in range(len(labels)):
        positives, negatives = others(labels, anchor)
        if not positives:
            continue
        positive = nearest(rows, anchor, positives)
        if semihard:
            inner = squared_distance(rows[anchor], rows[positive])
            negatives = [i for i in negatives if squared_distance(rows[anchor], rows[i]) > inner]
        if negatives:
            triplets.add((anchor, positive, nearest(rows, anchor, negatives)))
    return triplets


# By the names of `selectors/by_name.py`: loops over rows, labels, margin, both_anchors and squared.
TRIPLETS: dict[str, Callable[..., set[tuple[int, int, int]]]] = {
    "hardest": hardest_triplets,
    "hardest-semihard": hardest_semihard_triplets,
    "all-semihard": all_semihard_triplets,
    "nearest-beyond-positive": lambda rows, labels, _, both, __: nearest_beyond_triplets(rows, labels, both),
    "batch-hard": lambda rows, labels, *_: batch_hard_triplets(rows, labels),
    "easy-positive": lambda rows, labels, *_: easy_positive_triplets(rows, labels, semihard=True),
}
# Selectors that draw: the losses that they draw from, by margin.
IS_CANDIDATE: dict[str, Callable[[float], Callable[[float], bool]]] = {
    "random": lambda margin: lambda cost: cost > 0,
    "uniform": lambda margin: lambda cost: True,
    "semihard": lambda margin: lambda cost: 0 < cost < margin,
}


def batch_hard_pairs(rows: Rows, labels: Sequence[int]) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Select the farthest positive and the nearest negative of each image, as unordered pairs."""
    positive_pairs, negative_pairs = set(), set()
    for image in range(len(labels)):
        positives, negatives = others(labels, image)
        if positives:
            other = farthest(rows, image, positives)
            positive_pairs.add((min(image, other), max(image, other)))
        if negatives:
            other = nearest(rows, image, negatives)
            negative_pairs.add((min(image, other), max(image, other)))
    return positive_pairs, negative_pairs


def others(labels: Sequence[int], image: int) -> tuple[list[int], list[int]]:
    """List the positives and the negatives of an image, in the order of the batch."""
    positives = [i for i in range(len(labels)) if labels[i] == labels[image] and i != image]
    return positives, [i for i in range(len(labels)) if labels[i] != labels[image]]


def nearest(rows: Rows, image: int, among: Sequence[int]) -> int:
    """Find the nearest image, the first on a tie."""
    return min(among, key=lambda other: squared_distance(rows[image], rows[other]))


def farthest(rows: Rows, image: int, among: Sequence[int]) -> int:
    """Find the farthest image, the first on a tie."""
    return max(among, key=lambda other: squared_distance(rows[image], rows[other]))


def distance_weight(
    left: Sequence[float], right: Sequence[float], embedding_size: int, cutoff: float, nonzero_loss_cutoff: float
) -> float:
    """Compute 1 / q(d), where q(d) = d^(n − 2) · (1 − d²/4)^((n − 3)/2) up to a constant (Wu and others, 2017)."""
    d = math.sqrt(squared_distance(left, right))
    if d >= nonzero_loss_cutoff:
        return 0.0
    d = max(d, cutoff)
    return 1 / (d ** (embedding_size - 2) * (1 - d * d / 4) ** ((embedding_size - 3) / 2))


def contrastive_loss(left: Rows, right: Rows, target: Sequence[int], margin: float) -> float:
    total = 0.0
    for a, b, same in zip(left, right, target, strict=True):
        squared = squared_distance(a, b)
        total += squared / 2 if same else max(0.0, margin - math.sqrt(squared)) ** 2 / 2
    return total / len(target)


def triplet_loss(anchors: Rows, positives: Rows, negatives: Rows, margin: float | str, squared: bool = True) -> float:
    total = 0.0
    for a, p, n in zip(anchors, positives, negatives, strict=True):
        total += hinge_or_soft(distance(a, p, squared) - distance(a, n, squared), margin)
    return total / len(anchors)


def hinge_or_soft(gap: float, margin: float | str) -> float:
    """Compute the loss of a triplet whose positive is farther than its negative by `gap`."""
    if margin == "soft":
        return max(0.0, gap) + math.log1p(math.exp(-abs(gap)))
    return max(0.0, gap + margin)


def batch_all_loss(
    rows: Rows, labels: Sequence[int], margin: float | str, squared: bool = True, mean_over: str = "active"
) -> tuple[float, int]:
    """Compute the mean loss of all or of the active triplets, and the number of active ones; 0.0, 0 without any."""
    costs = [
        hinge_or_soft(triplet_cost(rows, triplet, 0.0, squared), margin) for triplet in sorted(all_triplets(labels))
    ]
    n_active = sum(cost > 0 for cost in costs) if margin != "soft" else len(costs)
    n_triplets = n_active if mean_over == "active" else len(costs)
    return sum(costs) / max(1, n_triplets), n_active


def gradient(loss: Callable[[list[list[float]]], float], rows: Rows, step: float = 1e-5) -> list[list[float]]:
    """Compute the gradient of `loss` with respect to each number of `rows`, by central differences."""
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
    """Compute the accuracy of the majority of the k nearest images; a tie goes to the smaller label."""
    n_correct = 0
    for query, label in zip(queries, labels, strict=True):
        nearest = sorted(range(len(gallery)), key=lambda i: squared_distance(gallery[i], query))[:k]
        votes = Counter(gallery_labels[i] for i in nearest)
        n_correct += label == min(votes, key=lambda name: (-votes[name], name))
    return n_correct / len(labels)


def tuples(indices: Tensor) -> list[tuple[int, ...]]:
    """List the rows of a tensor of indices, and assert that none is repeated."""
    rows = [tuple(row) for row in indices.tolist()]
    assert len(rows) == len(set(rows))
    return rows


def assert_uniform(drawn: Iterable[int], expected: set[int]) -> None:
    """Assert that exactly `expected`, at most ten values, were drawn, and equally often: χ² below 40."""
    counts = Counter(drawn)
    assert set(counts) == expected
    mean = sum(counts.values()) / len(expected)
    assert sum((count - mean) ** 2 / mean for count in counts.values()) < 40


def assert_drawn_with_weights(drawn: Iterable[Hashable], weights: dict[Hashable, float]) -> None:
    """Assert that values with a weight were drawn, and as often as their weights say; it errs once in about 100,000.

    χ² has as many degrees of freedom as there are free frequencies; its quantile is Wilson and Hilferty's.
    """
    counts = Counter(drawn)
    expected = {name: weight for name, weight in weights.items() if weight > 0}
    assert set(counts) <= set(expected)
    scale = sum(counts.values()) / sum(expected.values())
    assert min(expected.values()) * scale > 5  # else χ² says nothing
    chi_squared = sum((counts[name] - weight * scale) ** 2 / (weight * scale) for name, weight in expected.items())
    freedom = len(expected) - 1
    spread = 2 / (9 * freedom)
    assert chi_squared < freedom * (1 - spread + 4.3 * math.sqrt(spread)) ** 3


BAD_BATCHES = {  # embeddings, labels, and the error of functions with an argument `labels`
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
