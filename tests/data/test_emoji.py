"""The emoji inside the package."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from siamese_triplet import Images, load
from siamese_triplet.datasets import emoji
from siamese_triplet.datasets.omniglot import rotations_as_classes


@pytest.fixture(scope="module")
def sets() -> tuple[Images, Images]:
    return load("emoji"), load("emoji", train=False)


def test_no_class_is_in_both_sets_and_400_are_held_out(sets: tuple[Images, Images]) -> None:
    train, test = sets
    assert len(test.classes) == 400
    assert len(train.classes) > 1200
    assert not set(train.classes) & set(test.classes)
    assert len({*train.classes, *test.classes}) == len(train.classes) + len(test.classes)
    assert (train.train, test.train) == (True, False)


def test_a_class_has_four_to_seven_drawings_each_of_another_design(sets: tuple[Images, Images]) -> None:
    for images in sets:
        counts = images.targets.bincount(minlength=len(images.classes))
        assert counts.min() >= 4
        assert counts.max() == 7
        assert len({*zip(images.targets.tolist(), images.sources.tolist(), strict=True)}) == len(images)
        assert images.source_names == list(emoji.DESIGNS)


def test_images_are_in_colour_on_white_and_all_different(sets: tuple[Images, Images]) -> None:
    for images in sets:
        assert images.data.shape == (len(images), 32, 32, 3)
        assert images.data.dtype == torch.uint8
        assert (images.data.amax(dim=(1, 2, 3)) >= 250).double().mean() > 0.99
        assert len(images.data.flatten(1).unique(dim=0)) == len(images)
        assert images.data[:, 0, 0].double().mean() > 230  # a corner


def test_training_images_are_normalised_to_mean_0_and_deviation_1(sets: tuple[Images, Images]) -> None:
    pixels = torch.stack([image for image, _ in sets[0]])
    assert pixels.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    assert (pixels.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-3


def test_groups_are_unicodes_nine_in_about_the_same_shares(sets: tuple[Images, Images]) -> None:
    shares = []
    for images in sets:
        assert len(images.group_names) == 9
        group_of = [images.groups[images.targets == label].unique() for label in range(len(images.classes))]
        assert all(len(group) == 1 for group in group_of)
        shares.append(torch.cat(group_of).bincount(minlength=9) / len(group_of))
    assert (shares[0] - shares[1]).abs().max() < 0.01
    assert images.group_names[images.groups[images.targets == images.classes.index("cat")][0]] == "Animals & Nature"


def test_drawings_lie_where_the_list_says(sets: tuple[Images, Images]) -> None:
    """A heart is red, a blue one blue, whoever drew it; a drawing out of place would not be."""
    for name, brightest in (("red-heart", 0), ("green-heart", 1), ("blue-heart", 2)):
        [images] = [images for images in sets if name in images.classes]
        drawings = images.data[images.targets == images.classes.index(name)].double()
        middle = drawings[:, 10:20, 10:22].mean(dim=(1, 2))  # (n, 3)
        assert (middle.argmax(dim=1) == brightest).all(), name


def test_the_list_of_emoji_has_licences_beside_it() -> None:
    readme = (emoji.FOLDER / "README.md").read_text()
    for design in emoji.DESIGNS:
        assert f"`{design}.webp`" in readme
    assert {"LICENSE-Apache-2.0.txt", "LICENSE-MIT.txt"} <= {file.name for file in emoji.FOLDER.iterdir()}


def test_sources_go_with_their_images(sets: tuple[Images, Images]) -> None:
    _, test = sets
    assert test.of_classes(["cat"]).sources.tolist() == [0, 1, 2, 3, 4, 5, 6]
    chosen = torch.tensor([3, 1])
    assert torch.equal(test.subset(chosen).sources, test.sources[chosen])
    turned = rotations_as_classes(test.of_classes(["cat"]))
    assert turned.sources.tolist() == 4 * test.of_classes(["cat"]).sources.tolist()


def test_images_and_sources_of_different_lengths_raise() -> None:
    with pytest.raises(ValueError, match="2 images but 1 sources; there must be one source each"):
        Images(torch.zeros(2, 8, 8, dtype=torch.uint8), [0, 1], ["a", "b"], sources=[0])


@pytest.mark.parametrize("argument", [{"subset": "minimal"}, {"image_size": 64}])
def test_arguments_that_do_not_suit_raise(argument: dict) -> None:
    with pytest.raises(ValueError, match=r"one size, 32, and no subsets; leave out"):
        load("emoji", **argument)


def broken_sheet(folder: Path) -> None:
    (folder / "twemoji.webp").write_bytes((folder / "twemoji.webp").read_bytes()[:1000])


def broken_list(folder: Path) -> None:
    entries = json.loads((folder / "emoji.json").read_text())
    (folder / "emoji.json").write_text(json.dumps(entries[100:]))


def no_sheet(folder: Path) -> None:
    (folder / "noto.webp").unlink()


@pytest.mark.parametrize("damage", [broken_sheet, broken_list, no_sheet])
def test_damaged_files_raise_and_say_what_to_do(damage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(emoji.FOLDER, tmp_path / "emoji")
    damage(folder)
    monkeypatch.setattr(emoji, "FOLDER", folder)
    emoji._read.cache_clear()
    with pytest.raises(ValueError, match=r"incomplete or damaged: .*; reinstall siamese_triplet"):
        load("emoji")
    emoji._read.cache_clear()
