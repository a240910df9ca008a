"""Verification: the curve against loops and scikit-learn, the sample of pairs, the threshold."""

import itertools
import math
from collections.abc import Callable

import evaluation_reference
import numpy as np
import pytest
import reference
import torch
from elsewhere import Elsewhere
from evaluation_reference import examples, sets
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve
from torch import Tensor

from siamese_triplet import verification_metrics
from siamese_triplet.evaluation import verification
from siamese_triplet.evaluation.verification import draw_pairs, pair_distances, pair_metrics, roc_curve


def points(n: int, n_classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % n_classes
    return torch.randn(n_classes, 4, generator=generator)[labels] + torch.randn(n, 4, generator=generator), labels


def all_pairs(embeddings: Tensor, labels: Tensor) -> tuple[list[float], list[bool]]:
    pairs = list(itertools.combinations(range(len(labels)), 2))
    distances = [math.dist(embeddings[i].tolist(), embeddings[j].tolist()) for i, j in pairs]
    return distances, [bool(labels[i] == labels[j]) for i, j in pairs]


def test_auc_of_all_pairs_equals_scikit_learn() -> None:
    embeddings, labels = points(60)
    distances, is_same = all_pairs(embeddings, labels)
    found = verification_metrics(embeddings, labels)
    assert found["auc"] == pytest.approx(roc_auc_score(is_same, [-d for d in distances]), abs=1e-9)
    assert (found["n_pairs"], found["n_same"]) == (len(is_same), sum(is_same))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_the_area_is_the_probability_that_a_pair_of_one_class_is_nearer_and_ties_count_half(pairs: list) -> None:
    same = [d for d, is_same in pairs if is_same]
    different = [d for d, is_same in pairs if not is_same]
    if not same or not different:
        return
    wins = sum((s < d) + 0.5 * (s == d) for s in same for d in different)
    distances, is_same = (torch.tensor(column) for column in zip(*pairs, strict=True))
    roc = roc_curve(distances.double(), is_same)
    assert torch.trapezoid(roc.tpr, roc.fpr).item() == pytest.approx(wins / len(same) / len(different))


def test_the_curve_equals_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(1)
    distances, is_same = torch.randint(0, 30, (300,), generator=generator).double(), torch.arange(300) % 3 == 0
    roc = roc_curve(distances, is_same)
    fpr, tpr, _ = sklearn_roc_curve(is_same, -distances, drop_intermediate=False)
    np.testing.assert_allclose(roc.fpr, fpr)
    np.testing.assert_allclose(roc.tpr, tpr)


def test_weights_count_like_repeated_pairs() -> None:
    generator = torch.Generator().manual_seed(1)
    distances, is_same = torch.rand(40, generator=generator).double(), torch.arange(40) % 3 == 0
    weights = torch.randint(0, 3, (40,), generator=generator)
    often = torch.arange(40).repeat_interleave(weights)
    weighted, repeated = roc_curve(distances, is_same, weights), roc_curve(distances[often], is_same[often])
    assert torch.trapezoid(weighted.tpr, weighted.fpr) == pytest.approx(
        torch.trapezoid(repeated.tpr, repeated.fpr).item()
    )


def test_at_the_equal_error_rate_both_errors_are_equal() -> None:
    embeddings, labels = points(80)
    points_of_curve = evaluation_reference.curve(*all_pairs(embeddings, labels))
    expected = evaluation_reference.equal_error_rate(points_of_curve)
    assert verification_metrics(embeddings, labels)["eer"] == pytest.approx(expected, abs=1e-6)


def test_tpr_at_fpr_accepts_at_most_that_share_of_other_pairs() -> None:
    embeddings, labels = points(60)
    distances, is_same = (torch.tensor(column) for column in all_pairs(embeddings, labels))
    found = verification_metrics(embeddings, labels, fprs=(0.05,))
    best = max(
        (distances[is_same] <= threshold).double().mean().item()
        for threshold in [-1.0, *distances.tolist()]
        if (distances[~is_same] <= threshold).double().mean() <= 0.05
    )
    assert found["tpr_at_fpr_0.05"] == pytest.approx(best)


def test_a_perfect_and_a_collapsed_embedding_have_extreme_metrics() -> None:
    labels = torch.arange(40) % 4
    perfect = verification_metrics(labels[:, None].float(), labels)
    assert (perfect["auc"], perfect["eer"], perfect["tpr_at_fpr_0.001"], perfect["threshold_accuracy"]) == (1, 0, 1, 1)
    collapsed = verification_metrics(torch.zeros(40, 3), labels)
    assert (collapsed["auc"], collapsed["eer"], collapsed["tpr_at_fpr_0.1"]) == pytest.approx((0.5, 0.5, 0))


def test_the_threshold_is_tested_on_classes_for_which_it_was_not_chosen() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 4
    embeddings = labels[:, None] + 0.01 * torch.randn(200, 1, generator=generator)
    spread_out = torch.where(labels[:, None] < 2, embeddings, 100 * embeddings)  # two classes on another scale
    accuracies = {verification_metrics(spread_out, labels, seed=seed)["threshold_accuracy"] for seed in range(8)}
    assert min(accuracies) < 0.95 < max(accuracies)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_fewer_than_four_classes_have_no_threshold(n_classes: int) -> None:
    found = verification_metrics(*points(30, n_classes))
    assert math.isnan(found["threshold"])
    assert 0 < found["auc"] < 1


def test_a_sample_of_pairs_is_seeded_and_has_half_of_each_kind_and_no_image_with_itself() -> None:
    labels = torch.randint(0, 7, (3000,), generator=torch.Generator().manual_seed(0))
    one, other = (draw_pairs(labels, 10_000, torch.Generator().manual_seed(0)) for _ in range(2))
    assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))
    assert int(one.is_same.sum()) == 5000
    assert not (one.left == one.right).any()
    assert torch.equal(one.is_same, labels[one.left] == labels[one.right])


