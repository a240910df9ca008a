"""Brute force: the metrics of an evaluation in plain loops over Python numbers, and sets to evaluate.

Nothing here imports the package. `sets` and `random_set` make tensors, the rest takes lists.
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import reference
import torch
from hypothesis import settings
from hypothesis import strategies as st
from reference import Rows
from torch import Tensor

Set = tuple[Tensor, Tensor]  # embeddings (N, D) and labels (N,)
Curve = list[tuple[float, float, float]]  # (fpr, tpr, threshold), ascending
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
CLASSES = [[3, 3, 3, -2, 0, 7], [3, 3, -2], [1, 0], [5]]


def examples(number: int) -> settings:
    return settings(max_examples=number, deadline=None, derandomize=True, database=None)


@st.composite
def sets(draw: st.DrawFn, least: int = 1, most: int = 12, n_columns: int | None = None) -> Set:
    """Draw images on a small grid, exact in every dtype, with many equal distances, uneven classes and singletons.

    With up to 8 columns, distances are sums of squared differences; with 9 or more, they come from a product.
    """
    size = draw(st.integers(least, most))
    n_columns = n_columns or draw(st.sampled_from([1, 2, 9]))
    width = draw(st.sampled_from([0, 1, 1, 2]))  # 0: all on one point
    number = st.integers(-width, width)
    rows = draw(st.lists(st.lists(number, min_size=n_columns, max_size=n_columns), min_size=size, max_size=size))
    labels = draw(st.lists(st.sampled_from(draw(st.sampled_from(CLASSES))), min_size=size, max_size=size))
    return torch.tensor(rows, dtype=draw(st.sampled_from(DTYPES))), torch.tensor(labels)


def random_set(seed: int, size: int = 60, n_columns: int = 4, classes: Sequence[int] = (0, 0, 0, 1, 1, 2, 3, 9)) -> Set:
    """Make images of uneven classes in general position, in float64."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor(classes)[torch.randint(len(classes), (size,), generator=generator)]
    noise = torch.randn(size, n_columns, dtype=torch.float64, generator=generator)
    return noise + 0.5 * labels[:, None], labels


def searched(rows: Rows, query: int, gallery: Rows | None) -> list[tuple[float, int]]:
    """List squared distance and index of the images that a query can find, in the order of the gallery."""
    found = []
    for index, other in enumerate(rows if gallery is None else gallery):
        if gallery is not None or index != query:
            found.append((reference.squared_distance(rows[query], other), index))
    return found


def nearest(rows: Rows, gallery: Rows | None, k: int) -> list[list[int]]:
    """Find the nearest images; at equal distances the first in the gallery."""
    return [[index for _, index in sorted(searched(rows, query, gallery))[:k]] for query in range(len(rows))]


def knn_predictions(train: Rows, labels: Sequence[int], test: Rows, k: int) -> list[int]:
    predictions = []
    for indices in nearest(test, train, k):
        votes = Counter(labels[index] for index in indices)
        predictions.append(min(votes, key=lambda name: (-votes[name], name)))
    return predictions


def retrieval(
    rows: Rows,
    labels: Sequence[int],
    gallery: Rows | None = None,
    gallery_labels: Sequence[int] | None = None,
    ks: Sequence[int] = (1,),
) -> list[dict[str, float] | None]:
    """Compute the metrics of each query, None for a query that is left out."""
    return [
        ranking_metrics(_ranking(rows, labels, query, gallery, labels if gallery is None else gallery_labels), ks)
        for query in range(len(rows))
    ]


def _ranking(
    rows: Rows, labels: Sequence[int], query: int, gallery: Rows | None, gallery_labels: Sequence[int]
) -> list[bool]:
    """Tell which images are of the query's class, the nearest first; at equal distances other classes come first."""
    found = [(distance, gallery_labels[index] == labels[query]) for distance, index in searched(rows, query, gallery)]
    return [is_same for _, is_same in sorted(found)]


