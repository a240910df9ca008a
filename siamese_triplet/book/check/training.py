"""Exercises on batches and epochs: chapter 2, and training at speed."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.losses import ContrastiveLoss
from siamese_triplet.networks import SiameseNet
from siamese_triplet.trainer import fit

StopsEarly = Callable[[int, dict[str, list[float]], object], bool]  # a callback of `fit`: epoch, history, model


def training_loop(function: Callable[..., list[float]]) -> None:
    """Check a training loop: `train(net, loss_fn, optimizer, batches, n_epochs)` gives mean losses (chapter 2).

    A batch is `((first, second), target)`. Weights and losses are compared with those of `fit`.
    """

    def case(name: str, n_batches: int, n_epochs: int, hint: str, layer: nn.Module | None = None) -> Case:
        expected = _train_pairs(_train_by_fit, n_batches, n_epochs, layer)
        return Case(f"{name}, the losses, then the weights", (n_batches, n_epochs, layer), expected, hint)

    cases = [
        case("one step", 1, 1,
             "net(first, second) gives both embeddings; loss.backward() makes gradients, optimizer.step() uses them"),
        case("three steps", 3, 1, "gradients add up: optimizer.zero_grad() before each backward()"),
        case("four epochs of three steps", 3, 4, "one number for each epoch, the mean over its batches: loss.item()"),
        case("a network that was left in evaluation mode", 3, 2,
             "net.train() before the first step: some layers, such as batch normalisation, work otherwise in training",
             nn.BatchNorm1d(2)),
    ]  # fmt: skip
    judge(lambda *given: _train_pairs(function, *given), cases, "the weights and losses that fit gives")


def stop_early(make: Callable[[int], StopsEarly]) -> None:
    """Check a function that makes an early-stopping callback (training at speed).

    The callback stops when the validation loss has not been better than the best for `patience` epochs.
    """

    def stopping_epoch(patience: int, losses: list[float]) -> int:
        """Return the epoch after which the callback stops, 0 if it never does."""
        callback = make(patience)
        for epoch in range(1, len(losses) + 1):
            if callback(epoch, {"val_loss": losses[:epoch]}, None):
                return epoch
        return 0

    def case(patience: int, losses: list[float], epoch: int, hint: str) -> Case:
        return Case(f"{patience=}, validation losses {losses}, stops after", (patience, losses), epoch, hint)

    cases = [
        case(2, [1.0, 2.0, 3.0, 4.0], 3, "epoch 1 was the best, 2 and 3 were not better: stop after 3"),
        case(2, [4.0, 3.0, 2.0, 1.0], 0, "every epoch is better than the last: never stop, which counts as 0"),
        case(2, [1.0, 1.0, 1.0], 3, "as good as the best is not better"),
        case(3, [5.0, 3.0, 4.0, 2.0, 3.0, 2.5, 2.2, 1.0], 7, "compare with the best, not with the epoch before"),
    ]
    judge(stopping_epoch, cases, "it stops where it should, and only there")


def _train_pairs(
    function: Callable[..., list[float]], n_batches: int, n_epochs: int, layer: nn.Module | None
) -> tuple[tuple[float, ...], Tensor]:
    """Train a small siamese network by `function`; return its mean losses and the weights, buffers included."""
    generator = torch.Generator().manual_seed(0)
    linear = nn.utils.skip_init(nn.Linear, 3, 2)  # random numbers of its own would disturb those of the reader
    linear.weight.data = torch.randn(2, 3, generator=generator)
    linear.bias.data = torch.zeros(2)
    net = SiameseNet(nn.Sequential(linear, *([] if layer is None else [deepcopy(layer)]))).eval()
    pairs = torch.randn(n_batches, 2, 8, 3, generator=generator)  # of 8 pairs each
    batches = [((first, second), torch.arange(8) % 2) for first, second in pairs]
    losses = function(net, ContrastiveLoss(margin=1.0), torch.optim.SGD(net.parameters(), lr=0.1), batches, n_epochs)
    weights = torch.cat([value.detach().flatten().float() for value in net.state_dict().values()])
    return tuple(losses), weights


def _train_by_fit(
    net: nn.Module, loss_fn: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any], n_epochs: int
) -> list[float]:
    net.train()
    history = fit(batches, None, net, loss_fn, optimizer, None, n_epochs, device="cpu", verbose=False)
    return list(history["train_loss"])
