"""Folders of any layout: with a sub-folder per class, with parts such as train and test, with a table, or flat."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from siamese_triplet.datasets._labels import table_of
from siamese_triplet.datasets._listing import find_parts, list_folders
from siamese_triplet.datasets._naming import expand, printable
from siamese_triplet.datasets.folder_images import FolderImages
from siamese_triplet.datasets.photos import Size

PARTS = ("training", "validation", "test")  # by number, as in `FolderImages.parts`


class Layout(NamedTuple):
    """The images of a folder, and how it was read, in words."""

    images: FolderImages
    description: str


def read_folder(
    root: str | os.PathLike,
    image_size: Size = 64,
    channels: int = 3,
    transform: Any = None,
    *,
    skip_broken: bool = False,
) -> Layout:
    """List the images of the folder `root`, whatever its layout, and say in words how it was read.

    - Sub-folders are classes, as in `FolderImages`.
    - Sub-folders called `train`, `val`, `test` and alike, which hold classes, are parts: `images.parts` tells which
      image is in which. Without one for training, and without classes in them, they raise a ValueError.
    - Without sub-folders a single CSV file names the classes, as in `FolderImages.from_csv`.
    - Otherwise the images have no classes, as in `FolderImages.unlabelled`.

    The arguments are those of `FolderImages`, and so are the errors.

    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from siamese_triplet.datasets import read_folder
    >>> for name in ("train/cat/1", "train/dog/2", "test/cat/3"):
    ...     Path(f"pets/{name}.png").parent.mkdir(parents=True, exist_ok=True)
    ...     Image.new("RGB", (8, 8)).save(f"pets/{name}.png")
    >>> images, description = read_folder("pets")
    >>> description
    "parts: 'train' for training, 'test' for test"
    >>> images.classes, images.targets.tolist(), images.parts.tolist()
    (['cat', 'dog'], [0, 1, 0], [0, 0, 2])
    """
    root = expand(root)
    given = image_size, channels, transform
    folders = list_folders(root)
    if folders and (parts := find_parts(root, folders)):
        names = ", ".join(f"{folder.name!r} for {PARTS[number]}" for folder, number in parts.items())
        return Layout(_read_parts(parts, image_size, channels, transform, skip_broken), printable(f"parts: {names}"))
    if folders:
        return Layout(FolderImages(root, *given, skip_broken=skip_broken), "one sub-folder per class")
    if table := table_of(root):
        images = FolderImages.from_csv(table, root, *given, skip_broken=skip_broken)
        return Layout(images, printable(f"classes from the table {table.name!r}"))
    return Layout(FolderImages.unlabelled(root, *given, skip_broken=skip_broken), "no sub-folders, so no classes")


def _read_parts(
    parts: dict[Path, int], image_size: Size, channels: int, transform: Any, skip_broken: bool
) -> FolderImages:
    """List the images of several folders with a sub-folder per class each, and number their classes together."""
    read = {folder: FolderImages(folder) for folder in parts}
    labels = [images.classes[label] for images in read.values() for label in images.targets.tolist()]
    paths = [path for images in read.values() for path in images.paths]
    images = FolderImages.from_files(paths, labels, image_size, channels, transform, skip_broken=skip_broken)
    sizes = torch.tensor([len(part) for part in read.values()])
    images.parts = torch.tensor(list(parts.values())).repeat_interleave(sizes)
    return images
