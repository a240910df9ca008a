"""The exercise of the chapter on what came after triplets: it tells right answers from wrong ones."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss
from torch import Tensor
from torch.nn import functional as F

from siamese_triplet.book.check.family import arcface, by_loops


def answer(
    *,
    scaled: bool = True,
    added: bool = True,
    everywhere: bool = False,
    first: bool = False,
    beyond: bool = True,
    summed: bool = False,
    detached: bool = False,
) -> Callable[[Tensor, Tensor, float, float], Tensor]:
    """Make a right answer, or one with a usual mistake."""

    def loss(cosines: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
        angles = cosines.acos()
        handicap = (angles + margin).cos() if added else cosines - margin
        if beyond:
            handicap = torch.where(angles + margin > math.pi, cosines - margin * math.sin(margin), handicap)
        right = F.one_hot(labels * 0 if first else labels, cosines.shape[1]).bool()
        scores = handicap if everywhere else torch.where(right, handicap, cosines)
        scores = scale * scores if scaled else scores
        total = F.cross_entropy(scores, labels, reduction="sum" if summed else "mean")
        return total.detach() if detached else total

    return loss


MISTAKES = [
    ({"scaled": False}, "multiply the cosines by the scale"),
    ({"added": False}, "θ = acos(cosine)"),
    ({"everywhere": True}, "for the right class"),
    ({"first": True}, "the class in labels alone"),
    ({"summed": True}, "the mean over the rows"),
    ({"beyond": False}, "beyond π"),
    ({"detached": True}, "F.cross_entropy of the cosines"),
]


@pytest.mark.parametrize("right", [answer(), by_loops])
def test_the_right_answer_is_correct(right: Callable, capsys: pytest.CaptureFixture) -> None:
    arcface(right)
    assert capsys.readouterr().out.startswith("correct: ")


@pytest.mark.parametrize(("mistake", "hint"), MISTAKES)
def test_a_usual_mistake_has_its_own_hint(mistake: dict, hint: str, capsys: pytest.CaptureFixture) -> None:
    arcface(answer(**mistake))
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("not yet: ")
    assert hint in text.partition(" hint ")[2]


@pytest.mark.parametrize("wrong", [lambda *given: torch.tensor(0.0), lambda cosines: cosines, None, lambda *given: 1.0])
def test_any_other_answer_has_a_hint(wrong: Any, capsys: pytest.CaptureFixture) -> None:
    arcface(wrong)
    assert "\n  hint " in capsys.readouterr().out


def test_the_expected_value_is_that_of_another_library() -> None:
    generator = torch.Generator().manual_seed(1)
    rows, vectors = (F.normalize(torch.randn(n, 6, generator=generator)) for n in (20, 5))
    labels = torch.arange(20) % 5
    theirs = ArcFaceLoss(5, 6, margin=28.6, scale=16)  # degrees
    theirs.W.data = vectors.T.clone()
    ours = by_loops(rows @ vectors.T, labels, math.radians(28.6), 16)
    torch.testing.assert_close(ours, theirs(rows, labels), rtol=1e-4, atol=1e-4)
