from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.transforms import v2

from siamese_triplet.datasets import Images, SiameseMNIST, TripletMNIST, normalization
from siamese_triplet.datasets.images import apply_transform, channels_first, pixelwise_transform
from siamese_triplet.loader import TensorLoader
from siamese_triplet.samplers import BalancedBatchSampler

GREY = torch.randint(0, 256, (256, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
COLOUR = torch.randint(0, 256, (20, 9, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
COLOUR_NORMALIZATION = v2.Compose(
    [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])]
)


def images(data: Tensor = GREY, transform: Any = None, train: bool = True) -> Images:
    return Images(data, torch.arange(len(data)) % 3, ["a", "b", "c"], train=train, transform=transform)


def test_normalization_equals_to_tensor_and_normalize_of_torchvision() -> None:
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    ours = normalization(0.1307, 0.3081)
    every_value = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    for image in (every_value, *GREY[:5]):
        pil = Image.fromarray(image.numpy())
        torch.testing.assert_close(ours(pil), theirs(pil), rtol=0, atol=5e-7)  # they divide by 255, we multiply
        assert type(ours(pil)) is Tensor
        assert ours(pil).dtype == torch.float32
        assert ours(pil).shape == (1, *image.shape)


def test_normalization_of_colour_images_takes_a_mean_and_a_deviation_per_channel() -> None:
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))])
    ours = normalization((0.1, 0.2, 0.3), [0.4, 0.5, 0.6])
    for image in COLOUR:
        pil = Image.fromarray(image.numpy())
        torch.testing.assert_close(ours(pil), theirs(pil), rtol=0, atol=1e-6)
        assert torch.equal(ours(pil), COLOUR_NORMALIZATION(pil))
    assert type(ours(pil)) is Tensor


@pytest.mark.parametrize(
    ("data", "transform"),
    [
        (GREY, normalization(0.3, 0.7)),
        (COLOUR, normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))),
        (GREY, transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.3,), (0.7,))])),
        (COLOUR, transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))])),
    ],
    ids=["grey", "colour", "older, grey", "older, colour"],
)
def test_a_pixelwise_transform_of_a_batch_equals_the_transform_of_each_image(data: Tensor, transform: Callable) -> None:
    batched = pixelwise_transform(transform)(channels_first(data))
    expected = torch.stack([transform(Image.fromarray(image.numpy())) for image in data])
    torch.testing.assert_close(batched, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.stack(apply_transform(data, transform)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "transform",
    [
        None,
        lambda image: image,
        transforms.ToTensor(),
        transforms.Compose([transforms.ToTensor()]),
        transforms.Compose([transforms.Normalize((0.5,), (0.5,)), transforms.ToTensor()]),
        transforms.Compose([transforms.RandomCrop(5), transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]),
        v2.Compose([v2.ToImage(), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)]),
        v2.Compose([v2.ToImage(), type("Odd", (v2.Normalize,), {})([0.5], [0.5])]),
    ],
)
def test_other_transforms_have_no_pixelwise_version(transform: Any) -> None:
    assert pixelwise_transform(transform) is None


def test_channels_first_is_a_view() -> None:
    assert channels_first(GREY).shape == (256, 1, 9, 7)
    assert channels_first(COLOUR).shape == (20, 3, 9, 7)
    assert channels_first(COLOUR).data_ptr() == COLOUR.data_ptr()
    assert torch.equal(channels_first(COLOUR)[3, 2], COLOUR[3, :, :, 2])


def test_draw_returns_indices_and_labels() -> None:
    indices, labels = images().draw(torch.tensor([4, 0, 4]))
    assert (indices.tolist(), labels.tolist()) == ([[4], [0], [4]], [1, 0, 1])


@pytest.mark.parametrize(
    ("data", "transform"), [(GREY, normalization(0.3, 0.7)), (COLOUR, COLOUR_NORMALIZATION)], ids=["grey", "colour"]
)
def test_a_batched_transform_equals_the_per_image_one_exactly(data: Tensor, transform: Callable) -> None:
    batched = apply_transform(data, transform)
    assert len(batched) == len(data)
    for image, ours in zip(data, batched, strict=True):
        expected = transform(Image.fromarray(image.numpy()))
        assert torch.equal(ours, expected)
        assert ours.dtype == expected.dtype


