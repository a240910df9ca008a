"""The exercises of chapter 16: they tell right answers from wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from verdicts import assert_correct, assert_hint

from siamese_triplet.book.check.own_images import families_in_both, interval_over_classes


def interval(
    values: Tensor, labels: Tensor, draws: Tensor, ends: tuple[float, float] = (0.025, 0.975), sort: bool = True
) -> Tensor:
    names = labels.unique() if sort else torch.tensor(list(dict.fromkeys(labels.tolist())))
    means = torch.stack([values[labels == name].mean() for name in names])
    return means[draws].mean(1).quantile(torch.tensor(ends))


RIGHT = [
    (families_in_both, lambda train, test, family: sorted(set(map(family, train)) & set(map(family, test)))),
    (interval_over_classes, interval),
    (interval_over_classes, lambda values, labels, draws: interval(values, labels, draws).tolist()),
]
WRONG = [
    (families_in_both, lambda train, test, family: []),
    (families_in_both, lambda train, test, family: sorted(set(train) & set(test))),
    (families_in_both, lambda train, test, family: [family(x) for x in test if family(x) in map(family, train)]),
    (families_in_both, lambda train, test, family: sorted({x.split("-")[0] for x in train} & set(map(family, test)))),
    (families_in_both, lambda train, test, family: sorted(set(map(family, train)) & set(map(family, test)))[::-1]),
    (families_in_both, None),
    (interval_over_classes, lambda values, labels, draws: (values.min(), values.max())),
    (interval_over_classes, lambda values, labels, draws: interval(values, torch.arange(len(values)), draws)),
    (interval_over_classes, lambda values, labels, draws: interval(values, labels, draws, ends=(0.05, 0.95))),
    (interval_over_classes, lambda values, labels, draws: interval(values, labels, draws, sort=False)),
    (interval_over_classes, lambda values, labels, draws: interval(values, labels, draws).mean()),
    (interval_over_classes, lambda values, labels, draws: interval(values, labels, draws[:1])),
    (interval_over_classes, None),
]  # fmt: skip


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_the_right_answer_is_correct(check: Callable, answer: Callable, capsys: pytest.CaptureFixture) -> None:
    assert_correct(check, answer, capsys)


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_wrong_answer_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    assert_hint(check, answer, capsys)
