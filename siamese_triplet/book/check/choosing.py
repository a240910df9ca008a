"""Exercises on choosing settings and diagnosing failures: chapters 13 and 14."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from math import cos, radians
from typing import Any

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.diagnostics import Diagnosis, diagnose
from siamese_triplet.distances import pairwise_distances
from siamese_triplet.evaluation import doubtful_labels

SOUND = "every batch is balanced, and every class has its turn"


def chance_together(function: Callable[[int, int], float]) -> None:
    """Check the chance that a batch of P of C classes with the anchor's class has a given other class (chapter 13)."""

    def case(n_batch: int, n_classes: int, hint: str) -> Case:
        batches = [batch for batch in combinations(range(n_classes), n_batch) if 0 in batch]  # all that have class 0
        chance = sum(1 in batch for batch in batches) / len(batches)
        return Case(f"{n_batch=}, {n_classes=}", (n_batch, n_classes), chance, hint)

    cases = [
        case(6, 6, "a batch of all classes has every class"),
        case(2, 5, "one place is left, and four classes may have it, each with the same chance"),
        case(4, 12, "three places are left, for eleven classes"),
        case(1, 3, "no place is left"),
    ]
    judge(function, cases, "as often as among all batches that have the anchor's class")


def squared_distance(function: Callable[[float], float]) -> None:
    """Check the squared distance of two embeddings of length 1, from their cosine similarity (chapter 13)."""

    def case(degrees: float, hint: str) -> Case:
        angle = torch.tensor(radians(degrees), dtype=torch.float64)
        embeddings = torch.stack([torch.tensor([1.0, 0.0]).double(), torch.stack([angle.cos(), angle.sin()])])
        expected = pairwise_distances(embeddings)[0, 1].item()
        return Case(f"at an angle of {degrees:g}°", (cos(radians(degrees)),), expected, hint)

    cases = [
        case(90, "expand |x − y|²: what are |x|², |y|² and x · y here? It is squared, so no root"),
        case(180, "opposite points have the largest squared distance that there is on the sphere"),
        case(0, "a point and itself"),
        case(60, "|x|² + |y|² − 2 x · y"),
    ]
    judge(function, cases, "the squared distance of pairwise_distances")


def balanced_batches(function: Callable[[Tensor, int, int], Any]) -> None:
    """Check a function that lists the balanced batches of an epoch, as lists of image numbers (chapter 13).

    It gets labels (N,), the number of classes in a batch, and the number of images of each.
    """

    def case(name: str, labels: list[int], n_classes: int, n_samples: int, hint: str) -> Case:
        arguments = torch.tensor(labels), n_classes, n_samples
        return Case(f"{name}, {n_classes} classes × {n_samples} images", arguments, SOUND, hint)

    def fault(labels: Tensor, n_classes: int, n_samples: int) -> str:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same words for the same answer
            batches = [torch.as_tensor(batch).tolist() for batch in function(labels.clone(), n_classes, n_samples)]
        return _fault(batches, labels.tolist(), n_classes, n_samples)

    cases = [
        case("two classes of four images", [0, 0, 0, 0, 1, 1, 1, 1], 2, 2, "which images has each class?"),
        case("six classes of four", [0, 1, 2, 3, 4, 5] * 4, 3, 2, "draw the classes of a batch before their images"),
        case("classes 7, 30 and 5", [7, 7, 30, 30, 5, 5], 2, 2, "a label is any integer: labels.unique()"),
        case("five classes of six", [0, 1, 2, 3, 4] * 6, 2, 3, "deal the classes like cards: shuffle, deal all, again"),
        case("classes of 2, 4 and 9 images", [0] * 2 + [1] * 4 + [2] * 9, 2, 2, "torch.randperm draws without repeats"),
    ]
    judge(fault, cases, "batches as those of BalancedBatchSampler")


