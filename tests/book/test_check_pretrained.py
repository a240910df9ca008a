"""The exercises of chapter 15: they tell right answers from wrong ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from siamese_triplet.book.check.pretrained import mean_and_std, parts_trained


def thawed(epoch: int, n_parts: int, every: int) -> list[int]:
    return [part for part in range(n_parts) if epoch - 1 >= (n_parts - part) * every]


RIGHT = [
    (mean_and_std, lambda a, b: (a / 255, b / 255)),
    (mean_and_std, lambda a, b: torch.tensor([a, b]) / 255),
    (parts_trained, thawed),
    (parts_trained, lambda *given: set(thawed(*given))),
    (parts_trained, lambda *given: np.array(thawed(*given))),
]
WRONG = [
    (mean_and_std, lambda a, b: (a, b)),
    (mean_and_std, lambda a, b: (a / 255, b / 256)),
    (mean_and_std, lambda a, b: (a / b, 255 / b)),
    (mean_and_std, lambda a, b: (a - 127, b - 127)),
    (mean_and_std, lambda a, b: a / 255),
    (mean_and_std, None),
    (parts_trained, lambda epoch, n_parts, every: []),
    (parts_trained, lambda epoch, n_parts, every: thawed(epoch + 1, n_parts, every)),
    (parts_trained, lambda epoch, n_parts, every: list(range(min((epoch - 1) // every, n_parts)))),
    (parts_trained, lambda epoch, n_parts, every: thawed(epoch, n_parts, 1)),
    (parts_trained, lambda epoch, n_parts, every: [n_parts - 1 - i for i in range((epoch - 1) // every)]),
    (parts_trained, lambda epoch, n_parts, every: len(thawed(epoch, n_parts, every))),
    (parts_trained, lambda epoch: None),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_the_right_answer_is_correct(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    assert capsys.readouterr().out.startswith("correct: ")


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_wrong_answer_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    text = capsys.readouterr().out
    assert text.startswith("not yet: ")
    assert "\n  hint " in text
