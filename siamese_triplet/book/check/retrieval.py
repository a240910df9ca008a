"""Exercises on the metrics of retrieval and verification: chapters 1 and 12."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.evaluation import pair_metrics, retrieval_metrics


def average_precision(function: Callable[[list[bool], int], float]) -> None:
    """Check the average precision at R of one query, from its ranked hits and R (chapter 1).

    `hits` says of each neighbour, the nearest first, whether it is of the class of the query.
    """

    def case(hits: str, r: int, hint: str) -> Case:
        flags = [letter == "y" for letter in hits]
        return Case(f"hits {hits}, {r=}", (flags, r), _average_precision(flags, r), hint)

    cases = [
        case("yynn", 2, "both first places are right: 1"),
        case("ynyn", 2, "the place 3 is beyond R, and the sum is divided by R, not by the number of hits"),
        case("nyny", 2, "precision at place 2 is the share of hits among the first two; at a miss it counts 0"),
        case("yynyn", 4, "precision at place 4: three hits among four places"),
        case("nnny", 1, "no hit among the first R is 0"),
    ]
    judge(function, cases, "what retrieval_metrics gives for one query")


def area_under_curve(function: Callable[[Tensor, Tensor], float]) -> None:
    """Check the AUC, from distances (P,) of pairs and is_positive (P,) (chapter 1)."""

    def case(name: str, distances: Tensor, is_positive: Tensor, hint: str) -> Case:
        return Case(name, (distances, is_positive), pair_metrics(distances, is_positive)["auc"], hint)

    def line(distances: list[float], signs: str, hint: str) -> Case:
        is_positive = torch.tensor([sign == "+" for sign in signs])
        return case(f"distances {distances} of pairs {signs}", torch.tensor(distances), is_positive, hint)

    generator = torch.Generator().manual_seed(0)
    many = torch.randint(1000, (300_000,), generator=generator) / 1000
    of_many = torch.rand(len(many), generator=generator) < 1 - many
    cases = [
        line([0.1, 0.2, 0.3, 0.4], "++--", "every positive pair is nearer than every negative one: 1"),
        line([0.1, 0.2, 0.3, 0.4], "+-+-", "four comparisons of a positive with a negative pair, three of them right"),
        line([0.1, 0.2, 0.3], "+--", "compare positive pairs with negative ones only"),
        line([0.2, 0.2, 0.2, 0.5], "++--", "equal distances count half"),
        case("300,000 pairs with many ties", many, of_many,
             "too many comparisons to list: sort the negative distances, and find each positive one among them with "
             "torch.searchsorted, once from the left and once from the right"),
    ]  # fmt: skip
    judge(function, cases, "the area that verification_metrics finds")


def map_at_r(function: Callable[[Tensor, Tensor], float]) -> None:
    """Check the mean average precision at R, from embeddings (N, D) and labels (N,) (chapter 12)."""

    def case(name: str, embeddings: Tensor, labels: Tensor, hint: str) -> Case:
        expected = retrieval_metrics(embeddings, labels, ks=(1,))["map_at_r"]
        return Case(f"{name}, labels {labels.tolist()}", (embeddings, labels), expected, hint)

    line = torch.tensor([[0.0], [1.0], [3.0], [6.0], [10.0], [15.0]])
    generator = torch.Generator().manual_seed(0)
    many, of_many = torch.randn(30, 4, generator=generator), torch.arange(30) % 7
    cases = [
        case("two classes, well apart", torch.tensor([[0.0], [1.0], [8.0], [9.5]]), torch.tensor([0, 0, 1, 1]),
             "an image is no neighbour of itself"),
        case("six points at 0, 1, 3, 6, 10, 15", line, torch.tensor([0, 1, 0, 0, 1, 1]),
             "R is two here; only places that are right count, and the sum is divided by R, not by the hits"),
        case("the right one comes second", torch.tensor([[0.0], [1.0], [2.1], [9.0]]), torch.tensor([0, 1, 0, 1]),
             "with R = 1 only the first neighbour counts"),
        case("classes of different sizes", line, torch.tensor([0, 0, 0, 0, 1, 1]),
             "each image has an R of its own"),
        case("an image alone in its class", line, torch.tensor([0, 0, 1, 2, 1, 1]),
             "R = 0: leave such a query out of the mean"),
        Case("30 points in four dimensions", (many, of_many), retrieval_metrics(many, of_many, ks=(1,))["map_at_r"],
             "P(i), the precision among the first i, counts at the places i ≤ R that are right, and is divided by R"),
    ]  # fmt: skip
    judge(function, cases, "the metric by which this book compares methods")


def _average_precision(hits: list[bool], r: int) -> float:
    return sum(sum(hits[:place]) / place for place in range(1, r + 1) if hits[place - 1]) / r
