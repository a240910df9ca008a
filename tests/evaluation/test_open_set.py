"""The threshold for "none of these", against plain loops."""

import math

import pytest
import torch
from torch import Tensor

from siamese_triplet.evaluation import Threshold, choose_threshold
from siamese_triplet.evaluation.open_set import LeftOut, leave_out, rates


def classes_in_the_plane(n_classes: int = 12, n_images: int = 8, spread: float = 0.6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(n_classes, 1, 5, generator=generator)
    points = centres + spread * torch.randn(n_classes, n_images, 5, generator=generator)
    return points.flatten(0, 1), torch.arange(n_classes).repeat_interleave(n_images)


def plain(embeddings: Tensor, labels: Tensor) -> LeftOut:
    """Compute the distances of `leave_out` by loops."""
    own, other = [], []
    for i in range(len(labels)):
        to = [(math.dist(embeddings[i].tolist(), row.tolist()), j) for j, row in enumerate(embeddings) if j != i]
        own.append(min((d for d, j in to if labels[j] == labels[i]), default=math.inf))
        other.append(min((d for d, j in to if labels[j] != labels[i]), default=math.inf))
    return LeftOut(torch.tensor(own), torch.tensor(other))


def test_distances_with_and_without_the_class_are_those_of_plain_loops() -> None:
    embeddings, labels = classes_in_the_plane(5, 4)
    embeddings, labels = embeddings[:-3], labels[:-3]  # the last image is alone in its class
    asking = torch.tensor([3, 16, 0, 7])
    found, expected = leave_out(embeddings, labels, asking), plain(embeddings, labels)
    for column, all_of_them in zip(found, expected, strict=True):
        torch.testing.assert_close(column, all_of_them[asking], rtol=1e-5, atol=1e-6)
    assert found.own[1] == math.inf


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_the_rates_are_those_of_the_classes_that_did_not_choose(share: float) -> None:
    embeddings, labels = classes_in_the_plane()
    found = choose_threshold(embeddings, labels, share, seed=3)
    own, other = plain(embeddings, labels)
    generator = torch.Generator().manual_seed(3)
    torch.randperm(len(labels), generator=generator)
    first = torch.isin(labels, torch.randperm(12, generator=generator)[:6])
    assert (other[first] <= found.distance).double().mean() <= share
    one_more = other[first][other[first] > found.distance].min()
    assert (other[first] <= one_more).double().mean() > share  # the next greater distance would accept too many
    rest = ~first
    assert found.false_accepts == pytest.approx((other[rest] <= found.distance).double().mean().item())
    accepted = torch.minimum(own, other)[rest] <= found.distance
    assert found.accepts == pytest.approx(accepted.double().mean().item())
    assert found.correct == pytest.approx((accepted & (own <= other)[rest]).double().mean().item())


def test_the_best_balanced_accuracy_is_no_worse_than_any_other() -> None:
    embeddings, labels = classes_in_the_plane(3, 20)  # three classes: chosen on all
    found = choose_threshold(embeddings, labels, None)
    assert math.isnan(found.false_accepts)
    queries = plain(embeddings, labels)
    balanced = [rates(float(d), queries) for d in torch.cat(queries)]
    best = max(each.accepts - each.false_accepts for each in balanced)
    chosen = rates(found.distance + 1e-6, queries)
    assert chosen.accepts - chosen.false_accepts == pytest.approx(best, abs=0.02)


def test_a_sample_of_the_images_asks_all_of_them() -> None:
    embeddings, labels = classes_in_the_plane(40, 10)
    few = choose_threshold(embeddings, labels, 0.1, max_queries=200)
    everyone = choose_threshold(embeddings, labels, 0.1)
    assert few != everyone
    assert few.distance == pytest.approx(everyone.distance, rel=0.3)


def test_images_of_no_class_have_no_say() -> None:
    embeddings, labels = classes_in_the_plane()
    more = torch.cat([embeddings, embeddings + 0.01])
    with_unknown = torch.cat([labels, torch.full_like(labels, -1)])
    assert choose_threshold(more, with_unknown) == choose_threshold(embeddings, labels)


def test_where_classes_overlap_only_copies_are_accepted() -> None:
    embeddings = torch.tensor([0.0, 3, 1, 4, 2, 5])[:, None]
    assert choose_threshold(embeddings, torch.tensor([0, 0, 1, 1, 2, 2]), 0.0).distance == 0.0


@pytest.mark.parametrize(
    ("labels", "share", "message"),
    [
        ([0, 0, 0, 0], 0.05, "needs two classes"),
        ([0, 1, 2, 3], 0.05, "two images in one of them"),
        ([0, 0, 1, 1], 1.5, "false_accepts=1.5 must be a share"),
        ([-1, -1, -1, -1], 0.05, "images with a class are empty"),
        ([0, 0, 1], 0.05, "4 embeddings but 3 labels"),
    ],
)
def test_what_gives_no_threshold_raises(labels: list[int], share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_threshold(torch.arange(4.0)[:, None], torch.tensor(labels), share)


def test_a_threshold_is_told_in_words() -> None:
    assert str(Threshold(0.5, 0.05, 0.9, 0.8)) == (
        "threshold 0.5: accepts 5.0 % of the images whose class is missing,\n"
        "and 90.0 % of those whose class is there (80.0 % with the right class)"
    )
    assert "too few classes" in str(Threshold(0.5, math.nan, math.nan, math.nan))
