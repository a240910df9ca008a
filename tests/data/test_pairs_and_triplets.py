import multiprocessing
import pickle
import warnings
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchvision import transforms

from siamese_triplet.datasets import Images, SiameseMNIST, TripletMNIST, normalization

LABELS = [3, 0, 1, 0, 3, 0, 1, 3, 1, 0]  # uneven classes with a gap
WITH_SINGLETONS = [0, 0, 1, 2, 2, 2, 3]
BOTH = [SiameseMNIST, TripletMNIST]


def numbered(labels: list[int] = LABELS, train: bool = True) -> Images:
    """Make images whose pixels all equal their index, so that items can be traced to images."""
    data = torch.arange(len(labels), dtype=torch.uint8)[:, None, None].expand(-1, 2, 2).contiguous()
    return Images(data, torch.tensor(labels), [str(i) for i in range(10)], train=train, transform=normalization(0, 1))


def index_of(image: Tensor) -> int:
    return round(255 * image.flatten()[0].item())


def indices(item: tuple) -> tuple[int, ...]:
    return tuple(index_of(image) for image in item[0])


def assert_valid(triplet: tuple[int, ...], labels: list[int]) -> None:
    anchor, positive, negative = triplet
    assert positive != anchor
    assert labels[positive] == labels[anchor] != labels[negative]


# training pairs and triplets


def test_training_pairs_never_repeat_an_image_and_targets_are_right() -> None:
    pairs = SiameseMNIST(numbered())
    assert len(pairs) == len(LABELS)
    for _ in range(100):
        for index in range(len(pairs)):
            (first, second), target = indices(pairs[index]), pairs[index][1]
            assert first == index != second
            assert target in (0, 1)
            assert isinstance(target, int)
        for (first, second), target in ((indices(item), item[1]) for item in pairs.__getitems__([0, 5, 9])):
            assert target == (LABELS[first] == LABELS[second])


def test_half_the_training_pairs_are_positive_and_partners_are_uniform() -> None:
    pairs = SiameseMNIST(numbered())
    drawn = [(indices(item)[1], item[1]) for item in pairs.__getitems__([3] * 8000)]
    n_positive = sum(target for _, target in drawn)
    assert abs(n_positive - 4000) < 5 * (8000 / 4) ** 0.5
    reference.assert_uniform((image for image, target in drawn if target), {1, 5, 9})
    reference.assert_uniform((image for image, target in drawn if not target), {0, 2, 4, 6, 7, 8})


def test_training_pairs_differ_between_epochs() -> None:
    pairs = SiameseMNIST(numbered(LABELS * 5))
    first, second = ([indices(pairs[i]) for i in range(50)] for _ in range(2))
    assert first != second


def test_every_image_is_an_anchor_once_per_epoch() -> None:
    triplets = TripletMNIST(numbered())
    for _ in range(20):
        items = [triplets[index] for index in range(len(triplets))]
        assert [indices(item)[0] for item in items] == list(range(len(LABELS)))
        for item in items:
            assert_valid(indices(item), LABELS)
            assert item[1] == []


def test_positives_and_negatives_of_training_triplets_are_uniform() -> None:
    drawn = [indices(item) for item in TripletMNIST(numbered()).__getitems__([0, 8] * 4000)]
    by_anchor = defaultdict(list)
    for anchor, *others in drawn:
        by_anchor[anchor].append(others)
    for anchor, positives, negatives in ((0, {4, 7}, {1, 2, 3, 5, 6, 8, 9}), (8, {2, 6}, {0, 1, 3, 4, 5, 7, 9})):
        reference.assert_uniform((positive for positive, _ in by_anchor[anchor]), positives)
        reference.assert_uniform((negative for _, negative in by_anchor[anchor]), negatives)


@pytest.mark.usefixtures("global_random_state_untouched")
@pytest.mark.parametrize("make", BOTH)
def test_training_draws_depend_on_the_seed_and_not_on_the_global_random_state(make: type) -> None:
    one, same, other = (make(numbered(LABELS * 5), seed=seed) for seed in (1, 1, 2))
    drawn = [[indices(dataset[i]) for i in range(50)] for dataset in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2]


# test pairs and triplets


@pytest.mark.usefixtures("global_random_state_untouched")
@pytest.mark.parametrize("make", BOTH)
def test_fixed_test_tuples_do_not_depend_on_the_global_random_state(make: type) -> None:
    def items(dataset: Any) -> list:
        return [(indices(dataset[i]), dataset[i][1]) for i in range(len(dataset))]

    dataset = make(numbered(train=False))
    expected = items(dataset)
    state = torch.get_rng_state()
    torch.manual_seed(99)
    assert items(make(numbered(train=False))) == expected
    torch.set_rng_state(state)
    assert items(dataset) == items(dataset) == expected
    assert items(pickle.loads(pickle.dumps(dataset))) == expected
    assert items(make(numbered(LABELS, train=False), seed=1)) != expected


