"""The exercises of chapter 12: they tell right answers from wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from siamese_triplet.book.check.retrieval import map_at_r


def by_hand(
    embeddings: Tensor,
    labels: Tensor,
    *,
    itself: bool = False,
    alone: bool = True,
    depth: int | None = None,
    precision_only: bool = False,
) -> Tensor:
    """Compute MAP@R by loops, or with one of the usual mistakes."""
    distances = torch.cdist(embeddings.double(), embeddings.double())
    values = []
    for query in range(len(labels)):
        order = [other for other in distances[query].argsort(stable=True).tolist() if itself or other != query]
        r = int((labels == labels[query]).sum()) - 1
        if r == 0:
            values += [0.0] * (not alone)
            continue
        right = [bool(labels[other] == labels[query]) for other in order[: depth or r]]
        hits = [sum(right[: place + 1]) / (place + 1) for place, is_right in enumerate(right) if is_right]
        values.append(sum(right) / r if precision_only else sum(hits) / r)
    return torch.tensor(values).mean()


RIGHT = [by_hand, lambda embeddings, labels: by_hand(embeddings, labels).item()]
WRONG = [
    lambda embeddings, labels: 1.0,
    lambda embeddings, labels: by_hand(embeddings, labels, itself=True),
    lambda embeddings, labels: by_hand(embeddings, labels, alone=False),
    lambda embeddings, labels: by_hand(embeddings, labels, depth=1),
    lambda embeddings, labels: by_hand(embeddings, labels, depth=100),
    lambda embeddings, labels: by_hand(embeddings, labels, precision_only=True),
    lambda embeddings: embeddings,
    None,
]


@pytest.mark.parametrize("answer", RIGHT)
def test_the_right_answer_is_correct(answer: Callable, capsys: pytest.CaptureFixture) -> None:
    map_at_r(answer)
    assert capsys.readouterr().out.startswith("correct: ")


@pytest.mark.parametrize("answer", WRONG)
def test_a_wrong_answer_has_a_hint(answer: Any, capsys: pytest.CaptureFixture) -> None:
    map_at_r(answer)
    text = capsys.readouterr().out
    assert text.startswith("not yet: ")
    assert "\n  hint " in text
