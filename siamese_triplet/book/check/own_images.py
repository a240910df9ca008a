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


def interval_over_classes(function: Callable[[Tensor, Tensor, Tensor], tuple[float, float]]) -> None:
    """Check a 95 % interval over classes, from values (N,), labels (N,) and drawn classes (R, C) (chapter 16).

    Each row of the draws holds C positions among the C classes in ascending order, with replacement.
    """

    def case(name: str, values: Tensor, labels: list[int], draws: Tensor, hint: str) -> Case:
        target = torch.tensor(labels)
        means = torch.stack([values[target == label].mean() for label in target.unique()])
        low, high = means[draws].mean(dim=1).quantile(torch.tensor([0.025, 0.975])).tolist()
        return Case(name, (values, target, draws), (low, high), hint)

    line, generator = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.4]), torch.Generator().manual_seed(0)
    many = torch.rand(200, generator=generator)
    values = "values 1, 1, 1, 0, 0.4"
    cases = [
        case(f"one draw of both classes: {values}, labels 0, 0, 0, 1, 1, draws [[0, 1]]", line, [0, 0, 0, 1, 1],
             torch.tensor([[0, 1]]), "the mean of each class first: a large class counts no more than a small one"),
        case(f"one class drawn twice: {values}, labels 0, 0, 0, 1, 1, draws [[1, 1]]", line, [0, 0, 0, 1, 1],
             torch.tensor([[1, 1]]), "draws are positions of classes: means[draws] has a row for each draw"),
        case(f"labels with gaps: {values}, labels 7, 7, 3, 3, 9, draws [[0, 0, 2]]", line, [7, 7, 3, 3, 9],
             torch.tensor([[0, 0, 2]]), "labels.unique() gives the classes in ascending order"),
        case("200 values of 20 classes, 500 draws", many, [number % 20 for number in range(200)],
             torch.randint(20, (500, 20), generator=generator),
             "a mean for each draw, then the quantiles 0.025 and 0.975 of these means: torch.quantile"),
    ]  # fmt: skip
    judge(function, cases, "every class counts alike, and classes are what is drawn", _as_numbers)


def _as_numbers(answer: object) -> object:
    try:
        low, high = (float(value) for value in answer)  # type: ignore[attr-defined]  # an error leaves it as it is
    except Exception:
        return answer
    return (low, high)


def _kind(name: str) -> str:
    return name.rsplit("-", 1)[0]
