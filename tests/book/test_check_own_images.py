"""The exercises of chapter 16: they tell right answers from wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from siamese_triplet.book.check.own_images import families_in_both, mean_over_classes


def mean_of_means(values: Tensor, labels: Tensor, labelled: bool = True, with_nan: bool = False) -> Tensor:
    names = labels.unique() if labelled else torch.arange(len(labels.unique()))
    means = torch.stack([values[labels == name].nanmean() for name in names])
    return means.mean() if with_nan else means.nanmean()


RIGHT = [
    (families_in_both, lambda train, test, family: sorted(set(map(family, train)) & set(map(family, test)))),
    (mean_over_classes, mean_of_means),
    (mean_over_classes, lambda values, labels: mean_of_means(values, labels).item()),
]
WRONG = [
    (families_in_both, lambda train, test, family: []),
    (families_in_both, lambda train, test, family: sorted(set(train) & set(test))),
    (families_in_both, lambda train, test, family: [family(x) for x in test if family(x) in map(family, train)]),
    (families_in_both, lambda train, test, family: sorted({x.split("-")[0] for x in train} & set(map(family, test)))),
    (families_in_both, lambda train, test, family: sorted(set(map(family, train)) & set(map(family, test)))[::-1]),
    (families_in_both, None),
    (mean_over_classes, lambda values, labels: values.mean()),
    (mean_over_classes, lambda values, labels: values.nanmean()),
    (mean_over_classes, lambda values, labels: mean_of_means(values, labels, labelled=False)),
    (mean_over_classes, lambda values, labels: mean_of_means(values, labels, with_nan=True)),
    (mean_over_classes, lambda values, labels: mean_of_means(values.nan_to_num(), labels)),
    (mean_over_classes, lambda values: values),
]  # fmt: skip


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_the_right_answer_is_correct(check: Callable, answer: Callable, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    assert capsys.readouterr().out.startswith("correct: ")


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_wrong_answer_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    check(answer)
    text = capsys.readouterr().out
    assert text.startswith("not yet: ")
    assert "\n  hint " in text
