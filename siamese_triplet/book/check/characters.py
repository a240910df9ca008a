"""The exercise on few-shot classification in given episodes: chapter 11."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.evaluation import episode_accuracy


def few_shot_error(function: Callable[[Tensor, Tensor, Tensor], float]) -> None:
    """Check the error of given episodes by nearest prototype, from embeddings, support and queries (chapter 11).

    The embeddings are (N, D); support (E, W, K) and queries (E, W, Q) are indices of them.
    """

    def case(name: str, embeddings: Tensor, support: list, queries: list, hint: str) -> Case:
        episodes = torch.tensor(support), torch.tensor(queries)
        error = 1 - episode_accuracy(embeddings, *episodes)["prototype"]
        return Case(f"{name}: support {support}, queries {queries}", (embeddings, *episodes), error, hint)

    line = torch.tensor([[0.0], [10.0], [1.0], [4.0], [9.0], [20.0], [28.0], [21.0]])
    means = torch.tensor([[0.0], [4.0], [20.0], [10.0], [1.0], [8.0], [9.0], [21.0]])
    generator = torch.Generator().manual_seed(0)
    many = torch.randn(60, 3, generator=generator)
    drawn = torch.stack([torch.randperm(60, generator=generator)[:15] for _ in range(8)]).view(8, 3, 5)
    expected = 1 - episode_accuracy(many, drawn[..., :2], drawn[..., 2:])["prototype"]
    cases = [
        case("points at 0, 10, 1, 4, …", line, [[[0], [1]]], [[[2], [3]]],
             "the first query belongs to the first class, the second to the second: one of two is wrong"),
        case("the supports are not the first points", line, [[[4], [0]]], [[[1], [2]]],
             "support and queries are indices of embeddings; use embeddings[support]"),
        case("two episodes", line, [[[0], [4]], [[1], [5]]], [[[2], [3]], [[4], [7]]],
             "the classes of an episode compete only with each other"),
        case("points at 0, 4, 20, 10, 1, …, two images in a support", means, [[[0, 1], [2, 3]]], [[[4, 5], [6, 7]]],
             "the prototype of a class is the mean of its support: neither its first image nor the nearest one"),
        case("a tie", torch.tensor([[0.0], [2.0], [1.0], [2.5]]), [[[0], [1]]], [[[2], [3]]],
             "a query as near to another class as to its own is wrong: with a plain argmin, the order decides"),
        Case("eight episodes of 60 points", (many, drawn[..., :2], drawn[..., 2:]), expected,
             "distances of points in space: sum the squared differences of all coordinates"),
    ]  # fmt: skip
    judge(function, cases, "this is the official evaluation")
