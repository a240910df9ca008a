"""Exercises on searching among images: chapter 17."""

from collections.abc import Callable

from siamese_triplet.book.check.verdict import Case, judge


def chance_of_a_false_accept(function: Callable[[float, int], float]) -> None:
    """Check the chance that at least one of n images is accepted, each with probability p by itself (chapter 17)."""

    def case(p: float, n: int, hint: str) -> Case:
        return Case(f"{p=}, {n=}", (p, n), 1 - (1 - p) ** n, hint)

    cases = [
        case(0.01, 1, "with one image it is p"),
        case(0.5, 2, "all of them are refused with a chance of (1 − p) · (1 − p)"),
        case(0.01, 100, "one minus the chance that all are refused; n · p is too much"),
        case(0.01, 10_000, "a chance is never above 1"),
        case(0.0, 7, "what never happens does not happen in seven trials"),
    ]
    judge(function, cases, "which is why a threshold for pairs is none for a search")


def none_of_these(function: Callable[[list[float], list[str], float], str | None]) -> None:
    """Check the class of an answer, from distances and classes in order and a threshold; None is none (chapter 17)."""

    def case(
        name: str, distances: list[float], classes: str, threshold: float, expected: str | None, hint: str
    ) -> Case:
        names = classes.split()
        return Case(f"{name}: {distances}, {names}, {threshold=}", (distances, names, threshold), expected, hint)

    voting = "only images within the threshold have a vote"
    cases = [
        case(
            "all within", [0.1, 0.2, 0.3], "cat dog dog", 1.0, "dog", "the most frequent class, not that of the nearest"
        ),
        case("one within", [0.1, 0.5, 0.6], "cat dog dog", 0.3, "cat", voting),
        case("on the threshold", [0.3, 0.5], "cat dog", 0.3, "cat", "a distance equal to the threshold is within it"),
        case("none within", [0.4, 0.5], "cat dog", 0.3, None, "then the answer is None"),
        case("a tie", [0.1, 0.2, 0.3, 0.4], "dog cat cat dog", 1.0, "dog", "of two as frequent classes the nearer one"),
        case("a tie within", [0.1, 0.2, 0.9], "eel cat cat", 0.5, "eel", voting),
    ]
    judge(function, cases, "this is what Answer.class_name does")
