from collections import Counter
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, TensorDataset

from siamese_triplet import Images
from siamese_triplet._validation import check_batch
from siamese_triplet.samplers import BalancedBatchSampler, GroupedBatchSampler


def random_labels(seed: int, n_classes: int, smallest: int, largest: int) -> list[int]:
    """Make shuffled labels of classes of different sizes, not numbered 0, 1, 2 …"""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(smallest, largest + 1, (n_classes,), generator=generator).tolist()
    labels = torch.tensor([7 * i - 5 for i, size in enumerate(sizes) for _ in range(size)])
    return labels[torch.randperm(len(labels), generator=generator)].tolist()


@pytest.mark.parametrize(("n_classes", "n_samples"), [(1, 1), (2, 3), (5, 4), (7, 5), (3, 1), (1, 5)])
@pytest.mark.parametrize("seed", range(8))
def test_sampler_yields_len_full_batches_without_a_repeated_image(seed: int, n_classes: int, n_samples: int) -> None:
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
        class_counts = [sum(drawn[i] for i, label in enumerate(labels) if label == name) for name in set(labels)]
        assert max(class_counts) - min(class_counts) <= n_samples
        for name in set(labels):
            image_counts = [drawn[i] for i, label in enumerate(labels) if label == name]
            assert max(image_counts) - min(image_counts) <= 1


def test_the_last_full_batch_is_kept_and_equal_classes_are_covered_exactly_once() -> None:
    labels = torch.arange(10).repeat(20)
    sampler = BalancedBatchSampler(labels, n_classes=5, n_samples=4)
    for _ in range(3):
        batches = list(sampler)
        assert len(batches) == len(sampler) == 10
        assert sorted(index for batch in batches for index in batch) == list(range(200))


def test_a_data_set_may_be_exactly_one_batch() -> None:
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


def test_a_data_loader_takes_the_sampler() -> None:
    labels = torch.arange(4).repeat(6)
    loader = DataLoader(TensorDataset(torch.arange(24), labels), batch_sampler=BalancedBatchSampler(labels, 3, 2))
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    for images, targets in batches:
        assert torch.equal(labels[images], targets)
        assert targets.unique(return_counts=True)[1].tolist() == [2, 2, 2]


def test_replacement_repeats_only_images_of_small_classes_and_as_evenly_as_possible() -> None:
    labels = [0] * 3 + [1] * 20 + [2]
    sampler = BalancedBatchSampler(labels, 3, 5, replacement=True)
    assert len(list(sampler)) == len(sampler) == 1
    for _ in range(10):
        (batch,) = sampler
        assert Counter(labels[index] for index in batch) == {0: 5, 1: 5, 2: 5}
        drawn = Counter(batch)
        assert sorted(drawn[i] for i in range(3)) == [1, 2, 2]
        assert max(drawn[i] for i in range(3, 23)) == 1


def test_with_replacement_a_batch_may_be_larger_than_the_data_set() -> None:
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
        (["cat", "dog"], 1, 1, "labels must be integers, one per image, got a list .*; number them"),
        ([[0, 1], [0]], 1, 1, "integers, one per image, got a list"),
        ([[0, 1], [0, 1]], 1, 1, r"shape \(2, 2\)"),
    ],
)
def test_bad_input_raises(labels: list, n_classes: int, n_samples: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"BalancedBatchSampler: .*{message}"):
        BalancedBatchSampler(labels, n_classes, n_samples)


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        (torch.eye(4), r"\.argmax\(dim=1\)"),
        (np.eye(4, dtype=int), r"\.argmax\(dim=1\)"),
        (torch.zeros(4, 1).long(), r"convert class labels with \.squeeze\(1\)$"),
        (torch.zeros(4, 1), r"convert class labels with \.squeeze\(1\)\.long\(\)$"),
        (torch.zeros(4), r"convert class labels with \.long\(\)$"),
        (torch.zeros(4, 1, 1).long(), "give one class number per image$"),
    ],
)
@pytest.mark.parametrize(
    "check",
    [
        lambda labels: BalancedBatchSampler(labels, 1, 1),
        lambda labels: GroupedBatchSampler(labels, labels, 1, 1, 1),
        lambda labels: check_batch(torch.zeros(4, 2), torch.as_tensor(labels)),
    ],
)
def test_the_message_about_labels_says_what_to_do(check: Callable, labels: object, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        check(labels)


def test_the_advice_suits_arrays_and_data_sets() -> None:
    with pytest.raises(ValueError, match=r"convert class labels with \.astype\(int\)$"):
        BalancedBatchSampler(np.zeros(4), 1, 1)
    images = Images(torch.zeros(2, 4, 4, dtype=torch.uint8), [0, 1], ["a", "b"])
    with pytest.raises(ValueError, match=r"got a data set, Images; give its \.targets"):
        BalancedBatchSampler(images, 1, 1)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "uint32", "uint64", "bool"])
