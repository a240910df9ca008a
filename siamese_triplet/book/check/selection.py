"""Exercises on the pairs and triplets of a batch: chapters 4, 5 and 7."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.distances import pairwise_distances
from siamese_triplet.selectors import (
    AllPositivePairSelector,
    AllSemihardTripletSelector,
    AllTripletSelector,
    BatchHardTripletSelector,
    FunctionNegativeTripletSelector,
    HardestSemihardTripletSelector,
    HardNegativePairSelector,
    TripletSelector,
)

BATCHES = {  # embeddings on a line, and their classes
    "one positive pair": ([0.0, 1.0, 1.1, 1.3, 1.7], [0, 0, 1, 2, 3]),
    "six images of three classes": ([0.0, 1.0, 1.5, 4.0, 4.2, 9.0], [0, 0, 1, 1, 2, 2]),
    "more positive pairs than negative ones": ([0.0, 0.1, 0.3, 0.6, 1.0], [0, 0, 0, 0, 1]),
    "a negative far away": ([0.0, 0.5, 9.0], [0, 0, 1]),
    "one class": ([0.0, 1.0, 2.0], [0, 0, 0]),
    "a single image of each class": ([0.0, 1.0, 2.0], [0, 1, 2]),
}


def n_pairs(function: Callable[[int, int], tuple[int, int]]) -> None:
    """Check the numbers of positive and negative pairs in a batch of P classes × K images (chapter 4)."""

    def case(n_classes: int, n_samples: int, hint: str) -> Case:
        pairs = AllPositivePairSelector(balance=False).get_pairs(*_batch(n_classes, n_samples))
        return Case(f"{n_classes=}, {n_samples=}", (n_classes, n_samples), tuple(map(len, pairs)), hint)

    cases = [
        case(1, 3, "K images have K (K − 1) / 2 pairs"),
        case(3, 4, "each class has its own positive pairs; all other pairs of the batch are negative"),
        case(10, 16, "all pairs of the batch: P K (P K − 1) / 2"),
        case(5, 1, "single images have no positive pair"),
    ]
    judge(function, cases, "as many as AllPositivePairSelector(balance=False) finds")


def hard_negative_pairs(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check the closest negative pairs (N, 2), from distances (B, B) and labels (B,) (chapter 4).

    There are as many of them as positive pairs.
    """
    hints = [
        "the closest of the pairs whose labels differ, each pair once, as many as there are positive pairs",
        "each pair once, i < j; three positive pairs allow for three negative ones",
        "where negative pairs are fewer than positive ones, all of them",
        "one positive pair allows for one negative pair, however far away",
        "one class has no negative pair: an int64 tensor of shape (0, 2)",
        "no positive pairs, no negative ones: an int64 tensor of shape (0, 2)",
    ]
    cases = []
    for (name, (points, classes)), hint in zip(BATCHES.items(), hints, strict=True):
        embeddings, labels = torch.tensor(points)[:, None], torch.tensor(classes)
        _, negative_pairs = HardNegativePairSelector().get_pairs(embeddings, labels)
        arguments = pairwise_distances(embeddings, squared=False), labels
        title, expected = f"{name}: {points}, classes {classes}", _sort_pairs(negative_pairs)
        cases.append(Case(title, arguments, expected, hint, explain=_each_pair_once))
    judge(function, cases, "the pairs that HardNegativePairSelector finds", _sort_pairs)


def n_triplets(function: Callable[[int, int], int]) -> None:
    """Check the number of triplets in a batch of P classes × K images (chapter 5).

    Either image of a positive pair may be the anchor.
    """

    def case(n_classes: int, n_samples: int, hint: str) -> Case:
        triplets = AllTripletSelector().get_triplets(*_batch(n_classes, n_samples))
        return Case(f"{n_classes=}, {n_samples=}", (n_classes, n_samples), len(triplets), hint)

    cases = [
        case(2, 2, "every image is an anchor: how many positives has it, and how many negatives?"),
        case(3, 4, "an anchor has K − 1 positives, and all images of other classes are its negatives"),
        case(10, 16, "an anchor has K − 1 positives, and all images of other classes are its negatives"),
        case(4, 1, "single images have no positive"),
        case(1, 4, "one class has no negatives"),
    ]
    judge(function, cases, "as many as AllTripletSelector finds")


