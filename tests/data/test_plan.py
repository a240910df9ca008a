"""Plans for folders of every kind: which numbers follow from which folder, and that they can be used."""

import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from own_folders import OWN_FOLDERS, draw, write_class, write_classes
from PIL import Image

from siamese_triplet import BalancedBatchSampler, few_shot_accuracy
from siamese_triplet.datasets import FolderImages, FolderPlan, plan_folder, read_folder

GIGABYTE = 10**9


def plan_of(name: str, root: Path, **given: Any) -> FolderPlan:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images, _ = read_folder(OWN_FOLDERS[name](root / "root"))
    return plan_folder(images, **{"memory": GIGABYTE, **given})


PLANS = {  # split, new classes, P, K, replacement, n_way, n_queries, images of the parts
    "3 classes x 20": ("by image", False, 3, 12, False, 0, 0, [36, 12, 12, 0]),
    "12 classes x 10": ("by image", False, 12, 6, False, 0, 0, [72, 24, 24, 0]),
    "30 classes x 10": ("by class", True, 18, 7, False, 6, 5, [180, 60, 60, 0]),
    "60 classes x 3 to 6": ("by class", True, 32, 4, True, 5, 4, [167, 51, 52, 0]),
    "2,000 classes x 2": ("by class", True, 64, 2, False, 10, 1, [2400, 800, 800, 0]),
    "one image of half of the classes": ("by image", False, 20, 2, False, 0, 0, [40, 20, 20, 20]),
    "one image of each class": ("none", False, 0, 0, False, 0, 0, [0, 0, 0, 20]),
    "one class": ("none", False, 0, 0, False, 0, 0, [0, 0, 0, 0]),
    "two images of two classes": ("none", False, 0, 0, False, 0, 0, [0, 0, 0, 0]),
    "flat": ("none", False, 0, 0, False, 0, 0, [0, 0, 0, 0]),
    "flat with a CSV": ("by image", False, 8, 4, False, 0, 0, [32, 8, 8, 0]),
    "names in any script": ("by class", True, 16, 4, False, 5, 3, [64, 20, 20, 0]),
    "broken files": ("by image", False, 12, 6, False, 0, 0, [72, 24, 24, 0]),
    "nested": ("by image", False, 8, 5, False, 0, 0, [40, 16, 16, 0]),
    "train, val and test": ("as given", False, 8, 6, False, 0, 0, [48, 24, 24, 0]),
    "30,000 images": ("by class", True, 32, 4, False, 10, 5, [18000, 6000, 6000, 0]),
}


def test_there_is_a_plan_for_each_kind_of_folder() -> None:
    assert set(PLANS) == set(OWN_FOLDERS)


@pytest.mark.parametrize("name", PLANS)
def test_the_numbers_follow_from_the_folder_and_can_be_used(name: str, tmp_path: Path) -> None:
    plan = plan_of(name, tmp_path)
    batch = plan.n_classes, plan.n_samples, plan.replacement
    sizes = [len(part) for part in plan.parts]
    assert (plan.split, plan.new_classes, *batch, plan.n_way, plan.n_queries, sizes) == PLANS[name]
    assert plan.can_train == (plan.split != "none") == bool(plan.n_epochs)
    assert plan.image_size == 32
    for part in plan.parts:
        assert part.image_size == 32
    paths = [path for part in plan.parts for path in part.paths]
    assert len(paths) == len(set(paths))
    if plan.can_train:
        sampler = BalancedBatchSampler(plan.parts.training.targets, *batch)
        assert len(next(iter(sampler))) == plan.n_classes * plan.n_samples <= 128
        assert plan.patience >= 3
        assert 5 <= plan.n_epochs <= 100
    else:
        assert plan.advice
    if plan.n_way:
        test = plan.parts.test.targets
        enough = test.bincount()[test] >= plan.k_shot + plan.n_queries
        found = few_shot_accuracy(
            torch.eye(len(plan.parts.test.classes))[test[enough]],
            test[enough],
            *(plan.n_way, plan.k_shot, plan.n_queries),
            n_episodes=5,
        )
        assert found["prototype"] == 1
    check_printed(plan)


def check_printed(plan: FolderPlan) -> None:
    """Check that a printed plan has a line for each choice, with its reason."""
    text = str(plan)
    assert max(map(len, text.splitlines())) <= 88
    assert text.count("because ") == len(plan.reasons)
    for line in text.splitlines():
        assert line[:24].strip() in {"", "advice", *plan.reasons}, line
    numbers = {f"P = {plan.n_classes} classes", f"K = {plan.n_samples} images", f"{plan.n_epochs} epochs"}
    assert numbers <= set(plan.reasons) or not plan.can_train


def test_images_alone_in_their_class_are_in_no_part_of_a_split_by_class_either(tmp_path: Path) -> None:
    plan = plan_folder(FolderImages(write_classes(tmp_path, [1, 4] * 30)), memory=GIGABYTE)
    assert (plan.split, len(plan.parts.singles)) == ("by class", 30)
    assert all(int(part.targets.bincount().min()) == 4 for part in plan.parts[:3])
    assert "30 in no part" in plan.reasons