def test_a_transform_of_whole_images_is_called_per_image() -> None:
    seen = []
    transform = v2.Compose([v2.Lambda(lambda image: seen.append(image) or image), v2.ToImage()])
    apply_transform(GREY[:3], transform)
    assert [type(image) for image in seen] == [Image.Image] * 3


@pytest.mark.parametrize("normalize_only", [v2.Normalize([0.5], [2.0]), v2.Compose([v2.Normalize([0.5], [2.0])])])
def test_float_images_are_transformed_as_tensors(normalize_only: Callable) -> None:
    data = torch.rand(4, 1, 5, 5) if isinstance(normalize_only, v2.Normalize) else torch.rand(4, 5, 5)
    result = torch.stack(apply_transform(data, normalize_only))
    torch.testing.assert_close(result, (data.reshape(4, 1, 5, 5) - 0.5) / 2)


@pytest.mark.parametrize(("data", "mode"), [(GREY, "L"), (COLOUR, "RGB")])
def test_without_a_transform_an_item_is_the_pil_image(data: Tensor, mode: str) -> None:
    image, label = images(data)[2]
    assert image.mode == mode
    assert torch.equal(v2.functional.pil_to_tensor(image).squeeze(0), data[2] if mode == "L" else data[2].movedim(2, 0))
    assert label == 2
    assert isinstance(label, int)


def test_grey_images_with_a_channel_equal_those_without() -> None:
    seen = images(GREY[..., None], transform=lambda image: image)
    for index in range(3):
        for item, expected in ((images(GREY[..., None])[index], images()[index]), (seen[index], images()[index])):
            assert item[0].mode == "L"
            assert item == expected
    normalized = images(GREY[..., None], normalization(0.3, 0.7))
    assert torch.equal(normalized[0][0], images(GREY, normalization(0.3, 0.7))[0][0])


def test_tensors_other_than_uint8_keep_their_channel() -> None:
    assert [image.shape for image in apply_transform(torch.rand(2, 5, 5, 1), None)] == [(5, 5, 1)] * 2


def test_items_match_their_index_and_iteration_ends() -> None:
    dataset = images(transform=normalization(0, 1))
    assert len(dataset) == 256
    for (image, label), expected, target in zip(dataset, GREY, dataset.targets, strict=True):
        assert torch.equal((255 * image).round().byte()[0], expected)
        assert label == target
    assert torch.equal(dataset[-1][0], dataset[255][0])


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: Subset(x, range(255, -1, -1))])
def test_a_data_loader_stacks_the_items(wrap: Callable) -> None:
    dataset = wrap(images(transform=normalization(0.3, 0.7)))
    batch, labels = next(iter(DataLoader(dataset, batch_size=10)))
    assert torch.equal(batch, torch.stack([dataset[i][0] for i in range(10)]))
    assert labels.tolist() == [dataset[i][1] for i in range(10)]


def test_a_transform_does_not_change_the_data() -> None:
    before = GREY.clone()
    list(DataLoader(images(transform=normalization(0.3, 0.7)), batch_size=100))
    assert torch.equal(GREY, before)


@pytest.mark.parametrize(
    ("data", "train", "expected"),
    [(GREY, True, "256 training images of 9×7, 3 classes"), (COLOUR, False, "20 test images of 9×7×3, 3 classes")],
)
def test_repr_describes_the_images(data: Tensor, train: bool, expected: str) -> None:
    assert repr(images(data, train=train)) == expected


def test_images_and_targets_of_different_lengths_raise() -> None:
    with pytest.raises(ValueError, match="256 images but 3 targets"):
        Images(GREY, torch.arange(3), ["a"])


