"""The exercises of chapters 12 and 13: right answers are told from wrong ones."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from siamese_triplet.book.check.choosing import chance_together, squared_distance, symptom
from siamese_triplet.diagnostics import Diagnosis


def doctor(found: Diagnosis, margin: float, tiny: float = 0.01) -> str:
    if not found.n_triplets:
        return "nothing to learn from"
    if found.active_fraction < 1:
        return "learning"
    return "collapse" if found.negative_distances[1] ** 2 < tiny * margin else "margin too large"


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
    (symptom, lambda found, margin: "learning"),
    (symptom, lambda found, margin: doctor(found, 1e9)),
    (symptom, lambda found, margin: doctor(found, margin, tiny=0)),
    (symptom, lambda found, margin: "collapse" if found.active_fraction == 1 else "learning"),
    (symptom, lambda found, margin: doctor(found, margin) if found.active_fraction > 0 else "nothing to learn from"),
    (symptom, lambda found, margin: None),
    (symptom, lambda found: "learning"),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_the_right_answer_is_correct(check: Callable, answer: Callable, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    assert capsys.readouterr().out.startswith("correct: ")


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_wrong_answer_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    said = capsys.readouterr().out
    assert said.startswith("not yet: ")
    assert "\n  hint " in said
