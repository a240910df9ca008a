"""The exercises of chapters 6 and 8: an experiment with its conclusion, and one change at a time."""

from collections.abc import Callable, Sequence
from statistics import mean, pstdev, stdev
from typing import Any

import pytest

from siamese_triplet.book.check.experiments import conclusion, one_change

T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
SETTINGS = "data", "method", "selector", "margin", "seed"


def conclude(
    train_first: Callable[[int], float],
    train_second: Callable[[int], float],
    seeds: Sequence[int],
    deviation: Callable[[list[float]], float] = stdev,
    quantiles: dict[int, float] = T,
    root: float = 0.5,
) -> str:
    runs = [[train(seed) for seed in seeds] for train in (train_first, train_second)]
    if len(seeds) < 2:
        return "not shown"
    halves = [quantiles[len(seeds)] * deviation(scores) / len(seeds) ** root for scores in runs]
    gap = mean(runs[0]) - mean(runs[1])
    if abs(gap) <= sum(halves):
        return "not shown"
    return "first" if gap > 0 else "second"


def gains(runs: list[dict], setting: str, before: Any, after: Any, settings: Sequence[str] = SETTINGS) -> list[float]:
    others = [name for name in settings if name != setting]
    return [
        run["figures"]["map_at_r"] - start["figures"]["map_at_r"]
        for run in runs
        if run[setting] == after
        for start in runs
        if start[setting] == before and all(run[name] == start[name] for name in others)
    ]


def test_the_right_answers_are_correct(capsys: pytest.CaptureFixture) -> None:
    conclusion(conclude)
    one_change(gains)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("correct: ") for line in lines)


def trained_twice(train_first: Callable[[int], float], train_second: Callable[[int], float], seeds: range) -> str:
    first = [train_first(seed) for seed in seeds]
    return "first" if mean(first) > train_second(0) + 0 * train_first(0) else "second"


WRONG_CONCLUSIONS = {
    "always the first": lambda first, second, seeds: "first",
    "one seed": lambda first, second, seeds: "first" if first(0) > second(0) else "second",
    "ahead with every seed": lambda first, second, seeds: (
        "first" if all(first(seed) > second(seed) for seed in seeds) else "second"
    ),
    "the other deviation": lambda *given: conclude(*given, deviation=pstdev),
    "one deviation": lambda *given: conclude(*given, quantiles=dict.fromkeys(T, 1.0), root=0),
    "no root": lambda *given: conclude(*given, root=0),
    "always three seeds": lambda *given: conclude(*given, quantiles=dict.fromkeys(T, 4.303)),
    "a seed trained twice": trained_twice,
    "no return": lambda first, second, seeds: None,
}
WRONG_CHANGES = {
    "nothing": lambda *given: [],
    "the wrong sign": lambda *given: [-gain for gain in gains(*given)],
    "the margin ignored": lambda *given: gains(*given, settings=("data", "method", "selector", "seed")),
    "the method ignored": lambda *given: gains(*given, settings=("data", "margin", "selector", "seed")),
    "the data ignored": lambda *given: gains(*given, settings=("method", "selector", "margin", "seed")),
    "the seed ignored": lambda *given: gains(*given, settings=("data", "method", "selector", "margin")),
    "only selectors": lambda runs, setting, before, after: gains(runs, "selector", before, after),
    "sorted": lambda *given: sorted(gains(*given)),
}


@pytest.mark.parametrize("answer", WRONG_CONCLUSIONS.values(), ids=WRONG_CONCLUSIONS)
def test_a_wrong_conclusion_gets_a_hint(answer: Callable, capsys: pytest.CaptureFixture) -> None:
    conclusion(answer)
    assert_is_a_hint(capsys.readouterr().out)


@pytest.mark.parametrize("answer", WRONG_CHANGES.values(), ids=WRONG_CHANGES)
def test_a_wrong_change_gets_a_hint(answer: Callable, capsys: pytest.CaptureFixture) -> None:
    one_change(answer)
    assert_is_a_hint(capsys.readouterr().out)


def test_a_seed_that_is_trained_twice_is_said_to_be(capsys: pytest.CaptureFixture) -> None:
    conclusion(trained_twice)
    assert "seed 0 was trained already" in capsys.readouterr().out


def assert_is_a_hint(text: str) -> None:
    assert text.startswith("not yet: ")
    assert "\n  hint      " in text
    assert all(len(line) <= 88 for line in text.splitlines()), text
