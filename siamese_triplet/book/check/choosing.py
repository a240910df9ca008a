"""Exercises on choosing settings and diagnosing failures: chapters 13 and 14."""

from collections.abc import Callable
from itertools import combinations
from math import cos, radians

import torch

from siamese_triplet.book.check.verdict import Case, judge
from siamese_triplet.diagnostics import Diagnosis, diagnose
from siamese_triplet.distances import pairwise_distances


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
        case(90, "expand |x − y|²: what are |x|², |y|² and x · y here?"),
        case(180, "opposite points have the largest squared distance that there is on the sphere"),
        case(0, "a point and itself"),
        case(60, "|x|² + |y|² − 2 x · y; it is squared, so no root"),
    ]
    judge(function, cases, "the squared distance of pairwise_distances")


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
            1e-4 * noise,
            labels,
            0.01,
            "collapse",
            "compare squared distances with the margin",
        ),
    ]
    cases = [
        Case(f"{name}:\n{diagnosis}", (diagnosis, margin), expected, hint)
        for name, embeddings, batch_labels, margin, expected, hint in batches
        for diagnosis in [diagnose(embeddings, batch_labels, margin)]
    ]
    judge(function, cases, "a doctor for batches")
