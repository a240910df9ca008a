"""Exercises on the use and evaluation of embeddings: chapters 1, 10 and 18."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.evaluation import knn_predictions
from siamese_triplet.evaluation.verification import roc_curve
from siamese_triplet.gallery import Gallery


def classify(function: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> None:
    """Check a k-nearest-neighbour classifier (chapter 1).

    It gives the classes (M,) of queries (M, D) by the majority among the k nearest of `known` (N, D), with classes
    y (N,).
    """

    def case(name: str, arguments: tuple[Tensor, Tensor, Tensor, int], hint: str) -> Case:
        return Case(name, arguments, knn_predictions(*arguments), hint)

    known, y = torch.tensor([[0.0], [1.0], [3.0], [7.0]]), torch.tensor([4, 2, 2, 4])
    gallery = f"known {known[:, 0].tolist()} of classes {y.tolist()}"
    at_zero, at_ends, many = torch.zeros(1, 1), torch.tensor([[-1.0], [8.0]]), _points(46)
    hint = "torch.cdist gives the distances, topk(k, largest=False) the nearest"
    cases = [
        case(f"{gallery}, queries -1 and 8, k=1", (known, y, at_ends, 1), "the nearest one: its class"),
        case(f"{gallery}, query 0, k=3", (known, y, at_zero, 3), "the class that most of the k nearest have"),
        case(f"{gallery}, query 0, k=2", (known, y, at_zero, 2), "a tie goes to the smaller label"),
        case("40 known in the plane, 6 queries, k=5", (many[:40], torch.arange(40) % 3, many[40:], 5), hint),
    ]
    judge(function, cases, "what knn_predictions gives")


def nearest_prototype(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Check the classes (Q,) of queries (Q, D) by the nearest class mean of support (S, D) (chapter 10).

    The support has labels (S,).
    """

    def case(name: str, support: Tensor, labels: list[int], queries: Tensor, hint: str) -> Case:
        arguments = support, torch.tensor(labels), queries
        return Case(name, arguments, Gallery(*arguments[:2]).prototypes().classify(queries), hint)

    line = torch.tensor([[0.0], [1.0], [5.0], [2.0]])
    points = _points(23)
    cases = [
        case("1-shot, support 0, 1, 5 of classes 0, 1, 2, queries 0.9 and 4", line[:3], [0, 1, 2],
             torch.tensor([[0.9], [4.0]]), "with one shot a prototype is the image itself: take the nearest"),
        case("support 0, 1, 5, 2 of classes 0, 1, 0, 1, query 2.4", line, [0, 1, 0, 1], torch.tensor([[2.4]]),
             "the mean of a class first, then the nearest mean: not the nearest image"),
        case("1-shot, support 0, 1, 5 of classes 7, 3, 9, queries 0 and 5", line[:3], [7, 3, 9], line[[0, 2]],
             "a label is any integer: labels.unique() has those there are"),
        case("5-way 3-shot in the plane, 8 queries", points[:15], [0, 1, 2, 3, 4] * 3, points[15:],
             "each image of the support goes into the mean of its own class"),
    ]  # fmt: skip
    judge(function, cases, "what Gallery.prototypes().classify gives")


def threshold_at(function: Callable[[Tensor, Tensor, float], float]) -> None:
    """Check the greatest threshold for a rate of false accepts, from distances (P,) and is_same (P,) (chapter 18).

    The rate is the greatest share of the pairs of two classes that may be accepted. The threshold is judged by the
    pairs that it accepts.
    """

    def case(name: str, distances: Tensor, is_same: Tensor, rate: float, hint: str) -> Case:
        roc = roc_curve(distances, is_same)
        is_allowed = roc.fpr <= rate
        shares = roc.tpr[is_allowed].max().item(), roc.fpr[is_allowed].max().item()
        return Case(f"{name}, rate {rate}", (distances, is_same, rate), shares, hint)

    line = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    is_same = torch.tensor([True, True, False, True, False, True, False, False])
    pairs = f"distances 0.1, 0.2 … 0.8, is_same {is_same.int().tolist()}, judged by the shares of both kinds accepted"
    many = _points(300).square().sum(dim=1)
    cases = [
        case(pairs, line, is_same, 0.25, "a pair is accepted at a distance of at most the threshold"),
        case(pairs, line, is_same, 0.4, "no more than the rate: of 4 pairs of two classes 0.4 allows one"),
        case(pairs, line, is_same, 1.0, "a rate of 1 accepts everything"),
        case(pairs, line, is_same, 0.0, "a rate of 0 still accepts what is nearer than all pairs of two classes"),
        case("300 random distances", many, torch.arange(300) % 3 == 0, 0.1, "only the pairs of two classes count"),
    ]

    def accepted_shares(distances: Tensor, is_same: Tensor, rate: float) -> tuple[float, float]:
        is_accepted = distances <= function(distances, is_same, rate)
        return is_accepted[is_same].double().mean().item(), is_accepted[~is_same].double().mean().item()

    judge(accepted_shares, cases, "the shares that verification_metrics finds at these rates")


def _points(n: int) -> Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
