"""`load`, and MNIST and FashionMNIST: from disk, by download, or from the subset inside the package."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision import datasets as torchvision_datasets
from torchvision.datasets.mnist import read_image_file, read_label_file

from siamese_triplet.datasets._naming import printable
from siamese_triplet.datasets.downloads import DATA_VARIABLE, MissingDataError, cache_directory, named_folder
from siamese_triplet.datasets.downloads import download as fetch
from siamese_triplet.datasets.emoji import EMOJI, load_emoji
from siamese_triplet.datasets.images import Images, normalization
from siamese_triplet.datasets.omniglot import OMNIGLOT, load_omniglot

EMBEDDED = Path(__file__).parent / "embedded"
EMBEDDED_PER_CLASS = 600  # training images; there are 100 test images per class


@dataclass(frozen=True)
class _Source:
    torchvision_class: type[torchvision_datasets.MNIST]
    mean: float
    std: float
    md5: dict[str, str]  # of the unpacked files; torchvision has only those of the archives


SOURCES = {
    "mnist": _Source(
        torchvision_datasets.MNIST,
        mean=0.1307,
        std=0.3081,
        md5={
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    ),
    "fashion-mnist": _Source(
        torchvision_datasets.FashionMNIST,
        mean=0.2860,
        std=0.3530,
        md5={
            "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
    ),
}


def load(
    name: str,
    train: bool = True,
    root: str | os.PathLike | None = None,
    download: bool = True,
    subset: str | None = None,
    *,
    image_size: int | None = None,
) -> Images:
    """Load the training or the test images of a data set, normalised for a network.

    `name` is "mnist", "fashion-mnist", "omniglot" or "emoji". The rest is about the first two; for Omniglot,
    `subset="minimal"` and `image_size` see `siamese_triplet.datasets.omniglot.load_omniglot`. The emoji come with the
    package and take no other argument than `train`; see `siamese_triplet.datasets.emoji.load_emoji`.

    The full data, 60,000 training and 10,000 test images, is looked up in `root`, else in the folder named by the
    environment variable SIAMESE_TRIPLET_DATA, else in the user's cache directory, under `MNIST/raw` or
    `FashionMNIST/raw` as torchvision keeps it. If it is missing and `download` is true, it is downloaded.

    `subset="embedded"` gives the 6,000 training or 1,000 test images that come with the package, balanced over the
    classes; "embedded:60" gives the first 60 of each class. If no folder is named and the full data is not available,
    the embedded images are used instead, and a printed line says so.

    Returns `Images`: `.data` uint8 (N, 28, 28), `.targets` int64 (N,), `.classes`, `.transform`; items are
    `(float32 (1, 28, 28), label)`.

    Raises ValueError for an unknown `name` or `subset`, and for a truncated or corrupt file, naming it;
    FileNotFoundError if a named folder lacks the data and it cannot be downloaded.

    Sources: LeCun, Cortes and Burges, MNIST (CC BY-SA 3.0); Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017 (MIT).

    >>> from siamese_triplet import load
    >>> images = load("mnist", train=False, subset="embedded")
    >>> images
    1,000 test images of 28×28, 10 classes
    >>> image, label = images[0]
    >>> image.shape, image.dtype
    (torch.Size([1, 28, 28]), torch.float32)
    """
    if name == OMNIGLOT:
        return load_omniglot(train, root, download, subset, image_size)
    if name == EMOJI:
        if subset is not None or image_size is not None:
            raise ValueError(f"the emoji have one size, 32, and no subsets; leave out {subset=} and {image_size=}")
        return load_emoji(train)
    if name not in SOURCES:
        raise ValueError(f"unknown data set {name!r}; there are {', '.join(map(repr, (*SOURCES, OMNIGLOT, EMOJI)))}")
    per_class = _per_class(subset)
    if image_size is not None:
        raise ValueError(f"the images of {name} have one size, 28; {image_size=} is for Omniglot")
    source = SOURCES[name]
    if per_class:
        return _make_images(source, *_read_embedded(name, train, per_class), train)

    named = named_folder(root)
    folder = named or cache_directory()
    files = _idx_files(source, folder, train)
    if not all(file.is_file() for file in files):
        problem = (
            fetch(lambda: source.torchvision_class(folder, download=True), _raw_folder(source, folder))
            if download
            else "download=False"
        )
        if problem:
            return _use_embedded_or_raise(name, train, folder, problem, is_named=named is not None)
    images, labels = _read_idx(files[0], read_image_file, source), _read_idx(files[1], read_label_file, source)
    n_classes = len(source.torchvision_class.classes)
    if len(images) != len(labels) or labels.max() >= n_classes:
        raise ValueError(
            f"{printable(f'{files[0]} and {files[1]}')} do not belong together: {len(images)} images, "
            f"{len(labels)} labels up to {labels.max()}; there must be a label from 0 to {n_classes - 1} for each image"
        )
    return _make_images(source, images, labels, train)


def n_training_images(subset: str | None) -> int:
    """Return the number of training images in a `subset` of (Fashion)MNIST; ValueError for an unknown one."""
    return (_per_class(subset) or 6_000) * 10


def _per_class(subset: str | None) -> int | None:
    """Return the largest number of images per class in `subset`; None for the full data."""
    if subset is None:
        return None
    found = re.fullmatch(r"embedded(?::([1-9][0-9]*))?", str(subset))
    n = int(found[1] or EMBEDDED_PER_CLASS) if found else 0
    if not 1 <= n <= EMBEDDED_PER_CLASS:
        raise ValueError(
            f"unknown {subset=}; it is None for the full data, 'embedded', or 'embedded:60' for 60 images of each "
            f"class, at most {EMBEDDED_PER_CLASS}"
        )
    return n


def _use_embedded_or_raise(name: str, train: bool, folder: Path, problem: str, is_named: bool) -> Images:
    raw_folder = printable(_raw_folder(SOURCES[name], folder))
    if is_named:
        raise MissingDataError(
            f"no {name} data in {raw_folder} ({'train' if train else 't10k'}-images-idx3-ubyte and its labels), and "
            f"it was not downloaded: {problem}. Name another folder with root= or {DATA_VARIABLE}, or pass "
            "subset='embedded' for the small subset inside the package."
        )
    images = load(name, train=train, subset="embedded")
    print(
        f"{name}: using the embedded subset of {len(images):,} images; the full data is not in {raw_folder} and was "
        f"not downloaded: {problem}. For the full data, connect once, or set {DATA_VARIABLE} to a folder that has it."
    )
    return images


def _raw_folder(source: _Source, folder: Path) -> Path:
    return folder / source.torchvision_class.__name__ / "raw"


def _idx_files(source: _Source, folder: Path, train: bool) -> tuple[Path, Path]:
    raw = _raw_folder(source, folder)
    split = "train" if train else "t10k"
    return raw / f"{split}-images-idx3-ubyte", raw / f"{split}-labels-idx1-ubyte"


def _read_idx(file: Path, reader: Callable[[str], Tensor], source: _Source) -> Tensor:
    """Read an idx file. One of the official length must also have the official checksum."""
    advice = "delete it to have it downloaded again, or copy it again"
    try:
        contents = reader(str(file))
    except Exception as error:
        problem = f"{file} is truncated or corrupt: {error or type(error).__name__}; {advice}"
        raise ValueError(printable(problem)) from error
    official_length = 60_000 if file.name.startswith("train") else 10_000
    if len(contents) == official_length and hashlib.md5(file.read_bytes()).hexdigest() != source.md5[file.name]:
        raise ValueError(f"{printable(file)} is corrupt: its checksum differs from the official one; {advice}")
    return contents


def _read_embedded(name: str, train: bool, per_class: int) -> tuple[Tensor, Tensor]:
    """Read the first `per_class` images of each class and their labels, in file order."""
    file = EMBEDDED / f"{name}.npz"
    split = "train" if train else "test"
    try:
        with np.load(file) as arrays:
            images, labels = (torch.from_numpy(arrays[f"{split}_{part}"]) for part in ("images", "labels"))
    except Exception as error:
        raise ValueError(f"{file} is missing or corrupt: {error}; reinstall siamese_triplet") from error
    labels = labels.long()
    rank_in_class = functional.one_hot(labels).cumsum(0).gather(1, labels[:, None])[:, 0]  # (N,), from 1
    is_kept = rank_in_class <= per_class
    return images[is_kept], labels[is_kept]


def _make_images(source: _Source, data: Tensor, targets: Tensor, train: bool) -> Images:
    transform = normalization(source.mean, source.std)
    return Images(data, targets, source.torchvision_class.classes, train=train, transform=transform)
