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

from siamese_triplet.datasets import Images, normalization
from siamese_triplet.datasets.images import apply_transform, channels_first, pixelwise_transform

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