def test_families_are_never_split_and_too_few_families_split_by_image(tmp_path: Path) -> None:
    images = FolderImages(write_classes(tmp_path, [3] * 60, [f"{n // 2:02}-{n % 2}" for n in range(60)]))
    plan = plan_folder(images, family=lambda name: name[:2], memory=GIGABYTE)
    assert plan.split == "by class"
    families = [{name[:2] for name in part.classes} for part in plan.parts[:3]]
    assert not families[0] & families[1] | families[1] & families[2] | families[0] & families[2]
    assert plan_folder(images, family=lambda name: name[0], memory=GIGABYTE).split == "by image"


def test_parts_that_a_folder_has_are_kept(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", [5] * 10)
    write_classes(tmp_path / "test", [3] * 10, [f"new {n}" for n in range(10)])
    plan = plan_folder(read_folder(tmp_path).images, memory=GIGABYTE)
    assert (plan.split, plan.new_classes, plan.n_way) == ("as given", True, 10)
    assert [len(part) for part in plan.parts] == [40, 10, 30, 0]
    assert "a fifth of its training images are for validation" in plan.reasons["split as given"]


def test_a_folder_for_training_alone_is_split(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", [5] * 4)
    plan = plan_folder(read_folder(tmp_path).images, memory=GIGABYTE)
    assert (plan.split, [len(part) for part in plan.parts]) == ("by image", [12, 4, 4, 0])


def test_parts_without_a_pair_to_train_on_cannot_be_trained(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", [1] * 10)
    write_classes(tmp_path / "test", [3] * 10)
    plan = plan_folder(read_folder(tmp_path).images, memory=GIGABYTE)
    assert not plan.can_train
    assert "fewer than two training classes have two images" in plan.reasons["no split"]


def test_images_without_a_class_are_advised_to_be_labelled(tmp_path: Path) -> None:
    paths = FolderImages(write_classes(tmp_path, [6] * 4)).paths
    plan = plan_folder(FolderImages.from_files(paths, ["a"] * 6 + ["b"] * 6 + [None] * 12), memory=GIGABYTE)
    assert (plan.split, [len(part) for part in plan.parts]) == ("by image", [4, 4, 4, 0]) or plan.can_train
    assert any("spread_out" in line for line in plan.advice)
    assert sum(len(part) for part in plan.parts) == 12


@pytest.mark.parametrize(
    ("size", "pretrained", "largest", "expected"),
    [
        ((28, 24), False, None, 32),
        ((320, 240), False, None, 64),
        ((320, 240), False, 224, 224),
        ((110, 100), False, 224, 96),
        ((28, 24), True, None, 96),
        ((320, 240), True, 224, 224),
        ((128, 256), True, None, (192, 96)),
        ((128, 512), False, None, (128, 64)),
        ((64, 90), False, None, 64),
        ((64, 110), False, None, (112, 64)),
        ((512, 128), False, None, (64, 128)),
        ((20, 20), False, 16, 16),
    ],
)
def test_the_image_size_is_that_of_the_files(
    size: tuple[int, int], pretrained: bool, largest: int | None, expected: Any, tmp_path: Path
) -> None:
    for number in range(3):
        write_class(tmp_path / str(number), number, 3, size)
    plan = plan_folder(FolderImages(tmp_path), pretrained=pretrained, largest_side=largest, memory=GIGABYTE)
    assert plan.image_size == expected
    assert all(part.image_size == expected for part in plan.parts)


def test_turned_and_broken_files_are_measured_as_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(4):
        draw(0, random.Random(0), (128, 64)).save(tmp_path / "a" / f"{number}.jpg", exif=exif)
    (tmp_path / "a" / "x.jpg").write_bytes(b"")
    assert plan_folder(FolderImages(tmp_path), memory=GIGABYTE).image_size == (128, 64)
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(b"")
    assert plan_folder(FolderImages(tmp_path), memory=GIGABYTE).image_size == 32


def test_the_memory_decides_where_images_are_and_how_large_a_batch_is(tmp_path: Path) -> None:
    small = plan_of("30 classes x 10", tmp_path, memory=3_000_000)
    assert not small.in_memory
    assert "from disk" in small.reasons
    assert small.n_classes * small.n_samples == 4
    middle = plan_of("30 classes x 10", tmp_path / "again", memory=200_000_000)
    assert (middle.in_memory, middle.n_classes, middle.n_samples) == (True, 10, 4)


def test_the_number_of_steps_can_be_asked_for(tmp_path: Path) -> None:
    images, _ = read_folder(OWN_FOLDERS["2,000 classes x 2"](tmp_path / "root"))
    assert [plan_folder(images, memory=GIGABYTE, n_steps=n).n_epochs for n in (1, 18, 19, 400)] == [1, 1, 2, 23]
    assert plan_folder(images, memory=GIGABYTE).n_epochs == 23
    assert plan_folder(images, memory=GIGABYTE, pretrained=True).n_epochs == 5
    assert plan_folder(images, memory=GIGABYTE, most_epochs=7).n_epochs == 7
    assert plan_folder(images, memory=GIGABYTE, most_epochs=70).n_epochs == 23
    for given in ({"n_steps": 0}, {"memory": 0}, {"most_epochs": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            plan_folder(images, **{"memory": GIGABYTE, **given})


def test_without_images_there_is_a_plan_that_says_so() -> None:
    plan = plan_folder(FolderImages.from_files([]))
    assert not plan.can_train
    assert "there are no images" in str(plan)
