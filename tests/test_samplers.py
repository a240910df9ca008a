from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from siamese_triplet.samplers import BalancedBatchSampler


def random_labels(seed: int, n_classes: int, smallest: int, largest: int) -> list[int]:
    """Labels of uneven classes with names that are not 0, 1, 2 …, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(smallest, largest + 1, (n_classes,), generator=generator).tolist()
    labels = torch.tensor([7 * i - 5 for i, size in enumerate(sizes) for _ in range(size)])
    return labels[torch.randperm(len(labels), generator=generator)].tolist()


@pytest.mark.parametrize(("n_classes", "n_samples"), [(1, 1), (2, 3), (5, 4), (7, 5), (3, 1), (1, 5)])
@pytest.mark.parametrize("seed", range(8))
def test_sampler_yields_exactly_len_batches_all_full_without_a_repeated_image(
    seed: int, n_classes: int, n_samples: int
) -> None:
    labels = random_labels(seed, 7, 5, 40)
    sampler = BalancedBatchSampler(labels, n_classes, n_samples, seed=seed)
    assert len(sampler) == len(labels) // (n_classes * n_samples)
    for _ in range(2):
        batches = list(sampler)
        assert len(batches) == len(sampler)
        for batch in batches:
            assert all(isinstance(index, int) for index in batch)
            assert len(set(batch)) == len(batch) == n_classes * n_samples
            assert list(Counter(labels[index] for index in batch).values()) == [n_samples] * n_classes


@pytest.mark.parametrize(("n_classes", "n_samples"), [(1, 1), (2, 3), (5, 4), (7, 5), (3, 1)])
@pytest.mark.parametrize("seed", range(8))
def test_coverage_of_an_epoch_is_even_per_class_and_per_image(seed: int, n_classes: int, n_samples: int) -> None:
    labels = random_labels(seed, 7, 5, 40)
    for _ in range(2):
        drawn = Counter(index for batch in BalancedBatchSampler(labels, n_classes, n_samples) for index in batch)
        of_class = [sum(drawn[i] for i, label in enumerate(labels) if label == name) for name in set(labels)]
        assert max(of_class) - min(of_class) <= n_samples
        for name in set(labels):
            of_image = [drawn[i] for i, label in enumerate(labels) if label == name]
            assert max(of_image) - min(of_image) <= 1


def test_last_full_batch_is_not_dropped_and_equal_classes_are_covered_exactly_once() -> None:
    labels = torch.arange(10).repeat(20)
    sampler = BalancedBatchSampler(labels, n_classes=5, n_samples=4)
    for _ in range(3):
        batches = list(sampler)
        assert len(batches) == len(sampler) == 10
        assert sorted(index for batch in batches for index in batch) == list(range(200))


def test_a_data_set_of_exactly_one_batch_gives_it() -> None:
    assert sorted(next(iter(BalancedBatchSampler([0, 0, 1, 1], 2, 2)))) == [0, 1, 2, 3]
    assert len(list(BalancedBatchSampler([0, 0, 1, 1], 2, 2))) == 1


@pytest.mark.usefixtures("global_random_state_untouched")
def test_epochs_differ_and_the_same_seed_gives_the_same_epochs() -> None:
    labels = random_labels(0, 5, 8, 12)
    one, same, other = (BalancedBatchSampler(labels, 3, 4, seed=seed) for seed in (1, 1, 2))
    first, second = list(one), list(one)
    assert first != second
    assert [list(same), list(same)] == [first, second]
    assert list(other) != first


@pytest.mark.parametrize("convert", [list, np.array, torch.tensor, lambda x: torch.tensor(x, dtype=torch.int32)])
def test_labels_may_be_a_list_an_array_or_a_tensor(convert: Callable) -> None:
    labels = random_labels(3, 4, 5, 9)
    assert list(BalancedBatchSampler(convert(labels), 2, 3)) == list(BalancedBatchSampler(labels, 2, 3))


def test_sampler_feeds_a_data_loader() -> None:
    labels = torch.arange(4).repeat(6)
    loader = DataLoader(TensorDataset(torch.arange(24), labels), batch_sampler=BalancedBatchSampler(labels, 3, 2))
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    for images, targets in batches:
        assert torch.equal(labels[images], targets)
        assert targets.unique(return_counts=True)[1].tolist() == [2, 2, 2]


def test_replacement_repeats_only_the_images_of_small_classes_and_as_evenly_as_it_can() -> None:
    labels = [0] * 3 + [1] * 20 + [2]
    sampler = BalancedBatchSampler(labels, 3, 5, replacement=True)
    assert len(list(sampler)) == len(sampler) == 1
    for _ in range(10):
        (batch,) = sampler
        assert Counter(labels[index] for index in batch) == {0: 5, 1: 5, 2: 5}
        drawn = Counter(batch)
        assert sorted(drawn[i] for i in range(3)) == [1, 2, 2]
        assert max(drawn[i] for i in range(3, 23)) == 1


def test_replacement_gives_a_batch_that_is_larger_than_the_data_set() -> None:
    batches = list(BalancedBatchSampler([0, 1], 2, 3, replacement=True))
    assert [sorted(batch) for batch in batches] == [[0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize(
    ("labels", "n_classes", "n_samples", "message"),
    [
        ([0, 0, 1, 1], 3, 1, "n_classes=3, but .* only 2 classes; lower n_classes"),
        ([0, 0, 1, 1, 1], 2, 3, "class 0 has 2 images, fewer than n_samples=3; .* replacement=True"),
        ([0, 0, 1, 1], 0, 1, "n_classes=0"),
        ([0, 0, 1, 1], 1, 0, "n_samples=0"),
        ([], 1, 1, "non-empty"),
        ([0.0, 1.0], 1, 1, "integers, got torch.float32"),
        ([[0, 1], [0, 1]], 1, 1, r"shape \(2, 2\)"),
    ],
)
def test_bad_input_raises(labels: list, n_classes: int, n_samples: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"BalancedBatchSampler: .*{message}"):
        BalancedBatchSampler(labels, n_classes, n_samples)
