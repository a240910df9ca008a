"""Exercises on gradients of several batches and processes: training at speed, and more than one device."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet.book.check.verdict import Case, judge

Batches = Sequence[tuple[Tensor, Tensor]]
Loss = Callable[[Tensor], Tensor]


def train_accumulated(function: Callable[[nn.Module, Batches, Callable, torch.optim.Optimizer, int], object]) -> None:
    """Check an epoch that takes one step for every `accumulate` batches (training at speed).

    It trains a model on batches `(x, y)` by `loss_fn(model(x), y)`, and is judged by the weights.
    """

    def case(name: str, n_batches: int, accumulate: int, hint: str, momentum: float = 0.0) -> Case:
        arguments = n_batches, accumulate, momentum
        return Case(f"{name}: {n_batches=}, {accumulate=}", arguments, _weights(_accumulate, *arguments), hint)

    cases = [
        case("one step a batch", 3, 1, "optimizer.zero_grad() after every step, else gradients add up for ever"),
        case("one step in all", 2, 2, "the mean of the gradients: divide each loss, or the gradients, by their number"),
        case("two steps", 4, 2, "no zero_grad() between the batches of a step, and one after it"),
        case("batches are left over", 5, 2, "the last batch is alone, and takes a step with its own gradient"),
        case("two are left over", 8, 3, "the mean over the batches of this step: two, not three"),
        case("with momentum", 4, 2, "one call of optimizer.step() for each step, no more", 0.9),
    ]
    judge(lambda *given: _weights(function, *given), cases, "the weights that fit(accumulate=…) gives")


def share_of_gradient(function: Callable[[Tensor, Tensor, Loss, int, int], Tensor]) -> None:
    """Check the term that one process adds to the gradient of a gathered batch (more than one device).

    From images (B, F), weights (F, D) of the network `images @ weights`, and a loss of all embeddings (B, D): the
    gradient (F, D) through the rows of process `rank` alone, of `n_processes` with equal shares in order.
    """

    def case(name: str, rank: int, n_processes: int, loss_fn: Loss, hint: str) -> Case:
        embeddings = (images @ weights).requires_grad_()
        (gradient,) = torch.autograd.grad(loss_fn(embeddings), embeddings)
        rows = slice(rank * len(images) // n_processes, (rank + 1) * len(images) // n_processes)
        expected = images[rows].T @ gradient[rows]
        return Case(f"{name}: {rank=}, {n_processes=}", (images, weights, loss_fn, rank, n_processes), expected, hint)

    generator = torch.Generator().manual_seed(0)
    images, weights = torch.randn(8, 3, generator=generator), torch.randn(3, 2, generator=generator)
    cases = [
        case("one process", 0, 1, _spread, "the gradient of the loss by the weights; torch.autograd.grad gives it"),
        case("a loss that is a sum over images", 1, 2, _length, "only its rows, 4 to 7, lead to its weights"),
        case("a loss of all pairs", 0, 2, _spread, "the loss is that of the whole batch, not of the share"),
        case(
            "the second share",
            1,
            2,
            _spread,
            "all embeddings in their order, those of others without a gradient: detach()",
        ),
        case("four processes", 2, 4, _spread, "the terms of all processes add up to the gradient: no mean"),
    ]
    judge(function, cases, "all terms together are the gradient of one process that has the whole batch")


def _weights(function: Callable, n_batches: int, accumulate: int, momentum: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    model = nn.utils.skip_init(nn.Linear, 2, 1, bias=False)  # random numbers of its own would disturb the reader's
    model.weight.data = torch.tensor([[1.0, -1.0]])
    batches = [(torch.randn(4, 2, generator=generator), torch.ones(4, 1)) for _ in range(n_batches)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum)
    function(model, batches, F.mse_loss, optimizer, accumulate)
    return model.weight.detach()[0]


def _accumulate(
    model: nn.Module, batches: Batches, loss_fn: Callable, optimizer: torch.optim.Optimizer, accumulate: int
) -> None:
    for start in range(0, len(batches), accumulate):
        together = batches[start : start + accumulate]
        optimizer.zero_grad()
        for x, y in together:
            (loss_fn(model(x), y) / len(together)).backward()
        optimizer.step()


def _spread(embeddings: Tensor) -> Tensor:
    return torch.tanh(torch.cdist(embeddings, embeddings).square()).mean()


def _length(embeddings: Tensor) -> Tensor:
    return embeddings.square().sum()
