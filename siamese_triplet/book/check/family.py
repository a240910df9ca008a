"""Exercise on the family of losses: the chapter from triplets to today."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge

Loss = Callable[[Tensor, Tensor, float, float], Tensor]


def arcface(function: Loss) -> None:
    """Check ArcFace, from the cosines (B, C) of images and class vectors, labels (B,), a margin and a scale.

    The angle to the right class is increased by the margin; beyond π it would come back, so there the cosine is
    lowered by margin · sin(margin) instead. The loss is the mean cross entropy of the scaled cosines. Its gradient is
    checked, too.
    """

    def case(name: str, degrees: list[list[float]], labels: list[int], margin: float, scale: float, hint: str) -> Case:
        arguments = torch.cos(torch.tensor(degrees) * math.pi / 180), torch.tensor(labels), margin, scale
        title = f"{name}: angles {degrees}, labels {labels}, margin {margin}, scale {scale}"
        return Case(f"{title}; the loss, then its gradient", arguments, with_gradient(by_loops)(*arguments), hint)

    cases = [
        case("no margin", [[60, 80, 120]], [0], 0.0, 1.0, "without a margin it is F.cross_entropy of the cosines"),
        case("a scale", [[60, 80, 120]], [0], 0.0, 4.0, "multiply the cosines by the scale"),
        case("a margin", [[60, 80, 120]], [0], 0.5, 1.0, "cos(θ + margin) for the right class, where θ = acos(cosine)"),
        case("another right class", [[60, 80, 120]], [1], 0.5, 4.0, "the margin is for the class in labels alone"),
        case("two images", [[60, 80, 120], [70, 60, 40]], [0, 2], 0.5, 4.0,
             "each row has its own right class; the loss is the mean over the rows"),
        case("almost opposite", [[30, 170]], [1], 0.5, 2.0,
             "θ + margin is beyond π, where the cosine rises again: cosine − margin · sin(margin) there"),
        case("far from its class, at a large scale", [[20, 150, 90], [80, 75, 20]], [1, 0], 0.5, 64.0,
             "F.cross_entropy or log_softmax: exp(64) is too large for a sum of its own"),
    ]  # fmt: skip
    judge(with_gradient(function), cases, "the loss of Deng and others, and its gradient")


def with_gradient(function: Loss) -> Loss:
    """Return a function that gives the loss and its gradient by the cosines, one after the other in a vector."""

    def both(cosines: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
        cosines = cosines.clone().requires_grad_()
        loss = function(cosines, labels, margin, scale)
        if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
            return loss
        [gradient] = torch.autograd.grad(loss, cosines)
        return torch.cat([loss.detach().view(1), gradient.flatten()])

    return both


def by_loops(cosines: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """Compute the loss as it is defined, image by image."""
    losses = []
    for row, label in zip(cosines.double(), labels.tolist(), strict=True):
        angle = row[label].acos() + margin
        right = angle.cos() if angle <= math.pi else row[label] - margin * math.sin(margin)
        scores = [right if number == label else cosine for number, cosine in enumerate(row)]
        losses.append(-scale * right + torch.logsumexp(scale * torch.stack(scores), dim=0))
    return torch.stack(losses).mean().float()
