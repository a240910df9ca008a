"""The exercises on gradients of several batches and processes: they tell right answers from wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from verdicts import assert_correct, assert_hint

from siamese_triplet.book.check.gradients import share_of_gradient, train_accumulated


def train(
    model: Any,
    batches: Any,
    loss_fn: Callable,
    optimizer: Any,
    n: int,
    *,
    divide_by: int | None = None,
    zero: bool = True,
    rest: bool = True,
    step_each: bool = False,
) -> None:
    for start in range(0, len(batches) if rest else len(batches) // n * n, n):
        together = batches[start : start + n]
        if zero:
            optimizer.zero_grad()
        for x, y in together:
            (loss_fn(model(x), y) / (divide_by or len(together))).backward()
            if step_each:
                optimizer.step()
        if not step_each:
            optimizer.step()


def by_detach(images: Tensor, weights: Tensor, loss_fn: Callable, rank: int, n: int) -> Tensor:
    weights = weights.clone().requires_grad_()
    shares = [part if r == rank else part.detach() for r, part in enumerate((images @ weights).chunk(n))]
    return torch.autograd.grad(loss_fn(torch.cat(shares)), weights)[0]


def of_own_loss(images: Tensor, weights: Tensor, loss_fn: Callable, rank: int, n: int) -> Tensor:
    weights = weights.clone().requires_grad_()
    return torch.autograd.grad(loss_fn(images.chunk(n)[rank] @ weights), weights)[0]


RIGHT = [(train_accumulated, train), (share_of_gradient, by_detach)]
WRONG = [
    (train_accumulated, lambda *given: None),
    (train_accumulated, lambda *given: train(*given[:4], 1)),
    (train_accumulated, lambda *given: train(*given, divide_by=1)),
    (train_accumulated, lambda *given: train(*given, divide_by=given[4])),
    (train_accumulated, lambda *given: train(*given, zero=False)),
    (train_accumulated, lambda *given: train(*given, rest=False)),
    (train_accumulated, lambda *given: train(*given, step_each=True)),
    (train_accumulated, None),
    (share_of_gradient, of_own_loss),
    (share_of_gradient, lambda x, w, loss_fn, rank, n: by_detach(x, w, loss_fn, 0, 1)),
    (share_of_gradient, lambda x, w, loss_fn, rank, n: by_detach(x, w, loss_fn, rank, n) / n),
    (share_of_gradient, lambda x, w, loss_fn, rank, n: by_detach(x, w, loss_fn, n - 1 - rank, n)),
    (share_of_gradient, lambda x, w, loss_fn, rank, n: w),
    (share_of_gradient, None),
]  # fmt: skip


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_the_right_answer_is_correct(check: Callable, answer: Callable, capsys: pytest.CaptureFixture) -> None:
    assert_correct(check, answer, capsys)


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_wrong_answer_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    assert_hint(check, answer, capsys)


def test_the_terms_of_all_processes_add_up_to_the_gradient() -> None:
    images, weights = torch.randn(8, 3), torch.randn(3, 2)

    def loss_fn(embeddings: Tensor) -> Tensor:
        return torch.cdist(embeddings, embeddings).square().mean()

    terms = [by_detach(images, weights, loss_fn, rank, 4) for rank in range(4)]
    torch.testing.assert_close(sum(terms), by_detach(images, weights, loss_fn, 0, 1))
