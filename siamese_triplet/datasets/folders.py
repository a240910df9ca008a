"""Images of your own: a folder with one sub-folder for each class."""

import copy
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms.v2 import functional

from siamese_triplet.datasets.images import Images, chosen_places, class_numbers, renumbered
from siamese_triplet.datasets.photos import check_shape, normalization_of, read_photo

TEST_SHARE = 5  # one image in so many of a class is a test image, where the folder does not say which are
NAMED = 10  # files that cannot be read, in one message


class FolderImages(Dataset):
    """The images of the folder `root`, which has a sub-folder for each class; each is read when it is asked for.

    `images[i]` is `(transform(image), label)`, where `read_photo` has read a PIL image of `image_size` × `image_size`;
    without a transform the item is that. `paths` are the files, `targets` int64 (N,), `classes` the names of the
    sub-folders, in order. What is deeper inside a class belongs to it. Hidden files and folders are passed over, and so
    are files that have no extension of an image.

    Raises FileNotFoundError where there is no such folder, and for sub-folders without an image; ValueError for other
    `channels` than 1, grey, and 3, colour.
    """

    def __init__(self, root: str | os.PathLike, image_size: int = 64, channels: int = 3, transform: Any = None) -> None:
        check_shape(image_size, channels)
        root = Path(root)
        folders = sorted(filter(_is_folder, root.iterdir())) if root.is_dir() else []
        if not folders:
            raise FileNotFoundError(f"{root} is no folder with a sub-folder of images for each class")
        files = [_images_below(folder) for folder in folders]
        if empty := [folder.name for folder, found in zip(folders, files, strict=True) if not found]:
            raise FileNotFoundError(
                f"{root} must have a sub-folder of images for each class: in {', '.join(empty)} there is no file that "
                f"ends with {', '.join(IMG_EXTENSIONS)}; remove it, or move it elsewhere"
            )
        self.image_size, self.channels, self.transform = image_size, channels, transform
        self.classes = [folder.name for folder in folders]
        self.paths = [path for found in files for path in found]
        sizes = torch.tensor([len(found) for found in files])
        self.targets = torch.arange(len(folders)).repeat_interleave(sizes)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = read_photo(self.paths[index], self.image_size, self.channels)
        return image if self.transform is None else self.transform(image), int(self.targets[index])

    def __repr__(self) -> str:
        return f"{len(self):,} image files of {len(self.classes):,} classes"

    def subset(self, indices: Iterable[int] | Tensor) -> "FolderImages":
        """Select images by index, or by a mask of one truth value per image; classes keep their numbers.

        Raises ValueError for a mask of another length, and IndexError for an index out of range.
        """
        part, places = copy.copy(self), chosen_places(indices, len(self)).tolist()
        part.paths, part.targets = [self.paths[place] for place in places], self.targets[places]
        return part

    def of_classes(self, classes: Sequence[str | int]) -> "FolderImages":
        """Select the images of some classes, given by name or by number, and number those classes from 0, in order.

        Raises ValueError for a class that is not there, and for one that is named twice.
        """
        numbers = class_numbers(classes, self.classes)
        targets = renumbered(self.targets, numbers, len(self.classes))
        part = self.subset(targets >= 0)
        part.targets, part.classes = targets[targets >= 0], [self.classes[number] for number in numbers]
        return part

    def split_by_class(
        self,
        shares: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        family: Callable[[str], str] | None = None,
    ) -> list["FolderImages"]:
        """Parts without a class in common, such as those to train on, to validate with, and to test on at the end.

        Each has about its share of the classes, drawn from `seed`. `family(name)` tells what a class belongs to, such
        as a product that comes in several colours: classes of one family stay together, and the shares are of families.
        Raises ValueError for shares that are not positive or not 1 in sum, and where a part would be empty.
        """
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"{shares=} must be positive, and 1 in sum")
        family_of = {name: family(name) if family else name for name in self.classes}
        families = sorted(set(family_of.values()))
        order = torch.randperm(len(families), generator=torch.Generator().manual_seed(seed)).tolist()
        ends = [round(sum(shares[:count]) * len(families)) for count in range(len(shares) + 1)]
        parts = [{families[i] for i in order[first:end]} for first, end in pairwise(ends)]
        if not all(parts):
            raise ValueError(f"{len(families)} classes or families are too few for parts of {shares=}")
        return [self.of_classes([name for name in self.classes if family_of[name] in part]) for part in parts]

    def in_memory(self, transform: Any = None, train: bool = True) -> Images:
        """All of these images, read now, as uint8: `image_size`² × `channels` bytes each.

        Without a `transform` they are normalised by their own mean and standard deviation, channel by channel; give
        other images the `transform` of the training images. Raises ValueError for files that cannot be read, naming
        them.
        """
        data = torch.empty(len(self), self.image_size, self.image_size, self.channels, dtype=torch.uint8)
        errors: list[str] = []

        def read(index: int) -> None:
            try:
                image = read_photo(self.paths[index], self.image_size, self.channels)
                data[index] = functional.pil_to_tensor(image).permute(1, 2, 0)
            except ValueError as error:
                errors.append(str(error))

        with ThreadPoolExecutor() as threads:
            list(threads.map(read, range(len(self))))
        if errors:
            named = "\n".join(sorted(errors)[:NAMED])
            raise ValueError(f"{len(errors)} of {len(self):,} files cannot be read:\n{named}")
        transform = transform or normalization_of(data)
        return Images(data.squeeze(3) if self.channels == 1 else data, self.targets, self.classes, train, transform)


