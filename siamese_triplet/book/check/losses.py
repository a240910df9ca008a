"""Exercises on losses: chapters 1 to 3."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.losses import ContrastiveLoss, TripletLoss


def negative_log_likelihood(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check the mean of −log p(y), from scores (N, C) and classes y (N,) (chapter 1)."""

    def case(name: str, scores: list[list[float]], y: list[int], hint: str) -> Case:
        arguments = torch.tensor(scores), torch.tensor(y)
        return Case(f"{name}: scores {scores}, y {y}", arguments, F.cross_entropy(*arguments), hint)

    formula = "of each image the log of the sum of all exp(score), less the score of its class"
    cases = [
        case("equal scores of two classes", [[0.0, 0.0]], [0], formula),
        case("an image", [[2.0, 0.0, -1.0]], [1], formula),
        case("two images", [[2.0, 0.0], [1.0, 3.0]], [0, 0], "the mean over the images; row i has its class in y[i]"),
        case("large scores", [[1000.0, 999.0]], [1], "exp(1000) is infinite: torch.logsumexp, or take the maximum off"),
    ]
    judge(function, cases, "what PyTorch's cross entropy gives, for large scores too")


def contrastive_loss(function: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """Check the losses (P,) of pairs, from distances d (P,), y (P,) and a margin (chapter 2).

    The distances are not squared; y is 1 for a positive pair, else 0.
    """

    def case(d: list[float], y: list[float], margin: float, hint: str) -> Case:
        expected = _contrastive_losses(torch.tensor(d), torch.tensor(y), margin)
        name = f"d {d}, y {y}, margin {margin}"
        arguments = torch.tensor(d), torch.tensor(y), margin
        return Case(name, arguments, expected, hint, explain=lambda answer: _one_for_each(answer, len(d)))

    cases = [
        case(
            [0.5], [1.0], 1.0, "one loss for each pair, (P,); a positive pair (y = 1) costs ½ d², whatever the margin"
        ),
        case([0.25], [0.0], 1.0, "a negative pair (y = 0) nearer than the margin costs ½ (margin − d)²"),
        case([1.5], [0.0], 1.0, "a negative pair beyond the margin costs nothing: max(0, …) before the square"),
        case([0.0, 3.0, 1.0, 2.0], [0.0, 1.0, 0.0, 0.0], 2.0, "the margin is an argument"),
        case([], [], 1.0, "no pairs have no losses: compute with whole tensors, not with single numbers"),
    ]
    judge(function, cases, "pair by pair what ContrastiveLoss gives")


def triplet_loss(function: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> None:
    """Check the mean loss of triplets, from anchors, positives, negatives (T, D) and a margin (chapter 3)."""

    def case(name: str, points: list[list[list[float]]], margin: float, hint: str) -> Case:
        triplets = tuple(torch.tensor(points).unbind(1))  # each (T, D)
        expected = TripletLoss(margin)(*triplets)
        return Case(f"{name} {points}, margin {margin}", (*triplets, margin), expected, hint)

    hard, easy = [[0.0, 0.0], [3.0, 0.0], [0.0, 2.0]], [[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]
    cases = [
        case("a hard triplet", [hard], 1.0, "d² is a sum of squared differences over the embedding, without a root"),
        case("an easy triplet", [easy], 1.0, "max(0, …): an order that holds costs nothing"),
        case("both", [hard, easy], 1.0, "max(0, …) for each triplet first, and then the mean"),
        case("both", [hard, easy], 10.0, "the margin is added to d² of the positive"),
    ]
    judge(function, cases, "what TripletLoss gives")


def triplet_gradients(function: Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]) -> None:
    """Check the gradients of the mean triplet loss, from anchors, positives, negatives (T, D) and a margin (chapter 3).

    They are three tensors (T, D): by the anchors, the positives and the negatives.
    """

    def case(name: str, points: Tensor, margin: float, hint: str) -> Case:
        triplets = [column.clone().requires_grad_() for column in points.unbind(1)]  # each (T, D)
        TripletLoss(margin)(*triplets).backward()
        gradients = tuple(column.grad for column in triplets)
        return Case(f"{name}, margin {margin}", (*points.unbind(1), margin), gradients, hint)

    hard = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [0.0, 2.0]]])
    easy = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]])
    many = torch.randn(20, 3, 4, generator=torch.Generator().manual_seed(0))
    both = torch.cat([hard, easy])
    cases = [
        case(f"a hard triplet {hard.tolist()}", hard, 1.0,
             "d² = (a − p)·(a − p): by a it is 2 (a − p), by p it is −2 (a − p); d² of the negative is subtracted"),
        case(f"an easy triplet {easy.tolist()}", easy, 1.0, "no loss, no gradient: three tensors of zeros"),
        case(f"both {both.tolist()}", both, 1.0, "the loss is a mean: divide by the number of triplets, easy ones too"),
        case(f"both {both.tolist()}", both, 20.0, "with this margin both triplets have a loss"),
        case("20 triplets in four dimensions", many, 0.5, "mask the triplets row by row: (T,) becomes (T, 1)"),
    ]  # fmt: skip
    judge(function, cases, "what autograd gives for TripletLoss")


def kind_of_negative(function: Callable[[float, float, float], str]) -> None:
    """Check the kind of a negative, from the distances of positive and negative and a margin (chapter 3).

    The kinds are "hard", "semi-hard" and "easy".
    """

    def case(d_ap: float, d_an: float, margin: float, hint: str) -> Case:
        points = torch.tensor([[0.0], [d_ap], [-d_an]])[:, None]  # (3, 1, 1)
        loss = TripletLoss(margin)(*points).item()
        kind = "easy" if loss <= 0 else "hard" if loss >= margin else "semi-hard"
        name = f"positive at distance {d_ap}, negative at {d_an}, margin {margin}"
        return Case(name, (d_ap, d_an, margin), kind, hint)

    cases = [
        case(0.5, 0.25, 1.0, "hard: no farther from the anchor than the positive"),
        case(0.5, 0.75, 1.0, "semi-hard: farther than the positive, by less than the margin"),
        case(0.5, 1.5, 1.0, "easy: the loss is zero"),
        case(2.0, 2.25, 0.5, "the margin is one of squared distances"),
        case(0.5, 0.5, 1.0, "as far as the positive, the loss is the margin: hard"),
        case(0.0, 1.0, 1.0, "with a loss of exactly zero a triplet is easy"),
    ]
    judge(function, cases, "each as its loss says")


def _one_for_each(answer: object, n_pairs: int) -> str:
    """Explain that there is one loss for each pair, if `answer` has another shape."""
    is_alike = isinstance(answer, Tensor) and answer.shape == (n_pairs,)
    return "" if is_alike else f"one loss for each pair, a tensor of shape ({n_pairs},), not their mean"


def _contrastive_losses(distances: Tensor, y: Tensor, margin: float) -> Tensor:
    """Compute the loss (P,) of each pair by `ContrastiveLoss`, which gives means."""
    loss_fn, origin = ContrastiveLoss(margin), torch.zeros(1, 1)
    pairs = zip(distances.view(-1, 1, 1), y.view(-1, 1), strict=True)
    return torch.tensor([loss_fn(origin, other, target) for other, target in pairs])
