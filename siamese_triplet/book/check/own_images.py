"""Exercises on your own images and their evaluation: chapter 16."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge


def families_in_both(function: Callable[[list[str], list[str], Callable[[str], str]], list[str]]) -> None:
    """Check the families shared by training and test classes, from their names and `family(name)` (chapter 16)."""

    def case(name: str, train: list[str], test: list[str], family: Callable[[str], str], hint: str) -> Case:
        expected = sorted(set(map(family, train)) & set(map(family, test)))
        return Case(f"{name}: {train} and {test}", (train, test, family), expected, hint)

    cases = [
        case("no relatives", ["bag-red", "shoe-red"], ["hat-red"], _kind, "of one colour, but of no family in common"),
        case("a bag in both", ["bag-red", "hat-red"], ["bag-blue"], _kind, "not one name is in both, but a family is"),
        case("many relatives", ["hat-red", "bag-red", "bag-tan"], ["bag-sky", "bag-sea", "hat-sea"], _kind,
             "each family once, in order: sorted(set(…))"),
        case("by the first letter", ["cat", "dog"], ["cow"], lambda name: name[0], "call family(name)"),
    ]  # fmt: skip
    judge(function, cases, "these are the relatives that would flatter the test")


def mean_over_classes(function: Callable[[Tensor, Tensor], float]) -> None:
    """Check the mean of the class means, from values (N,), some of them NaN, and labels (N,) (chapter 16)."""

    def case(name: str, values: list[float], labels: list[int], expected: float, hint: str) -> Case:
        return Case(
            f"{name}: values {values}, labels {labels}", (torch.tensor(values), torch.tensor(labels)), expected, hint
        )

    nan = float("nan")
    cases = [
        case("one class", [1.0, 0.0], [0, 0], 0.5, "the mean of one class is the mean"),
        case("a large and a small class", [1.0, 1.0, 1.0, 0.0], [0, 0, 0, 1], 0.5, "first the mean of each class"),
        case("labels that are not 0, 1, …", [1.0, 0.0, 0.0], [7, 7, 3], 0.25, "labels.unique() gives those there are"),
        case("a value is NaN", [1.0, nan, 0.5], [0, 0, 1], 0.75, "nanmean leaves NaN out"),
        case("a class of NaN alone", [1.0, nan, 0.5], [0, 1, 2], 0.75, "such a class has no mean, and is left out too"),
    ]  # fmt: skip
    judge(function, cases, "every class counts alike")


def _kind(name: str) -> str:
    return name.rsplit("-", 1)[0]
