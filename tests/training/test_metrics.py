import math

import pytest
import torch

from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric

SCORES = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1]])


def test_accuracy_is_the_percentage_over_all_batches_of_uneven_size() -> None:
    metric = AccumulatedAccuracyMetric()
    metric((SCORES,), (torch.tensor([0, 2, 1]),), (0.0,))
    assert metric.value() == 100
    metric((SCORES[:1],), (torch.tensor([2]),), (0.0,))
    assert metric.value() == 75
    assert isinstance(metric.value(), float)
    assert metric.name() == "accuracy"


def test_average_nonzero_triplets_is_the_mean_over_the_batches() -> None:
    metric = AverageNonzeroTripletsMetric()
    for n_triplets in (10, 0, torch.tensor(5)):
        metric((), (), (torch.tensor(1.0), n_triplets))
    assert metric.value() == 5
    assert isinstance(metric.value(), float)
    assert metric.name() == "nonzero triplets"


@pytest.mark.parametrize("metric", [AccumulatedAccuracyMetric(), AverageNonzeroTripletsMetric()])
def test_reset_forgets_everything_and_no_batches_give_nan(metric: AccumulatedAccuracyMetric) -> None:
    assert math.isnan(metric.value())
    metric((SCORES,), (torch.tensor([0, 2, 1]),), (torch.tensor(0.0), 7))
    before = metric.value()
    metric.reset()
    assert math.isnan(metric.value())
    metric((SCORES,), (torch.tensor([0, 2, 1]),), (torch.tensor(0.0), 7))
    assert metric.value() == before


def test_metrics_name_the_input_they_lack() -> None:
    with pytest.raises(ValueError, match="needs a target"):
        AccumulatedAccuracyMetric()((SCORES,), None, (0.0,))
    with pytest.raises(ValueError, match=r"returns \(loss, number of triplets\)"):
        AverageNonzeroTripletsMetric()((), (), (torch.tensor(1.0),))