def test_labels_may_be_integers_of_any_dtype(dtype: str) -> None:
    labels = np.array([0, 1] * 6).astype(dtype)
    assert list(BalancedBatchSampler(labels, 2, 3)) == list(BalancedBatchSampler([0, 1] * 6, 2, 3))
    grouped_alike = GroupedBatchSampler(labels, labels, 2, 1, 3)
    assert list(grouped_alike) == list(GroupedBatchSampler([0, 1] * 6, [0, 1] * 6, 2, 1, 3))


def test_a_small_class_may_be_repeated_thousands_of_times() -> None:
    (batch,) = BalancedBatchSampler([0, 1], 2, 20_000, replacement=True)
    assert Counter(batch) == {0: 20_000, 1: 20_000}


def test_the_draws_of_a_seed_stay_what_they_were() -> None:
    sampler = BalancedBatchSampler([0] * 3 + [1] * 7 + [2], 3, 7, replacement=True, seed=5)
    assert [list(sampler), list(sampler)] == [
        [[10, 10, 10, 10, 10, 10, 10, 9, 8, 7, 5, 6, 4, 3, 1, 0, 2, 2, 1, 0, 1]],
        [[2, 0, 1, 1, 2, 0, 0, 9, 5, 3, 4, 7, 6, 8, 10, 10, 10, 10, 10, 10, 10]],
    ]


def test_libraries_take_the_samplers_for_batch_samplers_of_torch() -> None:
    labels, groups = [0, 0, 1, 1, 2, 2, 3, 3] * 3, [0, 0, 0, 0, 1, 1, 1, 1] * 3
    balanced, even = BalancedBatchSampler(labels, 2, 3), GroupedBatchSampler(labels, groups, 2, 2, 3)
    for sampler, batch_size in ((balanced, 6), (even, 12)):
        assert isinstance(sampler, BatchSampler)
        assert (sampler.batch_size, sampler.drop_last) == (batch_size, True)
        assert {len(batch) for batch in sampler} == {batch_size}
    assert GroupedBatchSampler(labels, [0, 0, 0, 0, 0, 0, 1, 1] * 3, 2, 2, 3).batch_size is None


def test_processes_with_seeds_of_their_own_draw_different_batches() -> None:
    labels = random_labels(0, 5, 8, 12)
    epochs = [list(BalancedBatchSampler(labels, 3, 4, seed=rank)) for rank in range(4)]
    assert all(one != other for one, other in combinations(epochs, 2))


# batches of few groups


def grouped(seed: int, sizes: tuple[int, ...] = (4, 3, 6, 5)) -> tuple[list[int], list[int]]:
    """Make shuffled labels and groups; the groups have `sizes` classes, which differ in size."""
    labels = random_labels(seed, sum(sizes), 6, 12)
    names = torch.tensor(sorted(set(labels)))[torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(seed))]
    group_of = {name: 10 * group - 3 for group, part in enumerate(names.split(list(sizes))) for name in part.tolist()}
    return labels, [group_of[label] for label in labels]


def classes_by_group(labels: list[int], groups: list[int]) -> dict[int, set[int]]:
    return {group: {a for a, b in zip(labels, groups, strict=True) if b == group} for group in set(groups)}


@pytest.mark.parametrize(
    ("n_groups", "n_classes", "n_samples"), [(1, 1, 1), (2, 3, 4), (4, 3, 2), (1, 3, 6), (3, 2, 5)]
)
@pytest.mark.parametrize("seed", range(4))
def test_a_batch_has_n_samples_of_n_classes_of_n_groups(
    seed: int, n_groups: int, n_classes: int, n_samples: int
) -> None:
    labels, groups = grouped(seed)
    sampler = GroupedBatchSampler(labels, groups, n_groups, n_classes, n_samples, seed)
    assert len(sampler) == len(labels) // (n_groups * n_classes * n_samples)
    for _ in range(2):
        batches = list(sampler)
        assert len(batches) == len(sampler)
        for batch in batches:
            assert all(isinstance(index, int) for index in batch)
            assert len(set(batch)) == len(batch) == n_groups * n_classes * n_samples
            assert list(Counter(labels[index] for index in batch).values()) == [n_samples] * n_groups * n_classes
            assert list(Counter(groups[index] for index in batch).values()) == [n_classes * n_samples] * n_groups


