"""Exercises on experiments and their conclusions: chapters 6 and 8."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from siamese_triplet.book.check.verdict import Case, agrees, judge
from siamese_triplet.book.results import interval, is_ahead

Run = Mapping[str, Any]
Training = Callable[[int], float]
SETTINGS = "data", "method", "selector", "margin", "seed"


def conclusion(function: Callable[[Training, Training, Sequence[int]], str]) -> None:
    """Check an experiment: two trainings, the same seeds for both, and what follows (chapter 6).

    A training takes a seed and returns an accuracy. The conclusion is "first", "second" or "not shown".
    """

    def case(name: str, first: list[float], second: list[float], hint: str) -> Case:
        found = "first" if is_ahead(first, second) else "second" if is_ahead(second, first) else "not shown"
        arguments = _Trained(first), _Trained(second), range(len(first))
        return Case(f"{name}: {first} and {second}", arguments, found, hint)

    ends = "T[n] · stdev / √n on both sides of the mean; statistics.stdev divides by n − 1"
    cases = [
        case("far apart", [90.0, 91.0, 92.0], [80.0, 81.0, 82.0], "the intervals do not overlap: the first is ahead"),
        case("the other way round", [80.0, 81.0, 82.0], [90.0, 91.0, 92.0], "either of the two may be ahead"),
        case("close", [90.0, 91.0, 92.0], [90.5, 91.5, 92.5], "intervals that overlap show nothing"),
        case("ahead with every seed", [90.0, 91.0, 92.0], [94.5, 95.5, 96.5], ends),
        case("the same with five seeds", [90.0, 91.0, 92.0, 91.0, 91.0], [92.2, 93.2, 94.2, 93.2, 93.2],
             "more seeds make the interval narrower twice: by T[n] and by √n"),
        case("one seed goes astray", [95.0, 96.0, 94.0, 95.0], [90.0, 91.0, 30.0, 91.0],
             "each method has an interval of its own, and that of the second is wide"),
        case("almost no spread", [91.0, 91.1, 91.2], [91.8, 91.9, 92.0], ends),
        case("a single seed", [90.0], [80.0], "one run has no spread to measure, so it shows nothing"),
    ]  # fmt: skip
    judge(function, cases, "in each case what the intervals of 95 % show")


def one_change(function: Callable[[Sequence[Run], str, Any, Any], tuple[list[float], str]]) -> None:
    """Check the gains in MAP@R of `after` over `before` in one setting of otherwise equal runs, and what they show.

    The gains are in the order of the runs with `after`. Two runs are equal if data, method, selector, margin and seed
    are. The gains show "after", "before" or "not shown", by their 95 % interval (chapter 8).
    """

    def case(name: str, rows: Iterable[tuple[Any, ...]], change: tuple[str, Any, Any], hint: str, shown: str) -> Case:
        runs = [_run(*row) for row in rows]
        listed = f"{name}, {change[0]} {change[1]!r} → {change[2]!r}:\n" + "\n".join(map(_line, runs))
        gains = _gains(runs, *change)

        def explain(answer: Any) -> str:
            is_pair = isinstance(answer, (tuple, list)) and len(answer) == 2 and isinstance(answer[1], str)
            if not is_pair:
                return "return two things: the list of gains, and what they show"
            return f"the gains are right; {shown}" if agrees(answer[0], gains) else ""

        return Case(listed, (runs, *change), (gains, _shown(gains)), hint, explain)

    def three(name: str, before: list[float], after: list[float], shown: str) -> Case:
        rows = [(*pairs, kind, 1.0, seed, score) for kind, scores in (("all", before), ("hard", after))
                for seed, score in enumerate(scores)]  # fmt: skip
        return case(name, rows, selector, f"each run beside the one of its own seed; {shown}", shown)

    selector, margin = ("selector", "all", "hard"), ("margin", 1.0, 0.1)
    pairs, triplets = ("mnist", "online-contrastive"), ("mnist", "online-triplet")
    alone = "one gain alone has no interval, and shows nothing"
    none, wide = "without a gain nothing is shown", "two gains that far apart have an interval that includes zero"
    cases = [
        case("two runs", [(*pairs, "all", 1.0, 0, 0.90), (*pairs, "hard", 1.0, 0, 0.95)], selector,
             f"the MAP@R of the run with `after`, minus that of the run with `before`; {alone}", alone),
        case("two margins", [(*pairs, "all", 1.0, 0, 0.90), (*pairs, "hard", 0.1, 0, 0.93),
                             (*pairs, "hard", 1.0, 0, 0.95), (*pairs, "all", 0.1, 0, 0.80)], selector,
             "compare with the run that has the same margin; in the order of the runs with `after`", wide),
        case("no partner", [(*pairs, "all", 1.0, 0, 0.90), (*pairs, "hard", 10.0, 0, 0.95)], selector,
             f"these runs differ in the margin as well: no run here differs in the selector alone, and {none}", none),
        case("another seed", [(*pairs, "all", 1.0, 0, 0.90), (*pairs, "hard", 1.0, 1, 0.95)], selector,
             "the seed is a setting like the others", none),
        case("another method", [("mnist", "siamese", "–", 1.0, 0, 0.95), ("mnist", "triplet", "–", 0.1, 0, 0.90),
                                ("fashion-mnist", "triplet", "–", 1.0, 0, 0.61)], margin,
             "these runs differ in the method or in the data as well", none),
        case("the margin", [(*pairs, "all", 1.0, 0, 0.90), (*triplets, "random", 1.0, 0, 0.96),
                            (*triplets, "random", 0.1, 0, 0.97), (*pairs, "all", 0.1, 0, 0.80)], margin,
             "the setting that changes is an argument, and it may be the margin", wide),
        three("a gain from each seed", [0.70, 0.80, 0.90], [0.72, 0.825, 0.92],
              "take the interval of the gains: it lies above zero, although the two groups of runs overlap"),
        three("a loss with each seed", [0.95, 0.96, 0.97], [0.90, 0.92, 0.92],
              "an interval below zero shows that `before` is higher"),
        three("gains that differ", [0.90, 0.91, 0.92], [0.911, 0.93, 0.949],
              "each gain is above zero, but their interval is not: Student's t is large for three gains"),
    ]  # fmt: skip
    judge(function, cases, "each run beside the one that differs in this setting alone, and what the gains show")


class _Trained:
    """A training whose results are known. Raises RuntimeError where a seed is trained twice or has no result."""

    def __init__(self, results: Sequence[float]) -> None:
        self.results = dict(enumerate(results))

    def __call__(self, seed: int) -> float:
        if seed not in self.results:
            raise RuntimeError(f"seed {seed} was trained already, or is not among the seeds: train each once")
        return self.results.pop(seed)


def _run(data: str, method: str, selector: str, margin: float, seed: int, map_at_r: float) -> dict[str, Any]:
    settings = dict(zip(SETTINGS, (data, method, selector, margin, seed), strict=True))
    return settings | {"figures": {"map_at_r": map_at_r}}


def _line(run: Run) -> str:
    return "  " + " ".join(str(run[name]) for name in SETTINGS) + f": {run['figures']['map_at_r']}"


def _gains(runs: Sequence[Run], setting: str, before: Any, after: Any) -> Any:
    def others(run: Run) -> tuple[Any, ...]:
        return tuple(run[name] for name in SETTINGS if name != setting)

    start = {others(run): run["figures"]["map_at_r"] for run in runs if run[setting] == before}
    changed = [run for run in runs if run[setting] == after and others(run) in start]
    return tuple(run["figures"]["map_at_r"] - start[others(run)] for run in changed)


def _shown(gains: Sequence[float]) -> str:
    low, high = interval(gains) if len(gains) > 1 else (0.0, 0.0)
    return "after" if low > 0 else "before" if high < 0 else "not shown"
