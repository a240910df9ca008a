"""The exercises of chapter 17: they tell right answers from wrong ones."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from siamese_triplet.book.check.search import chance_of_a_false_accept, none_of_these


def most_frequent(distances: list[float], classes: list[str], threshold: float, strictly: bool = False) -> str | None:
    within = [c for d, c in zip(distances, classes, strict=True) if d < threshold or (d == threshold and not strictly)]
    return Counter(within).most_common(1)[0][0] if within else None


RIGHT = [
    (chance_of_a_false_accept, lambda p, n: 1 - (1 - p) ** n),
    (none_of_these, most_frequent),
]
WRONG = [
    (chance_of_a_false_accept, lambda p, n: p),
    (chance_of_a_false_accept, lambda p, n: n * p),
    (chance_of_a_false_accept, lambda p, n: min(1, n * p)),
    (chance_of_a_false_accept, lambda p, n: (1 - p) ** n),
    (chance_of_a_false_accept, lambda p, n: 1 - p**n),
    (none_of_these, lambda d, c, t: c[0]),
    (none_of_these, lambda d, c, t: c[0] if d[0] <= t else None),
    (none_of_these, lambda d, c, t: Counter(c).most_common(1)[0][0] if d[0] <= t else None),
    (none_of_these, lambda d, c, t: most_frequent(d, c, t, strictly=True)),
    (none_of_these, lambda d, c, t: max(sorted(set(c)), key=[x for x, y in zip(c, d, strict=True) if y <= t].count)),
    (none_of_these, lambda d, c, t: most_frequent(d, c, t) or ""),
    (none_of_these, None),
]  # fmt: skip


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_the_right_answer_is_correct(check: Callable, answer: Callable, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    assert capsys.readouterr().out.startswith("correct: ")


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_wrong_answer_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    text = capsys.readouterr().out
    assert text.startswith("not yet: ")
    assert "\n  hint " in text