def test_groups_are_kept_with_their_names_and_most_images_have_none() -> None:
    groups = torch.arange(256) % 2
    dataset = Images(GREY, torch.arange(256) % 4, "abcd", groups=groups, group_names=("x", "y"))
    assert torch.equal(dataset.groups, groups)
    assert dataset.group_names == ["x", "y"]
    assert (images().groups, images().group_names) == (None, [])


def test_images_and_groups_of_different_lengths_raise() -> None:
    with pytest.raises(ValueError, match="256 images but 3 groups; there must be one group each"):
        Images(GREY, torch.arange(256), ["a"], groups=torch.arange(3))


# parts of a data set

NAMES = [f"bar {number}" for number in range(10)]


def grouped(with_groups: bool = True) -> Images:
    targets = torch.arange(30) % 10
    groups = {"groups": targets // 4, "group_names": ["x", "y", "z"]} if with_groups else {}
    return Images(COLOUR[:1].expand(30, -1, -1, -1), targets, NAMES, False, normalization(0.3, 0.3), **groups)


@pytest.mark.parametrize("classes", [[7, 2], [0], list(range(10)), [9, 0, 4]])
@pytest.mark.parametrize("by_name", [True, False])
def test_of_classes_renumbers_the_classes_and_keeps_the_order_of_images(classes: list[int], by_name: bool) -> None:
    whole = grouped()
    some = whole.of_classes([NAMES[number] for number in classes] if by_name else classes)
    chosen = [index for index, label in enumerate(whole.targets.tolist()) if label in classes]
    assert some.classes == [NAMES[label] for label in classes]
    assert torch.equal(some.data, whole.data[chosen])
    assert torch.equal(torch.tensor(classes)[some.targets], whole.targets[chosen])
    assert torch.equal(some.groups, whole.groups[chosen])
    assert (some.group_names, some.train, some.transform) == (["x", "y", "z"], False, whole.transform)
    assert whole.targets.max() == 9  # left alone


def test_a_part_of_images_without_groups_has_none() -> None:
    assert grouped(with_groups=False).of_classes([3]).groups is None
    assert grouped(with_groups=False).subset([3]).groups is None


@pytest.mark.parametrize("classes", [[10], [-1], [0, 99], ["bar 1", "bar"], ["bar 1", 10]])
def test_an_unknown_class_raises(classes: list) -> None:
    with pytest.raises(ValueError, match=r"no class .* among 10 classes; give names, or numbers from 0 to 9"):
        grouped().of_classes(classes)


def test_a_long_list_of_unknown_classes_is_cut() -> None:
    with pytest.raises(ValueError, match=r"no class 'no 0', .*'no 9', … among"):
        grouped().of_classes([f"no {number}" for number in range(1000)])


def test_a_class_named_twice_raises() -> None:
    with pytest.raises(ValueError, match="of 3 classes only 2 are different"):
        grouped().of_classes(["bar 1", 1, "bar 2"])


@pytest.mark.parametrize(
    "chosen", [[4, 2, 29], torch.tensor([4, 2, 29]), np.array([4, 2, 29]), (index for index in (4, 2, 29))]
)
def test_a_subset_has_the_chosen_images_in_order_with_their_groups(chosen: object) -> None:
    part = grouped().subset(chosen)
    assert part.targets.tolist() == [4, 2, 9]
    assert part.groups.tolist() == [1, 0, 2]
    assert (part.classes, part.group_names, part.train) == (NAMES, ["x", "y", "z"], False)
    assert part[0][0].shape == grouped()[4][0].shape


def test_a_subset_takes_a_mask_and_may_be_empty() -> None:
    whole = grouped()
    assert whole.subset(whole.targets == 3).targets.tolist() == [3, 3, 3]
    assert len(whole.subset([])) == len(whole.subset(torch.zeros(30, dtype=torch.bool))) == 0


@pytest.mark.parametrize("length", [29, 31])
def test_a_mask_of_another_length_raises(length: int) -> None:
    with pytest.raises(ValueError, match=rf"a mask of shape \({length},\) for 30 images; give one boolean per image"):
        grouped().subset(torch.ones(length, dtype=torch.bool))


def test_an_index_out_of_range_raises() -> None:
    with pytest.raises(IndexError):
        grouped().subset([30])


# pixels of other kinds

STEPS = torch.arange(0, 128, dtype=torch.uint8)  # int8 holds them too
RAMP = torch.stack([STEPS.view(16, 8), STEPS.flip(0).view(16, 8), STEPS.view(16, 8), STEPS.view(16, 8)])
OLDER = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.3,), (0.7,))])
FOREIGN = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.3], [0.7])])
INTEGERS = [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64]


