import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from siamese_triplet.datasets import FolderImages, load_folder
from siamese_triplet.samplers import BalancedBatchSampler

CLASSES = {"ant": 10, "bee": 5, "cat": 2, "dog": 1}


def write(folder: Path, n_images: int, first: int = 0, mode: str = "RGB", size: tuple[int, int] = (24, 20)) -> None:
    """Write images that differ in their grey value, numbered from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + n_images):
        grey = 2 * number + 1
        image = Image.new("RGB", size, (grey, grey, grey)).convert(mode)
        image.save(folder / f"{number:03}.{'jpg' if number % 3 == 0 and mode == 'RGB' else 'png'}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, (name, n_images) in enumerate(CLASSES.items()):
        write(tmp_path / name, n_images, first=20 * number)
    return tmp_path


def greys(data: Tensor) -> list[int]:
    """Recover the numbers that `write` gave the images, from their mean grey."""
    return [round((value - 1) / 2) for value in data.flatten(1).float().mean(dim=1).tolist()]


def test_one_image_in_five_of_each_class_is_held_out(root: Path) -> None:
    train, test = load_folder(root, 16)
    assert train.classes == test.classes == list(CLASSES)
    assert train.targets.bincount(minlength=4).tolist() == [8, 4, 1, 1]
    assert test.targets.bincount(minlength=4).tolist() == [2, 1, 1, 0]
    assert (train.train, test.train) == (True, False)


def test_no_image_is_in_both_sets_and_labels_match_images(root: Path) -> None:
    found = [
        (grey, label)
        for part in load_folder(root, 16)
        for grey, label in zip(greys(part.data), part.targets.tolist(), strict=True)
    ]
    expected = [20 * number + i for number, n_images in enumerate(CLASSES.values()) for i in range(n_images)]
    assert sorted(grey for grey, _ in found) == expected
    assert all(label == grey // 20 for grey, label in found)


@pytest.mark.usefixtures("global_random_state_untouched")
def test_the_seed_decides_which_images_are_held_out(root: Path) -> None:
    held_out = [greys(load_folder(root, 16, seed=seed)[1].data) for seed in (0, 0, 1, 2)]
    assert held_out[0] == held_out[1]
    assert len({tuple(one) for one in held_out}) > 1


@pytest.mark.parametrize("name", ["test", "val"])
def test_folders_for_training_and_test_are_used_unchanged(name: str, tmp_path: Path) -> None:
    for part, first in (("train", 0), (name, 50)):
        write(tmp_path / part / "ant", 3, first)
        write(tmp_path / part / "bee", 2, first + 10)
    train, test = load_folder(tmp_path, 16)
    assert (greys(train.data), greys(test.data)) == ([0, 1, 2, 10, 11], [50, 51, 52, 60, 61])
    assert train.targets.tolist() == test.targets.tolist() == [0, 0, 0, 1, 1]
    assert (train.train, test.train, train.classes) == (True, False, ["ant", "bee"])


@pytest.mark.parametrize(("channels", "shape"), [(1, (15, 16, 16)), (3, (15, 16, 16, 3))])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1", "I;16"])
def test_images_of_any_mode_and_size_get_one_shape(mode: str, channels: int, shape: tuple, tmp_path: Path) -> None:
    source = "L" if mode == "I;16" else mode
    write(tmp_path / "ant", 9, 0, source, (40, 20))
    write(tmp_path / "bee", 8, 50, source, (16, 31))
    if mode == "I;16":
        Image.new(mode, (20, 20), 300).save(tmp_path / "ant" / "000.png")
    train, _ = load_folder(tmp_path, 16, channels)
    assert (train.data.shape, train.data.dtype) == (shape, torch.uint8)
    assert train[0][0].shape == (channels, 16, 16)


def test_three_channels_keep_the_colours(tmp_path: Path) -> None:
    for name, colour in (("ant", (250, 10, 20)), ("bee", (10, 20, 250))):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (20, 20), colour).save(tmp_path / name / f"{number}.png")
    train, test = load_folder(tmp_path, 16, 3)
    for images in (train, test):
        assert images.data[:, 8, 8].tolist() == [[250, 10, 20], [10, 20, 250]]


def test_oblong_images_are_cropped_to_the_centre(tmp_path: Path) -> None:
    image = Image.new("L", (48, 16), 0)
    image.paste(200, (16, 0, 32, 16))
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in "01":
            image.save(tmp_path / name / f"{number}.png")
    train, test = load_folder(tmp_path, 16)
    assert (train.data == 200).all()
    assert (test.data == 200).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_training_images_have_mean_0_and_standard_deviation_1(channels: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(6):
            pixels = torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8, generator=generator)
            pixels[..., 1] //= 3
            Image.fromarray(pixels.numpy()).save(tmp_path / name / f"{number}.png")
    train, test = load_folder(tmp_path, 16, channels)
    normalised = torch.stack([image for image, _ in train]).transpose(0, 1).flatten(1)  # (channels, pixels)
    torch.testing.assert_close(normalised.mean(dim=1), torch.zeros(channels), rtol=0, atol=1e-4)
    torch.testing.assert_close(normalised.std(dim=1), torch.ones(channels), rtol=0, atol=1e-4)
    assert test.transform is train.transform


def test_images_of_a_single_grey_stay_finite(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in "01":
            Image.new("L", (16, 16), 128).save(tmp_path / name / f"{number}.png")
    assert load_folder(tmp_path, 16)[0][0][0].isfinite().all()


def test_hidden_files_and_folders_are_skipped_and_deeper_ones_are_not(root: Path) -> None:
    n_images = len(FolderImages(root))
    write(root / ".ipynb_checkpoints", 2)
    write(root / "ant" / ".thumbnails", 2)
    write(root / "ant" / "from the side", 1, 90)
    (root / "ant" / "from the side" / "090.jpg").rename(root / "ant" / "from the side" / "090.JPEG")
    (root / "ant" / "._000.jpg").write_bytes(b"left by a Mac")
    (root / "ant" / "notes.txt").write_text("not an image")
    (root / "notes.txt").write_text("not a class")
    images = FolderImages(root, 16)
    assert images.classes == list(CLASSES)
    assert len(images) == n_images + 1
    assert [path.name for path in images.paths if path.parent.name == "from the side"] == ["090.JPEG"]
    assert images.targets[images.paths.index(root / "ant" / "from the side" / "090.JPEG")] == 0


def test_images_read_on_access_equal_those_in_memory(root: Path) -> None:
    images = FolderImages(root, 16, 1)
    in_memory = images.in_memory()
    images.transform = in_memory.transform
    assert len(images) == len(in_memory) == 18
    for index in range(18):
        (one, label), (other, other_label) = images[index], in_memory[index]
        assert torch.equal(one, other)
        assert label == other_label
    assert FolderImages(root, 16, 3)[0][0].size == (16, 16)  # without a transform, a PIL image


def test_a_data_loader_reads_image_files_in_balanced_batches(root: Path) -> None:
    images = FolderImages(root, 16, 3)
    images.transform = images.subset(range(5)).in_memory().transform
    sampler = BalancedBatchSampler(images.targets, n_classes=3, n_samples=2, replacement=True)
    for batch, labels in DataLoader(images, batch_sampler=sampler):
        assert batch.shape == (6, 3, 16, 16)
        assert labels.bincount().sort().values[-3:].tolist() == [2, 2, 2]


def test_a_subset_keeps_the_classes_and_of_classes_renumbers_them(root: Path) -> None:
    images = FolderImages(root, 16, 1)
    some = images.subset(torch.tensor([17, 0, 11]))
    assert (greys(some.in_memory().data), some.targets.tolist()) == ([60, 0, 21], [3, 0, 1])
    assert some.classes == list(CLASSES)
    two = images.of_classes(["dog", "bee"])
    assert (two.classes, two.targets.tolist()) == (["dog", "bee"], [1] * 5 + [0])
    assert greys(two.in_memory().data) == [20, 21, 22, 23, 24, 60]
    assert len(images) == 18  # unchanged
    with pytest.raises(ValueError, match="no class 'fox', 'eel' among 4 classes"):
        images.of_classes(["ant", "fox", "eel"])


@pytest.mark.parametrize("convert", [list, np.array, torch.tensor])
def test_a_subset_is_chosen_by_indices_or_by_a_mask(convert: Callable, root: Path) -> None:
    images = FolderImages(root, 16, 1)
    is_chosen = [index in (0, 11, 17) for index in range(18)]
    for part in (images.subset(convert([0, 11, 17])), images.subset(convert(is_chosen))):
        assert part.paths == [images.paths[index] for index in (0, 11, 17)]
        assert part.targets.tolist() == [0, 1, 3]
    assert len(images.subset(convert([False] * 18))) == len(images.subset(convert([]))) == 0
    assert images.subset(index for index in (-1, 0, 0)).targets.tolist() == [3, 0, 0]


@pytest.fixture
def many(tmp_path: Path) -> FolderImages:
    for kind in "abcdefghij":
        for colour in ("red", "blue"):
            write(tmp_path / f"{kind}-{colour}", 1)
    return FolderImages(tmp_path, 16, 1)


@pytest.mark.usefixtures("global_random_state_untouched")
def test_parts_have_their_shares_of_the_classes_with_none_in_common(many: FolderImages) -> None:
    parts = many.split_by_class((0.5, 0.3, 0.2), seed=1)
    assert [len(part.classes) for part in parts] == [10, 6, 4]
    assert sorted(name for part in parts for name in part.classes) == many.classes
    for part in parts:
        assert [path.parent.name for path in part.paths] == [part.classes[label] for label in part.targets]
    again, other = (many.split_by_class((0.5, 0.3, 0.2), seed)[0].classes for seed in (1, 2))
    assert again == parts[0].classes != other


def test_classes_of_a_family_stay_together(many: FolderImages) -> None:
    parts = many.split_by_class((0.6, 0.2, 0.2), family=lambda name: name[0])
    families = [{name[0] for name in part.classes} for part in parts]
    assert [len(names) for names in families] == [6, 2, 2]
    assert not families[0] & families[1] | families[1] & families[2] | families[0] & families[2]
    assert [len(part.classes) for part in parts] == [12, 4, 4]


# bad input


@pytest.mark.parametrize("shares", [(0.5, 0.6), (1.2, -0.2), (0.5, 0.4)])
def test_shares_that_are_negative_or_do_not_sum_to_one_raise(shares: tuple[float, ...], many: FolderImages) -> None:
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        many.split_by_class(shares)


@pytest.mark.parametrize("length", [1, 17, 19])
def test_a_mask_of_another_length_raises(length: int, root: Path) -> None:
    with pytest.raises(ValueError, match=rf"a mask of shape \({length},\) for 18 images; give one boolean per image"):
        FolderImages(root).subset(torch.ones(length, dtype=torch.bool))


def test_too_few_classes_for_the_parts_raise(root: Path) -> None:
    with pytest.raises(ValueError, match=r"4 classes or families are too few for parts of shares=\(0.8, 0.1, 0.1\)"):
        FolderImages(root).split_by_class((0.8, 0.1, 0.1))


def test_all_unreadable_files_are_named_at_once(root: Path) -> None:
    for name in ("ant/001.png", "bee/021.jpg", "cat/040.png"):
        (root / name).write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=r"3 of 18 files cannot be read:\n.*ant.001.png.*\n.*bee.021.jpg.*\n.*cat.040"):
        FolderImages(root, 16).in_memory()


def test_a_missing_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder with one sub-folder of images per class"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(FileNotFoundError, match=r"file is not a folder with one sub-folder of images"):
        load_folder(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty is not a folder with one sub-folder of images"):
        load_folder(tmp_path / "empty")


def test_a_class_without_images_raises_naming_it(root: Path) -> None:
    (root / "empty").mkdir()
    (root / "empty" / "notes.txt").write_text("not an image")
    with pytest.raises(
        FileNotFoundError, match=r"per class: in 'empty' there is no file that ends with .jpg.*; add images"
    ):
        load_folder(root)


def test_a_single_class_raises(tmp_path: Path) -> None:
    write(tmp_path / "ant", 5)
    with pytest.raises(ValueError, match="has one class, 'ant'; at least two are needed"):
        load_folder(tmp_path, 16)


@pytest.mark.parametrize("name", ["000.jpg", "001.png"])
def test_a_damaged_image_raises_naming_it(name: str, root: Path) -> None:
    path = root / "ant" / name
    whole = path.read_bytes()
    for damaged in (b"", b"<html>not found</html>", whole[: len(whole) // 2], whole[:20], whole[:-25]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"ant.{name} is not an image, or is truncated"):
            load_folder(root, 16)


def test_a_flipped_byte_of_a_png_is_harmless_or_raises_naming_it(tmp_path: Path) -> None:
    write(tmp_path / "bee", 2)
    (tmp_path / "ant").mkdir()
    path = tmp_path / "ant" / "0.png"
    noise = torch.randint(0, 256, (16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(noise.numpy()).save(path)
    whole = path.read_bytes()
    messages = []
    for place in range(60):
        for flipped in (1, 128, 255):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ flipped]) + whole[place + 1 :])
            try:
                load_folder(tmp_path, 16)
            except ValueError as error:
                messages.append(str(error))
    assert len(messages) > 60
    assert all("0.png is not an image, or is truncated" in message for message in messages)


def test_different_classes_for_training_and_test_raise(tmp_path: Path) -> None:
    for folder in ("train/ant", "train/bee", "test/ant", "test/cat"):
        write(tmp_path / folder, 2)
    with pytest.raises(
        ValueError, match=r"only .*train has 'bee'; only .*test has 'cat'\. .*read each with FolderImages"
    ):
        load_folder(tmp_path, 16)


@pytest.mark.parametrize("problem", ["differ", "empty", "unknown", "twice"])
def test_messages_about_many_classes_are_short(problem: str, tmp_path: Path) -> None:
    names = [f"class{number:04}" for number in range(400)]
    for number, name in enumerate(names):
        folder = tmp_path / ("test" if number % 2 and problem == "differ" else "train") / name
        folder.mkdir(parents=True)
        if problem != "empty":
            (folder / "a.png").touch()
    classes = {"unknown": ["x"], "twice": names * 2}.get(problem)
    read = (
        partial(load_folder, tmp_path)
        if problem == "differ"
        else partial(FolderImages, tmp_path / "train", classes=classes)
    )
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read()
    assert len(str(caught.value)) < 2000
    assert str(caught.value).count("'class0") <= 10


# splits


def make_splits(root: Path, *names: str) -> None:
    for first, name in enumerate(names):
        for kind, more in (("ant", 0), ("bee", 10)):
            write(root / name / kind, 2, 20 * first + more)


PAIRS = [
    ("train", "validation"),
    ("Train", "Test"),
    ("TRAIN", "VAL"),
    ("training", "testing"),
    ("train", "valid"),
    ("train", "dev"),
    ("train", "eval"),
    ("training_set", "test_set"),
    ("train-data", "test data"),
    ("trainset", "testset"),
    ("train", "evaluation"),
]


@pytest.mark.parametrize(("train_name", "test_name"), PAIRS)
def test_splits_of_usual_names_are_read_as_splits(train_name: str, test_name: str, tmp_path: Path) -> None:
    make_splits(tmp_path, train_name, test_name)
    train, test = load_folder(tmp_path, 16)
    assert train.classes == test.classes == ["ant", "bee"]
    assert (greys(train.data), greys(test.data)) == ([0, 1, 10, 11], [20, 21, 30, 31])
    assert (train.train, test.train) == (True, False)
    with pytest.raises(
        ValueError, match=f"not classes: '{train_name}', '{test_name}'; read one of them, or call load_"
    ):
        FolderImages(tmp_path)


@pytest.mark.parametrize(("names", "used"), [(("train", "val", "test"), 2), (("Train", "dev", "Eval"), 2)])
def test_test_images_go_before_those_for_validation(names: tuple[str, ...], used: int, tmp_path: Path) -> None:
    make_splits(tmp_path, *names)
    assert greys(load_folder(tmp_path, 16)[1].data)[0] == 20 * used
    with pytest.raises(ValueError, match=f"not classes: .*'{names[1]}'"):
        FolderImages(tmp_path)


@pytest.mark.parametrize("names", [("train",), ("validation",), ("test", "val"), ("train", "training", "test")])
def test_splits_that_are_no_pair_raise_naming_them(names: tuple[str, ...], tmp_path: Path) -> None:
    make_splits(tmp_path, *names)
    for read in (load_folder, FolderImages):
        with pytest.raises(ValueError, match=f"'{names[0]}'.*parts|parts.*'{names[0]}'"):
            read(tmp_path)


def test_splits_without_classes_raise(tmp_path: Path) -> None:
    make_splits(tmp_path, "train")
    write(tmp_path / "validation", 3)
    with pytest.raises(FileNotFoundError, match="validation is not a folder with one sub-folder of images per class"):
        load_folder(tmp_path)
    with pytest.raises(ValueError, match="not classes: 'train', 'validation'"):
        FolderImages(tmp_path)


def test_other_folders_beside_the_splits_do_not_make_them_classes(tmp_path: Path) -> None:
    make_splits(tmp_path, "train", "validation", "unlabelled")
    assert load_folder(tmp_path, 16)[0].classes == ["ant", "bee"]
    with pytest.raises(ValueError, match="not classes: 'train', 'validation'; "):
        FolderImages(tmp_path)


@pytest.mark.parametrize(
    "names", [("bus", "train"), ("trained", "tested"), ("test",), ("development", "research"), ("train", "trainer")]
)
def test_classes_whose_names_resemble_splits_are_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        write(tmp_path / name, 2)
    assert FolderImages(tmp_path).classes == sorted(names)


def test_classes_called_like_splits_can_be_named(tmp_path: Path) -> None:
    make_splits(tmp_path, "train", "test")
    images = FolderImages(tmp_path, classes=["train", "test"])
    assert (images.classes, images.targets.bincount().tolist()) == (["train", "test"], [4, 4])


# numbers of classes


def test_other_images_can_number_the_classes(root: Path, tmp_path: Path) -> None:
    names = ["dog", "fox", "cat", "ant", "eel", "bee"]
    images = FolderImages(root, 16, 1, classes=tuple(names))
    assert images.classes == names
    assert [path.parent.name for path in images.paths] == [names[label] for label in images.targets]
    assert images.targets.dtype == torch.int64
    assert images[0][1] == 3
    in_memory = images.in_memory()
    assert (in_memory.classes, in_memory.targets.tolist()) == (names, images.targets.tolist())
    part = images.of_classes(["bee", "fox", "ant"])
    assert (part.classes, part.targets.bincount().tolist()) == (["bee", "fox", "ant"], [5, 0, 10])
    own = FolderImages(root, 16, 1)
    assert torch.equal(FolderImages(root, 16, 1, classes=own.classes).targets, own.targets)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["ant", "bee"], r"2 sub-folders that are not among the 2 given classes: 'cat', 'dog'; pass classes with all"),
        ([], "4 sub-folders that are not among the 0 given classes"),
        ([*CLASSES, "ant"], "classes must be a list of different names"),
        ("ant", "classes must be a list of different names"),
    ],
)
def test_classes_that_do_not_fit_raise(classes: object, message: str, root: Path) -> None:
    with pytest.raises(ValueError, match=message):
        FolderImages(root, classes=classes)


# links, and files that are left out


def test_images_in_linked_folders_are_counted_once(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    write(root / "ant", 2)
    write(root / "ant" / "z", 2, 10)
    write(root / "bee", 1, 20)
    write(elsewhere / "deeper", 3, 30)
    n_images = len(FolderImages(root))
    for link, target in (
        ("ant/from elsewhere", elsewhere),
        ("ant/deeper too", elsewhere / "deeper"),
        ("ant/again", root / "ant" / "z"),
        ("ant/loop", root / "ant"),
        ("ant/z/all", root),
        ("ant/.hidden", elsewhere),
    ):
        (root / link).symlink_to(target, target_is_directory=True)
    (elsewhere / "back").symlink_to(elsewhere, target_is_directory=True)
    images = FolderImages(root, 16, 1)
    assert len(images) == n_images + 3
    assert len({path.resolve() for path in images.paths}) == len(images)
    assert images.targets.tolist() == [0] * 7 + [1]
    assert sorted(greys(images.in_memory().data)) == [0, 1, 10, 11, 20, 30, 31, 32]
    assert root / "ant" / "z" / "010.png" in images.paths  # under its own name, not the link's


def test_a_class_folder_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "deeper", 3)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "ant").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert len(FolderImages(tmp_path / "root")) == 3


def test_files_that_are_left_out_are_counted_in_a_warning(root: Path) -> None:
    for name in ("a.jfif", "b.JFIF", "c.gif", "deeper/d.heic", "no ending", "notes.txt", ".hidden.gif", "data.npy"):
        (root / "ant" / name).parent.mkdir(exist_ok=True)
        (root / "ant" / name).touch()
    (root / "bee" / "link.jpg").symlink_to(root / "nowhere.jpg")
    (root / "beside.jpg").touch()
    (root / "labels.csv").touch()
    with pytest.warns(UserWarning, match=r"8 files in .* left out: 2 \.jfif, ") as caught:
        assert len(FolderImages(root)) == 18
    text = str(caught[0].message)
    for part in (
        "1 .gif",
        "1 .heic",
        "1 .npy",
        "1 without an ending",
        "1 links to nothing",
        "1 beside the sub-folders",
    ):
        assert part in text
    assert caught[0].filename == __file__


def test_many_endings_make_a_short_warning_and_none_makes_no_warning(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FolderImages(root)
    for number in range(200):
        (root / "ant" / f"a.e{number}").touch()
    with pytest.warns(UserWarning, match=r"200 files .*, … \(200 endings\)\. Images end with") as caught:
        FolderImages(root)
    assert len(str(caught[0].message)) < 1000


def test_a_class_of_other_files_raises_saying_what_there_is(root: Path) -> None:
    for number in range(3):
        write(root / "eel", 0)
        (root / "eel" / f"{number}.heic").touch()
    with pytest.raises(FileNotFoundError, match=r"in 'eel' there is no file that ends with .* \(but 3 \.heic\); add"):
        FolderImages(root)


# damage, memory, and paths


def test_unreadable_files_are_found_and_can_be_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = FolderImages(root, 16, 1)
    assert images.unreadable() == {}
    damaged = [root / name for name in ("ant/001.png", "bee/021.jpg", "dog/060.jpg")]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:30])
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", lambda *_: pytest.fail("all images are held"))
        bad = images.unreadable()
    assert list(bad) == damaged
    assert all(path.name in problem for path, problem in bad.items())
    rest = images.subset([path not in bad for path in images.paths])
    assert len(rest.in_memory()) == 15
    with pytest.raises(ValueError, match=r"(?s)3 of 18 files cannot be read:.*`unreadable\(\)`"):
        images.in_memory()


def test_no_images_have_no_mean_and_deviation_of_their_own(root: Path) -> None:
    none = FolderImages(root, 16, 1).subset([])
    assert none.unreadable() == {}
    with pytest.raises(ValueError, match="no images to take mean and standard deviation from"):
        none.in_memory()
    assert len(none.in_memory(transform=FolderImages(root, 16, 1).in_memory().transform)) == 0


def test_a_tilde_is_the_home_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.chdir("/")
    assert len(FolderImages(f"~/{root.name}")) == 18
    assert len(load_folder(f"~/{root.name}", 16)[0]) == 14


def test_messages_about_names_that_are_no_utf_8_can_be_printed(tmp_path: Path) -> None:
    name = os.fsencode("caf").decode() + "\udce9"
    root = tmp_path / name
    messages = []

    def catch(read: Callable[[], object]) -> None:
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            read()
        messages.append(str(caught.value))

    catch(lambda: FolderImages(root))
    (root / name).mkdir(parents=True)
    catch(lambda: FolderImages(root))
    (root / name / f"{name}.png").write_bytes(b"damaged")
    catch(lambda: FolderImages(root).in_memory())
    catch(lambda: load_folder(root))
    catch(lambda: FolderImages(root, classes=["a"]))
    messages += FolderImages(root).unreadable().values()
    (root / name / f"{name}.{name}").touch()
    with pytest.warns(UserWarning, match="left out") as caught:
        FolderImages(root)
    for message in (*messages, str(caught[0].message)):
        assert "caf\\udce9" in message.encode("utf-8").decode()


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_an_unsupported_number_of_channels_raises(channels: int, root: Path) -> None:
    with pytest.raises(ValueError, match=f"channels={channels} must be 1 for grey images or 3 for colour"):
        load_folder(root, channels=channels)


def test_classes_of_one_image_each_raise(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("L", (16, 16)).save(tmp_path / name / "only.png")
    with pytest.raises(ValueError, match=r"each class in .* has a single image"):
        load_folder(tmp_path, image_size=16)
