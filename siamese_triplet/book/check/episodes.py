"""An exercise on one-shot accuracy: chapter 10."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.evaluation import few_shot_accuracy

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