class FourImages:
    """A data set of four images of two classes, like torchvision's MNIST."""

    def __init__(self, data: Any, transform: Any) -> None:
        self.data, self.targets, self.train, self.transform = data, torch.tensor([0, 0, 1, 1]), False, transform

    def __len__(self) -> int:
        return 4


WAYS: dict[str, Callable[[Any, Any], Tensor]] = {
    "item": lambda data, transform: Images(data, [0, 0, 1, 1], "ab", transform=transform)[0][0],
    "batch": lambda data, transform: Images(data, [0, 0, 1, 1], "ab", transform=transform).__getitems__([0, 3])[0][0],
    "subset": lambda data, transform: Images(data, [0, 0, 1, 1], "ab", transform=transform).subset([0])[0][0],
    "pairs": lambda data, transform: SiameseMNIST(FourImages(data, transform))[0][0][0],
    "triplets": lambda data, transform: TripletMNIST(FourImages(data, transform))[0][0][0],
    "loader": lambda data, transform: TensorLoader(FourImages(data, transform), 4).images[0].cpu(),
    "loader of pairs": lambda data, transform: (
        TensorLoader(SiameseMNIST(FourImages(data, transform)), 4).images[0].cpu()
    ),
    "chunk": lambda data, transform: apply_transform(torch.as_tensor(data), transform)[0],
}


@pytest.mark.parametrize("as_given", [lambda data: data, lambda data: data.numpy()], ids=["tensor", "array"])
@pytest.mark.parametrize("transform", [normalization(0.3, 0.7), FOREIGN, OLDER], ids=["ours", "theirs", "older"])
@pytest.mark.parametrize("dtype", [*INTEGERS, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_numbers_of_any_dtype_equal_the_same_bytes(way: str, dtype: torch.dtype, transform: Any, as_given: Any) -> None:
    given = RAMP.to(dtype) / 255 if dtype.is_floating_point else RAMP.to(dtype)
    result = WAYS[way](as_given(given), transform)
    torch.testing.assert_close(
        result, WAYS[way](RAMP, transform), rtol=0, atol=0 if not dtype.is_floating_point else 1e-6
    )
    assert result.std() > 0.1


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        (torch.int64, 256, r"torch.int64 from 0 to 256; .*uint8"),
        (torch.int64, -1, r"torch.int64 from -1 to 127; .*uint8"),
        (torch.int16, 4095, r"torch.int16 from 0 to 4095; .*uint8"),
        (torch.uint16, 65535, r"torch.uint16 from 0 to 65535; .*uint8"),
        (torch.int8, -128, r"torch.int8 from -128 to 127; .*uint8"),
        (torch.float32, 255, r"torch.float32 from 0 to 255; .*uint8"),
        (torch.float64, 1.01, r"torch.float64 from 0 to 1.01; .*uint8"),
        (torch.float32, -0.5, r"torch.float32 from -0.5 to .*uint8"),
        (torch.float16, float("nan"), r"torch.float16 from nan to nan; .*uint8"),
    ],
)
@pytest.mark.parametrize("transform", [normalization(0.3, 0.7), FOREIGN, OLDER], ids=["ours", "theirs", "older"])
@pytest.mark.parametrize("way", WAYS)
def test_numbers_of_an_unknown_scale_raise(
    way: str, transform: Any, dtype: torch.dtype, value: float, message: str
) -> None:
    data = RAMP / 255 if dtype.is_floating_point else RAMP.to(torch.int64)
    data[0, 0, 1] = value
    with pytest.raises(ValueError, match=message):
        WAYS[way](data.to(dtype), transform)


