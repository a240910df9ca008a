"""Exercises on few-shot accuracy and on retrieval among many classes: chapters 10 and 12."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.evaluation import few_shot_accuracy, retrieval_metrics

EPISODES, TOLERANCE = 1000, 0.05  # four standard errors of two-way episodes by chance


def one_shot(function: Callable[[Tensor, Tensor, int, int], float]) -> None:
    """Check n-way one-shot accuracy, from embeddings (N, D), labels (N,), `n_way` and `n_episodes` (chapter 10).

    An episode draws its classes, one support image of each, and another image of each as a query. The answer may be
    off by `TOLERANCE`, as episodes are drawn at random.
    """

    def case(name: str, embeddings: Tensor, labels: Tensor, n_way: int, hint: str) -> Case:
        found = few_shot_accuracy(embeddings, labels, n_way, k_shot=1, n_queries=1, n_episodes=10 * EPISODES)
        arguments = embeddings, labels, n_way, EPISODES
        return Case(f"{name}, {n_way}-way", arguments, found["prototype"], hint, tolerance=TOLERANCE)

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(40, 8, generator=generator)
    labels = torch.arange(10).repeat_interleave(4)
    centres = torch.arange(10.0)[:, None] * torch.randn(10, 8, generator=generator)  # the first ones overlap
    cases = [
        case("two classes, far apart", torch.tensor([[0.0], [1.0], [8.0], [9.0]]), torch.tensor([0, 0, 1, 1]), 2,
             "the class of the nearest support image is the answer"),
        case("two classes without any order", noise, labels % 2, 2, "the support image of a class is not its query"),
        case("ten classes without any order", noise, labels, 3, "draw n_way classes anew for every episode"),
        case("labels 100, 110 …", 40 * noise[::4].repeat_interleave(4, 0) + noise, 100 + 10 * labels, 5,
             "a label is any integer: labels.unique()"),
        case("ten classes, the first of which overlap", centres[labels] + noise, labels, 5,
             "draw the classes at random; the answer is the mean over all queries of all episodes"),
    ]  # fmt: skip

    def seeded(*arguments: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return function(*arguments)

    judge(seeded, cases, "what few_shot_accuracy finds, up to the luck of the draw")


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