def test_a_sample_is_uniform_over_the_pairs_of_its_kind() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    pairs = draw_pairs(labels.repeat_interleave(10), 40_000, torch.Generator().manual_seed(0))
    assert len(pairs.left) == 60 * 59 // 2  # all fit
    drawn = draw_pairs(labels.repeat_interleave(10), 1000, torch.Generator().manual_seed(0))
    assert int(drawn.is_same.sum()) == 500
    shares = torch.bincount(labels.repeat_interleave(10)[drawn.left[drawn.is_same]], minlength=3) / 500
    expected = torch.tensor([30 * 29, 20 * 19, 10 * 9]) / (30 * 29 + 20 * 19 + 10 * 9)
    assert torch.allclose(shares, expected, atol=0.07)


def test_all_pairs_of_one_class_are_used_if_they_are_few() -> None:
    labels = torch.arange(500) // 2  # 250 pairs of one class
    pairs = draw_pairs(labels, 2000, torch.Generator().manual_seed(0))
    same = {tuple(sorted(pair)) for pair in torch.stack(pairs[:2], dim=1)[pairs.is_same].tolist()}
    assert same == {(i, i + 1) for i in range(0, 500, 2)}
    assert len(pairs.left) == 2000


def test_distances_of_pairs_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = points(30)
    pairs = draw_pairs(labels, 1000, torch.Generator())
    expected = (embeddings[pairs.left] - embeddings[pairs.right]).norm(dim=1)
    monkeypatch.setattr("siamese_triplet.evaluation.verification.CHUNK", 28)
    torch.testing.assert_close(pair_distances(embeddings, pairs), expected)


def test_intervals_contain_the_metrics_and_are_wider_for_fewer_images() -> None:
    widths = []
    for n in (30, 200):
        found = verification_metrics(*points(n), n_resamples=100)
        low, high = found["auc_interval"]
        assert low < found["auc"] < high
        assert found["eer_interval"][0] < found["eer_interval"][1]
        widths.append(high - low)
    assert widths[0] > widths[1]


