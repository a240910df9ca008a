"""A TensorLoader gives the batches of a DataLoader."""

import multiprocessing
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.transforms import v2

from siamese_triplet.datasets import Images, SiameseMNIST, TripletMNIST, normalization
from siamese_triplet.distributed import Share
from siamese_triplet.loader import TensorLoader
from siamese_triplet.samplers import BalancedBatchSampler, GroupedBatchSampler

DATASETS: dict[str, Callable[[Any], Any]] = {
    "images": lambda images: images,
    "pairs": SiameseMNIST,
    "triplets": TripletMNIST,
}


def images(train: bool = False, n_images: int = 23, colour: bool = False) -> Images:
    """Make images that can be told apart by the grey of their first pixel."""
    shape = (n_images, 5, 4, 3) if colour else (n_images, 5, 4)
    data = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data[:, 0, 0] = torch.arange(n_images).to(torch.uint8).view(-1, *[1] * (len(shape) - 3))
    transform = normalization([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]) if colour else normalization(0.3, 0.7)
    return Images(data, torch.arange(n_images) % 3, ["a", "b", "c"], train, transform)


class LikeTorchvision(Dataset):
    """A data set like torchvision's MNIST, which transforms one PIL image at a time."""

    def __init__(self, images: Images, transform: Any) -> None:
        self.data, self.targets, self.train, self.transform = images.data, images.targets, images.train, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = v2.functional.to_pil_image(self.data[index][None] if self.data.ndim == 3 else self.data[index].numpy())
        return self.transform(image), int(self.targets[index])


def flat(batch: tuple) -> list[Tensor]:
    """List all tensors of a batch."""
    inputs, target = batch
    return [
        *(inputs if isinstance(inputs, (tuple, list)) else [inputs]),
        *([target] if isinstance(target, Tensor) else []),
    ]


def assert_same_batches(ours: Iterable, theirs: Iterable, atol: float = 0) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(flat(a), flat(b), rtol=0, atol=atol)
        assert all(tensor.is_contiguous() for tensor in flat(a))


def numbers(inputs: Tensor) -> Tensor:
    """Recover the indices of images of `images()` from their first pixel."""
    return ((inputs[:, 0, 0, 0] * 0.7 + 0.3) * 255).round().long()


def epoch(loader: Iterable) -> list[list]:
    return [[tensor.tolist() for tensor in flat(batch)] for batch in loader]


@pytest.mark.parametrize("batch_size", [1, 7, 23, 100])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("kind", DATASETS)
def test_batches_of_a_test_set_equal_those_of_a_data_loader(kind: str, drop_last: bool, batch_size: int) -> None:
    dataset = DATASETS[kind](images())
    ours = TensorLoader(dataset, batch_size, drop_last=drop_last)
    theirs = DataLoader(dataset, batch_size, drop_last=drop_last)
    assert len(ours) == len(theirs) == len(list(ours))
    assert_same_batches(ours, theirs)
    assert_same_batches(ours, theirs)


@pytest.mark.parametrize("kind", DATASETS)
def test_a_batch_has_the_documented_types_and_shapes(kind: str) -> None:
    inputs, target = next(iter(TensorLoader(DATASETS[kind](images()), 4)))
    if kind == "images":
        assert (inputs.shape, inputs.dtype) == ((4, 1, 5, 4), torch.float32)
    else:
        assert type(inputs) is tuple
        assert [tensor.shape for tensor in inputs] == [(4, 1, 5, 4)] * (2 if kind == "pairs" else 3)
    if kind == "triplets":
        assert target == []
    else:
        assert (target.shape, target.dtype) == ((4,), torch.int64)


def test_batches_of_colour_images_equal_those_of_a_data_loader() -> None:
    dataset = images(colour=True)
    assert_same_batches(TensorLoader(dataset, 7), DataLoader(dataset, 7))
    assert next(iter(TensorLoader(dataset, 7)))[0].shape == (7, 3, 5, 4)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("kind", DATASETS)
def test_a_torchvision_data_set_with_older_transforms_works(kind: str, colour: bool) -> None:
    mean, std = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)) if colour else ((0.3,), (0.7,))
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    dataset = DATASETS[kind](LikeTorchvision(images(colour=colour), transform))
    assert_same_batches(TensorLoader(dataset, 7), DataLoader(dataset, 7), atol=1e-6)


def test_data_and_targets_may_be_arrays_and_lists() -> None:
    dataset = images()
    plain = LikeTorchvision(dataset, dataset.transform)
    plain.data, plain.targets = dataset.data.numpy(), dataset.targets.tolist()
    assert_same_batches(TensorLoader(plain, 7), DataLoader(dataset, 7))


