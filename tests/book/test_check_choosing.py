"""The exercises of chapters 13 and 14: they tell right answers from wrong ones."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from siamese_triplet.book.check.choosing import chance_together, squared_distance, symptom
from siamese_triplet.diagnostics import Diagnosis


def doctor(diagnosis: Diagnosis, margin: float, tiny: float = 0.01) -> str:
    if not diagnosis.n_triplets:
        return "nothing to learn from"
    if diagnosis.active_fraction < 1:
        return "learning"
    return "collapse" if diagnosis.negative_distances[1] ** 2 < tiny * margin else "margin too large"


RIGHT = [
    (chance_together, lambda p, c: (p - 1) / (c - 1)),
    (squared_distance, lambda cosine: 2 - 2 * cosine),
    (symptom, doctor),
]
WRONG = [
    (chance_together, lambda p, c: p / c),
    (chance_together, lambda p, c: 1.0),
    (chance_together, lambda p, c: (p - 1) / c),
    (squared_distance, lambda cosine: 1 - cosine),
    (squared_distance, lambda cosine: math.sqrt(2 - 2 * cosine)),
    (squared_distance, lambda cosine: 2.0),
    (symptom, lambda d, margin: "learning"),
    (symptom, lambda d, margin: doctor(d, 1e9)),
    (symptom, lambda d, margin: doctor(d, margin, tiny=0)),
    (symptom, lambda d, margin: "collapse" if d.active_fraction == 1 else "learning"),
    (
        symptom,
        lambda d, margin: doctor(d, margin) if d.active_fraction > 0 else "nothing to learn from",
    ),
    (symptom, lambda d, margin: None),
    (symptom, lambda d: "learning"),
]


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
