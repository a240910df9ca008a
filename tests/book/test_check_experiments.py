"""The exercises of chapters 6 and 8: an experiment with its conclusion, and one change at a time."""

from collections.abc import Callable, Sequence
from statistics import mean, pstdev, stdev
from typing import Any

import pytest

from siamese_triplet.book.check.experiments import conclusion, one_change
from siamese_triplet.book.results import interval

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


def one_by_one(
    runs: list[dict],
    setting: str,
    before: Any,
    after: Any,
    settings: Sequence[str] = SETTINGS,
    sign: int = 1,
    deviation: Callable[[list[float]], float] = stdev,
    quantiles: dict[int, float] = T,
) -> tuple[list[float], str]:
    found = gains(runs, setting, before, after, settings)
    if len(found) < 2:
        return found, "not shown"
    half = quantiles[len(found)] * deviation(found) / len(found) ** 0.5
    shown = "not shown" if abs(mean(found)) <= half else "after" if mean(found) > 0 else "before"
    return [sign * gain for gain in found], shown


def of_both_kinds(runs: list[dict], setting: str, before: Any, after: Any) -> tuple[list[float], str]:
    """Ask for intervals of the runs of both kinds that do not overlap, as if there were no pairs."""
    found = gains(runs, setting, before, after)
    scores = [[run["figures"]["map_at_r"] for run in runs if run[setting] == value] for value in (after, before)]
    shown = conclude(*(group.__getitem__ for group in scores), range(len(found)))
    return found, {"first": "after", "second": "before"}.get(shown, shown)


def test_the_right_answers_are_correct(capsys: pytest.CaptureFixture) -> None:
    conclusion(conclude)
    one_change(one_by_one)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("correct: ") for line in lines)


def trained_twice(train_first: Callable[[int], float], train_second: Callable[[int], float], seeds: range) -> str:
    first = [train_first(seed) for seed in seeds]
    return "first" if mean(first) > train_second(0) + 0 * train_first(0) else "second"


def every_gain(found: list[float]) -> str:
    if len(found) < 2 or min(found) < 0 < max(found):
        return "not shown"
    return "after" if max(found) > 0 else "before"


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
WRONG_SHOWN: dict[str, tuple[Callable[..., str], str]] = {  # of right gains, and what the hint says
    "always the same": (lambda *given: "not shown", "it lies above zero"),
    "the mean alone": (lambda *given: "after" if sum(gains(*given)) > 0 else "before", "one gain alone"),
    "never before": (lambda *given: one_by_one(*given)[1].replace("before", "not shown"), "an interval below zero"),
    "every gain": (lambda *given: every_gain(gains(*given)), "an interval that includes zero"),
    "the other deviation": (lambda *given: one_by_one(*given, deviation=pstdev)[1], "Student's t is large"),
    "the normal quantile": (lambda *given: one_by_one(*given, quantiles={**T, 3: 1.96})[1], "Student's t is large"),
    "of both kinds": (lambda *given: of_both_kinds(*given)[1], "take the interval of the gains"),
}
WRONG_CHANGES = {
    "nothing": lambda *given: ([], "not shown"),
    "no conclusion": gains,
    "the wrong sign": lambda *given: one_by_one(*given, sign=-1),
    "the margin ignored": lambda *given: one_by_one(*given, settings=("data", "method", "selector", "seed")),
    "the method ignored": lambda *given: one_by_one(*given, settings=("data", "margin", "selector", "seed")),
    "the data ignored": lambda *given: one_by_one(*given, settings=("method", "selector", "margin", "seed")),
    "the seed ignored": lambda *given: one_by_one(*given, settings=("data", "method", "selector", "margin")),
    "only selectors": lambda runs, setting, before, after: one_by_one(runs, "selector", before, after),
    "sorted": lambda *given: (sorted(gains(*given)), one_by_one(*given)[1]),
    **{name: lambda *given, _shown=shown: (gains(*given), _shown(*given)) for name, (shown, _) in WRONG_SHOWN.items()},
}


@pytest.mark.parametrize("answer", WRONG_CONCLUSIONS.values(), ids=WRONG_CONCLUSIONS)
def test_a_wrong_conclusion_gets_a_hint(answer: Callable, capsys: pytest.CaptureFixture) -> None:
    conclusion(answer)
    assert_is_a_hint(capsys.readouterr().out)


@pytest.mark.parametrize("answer", WRONG_CHANGES.values(), ids=WRONG_CHANGES)
def test_a_wrong_change_gets_a_hint(answer: Callable, capsys: pytest.CaptureFixture) -> None:
    one_change(answer)
    assert_is_a_hint(capsys.readouterr().out)


@pytest.mark.parametrize("name", WRONG_SHOWN)
def test_a_wrong_conclusion_from_right_gains_is_told_so(name: str, capsys: pytest.CaptureFixture) -> None:
    one_change(WRONG_CHANGES[name])
    hint = " ".join(capsys.readouterr().out.partition("  hint ")[2].split())
    assert hint.startswith("the gains are right; ")
    assert WRONG_SHOWN[name][1] in hint


def test_gains_without_a_conclusion_are_half_an_answer(capsys: pytest.CaptureFixture) -> None:
    one_change(gains)
    assert "hint      return two things" in capsys.readouterr().out


def test_an_interval_of_one_gain_is_told_that_there_is_none(capsys: pytest.CaptureFixture) -> None:
    def asks_for_it(*given: Any) -> tuple[list[float], str]:
        found = gains(*given)
        return found, "after" if interval(found)[0] > 0 else "not shown"

    one_change(asks_for_it)
    text = " ".join(capsys.readouterr().out.split())
    assert "raised StatisticsError" in text
    assert "one gain alone has no interval, and shows nothing" in text


def test_a_seed_that_is_trained_twice_is_said_to_be(capsys: pytest.CaptureFixture) -> None:
    conclusion(trained_twice)
    assert "seed 0 was trained already" in capsys.readouterr().out


def assert_is_a_hint(text: str) -> None:
    assert text.startswith("not yet: ")
    assert "\n  hint      " in text
    assert all(len(line) <= 88 for line in text.splitlines()), text