@pytest.mark.parametrize("kind", ["pairs", "triplets"])
def test_training_pairs_and_triplets_are_valid_and_start_with_every_image_once_per_epoch(kind: str) -> None:
    source = images(train=True)
    epochs = []
    for _ in range(2):
        batches = list(TensorLoader(DATASETS[kind](source), 5, shuffle=True))
        columns = [numbers(torch.cat(column)) for column in zip(*(inputs for inputs, _ in batches), strict=True)]
        assert columns[0].sort().values.tolist() == list(range(23))
        labels = [source.targets[column] for column in columns]
        if kind == "pairs":
            targets = torch.cat([target for _, target in batches])
            assert torch.equal(targets, (labels[0] == labels[1]).long())
            assert set(targets.tolist()) == {0, 1}
        else:
            assert torch.equal(labels[0], labels[1])
            assert (labels[0] != labels[2]).all()
        assert (columns[0] != columns[1]).all()
        epochs.append(columns)
    assert torch.equal(epochs[0][1], epochs[1][1])  # new loaders with the same seeds


@pytest.mark.parametrize("kind", ["pairs", "triplets"])
def test_training_partners_differ_between_epochs(kind: str) -> None:
    loader = TensorLoader(DATASETS[kind](images(train=True)), 23)
    assert epoch(loader) != epoch(loader)


def test_shuffled_images_come_once_each_with_their_label() -> None:
    dataset = images(train=True)
    batches = list(TensorLoader(dataset, 5, shuffle=True))
    found = numbers(torch.cat([inputs for inputs, _ in batches]))
    assert found.sort().values.tolist() == list(range(23))
    assert torch.equal(dataset.targets[found], torch.cat([target for _, target in batches]))


@pytest.mark.parametrize("kind", DATASETS)
@pytest.mark.usefixtures("global_random_state_untouched")
def test_the_seed_decides_the_epochs_and_epochs_differ(kind: str) -> None:
    one, same, other = (TensorLoader(DATASETS[kind](images(True)), 5, shuffle=True, seed=seed) for seed in (3, 3, 4))
    first, second = epoch(one), epoch(one)
    assert first != second
    assert (epoch(same), epoch(same)) == (first, second)
    assert epoch(other) != first


def test_drop_last_drops_a_different_image_each_epoch() -> None:
    loader = TensorLoader(images(train=True), 11, shuffle=True, drop_last=True)
    dropped = [set(range(23)) - set(numbers(torch.cat([x for x, _ in loader])).tolist()) for _ in range(4)]
    assert all(len(one) == 1 for one in dropped)
    assert len(set.union(*dropped)) > 1


def test_balanced_batches_equal_those_of_a_data_loader() -> None:
    dataset = images(train=True)
    ours, theirs = (BalancedBatchSampler(dataset.targets, 2, 3, seed=1) for _ in range(2))
    loader = TensorLoader(dataset, batch_sampler=ours)
    assert len(loader) == len(theirs) == 3
    for _ in range(2):
        assert_same_batches(loader, DataLoader(dataset, batch_sampler=theirs))


def test_a_batch_sampler_may_yield_lists_or_tensors_of_any_size() -> None:
    dataset = images()
    batches = [[3, 1], [7], torch.tensor([0, 0, 5, 22])]
    found = [numbers(inputs).tolist() for inputs, _ in TensorLoader(dataset, batch_sampler=batches)]
    assert found == [[3, 1], [7], [0, 0, 5, 22]]


@pytest.mark.parametrize("kind", DATASETS)
@pytest.mark.parametrize("drop_last", [False, True])
def test_an_epoch_may_have_no_batches(kind: str, drop_last: bool) -> None:
    dataset = DATASETS[kind](images())
    loader = TensorLoader(dataset, 24, drop_last=True) if drop_last else TensorLoader(dataset, batch_sampler=[])
    assert (len(loader), list(loader)) == (0, [])


@pytest.mark.parametrize("world_size", [2, 3, 7])
@pytest.mark.parametrize("kind", DATASETS)
@pytest.mark.parametrize("train", [True, False])
def test_shares_of_all_processes_make_up_the_batch(train: bool, kind: str, world_size: int) -> None:
    def loader(share: Share) -> TensorLoader:
        return TensorLoader(DATASETS[kind](images(train)), 5, shuffle=train, share=share)

    whole, shares = loader(Share()), [loader(Share(rank, world_size)) for rank in range(world_size)]
    for _ in range(2):
        for batch, *parts in zip(whole, *shares, strict=True):  # the last batch has 3 items
            columns = zip(*map(flat, parts), strict=True)
            torch.testing.assert_close([torch.cat(column) for column in columns], flat(batch), rtol=0, atol=0)
            sizes = [len(flat(part)[0]) for part in parts]
            assert max(sizes) - min(sizes) <= 1


def test_images_are_normalised_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    call = v2.Normalize.__call__
    monkeypatch.setattr(v2.Normalize, "__call__", lambda *given: calls.append(given[1].shape) or call(*given))
    loader = TensorLoader(SiameseMNIST(images(train=True)), 5, shuffle=True)
    for _ in range(3):
        list(loader)
    assert calls == [(23, 1, 5, 4)]


def test_many_images_are_normalised_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TensorLoader(images(), 5).images
    monkeypatch.setattr("siamese_triplet.loader.CHUNK", 7)
    chunked = TensorLoader(images(), 5).images
    assert torch.equal(chunked, whole)
    assert chunked.is_contiguous()


