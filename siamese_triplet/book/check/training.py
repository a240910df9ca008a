"""Exercises on batches, epochs and processes: chapters 19 and 20."""

from collections.abc import Callable

import torch

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.datasets import Images, normalization
from siamese_triplet.distributed import Share
from siamese_triplet.loader import TensorLoader

StopsEarly = Callable[[int, dict[str, list[float]], object], bool]  # a callback of `fit`: epoch, history, model


def n_steps(function: Callable[[int, int, bool], int]) -> None:
    """Check the number of steps in an epoch, with or without a last batch that is not full (chapter 19)."""

    def case(n_images: int, batch_size: int, drop_last: bool, hint: str) -> Case:
        images = Images(torch.zeros(n_images, 1, 1, dtype=torch.uint8), torch.zeros(n_images, dtype=torch.int64), ["a"])
        images.transform = normalization(0.0, 1.0)
        steps = len(TensorLoader(images, batch_size, drop_last=drop_last, device="cpu", share=Share()))
        return Case(f"{n_images=}, {batch_size=}, {drop_last=}", (n_images, batch_size, drop_last), steps, hint)

    cases = [
        case(100, 10, False, "one step a batch"),
        case(105, 10, False, "five images that are left over are a batch of their own: round up"),
        case(105, 10, True, "drop_last leaves a batch out that is not full: round down"),
        case(100, 10, True, "the last batch is full, and stays"),
        case(7, 10, True, "a single batch that is not full is left out as well"),
    ]
    judge(function, cases, "as many as TensorLoader has batches")


def stop_early(make: Callable[[int], StopsEarly]) -> None:
    """Check a function that makes an early-stopping callback (chapter 19).

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


def n_pairs_seen(function: Callable[[int, int], int]) -> None:
    """Check the number of pairs in a batch that any process sees, if each keeps to its share (chapter 20)."""

    def case(n_images: int, n_processes: int, hint: str) -> Case:
        shares = [Share(rank, n_processes).slice(0, n_images) for rank in range(n_processes)]
        pairs = [len(torch.combinations(torch.arange(n_images)[share])) for share in shares]
        return Case(f"{n_images=}, {n_processes=}", (n_images, n_processes), sum(pairs), hint)

    cases = [
        case(8, 1, "n images have n (n − 1) / 2 pairs"),
        case(8, 2, "a share has half of the images, and there are two shares"),
        case(256, 4, "W times the pairs of a share of B / W images"),
        case(8, 8, "a share of one image has no pair"),
    ]
    judge(function, cases, "the pairs within the shares of all processes")