def label_doubts(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Check the doubt about each label (N,), from embeddings (N, D) and labels (N,) (chapter 14)."""

    def case(name: str, embeddings: Tensor, labels: list[int], hint: str) -> Case:
        arguments = embeddings, torch.tensor(labels)
        return Case(f"{name}, labels {labels}", arguments, doubtful_labels(*arguments), hint)

    line = torch.tensor([[0.0], [1.0], [3.0], [4.5], [10.0], [12.0]])
    cases = [
        case("points at 0, 1, 3, 4.5", line[:4], [0, 0, 1, 1], "an image is not its own neighbour"),
        case("points at 0, 1, 3, 4.5, 10, 12", line, [0, 0, 1, 0, 1, 1], "own class less other class, not the ratio"),
        case("labels are any integers", line, [7, 7, 7, 2, 2, 2], "compare labels with one another, not with 0 to C"),
        case("20 points in the plane", _points(20), [0, 1, 2, 3] * 5, "plain Euclidean distances, not squared"),
    ]
    judge(function, cases, "what doubtful_labels gives")


def symptom(function: Callable[[Diagnosis, float], str]) -> None:
    """Check the symptom of a batch, from its `Diagnosis` and the margin (chapter 14)."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(5).repeat_interleave(4)
    noise = torch.randn(20, 8, generator=generator)
    apart = 3 * torch.eye(8)[labels] + 0.1 * noise
    sphere = torch.nn.functional.normalize(apart)
    batches = [
        ("a single image of each class", noise, torch.arange(20), 1.0, "nothing to learn from", "no triplets at all"),
        (
            "all embeddings nearly at one point",
            1e-3 * noise,
            labels,
            1.0,
            "collapse",
            "are pairs far below the margin?",
        ),
        ("on the unit sphere, margin 5", sphere, labels, 5.0, "margin too large", "active, but is it a single point?"),
        ("some triplets are active", 2 * apart + noise, labels, 40.0, "learning", "neither all triplets nor none"),
        ("no triplet is active any more", apart, labels, 1.0, "learning", "there are triplets, but all are learned"),
        (
            "one point, small margin",
            2.5e-5 * noise,
            labels,
            0.001,
            "collapse",
            "compare squared distances with the margin",
        ),
        (
            "no triplet learned, margin 40",
            noise,
            labels,
            40.0,
            "margin too large",
            "not a single point: the distances are plain; square them, then compare with a fraction of the margin",
        ),
        (
            "pixels without normalisation, one point beside a margin of their unit",
            noise,
            labels,
            1e5,
            "collapse",
            "no fixed number is small in every unit: compare squared distances with a fraction of the margin",
        ),
    ]
    cases = [
        Case(f"{name}:\n{diagnosis}", (diagnosis, margin), expected, hint)
        for name, embeddings, batch_labels, margin, expected, hint in batches
        for diagnosis in [diagnose(embeddings, batch_labels, margin)]
    ]
    judge(function, cases, "a doctor for batches")


def _fault(batches: Sequence[Sequence[int]], labels: Sequence[int], n_classes: int, n_samples: int) -> str:
    """Describe the first fault of the balanced `batches` of an epoch, or return `SOUND`."""
    n_batches = len(labels) // (n_classes * n_samples)
    if len(batches) != n_batches:
        return f"{len(batches)} batches, and not {n_batches}: as many as there are full batches in the images"
    turns: Counter[int] = Counter(dict.fromkeys(labels, 0))
    for number, batch in enumerate(batches):
        of_class = Counter(labels[index] for index in batch)
        if len(of_class) != n_classes:
            return f"batch {number} has {len(of_class)} classes"
        if set(of_class.values()) != {n_samples}:
            return f"batch {number} has {sorted(of_class.values())} images of its classes"
        if len(set(batch)) < len(batch):
            return f"batch {number} has an image twice"
        turns.update(of_class.keys())
        if max(turns.values()) > min(turns.values()) + 1:
            return f"after batch {number} one class had {max(turns.values())} turns, another {min(turns.values())}"
    return SOUND


def _points(n: int) -> Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