@pytest.mark.parametrize("seed", range(30))
def test_half_the_fixed_test_pairs_are_positive_and_none_repeats_an_image(seed: int) -> None:
    pairs = SiameseMNIST(numbered(train=False), seed=seed)
    for index in range(len(LABELS)):
        (first, second), target = indices(pairs[index]), pairs[index][1]
        assert first == index != second
        assert target == (LABELS[first] == LABELS[second]) == (index % 2 == 0)
        assert pairs.pairs[index].tolist() == [first, second]


@pytest.mark.parametrize("seed", range(30))
def test_fixed_test_triplets_are_valid_and_every_image_is_an_anchor(seed: int) -> None:
    triplets = TripletMNIST(numbered(train=False), seed=seed)
    chosen = [indices(triplets[index]) for index in range(len(triplets))]
    assert [triplet[0] for triplet in chosen] == list(range(len(LABELS)))
    assert triplets.triplets.tolist() == [list(triplet) for triplet in chosen]
    for triplet in chosen:
        assert_valid(triplet, LABELS)


# singletons


@pytest.mark.parametrize("train", [True, False])
def test_the_only_image_of_a_class_is_never_paired_with_itself(train: bool) -> None:
    pairs = SiameseMNIST(numbered(WITH_SINGLETONS, train))
    for _ in range(50):
        for index, label in enumerate(WITH_SINGLETONS):
            (first, second), target = indices(item := pairs[index]), item[1]
            assert first == index != second
            assert target == (label == WITH_SINGLETONS[second])


@pytest.mark.parametrize("train", [True, False])
def test_the_only_image_of_a_class_is_never_an_anchor(train: bool) -> None:
    triplets = TripletMNIST(numbered(WITH_SINGLETONS, train))
    negatives = set()
    for _ in range(50):
        chosen = [indices(triplets[index]) for index in range(len(triplets))]
        assert [triplet[0] for triplet in chosen] == [0, 1, 3, 4, 5]
        for triplet in chosen:
            assert_valid(triplet, WITH_SINGLETONS)
            negatives.add(triplet[2])
    assert negatives >= {2, 6} or not train


# loaders


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("make", "n_images"), [(SiameseMNIST, 2), (TripletMNIST, 3)])
def test_default_collate_makes_batches_for_fit(make: type, n_images: int, train: bool) -> None:
    for images, target in DataLoader(make(numbered(train=train)), batch_size=5, shuffle=True):
        assert [tuple(part.shape) for part in images] == [(5, 1, 2, 2)] * n_images
        if make is SiameseMNIST:
            assert target.dtype == torch.int64
            assert target.shape == (5,)
        else:
            assert len(target) == 0


@pytest.mark.parametrize("make", BOTH)
def test_draws_differ_between_workers_and_between_epochs(make: type) -> None:
    labels = [0, 1] * 60
    loader = DataLoader(make(numbered(labels)), batch_size=60, num_workers=2)

    def epoch() -> list[list[tuple[int, ...]]]:
        return [list(zip(*(map(index_of, part) for part in images), strict=True)) for images, _ in loader]

    first, second = epoch(), epoch()
    assert first != second
    positions = [[labels[pair[0]] == labels[pair[1]] for pair in batch] for batch in first]
    shifted = [[image - tuple_[0] for tuple_ in batch for image in tuple_[1:]] for batch in first]
    assert positions[0] != positions[1] or make is TripletMNIST
    assert [offset % 60 for offset in shifted[0]] != [offset % 60 for offset in shifted[1]]
    for batch in first:
        for chosen in batch:
            assert len(set(chosen)) == len(chosen)


def test_fixed_test_tuples_are_the_same_through_workers() -> None:
    dataset = SiameseMNIST(numbered(train=False))
    for images, target in DataLoader(dataset, batch_size=10, num_workers=2):
        assert [list(map(index_of, part)) for part in images] == dataset.pairs.T.tolist()
        assert target.tolist() == [1, 0] * 5


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("make", BOTH)
def test_workers_of_any_start_method_yield_all_batches(make: type, method: str) -> None:
    loader = DataLoader(make(numbered(train=False)), 5, num_workers=1, multiprocessing_context=method)
    found = [tuple(map(index_of, images)) for batch, _ in loader for images in zip(*batch, strict=True)]
    assert found == [indices(loader.dataset[index]) for index in range(len(LABELS))]


@pytest.mark.parametrize("make", BOTH)
def test_a_pickled_data_set_goes_on_with_the_same_draws(make: type) -> None:
    dataset = make(numbered(LABELS * 5))
    indices(dataset[0])  # the generator has moved
    sent = pickle.loads(pickle.dumps(dataset))
    plain = dict(dataset.source.__getstate__())
    assert not any(isinstance(value, torch.Generator) for value in plain.values())
    drawn = [[indices(one[index]) for index in range(50)] for one in (dataset, sent)]
    assert drawn[0] == drawn[1]


def test_draws_of_workers_depend_on_the_seed_of_the_data_set() -> None:
    def epoch(seed: int) -> list:
        generator = torch.Generator().manual_seed(1)
        dataset = SiameseMNIST(numbered([0, 1] * 30), seed=seed)
        return [
            list(map(index_of, images[1])) for images, _ in DataLoader(dataset, 30, num_workers=1, generator=generator)
        ]

    assert epoch(3) == epoch(3) != epoch(4)


