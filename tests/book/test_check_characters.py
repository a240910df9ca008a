"""The exercise of chapter 11: it tells right answers from wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from siamese_triplet.book.check.characters import few_shot_error


def by_hand(
    embeddings: Tensor,
    support: Tensor,
    queries: Tensor,
    *,
    ties: bool = False,
    nearest: bool = False,
    over_all: bool = False,
    firsts: bool = False,
    one: bool = False,
    product: bool = False,
) -> float:
    """Compute the error by loops, or with one of the usual mistakes."""
    wrong, n = 0, 0
    rows = embeddings.double()
    for known, asked in zip(support, queries, strict=True):
        classes = support.flatten(0, 1) if over_all else known  # (W, K)
        offset = len(wrong_episodes(support, known)) * len(known) if over_all else 0
        for own, row in enumerate(asked):
            for query in row:
                points = rows[: len(classes)][:, None] if firsts else rows[classes]  # (W, K, D)
                points = points[:, :1] if one else points
                each = (points - rows[query]).square().sum(dim=2)
                away = each.amin(dim=1) if nearest else (points.mean(dim=1) - rows[query]).square().sum(dim=1)
                away = -(points.mean(dim=1) @ rows[query]) if product else away
                mine = away[own + offset]
                wrong += not (int(away.argmin()) == own + offset if ties else int((away <= mine).sum()) == 1)
                n += 1
    return wrong / n


def wrong_episodes(support: Tensor, known: Tensor) -> list[int]:
    """List the episodes before the one with the support `known`."""
    return list(range(next(number for number, other in enumerate(support) if torch.equal(other, known))))


RIGHT = [by_hand, lambda *given: torch.tensor(by_hand(*given))]
WRONG = [
    lambda *given: 0.0,
    lambda *given: 1 - by_hand(*given),
    *(
        lambda *given, mistake=mistake: by_hand(*given, **{mistake: True})
        for mistake in ("ties", "nearest", "over_all", "firsts", "one", "product")
    ),
    lambda *given: round(by_hand(*given) * given[2].numel()),
    lambda embeddings: embeddings,
    None,
]


@pytest.mark.parametrize("answer", RIGHT)
def test_the_right_answer_is_correct(answer: Callable, capsys: pytest.CaptureFixture) -> None:
    few_shot_error(answer)
    assert capsys.readouterr().out == "correct: this is the official evaluation\n"


@pytest.mark.parametrize("answer", WRONG)
def test_a_wrong_answer_has_a_hint(answer: Any, capsys: pytest.CaptureFixture) -> None:
    few_shot_error(answer)
    text = capsys.readouterr().out
    assert text.startswith("not yet: ")
    assert "hint" in text


@pytest.mark.parametrize("mistake", ["one", "nearest"])
def test_an_answer_without_the_mean_is_told_of_it(mistake: str, capsys: pytest.CaptureFixture) -> None:
    few_shot_error(lambda *given: by_hand(*given, **{mistake: True}))
    assert "the mean of its support" in capsys.readouterr().out
