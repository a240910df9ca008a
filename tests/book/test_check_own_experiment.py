"""The experiment of chapter 4: its conclusion must follow from the reader's results."""

from typing import Any

import pytest

from siamese_triplet.book.check import mining_experiment

HIGH, MIDDLE, LOW = [0.71, 0.73, 0.72], [0.66, 0.715, 0.69], [0.6, 0.62, 0.61]


@pytest.mark.parametrize(
    ("mined", "unmined", "conclusion"),
    [
        (HIGH, LOW, "mined"),
        (LOW, HIGH, "unmined"),
        (HIGH, MIDDLE, "no difference"),
        (MIDDLE, HIGH, "no difference"),
        ([*HIGH, 0.74], LOW, "mined"),
    ],
)
def test_the_conclusion_that_the_results_allow_is_correct(
    mined: list[float], unmined: list[float], conclusion: str, capsys: pytest.CaptureFixture
) -> None:
    mining_experiment(mined, unmined, conclusion)
    assert capsys.readouterr().out.startswith("correct: ")
    for other in {"mined", "unmined", "no difference"} - {conclusion}:
        mining_experiment(mined, unmined, other)
        assert "worst seed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mined", "unmined", "conclusion", "hint"),
    [
        ([], [], "mined", "at least 3 seeds"),
        (HIGH[:2], LOW, "mined", "mined has 2 results"),
        (HIGH, [0.6] * 3, "mined", "twice"),
        ([70.0, 71.0, 72.0], LOW, "mined", "between 0 and 1"),
        (HIGH, [0.0, 0.1, 0.2], "mined", "between 0 and 1"),
        (HIGH, LOW, "better", "conclude one of"),
        (HIGH, LOW, None, "conclude one of"),
        (None, LOW, "mined", "list of numbers"),
        (["a", "b", "c"], LOW, "mined", "list of numbers"),
    ],
)
def test_an_unfit_experiment_gets_a_hint(
    mined: Any, unmined: Any, conclusion: Any, hint: str, capsys: pytest.CaptureFixture
) -> None:
    mining_experiment(mined, unmined, conclusion)
    text = capsys.readouterr().out
    assert text.startswith("not yet: ")
    assert hint in text
