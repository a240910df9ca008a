import math
import warnings

import pytest
import reference
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from siamese_triplet.diagnostics import CollapseWarning, SpreadMetric, diagnose
from siamese_triplet.losses import OnlineTripletLoss
from siamese_triplet.selectors import AllTripletSelector, HardestNegativeTripletSelector
from siamese_triplet.trainer import fit


def percentiles(values: list[float]) -> list[float]:
    ranked = sorted(values)
    return [ranked[round(percent / 100 * (len(ranked) - 1))] for percent in (5, 50, 95)]


@pytest.mark.parametrize("seed", range(30))
def test_a_diagnosis_equals_brute_force(seed: int) -> None:
    embeddings, labels = reference.batch(seed)
    rows, names = embeddings.tolist(), labels.tolist()
    found = diagnose(embeddings, labels, 1.5)
    costs = [max(0.0, reference.triplet_cost(rows, triplet, 1.5)) for triplet in reference.all_triplets(names)]
    active = [cost for cost in costs if cost > 0]
    assert (found.n_images, found.n_classes, found.n_triplets) == (len(names), len(set(names)), len(costs))
    if costs:
        assert found.active_fraction == len(active) / len(costs)
        assert found.loss == pytest.approx(sum(active) / len(active) if active else 0)
    else:
        assert math.isnan(found.active_fraction)
        assert math.isnan(found.loss)
    groups = {
        "norms": [math.hypot(*row) for row in rows],
        "positive_distances": [
            math.dist(rows[i], rows[j]) for i, j in reference.anchor_positive_pairs(names, both_anchors=True)
        ],
        "negative_distances": [math.dist(rows[i], rows[j]) for i, j in reference.negative_pairs(names) for _ in "ab"],
    }
    for name, values in groups.items():
        expected = percentiles(values) if values else [math.nan] * 3
        assert list(getattr(found, name)) == pytest.approx(expected, nan_ok=True)


def test_a_diagnosis_prints_as_a_table() -> None:
    text = str(diagnose(torch.tensor([[0.0], [2.0], [1.0]]), torch.tensor([0, 0, 1]), 1.0))
    assert text.splitlines() == [
        "3 images of 2 classes, 2 triplets: 100.0% active, their mean loss 4",
        "percentile                   5        50        95",
        "norms                        0         1         2",
        "positive distances           2         2         2",
        "negative distances           1         1         1",
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 2], "3 images of 3 classes, 0 triplets: no two are of one class, so no pair is positive; Balanced"),
        ([1, 1, 1], "3 images of 1 classes, 0 triplets: all are of one class, so no pair is negative; Balanced"),
        ([1], "1 images of 1 classes, 0 triplets: a pair takes two images"),
        ([], "0 images of 0 classes, 0 triplets: a pair takes two images"),
    ],
)
def test_a_diagnosis_without_a_triplet_says_why(labels: list[int], expected: str) -> None:
    text = str(diagnose(torch.rand(len(labels), 2), torch.tensor(labels, dtype=torch.int64), 1.0))
    assert text.splitlines()[0].startswith(expected)
    assert "active" not in text


def test_a_diagnosis_for_the_soft_margin_counts_all_triplets_as_active() -> None:
    found = diagnose(torch.tensor([[0.0], [2.0], [9.0]]), torch.tensor([0, 0, 1]), "soft")
    assert found.active_fraction == 1


def test_a_diagnosis_of_plain_distances_has_their_loss() -> None:
    embeddings, labels = torch.tensor([[0.0], [2.0], [1.5]]), torch.tensor([0, 0, 1])
    assert diagnose(embeddings, labels, 1.0, squared=False).loss == pytest.approx((2 - 1.5 + 1 + 2 - 0.5 + 1) / 2)


@pytest.mark.parametrize(("embeddings", "labels", "message"), reference.BAD_BATCHES.values(), ids=reference.BAD_BATCHES)
def test_bad_input_raises(embeddings: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diagnose(embeddings, labels, 1.0)


# collapse


def epoch(metric: SpreadMetric, scale: float, loss: float) -> float:
    metric.reset()
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        metric((scale * points,), None, (torch.tensor(loss), 10))
    return metric.value()


def test_the_spread_is_the_root_mean_square_distance_of_the_images() -> None:
    metric = SpreadMetric(1.0)
    assert math.isnan(metric.value())
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    metric((points,), None, (torch.tensor(0.5), 1))
    assert metric.value() == pytest.approx(math.sqrt((0 + 25 + 25 + 0) / 4))
    assert metric.name() == "spread"


@pytest.mark.parametrize(("margin", "level"), [(1.0, 1.0), (0.4, 0.4), ("soft", math.log(2))])
def test_a_loss_stuck_where_all_embeddings_coincide_warns_once(margin: float | str, level: float) -> None:
    metric = SpreadMetric(margin)
    epoch(metric, 1.0, 3 * level)
    with pytest.warns(CollapseWarning, match=r"collapse: the loss stays at .* start with random or semi-hard"):
        epoch(metric, 1e-3, 1.01 * level)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        epoch(metric, 1e-4, level)


@pytest.mark.parametrize(("scale", "loss"), [(1e-3, 0.5), (1.2, 1.0), (0.8, 1.0), (1e-3, 1.1)])
def test_a_network_that_learns_does_not_warn(scale: float, loss: float) -> None:
    metric = SpreadMetric(1.0)
    epoch(metric, 1.0, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        epoch(metric, scale, loss)


@pytest.mark.parametrize("collapses", [True, False])
def test_a_run_that_collapses_warns_and_one_that_learns_does_not(collapses: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(16)
    noise = torch.randn(64, 8, generator=generator)
    images = noise if collapses else noise + 20 * nn.functional.one_hot(labels, 8)
    torch.manual_seed(0)
    net = nn.Linear(8, 2)
    selector = HardestNegativeTripletSelector(1.0) if collapses else AllTripletSelector()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    loader = DataLoader(TensorDataset(images, labels), batch_size=64)
    metric = SpreadMetric(1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(
            loader, None, net, OnlineTripletLoss(1.0, selector), optimizer, None, 150, metrics=[metric], verbose=False
        )
    assert (history["train_spread"][-1] < 0.5 * history["train_spread"][0]) == collapses
    assert any(issubclass(warning.category, CollapseWarning) for warning in caught) == collapses
