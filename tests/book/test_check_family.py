"""The exercise of the chapter on what came after triplets: it tells right answers from wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from siamese_triplet.book.check.family import by_loops, supervised_contrastive
from siamese_triplet.losses import SupervisedContrastiveLoss


def answer(
    *,
    itself: bool = False,
    scaled: bool = True,
    alone: bool = False,
    inside: bool = False,
    pooled: bool = False,
    naive: bool = False,
    safe: bool = True,
) -> Callable[[Tensor, Tensor, float], Tensor]:
    """Make a right answer, or one with a usual mistake."""

    def loss(similarities: Tensor, labels: Tensor, temperature: float) -> Tensor:
        diagonal = torch.eye(len(labels), dtype=torch.bool)
        scores = similarities / temperature if scaled else similarities
        scores = scores if itself else scores.masked_fill(diagonal, -1e9)
        logs = (scores.exp() / scores.exp().sum(1, keepdim=True)).log() if naive else scores.log_softmax(dim=1)
        is_positive = (labels[:, None] == labels) & ~diagonal
        n = is_positive.sum(dim=1)
        if pooled:
            return -(logs * is_positive).sum() / n.sum().clamp(min=1)
        if inside:
            means = -((logs.exp() * is_positive).sum(dim=1) / n.clamp(min=1)).clamp(min=1e-30).log() * (n > 0)
        else:
            means = -torch.where(is_positive, logs, 0).sum(dim=1) / n.clamp(min=1)
        return means.mean() if alone else means.sum() / ((n > 0).sum().clamp(min=1) if safe else (n > 0).sum())

    return loss


MISTAKES = [
    ({"itself": True}, "diagonal"),
    ({"alone": True}, "no positive"),
    ({"scaled": False}, "divide the similarities"),
    ({"inside": True}, "not the log of their mean"),
    ({"pooled": True}, "of each anchor first"),
    ({"naive": True}, "logsumexp"),
    ({"safe": False}, "not NaN"),
]


@pytest.mark.parametrize("right", [answer(), by_loops])
def test_the_right_answer_is_correct(right: Callable, capsys: pytest.CaptureFixture) -> None:
    supervised_contrastive(right)
    assert capsys.readouterr().out.startswith("correct: ")


@pytest.mark.parametrize(("mistake", "hint"), MISTAKES)
def test_a_usual_mistake_has_its_own_hint(mistake: dict, hint: str, capsys: pytest.CaptureFixture) -> None:
    supervised_contrastive(answer(**mistake))
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("not yet: ")
    assert hint in text.partition(" hint ")[2]


@pytest.mark.parametrize("wrong", [lambda *given: torch.tensor(0.0), lambda similarities: similarities, None])
def test_any_other_answer_has_a_hint(wrong: Any, capsys: pytest.CaptureFixture) -> None:
    supervised_contrastive(wrong)
    assert "\n  hint " in capsys.readouterr().out


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_expected_value_is_that_of_the_package(temperature: float) -> None:
    rows = torch.nn.functional.normalize(torch.randn(20, 6, generator=torch.Generator().manual_seed(1)))
    labels = torch.arange(20) % 6
    expected = SupervisedContrastiveLoss(temperature)(rows, labels)
    torch.testing.assert_close(by_loops(rows @ rows.T, labels, temperature), expected)