def nearest_semihard(function: Callable[[Tensor], Tensor]) -> None:
    """Check the column (P,) of the nearest semi-hard negative, or −1, in losses (P, B) at margin 1 (chapter 5)."""
    reference = HardestSemihardTripletSelector(margin=1.0)
    hint = "0 < loss < 1; of those the greatest loss, which is the nearest; −1 in a row without any"
    judge(
        FunctionNegativeTripletSelector(1.0, function).get_triplets,
        _cases(reference, hint),
        "the triplets that HardestSemihardTripletSelector finds",
        _sort_rows,
    )


def batch_hard(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check the batch-hard triplets (N, 3), from squared distances (B, B) and labels (B,) (chapter 5).

    Each image with a positive and a negative is an anchor once, with its farthest positive and its nearest negative.
    """
    hints = [
        "an anchor needs a positive: images alone in their class are none",
        "the farthest positive and the nearest negative of each anchor: fill the others with −∞ or ∞ before max or min",
        "each image is an anchor once, so there are at most B triplets",
        "the only negative may be far away: batch-hard takes it even if the loss is zero",
        "without negatives there are no triplets: an int64 tensor of shape (0, 3)",
        "without positives there are no triplets: an int64 tensor of shape (0, 3)",
        "rows are anchor, positive, negative, as indices into the batch",
    ]
    cases = [
        replace(case, arguments=(pairwise_distances(case.arguments[0]), case.arguments[1]), hint=hint)
        for case, hint in zip(_cases(BatchHardTripletSelector(), ""), hints, strict=True)
    ]
    judge(function, cases, "the triplets that BatchHardTripletSelector finds", _sort_rows)


def all_semihard(selector: TripletSelector) -> None:
    """Check a selector of all triplets with 0 < loss < 1 at margin 1 (chapter 7)."""
    hint = "[a, p, n] is a triplet where (a, p) is positive, (a, n) negative, and d² in the band; distances are squared"
    judge(
        lambda embeddings, labels: selector.get_triplets(embeddings, labels),
        _cases(AllSemihardTripletSelector(margin=1.0), hint),
        "the triplets that AllSemihardTripletSelector finds",
        _sort_rows,
    )


def _batch(n_classes: int, n_samples: int) -> tuple[Tensor, Tensor]:
    """Make seeded embeddings (B, 2) and labels (B,)."""
    labels = torch.arange(n_classes).repeat_interleave(n_samples)
    return torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(0)), labels


def _cases(reference: TripletSelector, hint: str) -> list[Case]:
    """Make cases of batches on a line and one in the plane, with the triplets of `reference` as the answer."""
    batches = {
        f"{name}: {points}, classes {classes}": (torch.tensor(points)[:, None], torch.tensor(classes))
        for name, (points, classes) in BATCHES.items()
    }
    batches["a random batch of 3 classes × 3 images in the plane"] = _batch(3, 3)
    return [Case(name, batch, _sort_rows(reference.get_triplets(*batch)), hint) for name, batch in batches.items()]


def _sort_rows(indices: Any) -> Any:
    """Return rows of indices as a sorted list of tuples, anything else unchanged."""
    if not isinstance(indices, Tensor) or indices.ndim != 2:
        return indices
    return sorted(map(tuple, indices.tolist()))


def _each_pair_once(pairs: Any) -> str:
    """Explain that (i, j) and (j, i) are one pair, if sorted `pairs` have one twice."""
    has_twice = isinstance(pairs, list) and any(pairs.count(pair) > 1 for pair in pairs)
    if not has_twice:
        return ""
    return "(i, j) and (j, i) are one pair: count each pair once, the positive ones too, for example where i < j"


def _sort_pairs(pairs: Any) -> Any:
    """Return unordered pairs (N, 2) as a sorted list of tuples, the smaller index first."""
    return _sort_rows(pairs.sort(dim=1).values if isinstance(pairs, Tensor) and pairs.ndim == 2 else pairs)
