"""Exercise on the family of losses: the chapter from triplets to today."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge


def supervised_contrastive(function: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """Check the supervised contrastive loss, from similarities (B, B), labels (B,) and a temperature.

    The loss is a mean over the anchors with a positive; each has the mean over its positives of −log of their share in
    a softmax over all images but the anchor itself.
    """

    def case(name: str, similarities: Tensor, labels: list[int], temperature: float, hint: str) -> Case:
        arguments = similarities, torch.tensor(labels), temperature
        return Case(f"{name}, labels {labels}, temperature {temperature}", arguments, by_loops(*arguments), hint)

    def cosines(*degrees: float) -> Tensor:
        angles = torch.tensor(degrees) * math.pi / 180
        return torch.cos(angles[:, None] - angles)

    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(12, 8, generator=generator))
    cases = [
        case("two of a class and two others", cosines(0, 0, 90, 90), [0, 0, 1, 1], 1.0,
             "an anchor is no image to choose: leave the diagonal out of the softmax, or set it to −∞ before"),
        case("two of a class and one other", cosines(0, 60, 90), [0, 0, 1], 1.0,
             "the third image has no positive: leave it out of the mean over the anchors"),
        case("a lower temperature", cosines(0, 60, 90), [0, 0, 1], 0.2, "divide the similarities by the temperature"),
        case("three of a class", cosines(0, 20, 100, 120), [0, 0, 0, 1], 0.5,
             "the mean over the positives of −log of each share: not the log of their mean or sum"),
        case("classes of different sizes", cosines(0, 20, 100, 120, 200, 300), [0, 0, 0, 1, 1, 2], 0.5,
             "a mean over the positives of each anchor first, then a mean over the anchors"),
        case("a very low temperature", cosines(0, 60, 90), [0, 0, 1], 0.005,
             "exp(200) is infinite in float32: torch.logsumexp or log_softmax"),
        case("no positive at all", cosines(0, 60, 90), [0, 1, 2], 1.0,
             "without an anchor the loss is 0, not NaN: divide by at least one"),
        case("twelve random images", rows @ rows.T, [0, 1, 2, 3] * 3, 0.1, "compare with your loops in a small case"),
    ]  # fmt: skip
    judge(function, cases, "the loss of Khosla and others; SupervisedContrastiveLoss takes the embeddings themselves")


def by_loops(similarities: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Compute the loss as it is defined, anchor by anchor."""
    losses = []
    for anchor, label in enumerate(labels.tolist()):
        others = [image for image in range(len(labels)) if image != anchor]
        shares = (similarities[anchor, others].double() / temperature).log_softmax(dim=0)
        own = [share for share, image in zip(shares, others, strict=True) if labels[image] == label]
        if own:
            losses.append(-torch.stack(own).mean())
    return torch.stack(losses).mean().float() if losses else torch.tensor(0.0)
