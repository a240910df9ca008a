"""The exercises on metrics, of chapters 1 and 12: they tell right answers from wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from siamese_triplet.book.check.retrieval import area_under_curve, average_precision, map_at_r


def by_hand(
    embeddings: Tensor,
    labels: Tensor,
    *,
    itself: bool = False,
    alone: bool = True,
    depth: int | None = None,
    precision_only: bool = False,
    by_hits: bool = False,
    misses: bool = False,
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
        hits = [sum(right[: place + 1]) / (place + 1) for place, is_right in enumerate(right) if is_right or misses]
        values.append(sum(right) / r if precision_only else sum(hits) / (max(1, sum(right)) if by_hits else r))
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


@pytest.mark.parametrize("mistake", ["by_hits", "misses"])
def test_an_answer_that_divides_or_counts_wrongly_is_told_of_it(mistake: str, capsys: pytest.CaptureFixture) -> None:
    map_at_r(lambda *given: by_hand(*given, **{mistake: True}))
    assert "only places that are right count, and the sum is divided by R" in " ".join(capsys.readouterr().out.split())


def precision(hits: list[bool], r: int, depth: int | None = None, by: int | None = None, misses: bool = False) -> float:
    """Compute the average precision at R, or with one of the usual mistakes."""
    places = range(1, (depth or r) + 1)
    return sum(sum(hits[:place]) / place for place in places if misses or hits[place - 1]) / (by or r)


RIGHT_PRECISIONS = [precision, lambda hits, r: torch.tensor(precision(hits, r))]
WRONG_PRECISIONS = [
    lambda hits, r: 0.0,
    lambda hits, r: sum(hits[:r]) / r,
    lambda hits, r: precision(hits, r, depth=len(hits)),
    lambda hits, r: precision(hits, r, by=max(1, sum(hits))),
    lambda hits, r: precision(hits, r, misses=True),
    lambda hits, r: precision(hits, r, by=len(hits)),
    lambda hits: 0.0,
    None,
]


def area(distances: Tensor, is_positive: Tensor, ties: float = 0.5) -> Tensor:
    """Compute the AUC by ranks."""
    negative = distances[~is_positive].double().sort().values
    before, until = (torch.searchsorted(negative, distances[is_positive].double(), right=r) for r in (False, True))
    farther, tied = len(negative) - until, until - before
    return (farther + ties * tied).mean() / len(negative)


RIGHT_AREAS = [area, lambda distances, is_positive: area(distances, is_positive).item()]
WRONG_AREAS = [
    lambda distances, is_positive: 1.0,
    lambda distances, is_positive: area(-distances, is_positive),
    lambda distances, is_positive: area(distances, ~is_positive),
    lambda distances, is_positive: area(distances, is_positive, ties=0),
    lambda distances, is_positive: area(distances, is_positive, ties=1),
    lambda distances, is_positive: area(distances, is_positive) * (~is_positive).sum(),
    lambda distances: distances,
    None,
]


@pytest.mark.parametrize(
    ("check", "answer"),
    [(average_precision, answer) for answer in RIGHT_PRECISIONS]
    + [(area_under_curve, answer) for answer in RIGHT_AREAS],
)
def test_the_right_precision_or_area_is_correct(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    assert capsys.readouterr().out.startswith("correct: ")


@pytest.mark.parametrize(
    ("check", "answer"),
    [(average_precision, answer) for answer in WRONG_PRECISIONS]
    + [(area_under_curve, answer) for answer in WRONG_AREAS],
)
def test_a_wrong_precision_or_area_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    text = capsys.readouterr().out
    assert text.startswith("not yet: ")
    assert "\n  hint " in text
