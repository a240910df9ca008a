"""What the checks of exercises print, for the tests of all of them."""

from collections.abc import Callable
from typing import Any

import pytest


def assert_correct(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    assert capsys.readouterr().out.startswith("correct: ")


def assert_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    text = capsys.readouterr().out
    assert text.startswith("not yet: ")
    assert "\n  hint " in text