@pytest.mark.parametrize(
    "make", [Tensor.numpy, lambda image: Image.fromarray(image.numpy()), lambda image: image[None]]
)
def test_a_single_image_of_integers_is_checked_too(make: Callable) -> None:
    ours = normalization(0.3, 0.7)
    expected = ours(RAMP[:1])
    wide = RAMP[0].to(torch.int32)
    assert torch.equal(ours(make(wide)), expected)
    wide[0, 1] = 256
    with pytest.raises(ValueError, match=r"torch\.int32 from 0 to 256; integers must be uint8"):
        ours(make(wide))
    with pytest.raises(ValueError, match=r"torch\.float32 from 0 to 127; normalization takes uint8"):
        ours(make(RAMP[0].float()))


def test_booleans_are_black_and_white() -> None:
    white = torch.ones(4, 2, 2, dtype=torch.bool)
    assert WAYS["item"](white, normalization(0.0, 1.0)).unique().tolist() == [1.0]


def test_floats_a_rounding_beyond_the_range_and_no_images_are_accepted() -> None:
    ours = normalization(0.0, 1.0)
    torch.testing.assert_close(ours(torch.tensor([[[-1e-6, 1 + 1e-6]]])), torch.tensor([[[-1e-6, 1 + 1e-6]]]))
    assert apply_transform(torch.rand(0, 3, 3), ours) == apply_transform(torch.zeros(0, 3, 3).int(), ours) == []


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_without_a_transform_integers_are_pil_images_as_bytes_are(dtype: torch.dtype) -> None:
    assert images(GREY[:3].to(torch.int64).clamp(max=127).to(dtype))[1] == images(GREY[:3].clamp(max=127))[1]


def test_vectors_of_floats_and_of_any_integers_stay_as_they_are() -> None:
    for vectors in (torch.randn(5, 3), torch.arange(15).view(5, 3) * 1000, torch.randn(5, 3).double()):
        dataset = images(vectors)
        assert dataset.data is vectors
        assert torch.equal(torch.stack([item[0] for item in dataset]), vectors)
        batch, _ = next(iter(DataLoader(dataset, batch_size=5)))
        assert torch.equal(batch, vectors)
    with pytest.raises(ValueError, match=r"got \(1, 3\); vectors take no normalization"):
        images(torch.rand(5, 3), transform=normalization(0.3, 0.3))[0]


# tensors, arrays and lists


@pytest.mark.parametrize("of_targets", [list, np.array, torch.tensor, lambda x: np.array(x, "uint16"), np.int32])
@pytest.mark.parametrize(
    "of_data", [Tensor.numpy, Tensor.tolist, list, lambda data: [image.numpy() for image in data], lambda data: data]
)
def test_images_may_be_tensors_arrays_and_lists(of_data: Callable, of_targets: Callable) -> None:
    labels = [0, 1, 2, 0]
    expected = Images(GREY[:4], torch.tensor(labels), "abc", transform=normalization(0.3, 0.7))
    given = Images(of_data(GREY[:4]), of_targets(labels), "abc", transform=normalization(0.3, 0.7))
    assert torch.equal(given.data, expected.data)
    assert given.targets.dtype == torch.int64
    for ours, theirs in zip(DataLoader(given, 3), DataLoader(expected, 3), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    for ours, theirs in zip(TensorLoader(given, 3), TensorLoader(expected, 3), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert given.of_classes("ca").targets.tolist() == [1, 0, 1]


def test_tensors_of_the_right_kind_are_not_copied_and_groups_are_converted() -> None:
    targets = torch.arange(256) % 3
    dataset = Images(GREY, targets, "abc", groups=np.zeros(256, np.int32))
    assert dataset.data is GREY
    assert dataset.targets is targets
    assert dataset.groups.dtype == torch.int64


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            torch.zeros(4, 3, 32, 32, dtype=torch.uint8),
            r"\(4, 3, 32, 32\) seem to have their channels first; .*permute",
        ),
        (np.zeros((4, 1, 28, 28), np.int64), "channels first"),
        (torch.zeros(4, 9, dtype=torch.uint8), r"must be uint8 images of shape \(N, H, W\) or .* of shape \(4, 9\)"),
        (torch.zeros(4, 2, 3, 8, 8, dtype=torch.uint8), r"got torch.uint8 of shape \(4, 2, 3, 8, 8\)"),
        (torch.zeros(4), r"got torch.float32 of shape \(4,\)"),
        (torch.tensor(4), r"got torch.int64 of shape \(\)"),
        (torch.zeros(4, 3, 3, dtype=torch.complex64), "are torch.complex64; they must be uint8"),
        (None, "must be images as a tensor or an array of uint8, got a NoneType"),
        ([np.zeros((2, 2)), np.zeros((2, 3))] * 2, "must be images as a tensor .*, got a list .*equal size"),
    ],
)
def test_data_of_another_kind_raise(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"Images: data.*{message}"):
        Images(data, [0, 1, 0, 1], "ab")


