"""The exercise on the loss of all triplets: it tells a sorting answer from wrong ones, and from masks and lists."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from verdicts import assert_correct, assert_hint

from siamese_triplet import AllTripletSelector, BatchAllTripletLoss
from siamese_triplet.book.check.all_triplets import batch_all
from siamese_triplet.distances import pair_masks, pairwise_distances

Answer = tuple[float | Tensor, int | Tensor]


def by_search(
    embeddings: Tensor,
    labels: Tensor,
    margin: float,
    *,
    squared: bool = True,
    own: bool = False,
    over_all: bool = False,
    at_least: int = 1,
) -> Answer:
    distances = pairwise_distances(embeddings, squared)
    total, n_active, n_triplets = 0.0, 0, 0
    for anchor in range(len(labels)):
        is_positive, is_negative = labels == labels[anchor], labels != labels[anchor]
        is_positive[anchor] = own
        reaches = (distances[anchor, is_positive] + margin).sort().values
        negatives = distances[anchor, is_negative]
        n_beyond = len(reaches) - torch.searchsorted(reaches, negatives, right=True)
        of_greatest = F.pad(reaches.flip(0).cumsum(0), (1, 0))
        total += (of_greatest[n_beyond] - n_beyond * negatives).sum().item()
        n_active += int(n_beyond.sum())
        n_triplets += len(reaches) * len(negatives)
    return total / max(n_triplets if over_all else n_active, at_least), n_active


def in_one_go(embeddings: Tensor, labels: Tensor, margin: float) -> Answer:
    """All anchors at once, in a few (B, B) matrices; positives of the others are at infinity."""
    is_positive, is_negative = pair_masks(labels)
    distances = pairwise_distances(embeddings)
    reaches = (distances + margin).masked_fill(~is_positive, -torch.inf).sort(dim=1, descending=True).values
    sums = F.pad(reaches.masked_fill(reaches.isinf(), 0).cumsum(dim=1), (1, 0))
    n_beyond = torch.searchsorted(-reaches, -distances).masked_fill(~is_negative, 0)
    losses = sums.gather(1, n_beyond) - n_beyond * distances
    n_active = n_beyond.sum()
    return losses.sum() / n_active.clamp(min=1), n_active


def by_mask(embeddings: Tensor, labels: Tensor, margin: float) -> Answer:
    is_positive, is_negative = pair_masks(labels)
    distances = pairwise_distances(embeddings)
    losses = (distances[:, :, None] - distances[:, None, :] + margin).relu()
    active = losses[is_positive[:, :, None] & is_negative[:, None, :] & (losses > 0)]
    return active.sum() / max(len(active), 1), len(active)


def by_mask_of_each_anchor(embeddings: Tensor, labels: Tensor, margin: float) -> Answer:
    is_positive, is_negative = pair_masks(labels)
    total, n_active = 0.0, 0
    for row, positives, negatives in zip(pairwise_distances(embeddings), is_positive, is_negative, strict=True):
        losses = (row[positives, None] - row[negatives] + margin).relu()
        total += losses.sum().item()
        n_active += int((losses > 0).sum())
    return total / max(n_active, 1), n_active


def by_list(embeddings: Tensor, labels: Tensor, margin: float) -> Answer:
    anchor, positive, negative = AllTripletSelector().get_triplets(embeddings, labels).T
    distances = pairwise_distances(embeddings)
    losses = (distances[anchor, positive] - distances[anchor, negative] + margin).relu()
    return losses.sum() / (losses > 0).sum().clamp(min=1), (losses > 0).sum()


TOO_LARGE = [by_mask, by_mask_of_each_anchor, by_list]
RIGHT = [by_search, in_one_go, lambda x, y, m: list(by_search(x, y, m)), lambda x, y, m: BatchAllTripletLoss(m)(x, y)]
WRONG = {
    "nothing": lambda x, y, m: (0.0, 0),
    "none": lambda x, y, m: None,
    "the value alone": lambda x, y, m: by_search(x, y, m)[0],
    "the other order": lambda x, y, m: by_search(x, y, m)[::-1],
    "not squared": lambda x, y, m: by_search(x, y, m, squared=False),
    "its own positive": lambda x, y, m: by_search(x, y, m, own=True),
    "the mean over all": lambda x, y, m: by_search(x, y, m, over_all=True),
    "the sum": lambda x, y, m: by_search(x, y, m, at_least=10**9),
    "zero by zero": lambda x, y, m: by_search(x, y, m, at_least=0),
    "always a margin of 1": lambda x, y, m: by_search(x, y, 1.0),
    "labels sorted": lambda x, y, m: by_search(x, y.sort().values, m),
}


@pytest.mark.parametrize("answer", RIGHT)
@pytest.mark.usefixtures("global_random_state_untouched")
def test_the_right_answer_is_correct(answer: Callable, capsys: pytest.CaptureFixture) -> None:
    assert_correct(batch_all, answer, capsys)


@pytest.mark.parametrize("answer", [*WRONG.values(), *TOO_LARGE, None], ids=[*WRONG, "mask", "masks", "list", "no"])
def test_a_wrong_answer_has_a_hint(answer: Any, capsys: pytest.CaptureFixture) -> None:
    assert_hint(batch_all, answer, capsys)


@pytest.mark.parametrize("answer", TOO_LARGE)
def test_what_needs_too_many_numbers_is_told_to_sort(answer: Callable, capsys: pytest.CaptureFixture) -> None:
    text = verdict(answer, capsys)
    assert text.startswith("not yet: 400 images of two classes")
    assert "raised MemoryError: your tensors have more than 16,000,000 numbers" in text
    assert "sort an anchor's reaches" in text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("the mean over all", "this is the mean over all triplets"),
        ("zero by zero", "return 0 and 0, without a division by zero"),
        ("always a margin of 1", "the margin is an argument"),
        ("labels sorted", "labels come in any order"),
        ("not squared", "squared distances"),
    ],
)
def test_the_hint_names_what_is_wrong(name: str, hint: str, capsys: pytest.CaptureFixture) -> None:
    assert hint in verdict(WRONG[name], capsys)


def verdict(answer: Callable, capsys: pytest.CaptureFixture) -> str:
    batch_all(answer)
    text = capsys.readouterr().out
    assert all(len(line) <= 88 for line in text.splitlines()), text
    return " ".join(text.split())
