"""Images of folders of any layout: from files, from a table, without classes, in parts, and with broken files."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_folders import LATIN_1, OWN_FOLDERS, write_class, write_classes
from PIL import Image
from torch.utils.data import DataLoader

from siamese_triplet import BalancedBatchSampler, Images, SiameseMNIST, TensorLoader, TripletMNIST
from siamese_triplet.datasets import FolderImages, load_folder, read_folder
from siamese_triplet.evaluation import (
    doubtful_labels,
    few_shot_accuracy,
    knn_accuracy,
    near_duplicates,
    retrieval_metrics,
    verification_metrics,
)
from siamese_triplet.networks import ConvEmbeddingNet, EmbeddingNet
from siamese_triplet.plots import plot_embeddings, plot_images, plot_neighbours
from siamese_triplet.samplers import GroupedBatchSampler


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "root", [4, 3, 2], ["ant", "bee", "cat"])


def test_images_of_files_and_labels_equal_those_of_the_folder(folder: Path) -> None:
    expected = FolderImages(folder, 16)
    labels = [path.parent.name for path in expected.paths]
    given = expected.targets
    for found in (labels, np.array(labels), given, given.int().numpy(), given.tolist()):
        names = None if isinstance(found[0], str) else expected.classes
        images = FolderImages.from_files(list(map(str, expected.paths)), found, 16, classes=names)
        assert (images.classes, images.paths, len(images)) == (expected.classes, expected.paths, 9)
        assert torch.equal(images.targets, expected.targets)
        assert torch.equal(images.in_memory().data, expected.in_memory().data)
        assert images[5][0].tobytes() == expected[5][0].tobytes()
        assert repr(images) == repr(expected)


def test_numbers_that_are_labels_are_ordered_by_size_and_missing_ones_are_unknown(folder: Path) -> None:
    paths = FolderImages(folder).paths[:6]
    images = FolderImages.from_files(paths, [10_532, 7, None, float("nan"), -1, 7.0])
    assert images.classes == ["7", "10532"]
    assert images.targets.tolist() == [1, 0, -1, -1, -1, 0]
    assert repr(images) == "6 image files of 2 classes, 3 of them without a class"
    assert FolderImages.from_files(paths[:3], ["b", 1, "a"]).classes == ["1", "a", "b"]


def test_classes_number_the_labels_of_files(folder: Path) -> None:
    paths = FolderImages(folder).paths[:2]
    images = FolderImages.from_files(paths, ["bee", "ant"], classes=["ant", "bee", "cat"])
    assert (images.classes, images.targets.tolist()) == (["ant", "bee", "cat"], [1, 0])
    assert FolderImages.from_files(paths, [2, 0], classes=["ant", "bee", "cat"]).targets.tolist() == [2, 0]
    with pytest.raises(ValueError, match=r"1 labels are not among the 1 given classes: 'bee'; name all"):
        FolderImages.from_files(paths, ["bee", "ant"], classes=["ant"])
    with pytest.raises(ValueError, match=r"not among the 2 given classes: 2"):
        FolderImages.from_files(paths, [2, 0], classes=["ant", "bee"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["ant"], "got 2 paths but 1 labels"),
        ("ab", "labels must be a list of names or numbers, got one: 'ab'"),
        ([0.5, 1.0], "labels must be names or whole numbers, one per image, got 0.5"),
        (torch.zeros(2, 3), r"labels must be names or whole numbers, one per image, got \[0.0"),
    ],
)
def test_labels_that_do_not_fit_raise(labels: Any, message: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=message):
        FolderImages.from_files(FolderImages(folder).paths[:2], labels)


def test_files_that_are_not_there_raise_naming_ten(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"30 of 31 paths are no files: .*0.jpg.*9.jpg'?, … \(30 in all\)"):
        FolderImages.from_files([FolderImages(folder).paths[0], *(f"{number}.jpg" for number in range(30))])
    with pytest.raises(ValueError, match="paths must be a list of paths"):
        FolderImages.from_files("a.jpg")


def test_no_files_give_no_images() -> None:
    images = FolderImages.from_files([], [])
    assert (len(images), images.targets.dtype, images.classes) == (0, torch.int64, [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_a_table_names_files_and_classes(delimiter: str, ending: str, tmp_path: Path) -> None:
    write_class(tmp_path / "deep" / "er", 0, 4)
    rows = [["id", "breed", "age"], *([f"{n:03}{ending}", "ab"[n // 2], str(n)] for n in (1, 3))]
    text = "\n".join(delimiter.join(row) for row in rows)
    (tmp_path / "list.csv").write_text("\ufeff" + text.replace("b", ""), encoding="utf-8")
    with pytest.raises(ValueError, match="which of 'id', 'reed', 'age' has the labels"):
        FolderImages.from_csv(tmp_path / "list.csv")
    images = FolderImages.from_csv(tmp_path / "list.csv", label_column="reed")
    assert [path.name for path in images.paths] == ["001.jpg", "003.jpg"]
    assert (images.classes, images.targets.tolist()) == (["a"], [0, -1])


def test_a_table_without_a_header_and_of_two_columns_needs_no_names(tmp_path: Path) -> None:
    write_class(tmp_path, 0, 2)
    (tmp_path / "labels.csv").write_text("000.png,cat\n\n001.jpg,dog\n")
    images = FolderImages.from_csv(tmp_path / "labels.csv")
    assert (images.classes, images.targets.tolist()) == (["cat", "dog"], [0, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a header, two columns"),
        ("file,class\n", "must have a header, two columns"),
        ("file,class\n000.png,cat,1\n", "1 rows do not have 2 columns: rows 2"),
        ("file,class\nx.png,cat\n", "none of 'file', 'class' has the names of files"),
        (b"file,class\n000.png,ch\xe4t\n", "cannot be read as a table in UTF-8"),
    ],
)
def test_a_table_that_is_none_raises(text: str | bytes, message: str, tmp_path: Path) -> None:
    write_class(tmp_path, 0, 2)
    (tmp_path / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        FolderImages.from_csv(tmp_path / "labels.csv")


def test_a_table_of_files_that_are_missing_or_ambiguous_raises(tmp_path: Path) -> None:
    for part in "ab":
        write_class(tmp_path / part, 0, 2)
    (tmp_path / "labels.csv").write_text("file,class\na/000.png,cat\n000.png,cat\nx.png,dog\n")
    with pytest.raises(FileNotFoundError, match=r"2 of 3 files .* or there are several .*'000.png', 'x.png'"):
        FolderImages.from_csv(tmp_path / "labels.csv", file_column="file")
    with pytest.raises(ValueError, match="has no column 'path'; file_column must be one of 'file', 'class'"):
        FolderImages.from_csv(tmp_path / "labels.csv", file_column="path")


@pytest.mark.parametrize("image_size", [(24, 32), (32, 24)])
def test_images_need_not_be_square(image_size: tuple[int, int], folder: Path) -> None:
    train, test = load_folder(folder, image_size, 3)
    assert train.data.shape[1:] == (*image_size, 3)
    images = FolderImages(folder, image_size)
    assert images[0][0].size == image_size[::-1]
    memory = images.in_memory()
    assert (memory.data[4].numpy() == np.asarray(images[4][0])).all()
    [(batch, _)] = TensorLoader(memory, 9, device="cpu")
    for net in (ConvEmbeddingNet(input_size=(3, *image_size)), EmbeddingNet(input_size=(3, *image_size))):
        assert net(batch).shape[0] == 9
    assert near_duplicates(memory, least=0.5).shape[1] == 2
    assert repr(test).endswith(f"of {image_size[0]}×{image_size[1]}×3, 3 classes")


def test_a_flat_folder_says_how_to_read_it(tmp_path: Path) -> None:
    root = OWN_FOLDERS["flat"](tmp_path / "flat")
    with pytest.raises(FileNotFoundError, match=r"48 images, but no sub-folder. Read them .*FolderImages.unlabelled"):
        FolderImages(root)
    images = FolderImages.unlabelled(root, 16)
    assert repr(images) == "48 image files without classes"
    assert (images.classes, images.targets.tolist()) == ([], [-1] * 48)
    assert images[0][1] == -1
    assert images.in_memory().targets.tolist() == [-1] * 48
    assert [labels.tolist() for _, labels in DataLoader(_as_tensors(images), 48)] == [[-1] * 48]
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        FolderImages.unlabelled(tmp_path / "nowhere")
    (root / "deeper").mkdir()
    with pytest.raises(FileNotFoundError, match="there is nothing of that kind"):
        FolderImages.unlabelled(root / "deeper")


def _as_tensors(images: FolderImages) -> FolderImages:
    images.transform = _to_tensor
    return images


def _to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.tensor(np.asarray(image))


UNLABELLED: dict[str, Callable] = {
    "sampler": lambda _, labels: BalancedBatchSampler(labels, 1, 1),
    "retrieval": retrieval_metrics,
    "verification": verification_metrics,
    "few-shot": lambda e, labels: few_shot_accuracy(e, labels, 2, 1),
    "doubtful labels": doubtful_labels,
    "neighbours": lambda e, labels: knn_accuracy(e, labels, e, labels),
}


@pytest.mark.parametrize("name", UNLABELLED)
def test_what_needs_classes_refuses_images_without(name: str) -> None:
    with pytest.raises(ValueError, match=r"abels: all 20 are -1, the label of images without a class"):
        UNLABELLED[name](torch.randn(20, 4), torch.full((20,), -1))


def test_the_sampler_refuses_some_images_without_a_class_but_takes_the_classes_1_and_minus_1() -> None:
    message = r"2 of 4 are -1.*images.subset\(images.targets >= 0\)"
    images = Images(torch.zeros(4, 8, 8, dtype=torch.uint8), [0, -1, 0, -1], ["ant"])
    for make in (SiameseMNIST, TripletMNIST):
        with pytest.raises(ValueError, match=message):
            make(images)
    with pytest.raises(ValueError, match=message):
        BalancedBatchSampler(images.targets, 1, 2)
    with pytest.raises(ValueError, match=message):
        GroupedBatchSampler(images.targets, [0, 0, 0, 0], 1, 1, 2)
    assert len(BalancedBatchSampler([1, -1, 1, -1], 2, 2)) == 1
    assert len(GroupedBatchSampler([0, 1, 0, 1], [-1, -1, -1, -1], 1, 2, 2)) == 1  # groups are no classes


def test_images_without_a_class_have_no_title_and_no_cross() -> None:
    images = Images(torch.zeros(4, 8, 8, dtype=torch.uint8), [0, -1, 0, 1], ["ant", "bee"])
    figure = plot_neighbours(images, images, [0, 1], torch.tensor([[1, 3], [0, 2]]))
    assert [ax.get_title() for ax in figure.axes] == ["ant", "", "✗ bee", "", "ant", "ant"]
    assert [ax.get_title() for ax in plot_images(images, torch.tensor([[0, 1]])).axes] == ["ant", ""]
    nameless = Images(images.data, [7, -1, 7, 9], [])
    assert [ax.get_title() for ax in plot_images(nameless, torch.tensor([[0, 1]])).axes] == ["7", ""]
    legend = plot_embeddings(torch.rand(4, 2), images.targets, classes=images.classes).get_legend()
    assert {text.get_text() for text in legend.get_texts()} == {"ant", "bee", "no class"}


def test_images_without_a_class_are_in_no_part(folder: Path) -> None:
    paths = FolderImages(folder).paths
    images = FolderImages.from_files(paths, ["a"] * 4 + [None] * 3 + ["b"] * 2)
    assert [len(part) for part in images.split_by_class((0.5, 0.5))] in ([4, 2], [2, 4])
    assert sum(map(len, images.split_by_image((0.5, 0.5)))) == 6
    assert images.of_classes(["b"]).targets.tolist() == [0, 0]
    with pytest.raises(ValueError, match="0 classes or families are too few"):
        FolderImages.from_files(paths).split_by_class()
    assert [len(part) for part in FolderImages.from_files(paths).split_by_image()] == [0, 0, 0]


@pytest.mark.parametrize(
    ("n_images", "sizes"),
    [
        (1, [1, 0, 0]),
        (2, [2, 0, 0]),
        (3, [2, 0, 1]),
        (4, [2, 1, 1]),
        (5, [3, 1, 1]),
        (10, [6, 2, 2]),
        (50, [30, 10, 10]),
    ],
)
def test_a_split_by_image_serves_training_first_and_then_the_test(
    n_images: int, sizes: list[int], tmp_path: Path
) -> None:
    images = FolderImages(write_classes(tmp_path, [n_images, 10], ["ant", "bee"]))
    parts = images.split_by_image()
    assert [len(part.of_classes(["ant"])) for part in parts] == sizes
    assert sorted(path for part in parts for path in part.paths) == images.paths
    assert [part.classes for part in parts] == [["ant", "bee"]] * 3
    again, other = images.split_by_image(), images.split_by_image(seed=1)
    assert [part.paths for part in again] == [part.paths for part in parts] != [part.paths for part in other]
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        images.split_by_image((0.5, 0.4))


LAYOUTS = {
    "12 classes x 10": (120, 12, "one sub-folder per class"),
    "flat": (48, 0, "no sub-folders, so no classes"),
    "flat with a CSV": (48, 8, "classes from the table 'labels.csv'"),
    "nested": (72, 8, "one sub-folder per class"),
    "train, val and test": (96, 8, "parts: 'train' for training, 'test' for test, 'val' for validation"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_of_any_layout_is_read(name: str, tmp_path: Path) -> None:
    root = OWN_FOLDERS[name](tmp_path / "root")
    images, description = read_folder(root, (24, 16), skip_broken=True)
    assert (len(images), len(images.classes), description) == LAYOUTS[name]
    assert (images.image_size, images.skip_broken) == ((24, 16), True)
    assert (images.parts is None) == (name != "train, val and test")
    if images.parts is not None:
        assert images.parts.bincount().tolist() == [48, 24, 24]
        assert images.subset(images.parts == 2).parts.tolist() == [2] * 24
        by_part = {
            path.relative_to(root).parts[0]: part
            for path, part in zip(images.paths, images.parts.tolist(), strict=True)
        }
        assert by_part == {"train": 0, "val": 1, "test": 2}
        assert all(
            images.classes[label] == path.parent.name
            for path, label in zip(images.paths, images.targets.tolist(), strict=True)
        )


def test_parts_without_a_test_have_their_validation_for_it_and_classes_are_numbered_together(tmp_path: Path) -> None:
    write_classes(tmp_path / "Training", [2, 2], ["ant", "bee"])
    write_classes(tmp_path / "valid", [2, 2], ["bee", "cat"])
    images, _ = read_folder(tmp_path)
    assert images.parts.tolist() == [0] * 4 + [2] * 4
    assert (images.classes, images.targets.tolist()) == (["ant", "bee", "cat"], [0, 0, 1, 1, 1, 1, 2, 2])


def test_parts_that_cannot_be_read_and_several_tables_raise(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_class(tmp_path / "parts" / name, 0, 2)
    with pytest.raises(ValueError, match=r"'train', 'test'.* each must have one sub-folder per class"):
        read_folder(tmp_path / "parts")
    write_class(tmp_path / "tables", 0, 2)
    for name in "ab":
        (tmp_path / "tables" / f"{name}.csv").touch()
    with pytest.raises(ValueError, match=r"several tables: 'a.csv', 'b.csv'"):
        read_folder(tmp_path / "tables")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        read_folder(tmp_path / "nowhere")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    return OWN_FOLDERS["broken files"](tmp_path / "broken")


@pytest.mark.filterwarnings("ignore:6 files in .* are left out:UserWarning")
def test_broken_files_are_left_out_only_if_asked_for_and_counted(broken: Path) -> None:
    images = FolderImages(broken, 16)
    assert len(images) == 120
    with pytest.raises(ValueError, match=r"6 of 120 files cannot be read:(?s:.*)skip_broken=True leaves them out"):
        images.in_memory()
    with pytest.warns(UserWarning, match=r"^6 of 120 files cannot be read and are left out:\n.*001.jpg is not an"):
        whole = images.without_broken()
    assert len(whole) == 114
    expected = whole.in_memory()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert whole.without_broken() is whole
    for read in (
        lambda: FolderImages(broken, 16, skip_broken=True).in_memory(),
        lambda: FolderImages.from_files(
            images.paths, images.targets, 16, classes=images.classes, skip_broken=True
        ).in_memory(),
    ):
        with pytest.warns(UserWarning, match=r"6 of 120 files cannot be read and are left out"):
            found = read()
        assert torch.equal(found.data, expected.data)
        assert torch.equal(found.targets, expected.targets)
    with pytest.warns(UserWarning, match="cannot be read and are left out"):
        train, test = load_folder(broken, 16, 3, skip_broken=True)
    assert len(train) + len(test) == 114
    with pytest.raises(ValueError, match="cannot be read"):
        load_folder(broken, 16, 3)


@pytest.mark.filterwarnings("ignore:6 files in .* are left out:UserWarning")
def test_while_training_another_image_of_the_class_takes_the_place_of_a_broken_one(broken: Path) -> None:
    lazy = FolderImages(broken, 16)
    place = lazy.paths.index(broken / "0002" / "003.jpg")
    with pytest.raises(ValueError, match=r"0002/003.jpg is not an image"):
        lazy[place]
    lazy = FolderImages(broken, 16, skip_broken=True)
    with pytest.warns(UserWarning, match=r"^1 broken files are replaced by .* the last: .*0002/003.jpg is not") as seen:
        items = [lazy[place], lazy[place]]
    assert len(seen) == 1
    assert all(image.tobytes() == lazy[place + 1][0].tobytes() and label == 2 for image, label in items)
    assert lazy[place - len(lazy)][1] == 2  # counted from the end
    lazy.transform = _to_tensor
    sampler = BalancedBatchSampler(lazy.targets, 12, 10)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        [(_, labels)] = DataLoader(lazy, batch_sampler=sampler)
    assert labels.bincount().tolist() == [10] * 12
    assert len(lazy._instead) >= 6
    assert not lazy.subset(range(30))._instead  # places are others there


@pytest.mark.filterwarnings("ignore:6 files in .* are left out:UserWarning")
def test_worker_processes_replace_broken_files_too(broken: Path) -> None:
    lazy = FolderImages(broken, 16, skip_broken=True)
    lazy.transform = _to_tensor
    [(images, labels)] = DataLoader(lazy, 120, num_workers=1)
    assert (images.shape[0], labels.bincount().tolist()) == (120, [10] * 12)


def test_the_tenth_broken_file_is_said_and_a_class_of_broken_files_alone_raises(tmp_path: Path) -> None:
    paths = write_class(tmp_path / "ant", 0, 13)
    for path in paths[1:]:
        path.write_bytes(b"")
    images = FolderImages(tmp_path, 16, skip_broken=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert len({image.tobytes() for image, _ in images}) == 1
    assert [str(warning.message).split()[0] for warning in seen] == ["1", "10"]
    paths[0].write_bytes(b"")
    images = FolderImages(tmp_path, 16, skip_broken=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="of 13 images of this class none can be read"):
            images[5]


def test_names_in_any_script_are_read_and_shown(tmp_path: Path) -> None:
    images, _ = read_folder(OWN_FOLDERS["names in any script"](tmp_path / "root"), 16)
    assert {"猫", "🐈", "-rf", 'say "cat"'} <= set(images.classes)
    images.split_by_class()
    images.paths[0].write_bytes(b"")
    with pytest.raises(ValueError, match="1 of") as raised:
        images.in_memory()
    assert str(raised.value).encode()
    if LATIN_1 in images.classes:
        os.fsencode(LATIN_1)


def test_thirty_thousand_images_are_listed_without_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = OWN_FOLDERS["30,000 images"](tmp_path / "root")
    monkeypatch.setattr(Image, "open", None)
    images, _ = read_folder(root)
    assert images.targets.bincount().tolist() == [100] * 300
    assert [len(part) for part in images.split_by_image()] == [18_000, 6_000, 6_000]