def test_batches_are_copies_and_the_data_is_unchanged() -> None:
    dataset = images()
    before = dataset.data.clone()
    loader = TensorLoader(dataset, 7)
    expected = epoch(loader)
    for inputs, _ in loader:
        inputs.zero_()
    assert epoch(loader) == expected
    assert torch.equal(dataset.data, before)


def test_batches_are_on_the_given_device() -> None:
    loader = TensorLoader(images(), 7, device="meta")
    inputs, target = next(iter(loader))
    assert (inputs.device.type, target.device.type, inputs.shape) == ("meta", "meta", (7, 1, 5, 4))


@pytest.mark.parametrize("shape", [(23, 8), (23, 5, 4), (23, 2, 5, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", DATASETS)
def test_floats_without_a_transform_stay_as_they_are(kind: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    vectors = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype) * 100
    dataset = DATASETS[kind](Images(vectors, torch.arange(23) % 3, "abc", train=False))
    ours = TensorLoader(dataset, 5, device="cpu")
    assert_same_batches(ours, DataLoader(dataset, 5))
    for inputs, _ in ours:
        (inputs if kind == "images" else inputs[0]).zero_()
    assert vectors.any(dim=1).all()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_loader_sent_to_another_process_goes_on_with_the_same_batches(method: str) -> None:
    loader = TensorLoader(images(True), 5, shuffle=True, seed=3, device="cpu")
    list(loader)  # the generator has moved
    sampler = BalancedBatchSampler(images().targets, 2, 3, seed=3)
    grouped = GroupedBatchSampler([0, 0, 1, 1], [0, 0, 1, 1], 2, 1, 1, seed=3)
    with multiprocessing.get_context(method).Pool(1) as pool:
        there = [pool.apply(epoch_there, (one,)) for one in (loader, sampler, grouped)]
    assert there == [epoch_there(loader), list(sampler), list(grouped)]


def epoch_there(loader: Iterable) -> list:
    return [batch if isinstance(batch, list) else numbers(batch[0]).tolist() for batch in loader]


# bad input


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"batch_size": 4, "batch_sampler": [[0]]},
        {"batch_sampler": [[0]], "shuffle": True},
        {"batch_sampler": [[0]], "drop_last": True},
    ],
    ids=["neither", "both", "shuffled sampler", "cut sampler"],
)
def test_arguments_that_do_not_go_together_raise(arguments: dict) -> None:
    with pytest.raises(ValueError, match="TensorLoader takes either batch_size, with shuffle and drop_last, or"):
        TensorLoader(images(), **arguments)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one_raises(batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size={batch_size} must be at least 1"):
        TensorLoader(images(), batch_size)


@pytest.mark.parametrize(
    "transform",
    [
        v2.Compose([v2.ToImage(), v2.RandomCrop(3), v2.ToDtype(torch.float32, scale=True)]),
        transforms.Compose(
            [transforms.RandomRotation(10), transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
        ),
        transforms.ToTensor(),
        lambda image: image,
        None,
    ],
    ids=["crop", "rotation", "bare", "function", "none"],
)
@pytest.mark.parametrize("kind", DATASETS)
def test_a_transform_that_is_not_pixelwise_raises(kind: str, transform: Any) -> None:
    dataset = images()
    dataset.transform = transform
    with pytest.raises(
        ValueError, match=r"(?s)cannot do that with the transform .* use siamese_triplet\.datasets\.normaliz"
    ):
        TensorLoader(DATASETS[kind](dataset), 4)


def test_an_empty_data_set_raises() -> None:
    with pytest.raises(ValueError, match="the data set has no images"):
        TensorLoader(images(n_images=0), 4)


@pytest.mark.parametrize(
    ("dataset", "lacking"),
    [
        (SimpleNamespace(targets=[0], transform=None), "SimpleNamespace lacks data"),
        (Subset(images(), [0, 1]), "Subset lacks data, targets, transform"),
        (TensorDataset(torch.zeros(2)), "TensorDataset lacks data, targets, transform"),
        (DataLoader(images()), "DataLoader lacks data, targets, transform"),
        ([1, 2], "list lacks data, targets, transform"),
    ],
)
def test_a_data_set_that_is_not_in_memory_raises_with_advice(dataset: Any, lacking: str) -> None:
    with pytest.raises(ValueError, match=rf"or use a DataLoader; {lacking}\. .*\.in_memory\(\) .*\.subset\("):
        TensorLoader(dataset, 1)


def test_channels_first_and_vectors_under_normalization_raise() -> None:
    dataset = images(colour=True)
    for data, message in ((torch.rand(23, 3, 8, 8), "channels first"), (torch.rand(23, 4), "vectors take no")):
        given = SimpleNamespace(data=data, targets=dataset.targets, transform=dataset.transform)
        with pytest.raises(ValueError, match=message):
            TensorLoader(given, 4)