def test_floats_with_their_channels_first_raise_under_normalization_only() -> None:
    data = torch.rand(4, 3, 8, 8)
    assert images(data)[0][0].shape == (3, 8, 8)
    with pytest.raises(ValueError, match="channels first"):
        images(data, normalization(0.3, 0.7))[0]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.eye(4), r"got torch.float32 of shape \(4, 4\); .*\.argmax\(dim=1\)"),
        (torch.eye(4).long(), r"\.argmax\(dim=1\)"),
        (torch.zeros(4, 1).long(), r"\(4, 1\); convert class labels with \.squeeze\(1\)$"),
        (torch.zeros(4, 1), r"\(4, 1\); convert class labels with \.squeeze\(1\)\.long\(\)"),
        (torch.zeros(4), r"convert class labels with \.long\(\)"),
        (torch.zeros(4, 1, 1).long(), "give one class number per image"),
        (["a", "b", "a", "b"], "integers, one per image, got a list .*number them"),
        (np.array(["a", "b", "a", "b"]), "integers, one per image, got a ndarray .*number them"),
        (None, "integers, one per image, got a NoneType"),
    ],
)
@pytest.mark.parametrize("name", ["targets", "groups"])
def test_targets_and_groups_of_another_kind_raise(name: str, targets: Any, message: str) -> None:
    if name == "groups" and targets is None:
        return
    arguments = {"targets": [0, 0, 0, 0], name: targets}
    with pytest.raises(ValueError, match=f"Images: {name} must be .*{message}"):
        Images(GREY[:4], classes=["a"], **arguments)


@pytest.mark.parametrize("targets", [[5, 14], [1, 2], [-2, 0]])
def test_targets_and_groups_without_a_name_raise_if_there_are_names(targets: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"targets go from {targets[0]} to {targets[1]}, but classes has 2 names"):
        Images(GREY[:2], targets, "ab")
    with pytest.raises(ValueError, match="but group_names has 2 names, of numbers from 0 to 1; number them from 0"):
        Images(GREY[:2], [0, 1], "ab", groups=targets, group_names="xy")
    assert Images(GREY[:2], targets, [], groups=targets).targets.tolist() == targets


def test_no_images_are_accepted() -> None:
    empty = Images(GREY[:0], [], [])
    assert (len(empty), empty.targets.dtype) == (0, torch.int64)


# a batch sampler in the place of a sampler


@pytest.mark.parametrize("batch_size", [1, 2, None])
@pytest.mark.parametrize("make", [lambda dataset: dataset, SiameseMNIST, TripletMNIST])
def test_a_batch_sampler_as_a_sampler_raises(make: Callable, batch_size: int | None) -> None:
    dataset = make(images(transform=normalization(0.3, 0.7)))
    sampler = BalancedBatchSampler(torch.arange(256) % 3, 2, 2)
    with pytest.raises(ValueError, match=r"a list of 4 indices .*batch_sampler=sampler"):
        next(iter(DataLoader(dataset, batch_size, sampler=sampler)))