def load_folder(
    root: str | os.PathLike, image_size: int = 28, channels: int = 1, seed: int = 0
) -> tuple[Images, Images]:
    """The training and the test images of the folder `root`, which has a sub-folder of images for each class.

    Where `root` has two sub-folders `train` and `test` instead (or `val`), each with one sub-folder a class, those are
    the two sets. Otherwise one image in five of each class, at least one of two, is a test image, drawn from `seed`;
    to hold out whole classes, see `FolderImages.split_by_class`. Images are read by `read_photo`, grey with one channel
    and in colour with three, and normalised by the mean and the standard deviation of the training images. All are held
    in memory.

    Raises what `FolderImages` raises, and ValueError for files that cannot be read, naming them, for fewer than two
    classes, for classes of one image each, and for two sets with different classes.

    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from siamese_triplet import load_folder
    >>> for number in range(20):
    ...     Path(f"photos/{number % 2}").mkdir(parents=True, exist_ok=True)
    ...     Image.new("RGB", (80, 60), (number, 0, 0)).save(f"photos/{number % 2}/{number}.png")
    >>> train_set, test_set = load_folder("photos", image_size=32, channels=3)
    >>> train_set
    16 training images of 32×32×3, 2 classes
    >>> len(test_set), test_set.classes
    (4, ['0', '1'])
    """
    root = Path(root)
    tests = [root / name for name in ("test", "val") if (root / name).is_dir()]
    if (root / "train").is_dir() and tests:
        train, test = (FolderImages(folder, image_size, channels) for folder in (root / "train", tests[0]))
        if train.classes != test.classes:
            raise ValueError(
                f"{root / 'train'} has the classes {train.classes}, {tests[0]} has {test.classes}; make them one"
            )
    else:
        images = FolderImages(root, image_size, channels)
        is_test = _held_out(images.targets, seed)
        if not is_test.any():
            raise ValueError(f"each class in {root} has a single image, so that none is left for the test")
        train, test = (images.subset(chosen.nonzero().squeeze(1)) for chosen in (~is_test, is_test))
    if len(train.classes) < 2:
        raise ValueError(f"{root} has one class, {train.classes[0]!r}; at least two are needed, a sub-folder each")
    train_set = train.in_memory()
    return train_set, test.in_memory(train_set.transform, train=False)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _images_below(folder: Path) -> list[Path]:
    """The image files in `folder` and its sub-folders, in order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMG_EXTENSIONS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _held_out(labels: Tensor, seed: int) -> Tensor:
    """Which images are for the test: of each class with at least two, one in `TEST_SHARE`, at least one. (N,) bool"""
    generator = torch.Generator().manual_seed(seed)
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        n_test = max(1, len(members) // TEST_SHARE) if len(members) > 1 else 0
        is_test[members[torch.randperm(len(members), generator=generator)[:n_test]]] = True
    return is_test