@pytest.mark.parametrize("seed", range(4))
def test_groups_and_their_classes_and_images_are_drawn_evenly(seed: int) -> None:
    labels, groups = grouped(seed)
    batches = list(GroupedBatchSampler(labels, groups, 2, 2, 3, seed))
    group_counts = Counter(group for batch in batches for group in {groups[index] for index in batch})
    class_counts = Counter(label for batch in batches for label in {labels[index] for index in batch})
    image_counts = Counter(index for batch in batches for index in batch)
    members = classes_by_group(labels, groups)
    assert max(group_counts.values()) - min(group_counts[group] for group in members) <= 1
    for classes in members.values():
        assert max(class_counts[label] for label in classes) - min(class_counts[label] for label in classes) <= 1
        for label in classes:
            drawn = [image_counts[index] for index, other in enumerate(labels) if other == label]
            assert max(drawn) - min(drawn) <= 1


def test_equal_groups_and_classes_are_covered_exactly_once() -> None:
    labels = torch.arange(12).repeat_interleave(6)
    sampler = GroupedBatchSampler(labels, labels // 4, n_groups=3, n_classes=2, n_samples=3)
    for _ in range(3):
        assert sorted(index for batch in sampler for index in batch) == list(range(72))


def test_a_small_group_gives_all_its_classes() -> None:
    labels, groups = grouped(0, (2, 5, 1))
    sampler = GroupedBatchSampler(labels, groups, n_groups=2, n_classes=4, n_samples=3)
    members = classes_by_group(labels, groups)
    sizes = set()
    for _ in range(5):
        for batch in sampler:
            drawn = classes_by_group([labels[index] for index in batch], [groups[index] for index in batch])
            assert len(drawn) == 2
            for group, classes in drawn.items():
                assert len(classes) == min(4, len(members[group]))
                assert classes <= members[group]
            sizes.add(len(batch))
    assert sizes == {3 * (2 + 4), 3 * (2 + 1), 3 * (4 + 1)}


def test_a_small_data_set_still_gives_one_grouped_batch() -> None:
    sampler = GroupedBatchSampler([0, 0, 1, 1], [0, 0, 1, 1], n_groups=2, n_classes=40, n_samples=2)
    assert [sorted(batch) for batch in sampler] == [[0, 1, 2, 3]]
    assert len(sampler) == 1


@pytest.mark.usefixtures("global_random_state_untouched")
def test_grouped_epochs_differ_and_the_same_seed_gives_the_same_epochs() -> None:
    labels, groups = grouped(1)
    one, same, other = (GroupedBatchSampler(labels, groups, 2, 2, 3, seed) for seed in (1, 1, 2))
    first, second = list(one), list(one)
    assert first != second
    assert [list(same), list(same)] == [first, second]
    assert list(other) != first
    arrays = GroupedBatchSampler(np.array(labels), torch.tensor(groups), 2, 2, 3, 1)
    assert list(arrays) == first


@pytest.mark.parametrize(
    ("labels", "groups", "sizes", "message"),
    [
        ([0, 0, 1, 1], [0, 0, 1], (1, 1, 1), "GroupedBatchSampler: expected one label and one group per image"),
        ([0, 0, 1, 1], [0, 1, 2, 2], (1, 1, 1), "GroupedBatchSampler: a class has images in two groups"),
        ([0, 0, 1, 1], [0, 0, 1, 1], (3, 1, 1), "n_groups=3 must be between 1 and the 2 groups"),
        ([0, 0, 1, 1], [0, 0, 1, 1], (0, 1, 1), "n_groups=0 must be between 1 and the 2 groups"),
        ([0, 0, 1, 1], [0, 0, 1, 1], (1, 0, 1), "n_classes=0 at least 1"),
        ([0, 0, 1, 1], [0, 0, 1, 1], (1, 1, 0), "n_samples=0"),
        ([0, 0, 1, 1, 1], [0, 0, 1, 1, 1], (1, 1, 3), "class 0 has 2 images, fewer than n_samples=3"),
        ([], [], (1, 1, 1), "non-empty"),
        ([0.0, 1.0], [0, 1], (1, 1, 1), "GroupedBatchSampler: labels must be .* integers, got torch.float32"),
        ([0, 1], [0.2, 0.7], (1, 1, 1), "GroupedBatchSampler: groups must be .* integers, got torch.float32"),
        (["a", "b"], [0, 1], (1, 1, 1), "GroupedBatchSampler: labels must be integers, .* got a list .*number them"),
        ([0, 1], ["a", "b"], (1, 1, 1), "GroupedBatchSampler: groups must be integers, .* got a list .*number them"),
        ([0, 1], None, (1, 1, 1), "GroupedBatchSampler: groups must be integers, one per image, got a NoneType"),
        ([[0], [1]], [[0], [1]], (1, 1, 1), r"labels must be a .*vector .*shape \(2, 1\)"),
    ],
)
def test_bad_groups_raise(labels: list, groups: list, sizes: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GroupedBatchSampler(labels, groups, *sizes)
