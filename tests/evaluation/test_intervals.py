"""Bootstrap intervals."""

import pytest
import torch

from siamese_triplet import bootstrap_interval
from siamese_triplet.evaluation.intervals import bootstrap_intervals, resamples


def test_the_interval_contains_the_mean_and_has_the_theoretical_width() -> None:
    values = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = bootstrap_interval(values, n_resamples=4000)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std().item() / 2000**0.5, rel=0.08)


def test_equal_values_have_an_interval_of_zero_width() -> None:
    assert bootstrap_interval(torch.ones(50, dtype=torch.bool)) == pytest.approx((1, 1))


def test_the_same_seed_gives_the_same_interval(global_random_state_untouched: None) -> None:
    values = torch.linspace(0, 1, 100)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_several_metrics_share_their_resamples() -> None:
    values = torch.rand(80)
    both = bootstrap_intervals({"a": values, "b": 2 * values})
    assert both["b_interval"] == pytest.approx([2 * bound for bound in both["a_interval"]])


def test_every_resample_has_the_same_number_of_queries_in_any_number_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamese_triplet.evaluation.intervals.CHUNK", 70)
    chunks = list(resamples(10, 25, seed=0))
    assert [len(chunk) for chunk in chunks] == [7, 7, 7, 4]
    assert torch.equal(torch.cat(chunks).sum(dim=1), torch.full((25,), 10.0, dtype=torch.float64))


def test_values_may_be_a_list() -> None:
    values = [0.5, 1.0, 0.25, 0.125]
    assert bootstrap_interval(values) == bootstrap_interval(torch.tensor(values))


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "one value per query"),
        (torch.empty(0), {}, "one value per query"),
        (torch.zeros(2, 2), {}, "one value per query"),
        (torch.zeros(2), {"level": 1.0}, "level=1.0"),
        (torch.zeros(2), {"n_resamples": 0}, "n_resamples=0"),
    ],
)
def test_bad_input_raises(values: torch.Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, **options)
