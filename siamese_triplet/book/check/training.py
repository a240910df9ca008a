"""Exercises on batches and epochs: chapter 11, and training at speed."""

from collections.abc import Callable

import torch

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.samplers import BalancedBatchSampler

StopsEarly = Callable[[int, dict[str, list[float]], object], bool]  # a callback of `fit`: epoch, history, model


def batches_until_all_seen(function: Callable[[int, int], int]) -> None:
    """Check the number of batches until each class was in one, from the classes in all and in a batch (chapter 11)."""

    def case(n_classes: int, n_in_batch: int, hint: str) -> Case:
        n_batches = _count_until_all_seen(n_classes, n_in_batch)
        return Case(f"{n_classes=}, {n_in_batch=}", (n_classes, n_in_batch), n_batches, hint)

    cases = [
        case(10, 10, "all classes are in every batch"),
        case(10, 5, "no class comes again before all others had their turn"),
        case(10, 4, "what is left over needs a batch as well: round up"),
        case(544, 40, "what is left over needs a batch as well: round up"),
        case(7, 1, "one class a batch"),
    ]
    judge(function, cases, "as many as BalancedBatchSampler takes")


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


def _count_until_all_seen(n_classes: int, n_in_batch: int) -> int:
    labels = torch.arange(n_classes).repeat(n_in_batch + 1)  # enough images for an epoch with all classes
    seen: set[int] = set()
    batches = iter(BalancedBatchSampler(labels, n_in_batch, 1))
    n_batches = 0
    while len(seen) < n_classes:
        seen.update(labels[next(batches)].tolist())
        n_batches += 1
    return n_batches
