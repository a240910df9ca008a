"""The exercises of chapters 10, 13 and 14: they tell right answers from wrong ones."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from verdicts import assert_correct, assert_hint

from siamese_triplet import BalancedBatchSampler
from siamese_triplet.book.check.choosing import (
    balanced_batches,
    chance_together,
    label_doubts,
    squared_distance,
    symptom,
)
from siamese_triplet.book.check.episodes import one_shot
from siamese_triplet.diagnostics import Diagnosis


def doctor(diagnosis: Diagnosis, margin: float, tiny: float = 0.01) -> str:
    if not diagnosis.n_triplets:
        return "nothing to learn from"
    if diagnosis.active_fraction < 1:
        return "learning"
    return "collapse" if diagnosis.negative_distances[1] ** 2 < tiny * margin else "margin too large"


def by_absolute(limit: float) -> Callable[[Diagnosis, float], str]:
    """Make a doctor that calls everything below a fixed squared distance a collapse, whatever the margin."""
    return lambda diagnosis, margin: doctor(diagnosis, margin, tiny=limit / margin)


def by_plain(part: float) -> Callable[[Diagnosis, float], str]:
    """Make a doctor that compares a distance, not its square, with a part of the margin."""
    return lambda diagnosis, margin: doctor(diagnosis, margin, tiny=diagnosis.negative_distances[1] / part)


def deal(labels: Tensor, n_classes: int, n_samples: int, repeated: bool = False, lazy: bool = False) -> list[list[int]]:
    """Deal the classes into batches, as `BalancedBatchSampler` does; `repeated` and `lazy` are mistakes."""
    batches: list[list[int]] = []
    classes = labels.unique()
    waiting: list[int] = []
    for _ in range(len(labels) // (n_classes * n_samples)):
        chosen = waiting[:n_classes]
        waiting = waiting[n_classes:]
        if len(chosen) < n_classes:
            order = classes[torch.randperm(len(classes))].tolist()
            fresh = [label for label in order if label not in chosen][: n_classes - len(chosen)]
            waiting = [label for label in order if label not in fresh]
            chosen += fresh
        batch: list[int] = []
        for label in classes[:n_classes].tolist() if lazy else chosen:
            of_class = (labels == label).nonzero().squeeze(1)
            drawn = torch.randint(1, (n_samples,)) if repeated else torch.randperm(len(of_class))[:n_samples]
            batch += of_class[drawn].tolist()
        batches.append(batch)
    return batches


def doubts(embeddings: Tensor, labels: Tensor, power: float = 1.0, itself: bool = False) -> Tensor:
    distances = torch.cdist(embeddings, embeddings) ** power
    same = labels[:, None] == labels
    own = distances.masked_fill(~same if itself else ~same | torch.eye(len(labels), dtype=torch.bool), torch.inf)
    return own.min(dim=1).values - distances.masked_fill(same, torch.inf).min(dim=1).values


def episodes(embeddings: Tensor, labels: Tensor, n_way: int, n_episodes: int, mistake: str = "") -> float:
    classes, right = labels.unique(), []
    n_way = len(classes) if mistake == "all classes" else n_way
    for _ in range(n_episodes):
        chosen = classes[torch.randperm(len(classes))[:n_way]]
        if mistake == "same classes":
            chosen = classes[:n_way]
        pairs = []
        for label in chosen:
            of_class = (labels == label).nonzero().squeeze(1)
            drawn = torch.randperm(len(of_class))[:2]
            if mistake == "support is query":
                drawn = torch.randint(len(of_class), (2,))
            pairs.append(of_class[drawn])
        support, queries = torch.stack(pairs).unbind(1)
        nearest = torch.cdist(embeddings[queries], embeddings[support]).argmin(dim=1)
        right.append((nearest == torch.arange(n_way)).float().mean())
    return float(torch.stack(right).mean())


RIGHT = [
    (balanced_batches, deal),
    (balanced_batches, lambda labels, p, k: list(BalancedBatchSampler(labels, p, k))),
    (label_doubts, doubts),
    (one_shot, episodes),
    (chance_together, lambda p, c: (p - 1) / (c - 1)),
    (squared_distance, lambda cosine: 2 - 2 * cosine),
    (symptom, doctor),
]
WRONG = [
    (chance_together, lambda p, c: p / c),
    (chance_together, lambda p, c: 1.0),
    (chance_together, lambda p, c: (p - 1) / c),
    (squared_distance, lambda cosine: 1 - cosine),
    (squared_distance, lambda cosine: math.sqrt(2 - 2 * cosine)),
    (squared_distance, lambda cosine: 2.0),
    (symptom, lambda d, margin: "learning"),
    (symptom, lambda d, margin: doctor(d, 1e9)),
    (symptom, lambda d, margin: doctor(d, margin, tiny=0)),
    (symptom, lambda d, margin: "collapse" if d.active_fraction == 1 else "learning"),
    (
        symptom,
        lambda d, margin: doctor(d, margin) if d.active_fraction > 0 else "nothing to learn from",
    ),
    (symptom, lambda d, margin: None),
    (symptom, lambda d: "learning"),
    *((symptom, by_plain(part)) for part in (2, 5, 10, 15, 20, 30, 100)),
    *((symptom, by_absolute(limit)) for limit in (1e-6, 1e-4, 0.01, 0.1, 1.0, 10.0, 100.0)),
    (balanced_batches, lambda labels, p, k: []),
    (balanced_batches, lambda labels, p, k: list(torch.randperm(len(labels)).split(p * k))),
    (balanced_batches, lambda labels, p, k: deal(labels, p, k, repeated=True)),
    (balanced_batches, lambda labels, p, k: deal(labels, p, k, lazy=True)),
    (balanced_batches, lambda labels, p, k: deal(labels, k, p)),
    (label_doubts, lambda embeddings, labels: torch.zeros(len(labels))),
    (label_doubts, lambda embeddings, labels: doubts(embeddings, labels, power=2.0)),
    (label_doubts, lambda embeddings, labels: doubts(embeddings, labels, itself=True)),
    (label_doubts, lambda embeddings, labels: -doubts(embeddings, labels)),
    (one_shot, lambda embeddings, labels, n_way, n_episodes: 1.0),
    *((one_shot, partial(episodes, mistake=name)) for name in ("support is query", "all classes", "same classes")),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_the_right_answer_is_correct(check: Callable, answer: Callable, capsys: pytest.CaptureFixture) -> None:
    assert_correct(check, answer, capsys)


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_wrong_answer_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    assert_hint(check, answer, capsys)