def ranking_metrics(ranking: Sequence[bool], ks: Sequence[int]) -> dict[str, float] | None:
    n_relevant = sum(ranking)
    if n_relevant == 0:
        return None
    metrics = {"precision_at_1": float(ranking[0])}
    for k in ks:
        metrics[f"recall_at_{k}"] = float(any(ranking[:k]))
    metrics["r_precision"] = sum(ranking[:n_relevant]) / n_relevant
    precisions = 0.0
    for place in range(1, n_relevant + 1):
        if ranking[place - 1]:
            precisions += sum(ranking[:place]) / place
    metrics["map_at_r"] = precisions / n_relevant
    metrics["mrr"] = 1 / (list(ranking).index(True) + 1)
    return metrics


def curve(distances: Sequence[float], is_same: Sequence[bool], weights: Sequence[float] | None = None) -> Curve:
    weights = [1.0] * len(distances) if weights is None else weights
    points = []
    for threshold in [-math.inf, *sorted(set(distances))]:
        accepted, total = {True: 0.0, False: 0.0}, {True: 0.0, False: 0.0}
        for distance, same, weight in zip(distances, is_same, weights, strict=True):
            total[same] += weight
            accepted[same] += weight * (distance <= threshold)
        points.append((accepted[False] / total[False], accepted[True] / total[True], threshold))
    return points


def auc(distances: Sequence[float], is_same: Sequence[bool]) -> float:
    """Compute how often a pair of one class is nearer than a pair of two; a tie counts half."""
    wins, n = 0.0, 0
    for near, same in zip(distances, is_same, strict=True):
        for far, other_same in zip(distances, is_same, strict=True):
            if same and not other_same:
                wins += 1.0 if near < far else 0.5 if near == far else 0.0
                n += 1
    return wins / n


def equal_error_rate(points: Curve) -> float:
    """Find the fpr at which the straight lines between the points of the curve have 1 − tpr = fpr."""
    for (fpr, tpr, _), (next_fpr, next_tpr, _) in itertools.pairwise(points):
        if next_fpr + next_tpr >= 1:
            share = (1 - fpr - tpr) / (next_fpr + next_tpr - fpr - tpr)
            return fpr + share * (next_fpr - fpr)
    raise AssertionError("a curve ends at (1, 1)")


def tpr_at_fpr(points: Curve, limit: float) -> float:
    return max(tpr for fpr, tpr, _ in points if fpr <= limit)


def all_pairs(rows: Rows, labels: Sequence[int]) -> tuple[list[float], list[bool]]:
    distances, is_same = [], []
    for left, right in itertools.combinations(range(len(rows)), 2):
        distances.append(reference.distance(rows[left], rows[right], squared=False))
        is_same.append(labels[left] == labels[right])
    return distances, is_same


def few_shot_scores(
    rows: Sequence[Sequence[int]], support: Sequence[Sequence[int]], queries: Sequence[Sequence[int]]
) -> tuple[float, float]:
    """Compute the exact accuracies by prototype and by neighbour of an episode, given as images of each class."""
    n_right, n_queries = [0, 0], 0
    for own, class_queries in enumerate(queries):
        for query in class_queries:
            n_queries += 1
            for method, distances in enumerate(
                (
                    [_squared(rows[query], _mean([rows[i] for i in images])) for images in support],
                    [min(_squared(rows[query], rows[i]) for i in images) for images in support],
                )
            ):
                others = [distance for name, distance in enumerate(distances) if name != own]
                n_right[method] += all(distances[own] < distance for distance in others)
    return n_right[0] / n_queries, n_right[1] / n_queries


def _mean(rows: Sequence[Sequence[int]]) -> list[Fraction]:
    return [Fraction(sum(column), len(rows)) for column in zip(*rows, strict=True)]


def _squared(left: Sequence[Fraction | int], right: Sequence[Fraction | int]) -> Fraction:
    return sum(((a - b) ** 2 for a, b in zip(left, right, strict=True)), Fraction(0))