@pytest.mark.parametrize(
    ("embeddings", "labels", "options", "message"),
    [
        (torch.empty(0, 2), torch.empty(0, dtype=torch.int64), {}, "empty"),
        (torch.full((4, 2), math.nan), torch.tensor([0, 0, 1, 1]), {}, "NaN"),
        (torch.rand(4, 2), torch.arange(4), {}, "pairs of one class and of two, got 0 of one"),
        (torch.rand(4, 2), torch.zeros(4, dtype=torch.int64), {}, "got 6 of one"),
        (torch.rand(4, 2), torch.tensor([0, 0, 1, 1]), {"fprs": (2,)}, "fprs"),
        (torch.rand(4, 2), torch.tensor([0, 0, 1, 1]), {"max_pairs": 1}, "max_pairs=1"),
    ],
)
def test_bad_input_raises(embeddings: Tensor, labels: Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verification_metrics(embeddings, labels, **options)


METRICS = ("auc", "eer", "tpr_at_fpr_0", "tpr_at_fpr_0.2", "tpr_at_fpr_1")


@examples(100)
@given(sets(least=3))
def test_images_on_a_grid_equal_brute_force(images: tuple[Tensor, Tensor]) -> None:
    distances, is_same = evaluation_reference.all_pairs(images[0].tolist(), images[1].tolist())
    if len(set(is_same)) < 2:
        return
    found = verification_metrics(*images, fprs=(0, 0.2, 1))
    curve = evaluation_reference.curve(distances, is_same)
    for column, expected in zip(found["roc"], zip(*curve, strict=True), strict=True):
        assert column.tolist() == pytest.approx(expected, rel=1e-6)
    assert [found[name] for name in METRICS] == pytest.approx(
        [
            evaluation_reference.auc(distances, is_same),
            evaluation_reference.equal_error_rate(curve),
            *(evaluation_reference.tpr_at_fpr(curve, limit) for limit in (0, 0.2, 1)),
        ]
    )


@pytest.mark.parametrize("n_classes", [4, 5, 7])
@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_the_best_of_one_half_of_the_classes_and_tested_on_the_other(
    seed: int, n_classes: int
) -> None:
    embeddings, labels = points(60, n_classes, seed)
    found = verification_metrics(embeddings.double(), labels, seed=seed)
    possible = []
    for chosen in itertools.combinations(range(n_classes), n_classes // 2):
        halves = [torch.isin(labels, torch.tensor(chosen), invert=invert) for invert in (False, True)]
        on, other = (all_pairs(embeddings.double()[half], labels[half]) for half in halves)
        threshold = max(evaluation_reference.curve(*on), key=lambda point: point[1] - point[0])[2]
        accepted = {
            same: [d <= threshold for d, is_same in zip(*other, strict=True) if is_same == same] for same in (0, 1)
        }
        fpr, tpr = (sum(accepted[same]) / len(accepted[same]) for same in (0, 1))
        possible.append((threshold, (tpr + 1 - fpr) / 2, tpr, fpr))
    names = ("threshold", "threshold_accuracy", "threshold_tpr", "threshold_fpr")
    assert any([found[name] for name in names] == pytest.approx(values) for values in possible)


def test_a_sample_draws_all_pairs_of_its_kind_equally_often() -> None:
    labels = torch.tensor([4, 0, 4, 0, 4, 1, 1, 2, 0, 4])
    drawn = []
    for seed in range(600):
        pairs = draw_pairs(labels, 10, torch.Generator().manual_seed(seed))
        assert int(pairs.is_same.sum()) == 5
        drawn += [tuple(sorted(pair)) for pair in torch.stack(pairs[:2], dim=1).tolist()]
    for is_kind in (reference.positive_pairs, reference.negative_pairs):
        kind = is_kind(labels.tolist())
        reference.assert_drawn_with_weights([pair for pair in drawn if pair in kind], dict.fromkeys(kind, 1.0))
    assert all(left != right for left, right in drawn)


def test_metrics_of_a_sample_are_close_to_those_of_all_pairs(global_random_state_untouched: None) -> None:
    embeddings, labels = points(300, 6)
    whole, sample = (verification_metrics(embeddings, labels, max_pairs=n) for n in (10**6, 20_000))
    assert (whole["n_pairs"], sample["n_pairs"], sample["n_same"]) == (44_850, 20_000, 7350)
    assert sample["auc"] == pytest.approx(whole["auc"], abs=0.01)
    again, other = (verification_metrics(embeddings, labels, max_pairs=20_000, seed=seed) for seed in (0, 1))
    assert again["auc"] == sample["auc"] != other["auc"]


def test_resamples_that_draw_every_image_once_give_the_metrics_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "resamples", lambda n, *_: iter([torch.ones(4, n, dtype=torch.float64)]))
    found = verification_metrics(*points(40), n_resamples=4)
    for name in ("auc", "eer"):
        assert found[f"{name}_interval"] == pytest.approx((found[name], found[name]))


def test_resampled_images_count_like_repeated_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = points(20)
    counts = torch.randint(0, 3, (20,), generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(verification, "resamples", lambda *_: iter([counts.double()[None]]))
    found = verification_metrics(embeddings, labels, n_resamples=1)
    distances, is_same = all_pairs(embeddings, labels)
    weights = [int(counts[i] * counts[j]) for i, j in itertools.combinations(range(20), 2)]
    often = [
        pair for pair, weight in zip(zip(distances, is_same, strict=True), weights, strict=True) for _ in range(weight)
    ]
    expected = evaluation_reference.auc(*zip(*often, strict=True))
    assert found["auc_interval"] == pytest.approx((expected, expected))


@pytest.mark.parametrize("max_pairs", [10**6, 500])
def test_another_device_gives_the_same_metrics(max_pairs: int) -> None:
    embeddings, labels = points(60)
    expected = verification_metrics(embeddings, labels, max_pairs=max_pairs, n_resamples=5)
    with Elsewhere() as elsewhere:
        sent = elsewhere.send(embeddings), elsewhere.send(labels)
        there = verification_metrics(*sent, max_pairs=max_pairs, n_resamples=5)
    torch.testing.assert_close(there.pop("roc").tpr.inner, expected.pop("roc").tpr)
    assert there == expected


def test_resamples_without_both_kinds_of_pairs_give_nan() -> None:
    points, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    found = [verification_metrics(points, labels, n_resamples=1, seed=seed)["auc_interval"] for seed in range(30)]
    assert any(math.isnan(low) for low, _ in found)
    assert any(low == 1 for low, _ in found)


# pairs without classes


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.uint8, torch.float32])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_pairs_equal_scikit_learn(seed: int, kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    is_same = torch.arange(200) % 3 == 0
    distances = (4 * torch.rand(200, generator=generator)).round(decimals=1) + ~is_same
    found = pair_metrics(distances, is_same.to(kind), fprs=(0.05, 0))
    assert found["auc"] == pytest.approx(roc_auc_score(is_same, -distances))
    assert (found["n_pairs"], found["n_same"]) == (200, 67)
    for fpr in (0.05, 0):
        is_accepted = distances <= found[f"threshold_at_fpr_{fpr:g}"]
        assert is_accepted[~is_same].double().mean() <= fpr
        assert found[f"tpr_at_fpr_{fpr:g}"] == pytest.approx(is_accepted[is_same].double().mean().item())
    is_accepted = distances <= found["threshold"]
    rates = [is_accepted[each].double().mean().item() for each in (is_same, ~is_same)]
    assert [found["threshold_tpr"], found["threshold_fpr"]] == pytest.approx(rates)
    assert found["threshold_accuracy"] == pytest.approx((rates[0] + 1 - rates[1]) / 2)
    fpr, tpr, _ = sklearn_roc_curve(is_same, -distances)
    assert rates[0] - rates[1] == pytest.approx((tpr - fpr).max())


def test_metrics_of_pairs_equal_those_of_classes() -> None:
    embeddings, labels = points(40)
    distances, is_same = map(torch.tensor, all_pairs(embeddings, labels))
    found, expected = pair_metrics(distances, is_same), verification_metrics(embeddings, labels)
    for name in ("auc", "eer", "tpr_at_fpr_0.001", "tpr_at_fpr_0.1", "n_pairs", "n_same"):
        assert found[name] == pytest.approx(expected[name])


def test_similarities_in_place_of_distances_give_a_warning() -> None:
    similarities, is_same = torch.tensor([0.9, 0.8, 0.1, 0.2]), torch.tensor([1, 1, 0, 0])
    with pytest.warns(UserWarning, match="are these similarities"):
        pair_metrics(similarities, is_same)
    assert pair_metrics(-similarities, is_same)["auc"] == 1


@pytest.mark.parametrize("function", [pair_metrics, roc_curve])
@pytest.mark.parametrize(
    ("distances", "is_same", "message"),
    [
        (torch.rand(3, 1), torch.ones(3, 1), "vectors with one number per pair"),
        (torch.rand(3), torch.ones(2), "vectors with one number per pair"),
        (torch.rand(3), torch.tensor([1, -1, 1]), "1 for pairs that are the same and 0 for others"),
        (torch.tensor([0.1, torch.nan]), torch.tensor([0, 1]), "NaN"),
        (torch.rand(3), torch.ones(3), "pairs of one class and of two"),
        (torch.rand(0), torch.ones(0), "pairs of one class and of two"),
    ],
)
def test_pairs_that_make_no_sense_raise(function: Callable, distances: Tensor, is_same: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(distances, is_same)


def test_integers_are_distances_and_pairs() -> None:
    roc = roc_curve(torch.tensor([1, 2, 3]), torch.tensor([1, 0, 1]))
    assert roc.tpr.tolist() == [0, 0.5, 0.5, 1]
    assert roc.fpr.tolist() == [0, 0, 1, 1]
