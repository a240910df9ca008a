"""Exercises on retrieval among many classes: chapter 12."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.evaluation import retrieval_metrics


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
             "R is the number of other images of the class: here two"),
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