# other data sets


@pytest.mark.parametrize("as_data", [torch.tensor, lambda data: data], ids=["tensor", "array"])
@pytest.mark.parametrize("as_targets", [torch.tensor, list], ids=["tensor", "list"])
@pytest.mark.parametrize("make", BOTH)
def test_a_colour_data_set_with_a_transform_per_image_works(make: type, as_targets: Any, as_data: Any) -> None:
    array = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 6, 6, 3), dtype=np.uint8)
    transform = transforms.Compose([transforms.CenterCrop(4), transforms.Grayscale(3), transforms.ToTensor()])
    seen = SimpleNamespace(data=as_data(array), targets=as_targets(LABELS), train=True, transform=transform)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        items = [make(seen)[index] for index in range(10)]
    for index, item in enumerate(items):
        assert all(image.shape == (3, 4, 4) for image in item[0])
        assert indices(item)[0] == index


@pytest.mark.parametrize("make", BOTH)
def test_without_a_transform_the_items_are_pil_images(make: type) -> None:
    dataset = numbered()
    dataset.transform = None
    for image in make(dataset)[3][0]:
        assert image.mode == "L"


@pytest.mark.parametrize("make", BOTH)
def test_a_negative_index_counts_from_the_end_and_an_index_out_of_range_raises(make: type) -> None:
    dataset = make(numbered(train=False))
    assert indices(dataset[-1]) == indices(dataset[9])
    with pytest.raises(IndexError):
        dataset[10]


# bad input


@pytest.mark.parametrize("make", BOTH)
def test_images_on_disk_and_subsets_raise_with_advice(make: type) -> None:
    lazy = SimpleNamespace(targets=[0, 0, 1], train=True, transform=None)
    for dataset in (lazy, Subset(numbered(), [0, 1, 2])):
        with pytest.raises(ValueError, match=r"lacks data.*in_memory\(\) .* images\.subset\(indices\)"):
            make(dataset)


@pytest.mark.parametrize(
    ("targets", "advice"),
    [
        (torch.eye(3), r"\.argmax\(dim=1\)"),
        (torch.zeros(3, 1).long(), r"\.squeeze\(1\)$"),
        (torch.zeros(3), r"\.long\(\)"),
        ([0, 1], "got 2$"),
        (["a", "b", "c"], "number them"),
    ],
)
@pytest.mark.parametrize("make", BOTH)
def test_the_message_about_targets_says_what_to_do(make: type, targets: Any, advice: str) -> None:
    dataset = SimpleNamespace(data=torch.zeros(3, 2, 2), targets=targets, train=True, transform=None)
    with pytest.raises(ValueError, match=f"targets must be .*{advice}"):
        make(dataset)


@pytest.mark.parametrize("make", BOTH)
def test_images_with_their_channels_first_raise(make: type) -> None:
    data = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    dataset = SimpleNamespace(data=data, targets=[0, 0, 1], train=True, transform=None)
    with pytest.raises(ValueError, match="channels first"):
        make(dataset)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(
    ("labels", "message"),
    [([], "0 images of 0 classes"), ([4, 4, 4], "3 images of 1 classes; .* at least two classes")],
)
def test_an_empty_or_one_class_data_set_raises(make: type, labels: list[int], message: str, train: bool) -> None:
    dataset = SimpleNamespace(
        data=torch.zeros(len(labels), 2, 2), targets=torch.tensor(labels).long(), train=train, transform=None
    )
    with pytest.raises(ValueError, match=message):
        make(dataset)


def test_triplets_of_singletons_alone_raise() -> None:
    with pytest.raises(ValueError, match="each of the 3 images is the only one of its class"):
        TripletMNIST(numbered([0, 1, 2]))


@pytest.mark.parametrize("make", BOTH)
def test_a_data_set_without_the_attributes_of_mnist_raises(make: type) -> None:
    with pytest.raises(ValueError, match="list lacks data, targets, train, transform"):
        make([1, 2, 3])


@pytest.mark.parametrize("targets", [[0, 1], [0.0, 1.0, 2.0], [[0], [1], [0]]])
@pytest.mark.parametrize("make", BOTH)
def test_targets_other_than_one_integer_per_image_raise(make: type, targets: list) -> None:
    dataset = SimpleNamespace(data=torch.zeros(3, 2, 2), targets=targets, train=True, transform=None)
    with pytest.raises(ValueError, match="targets must be 3 integers"):
        make(dataset)


def test_triplets_are_valid_whatever_the_order_of_the_labels_and_reach_every_image() -> None:
    labels = torch.randint(0, 6, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    triplets = TripletMNIST(numbered(labels))
    chosen = [indices(item) for item in triplets.__getitems__(list(range(200)) * 20)]
    for triplet in chosen:
        assert_valid(triplet, labels)
    for column in zip(*chosen, strict=True):
        assert set(column) == set(range(200))
