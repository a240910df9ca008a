"""The exercises of chapter 15: they tell right answers from wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from verdicts import assert_correct, assert_hint

from siamese_triplet.book.check.pretrained import mean_and_std, supervised_contrastive_loss


def contrast(
    x: Tensor,
    y: Tensor,
    t: float,
    *,
    cosine: bool = True,
    with_itself: bool = False,
    stable: bool = True,
    all_anchors: bool = False,
    log_of_mean: bool = False,
    mean_of_pairs: bool = False,
) -> Tensor:
    units = F.normalize(x) if cosine else x
    scores = units @ units.T / t
    if not with_itself:
        scores = scores.fill_diagonal_(-torch.inf)
    logs = scores.log_softmax(1) if stable else (scores.exp() / scores.exp().sum(1, keepdim=True)).log()
    positive = (y[:, None] == y).fill_diagonal_(False)
    n = positive.sum(1)
    if mean_of_pairs:
        return -logs[positive].mean()
    losses = -logs.masked_fill(~positive, 0).sum(1) / n.clamp(min=1)
    if log_of_mean:
        losses = -(logs.exp().masked_fill(~positive, 0).sum(1) / n.clamp(min=1)).log()
    return losses.mean() if all_anchors else losses[n > 0].mean()


def contrast_with(**faults: bool) -> Callable[[Tensor, Tensor, float], Tensor]:
    return lambda x, y, t: contrast(x, y, t, **faults)


RIGHT = [
    (mean_and_std, lambda a, b: (a / 255, b / 255)),
    (mean_and_std, lambda a, b: torch.tensor([a, b]) / 255),
    (supervised_contrastive_loss, contrast),
    (supervised_contrastive_loss, lambda x, y, t: contrast(x, y, t).detach()),
]
WRONG = [
    (mean_and_std, lambda a, b: (a, b)),
    (mean_and_std, lambda a, b: (a / 255, b / 256)),
    (mean_and_std, lambda a, b: (a / b, 255 / b)),
    (mean_and_std, lambda a, b: (a - 127, b - 127)),
    (mean_and_std, lambda a, b: a / 255),
    (mean_and_std, None),
    (supervised_contrastive_loss, lambda x, y, t: torch.tensor(0.0)),
    (supervised_contrastive_loss, lambda x, y, t: contrast(x, y, 1.0)),
    (supervised_contrastive_loss, lambda x, y, t: contrast(x, y, t) * t),
    (supervised_contrastive_loss, contrast_with(cosine=False)),
    (supervised_contrastive_loss, contrast_with(with_itself=True)),
    (supervised_contrastive_loss, contrast_with(stable=False)),
    (supervised_contrastive_loss, contrast_with(all_anchors=True)),
    (supervised_contrastive_loss, contrast_with(log_of_mean=True)),
    (supervised_contrastive_loss, None),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_the_right_answer_is_correct(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    assert_correct(check, answer, capsys)


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_wrong_answer_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    assert_hint(check, answer, capsys)
