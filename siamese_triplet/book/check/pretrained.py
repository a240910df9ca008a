"""Exercises on pretrained networks: chapter 15."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.losses import SupervisedContrastiveLoss


def mean_and_std(function: Callable[[float, float], tuple[float, float]]) -> None:
    """Check the mean and standard deviation of pixels in [0, 1], from (x - subtracted) / divided (chapter 15)."""

    def case(name: str, subtracted: float, divided: float, hint: str) -> Case:
        expected = (subtracted / 255, divided / 255)
        return Case(f"{name}: (x - {subtracted}) / {divided}", (subtracted, divided), expected, hint)

    cases = [
        case("scaled to [0, 1] only", 0, 255, "nothing is subtracted, and the pixels are divided by 255 already"),
        case("EfficientNet-Lite", 127, 128, "with p = x / 255: (255 p - 127) / 128 = (p - mean) / std; what is mean?"),
        case("scaled to [-1, 1]", 127.5, 127.5, "both numbers are on the scale of the pixels"),
        case("only the mean, as some old networks", 104, 1, "std is the divisor on the scale of [0, 1]"),
    ]
    judge(function, cases, "this is what normalization(mean, std) takes", _as_numbers)


def supervised_contrastive_loss(function: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """Check a supervised contrastive loss of embeddings (B, D) with labels (B,) and a temperature (chapter 15)."""

    def case(name: str, embeddings: Tensor, labels: list[int], temperature: float, hint: str) -> Case:
        target = torch.tensor(labels)
        expected = SupervisedContrastiveLoss(temperature)(embeddings, target)
        return Case(f"{name}, labels {labels}, {temperature=}", (embeddings, target, temperature), expected, hint)

    units = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
    points = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    shown = f"embeddings {_rounded(units)}"
    cases = [
        case(shown, units, [0, 0, 1, 1], 1.0, "an image is not among its own candidates: leave the diagonal out"),
        case("the same, at other lengths", units * torch.tensor([[1.0], [2.0], [3.0], [4.0]]), [0, 0, 1, 1], 1.0,
             "cosine similarities: divide each embedding by its length first"),
        case(shown, units, [0, 0, 1, 1], 0.2, "divide the cosines by the temperature, before the softmax"),
        case(shown, units, [0, 0, 0, 1], 0.5,
             "two positives: the mean of their −log p. An image without a positive is no anchor, and not in the mean"),
        case("12 points", points, [0, 1, 2, 3] * 3, 0.1,
             "first the mean over the positives of an anchor, then over anchors"),
        case(shown, units, [0, 0, 1, 1], 0.001, "exp of large scores is infinite: logsumexp, or F.log_softmax"),
    ]  # fmt: skip
    judge(function, cases, "the loss of SupervisedContrastiveLoss")


def _as_numbers(answer: object) -> object:
    try:
        first, second = (float(value) for value in answer)  # type: ignore[attr-defined]  # an error leaves it as it is
    except Exception:
        return answer
    return (first, second)


def _rounded(values: Tensor) -> list[list[float]]:
    return [[round(value, 2) for value in row] for row in values.tolist()]
