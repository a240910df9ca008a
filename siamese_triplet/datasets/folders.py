"""Your own images: a folder with one sub-folder per class."""

import copy
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from siamese_triplet._sorting import members_by_class
from siamese_triplet.datasets._listing import find_all_images, find_splits, list_folders, name_folders, number_folders
from siamese_triplet.datasets._naming import MAX_NAMED, expand, listed, printable
from siamese_triplet.datasets.images import Images, look_up_classes, renumber, to_indices
from siamese_triplet.datasets.photos import check_shape, fit_normalization, read_photo, read_photos

TEST_ONE_IN = 5  # one image in five of each class is a test image, unless the folder names its test images


class FolderImages(Dataset):
    """The image files of `root`, a folder with one sub-folder per class; each file is read on access.

    `images[i]` is `(transform(image), label)`, for a PIL image of `image_size` × `image_size` from `read_photo`;
    without a transform it is `(image, label)`. `paths` are the files, `targets` is int64 (N,), `classes` are the names
    of the sub-folders, in order. Images in deeper folders belong to the class above them, and so do those in linked
    folders. Hidden files and folders are skipped. So are files without an image extension, and a warning counts them.

    `classes` numbers the classes by other images' names, such as the training images' `classes`: `targets` are then
    positions in it, and classes without a sub-folder have no images. A leading `~` in `root` is the home folder.

    Raises FileNotFoundError if there is no such folder, and for sub-folders without images; ValueError unless
    `channels` is 1 (grey) or 3 (colour), for sub-folders that are not in `classes`, for a name that is twice in
    `classes`, and for sub-folders with the names of splits, such as `train` and `val`, that `classes` does not name.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        image_size: int = 64,
        channels: int = 3,
        transform: Any = None,
        *,
        classes: Sequence[str] | None = None,
    ) -> None:
        check_shape(image_size, channels)
        root = expand(root)
        folders = list_folders(root)
        if not folders:
            raise FileNotFoundError(printable(f"{root} is not a folder with one sub-folder of images per class"))
        names = [folder.name for folder in folders]
        numbers = number_folders(root, folders, classes)
        files = find_all_images(root, folders)
        self.image_size, self.channels, self.transform = image_size, channels, transform
        self.classes = names if classes is None else list(classes)
        self.paths = [path for found in files for path in found]
        sizes = torch.tensor([len(found) for found in files])
        self.targets = torch.tensor(numbers).repeat_interleave(sizes)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = read_photo(self.paths[index], self.image_size, self.channels)
        return image if self.transform is None else self.transform(image), int(self.targets[index])

    def __repr__(self) -> str:
        return f"{len(self):,} image files of {len(self.classes):,} classes"

    def subset(self, indices: Iterable[int] | Tensor) -> "FolderImages":
        """Select images by index, or by a boolean mask (N,); classes keep their numbers.

        Raises ValueError for a mask of another length, and IndexError for an index out of range.
        """
        part, chosen = copy.copy(self), to_indices(indices, len(self)).tolist()
        part.paths, part.targets = [self.paths[index] for index in chosen], self.targets[chosen]
        return part

    def of_classes(self, classes: Sequence[str | int]) -> "FolderImages":
        """Select the images of `classes`, given by name or number, and renumber these classes from 0, in their order.

        Raises ValueError for an unknown class, and for one that is named twice.
        """
        numbers = look_up_classes(classes, self.classes)
        targets = renumber(self.targets, numbers, len(self.classes))
        part = self.subset(targets >= 0)
        part.targets, part.classes = targets[targets >= 0], [self.classes[number] for number in numbers]
        return part

    def split_by_class(
        self,
        shares: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        family: Callable[[str], str] | None = None,
    ) -> list["FolderImages"]:
        """Split into parts with no class in common, such as training, validation and test images.

        Each part has about its share of the classes, drawn from `seed`. `family(name)` names the family of a class,
        such as a product that comes in several colours: families are never split, and shares are shares of families.
        Raises ValueError for shares that are not positive or do not sum to 1, and if a part would be empty.
        """
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"{shares=} must be positive and sum to 1")
        family_of = {name: family(name) if family else name for name in self.classes}
        families = sorted(set(family_of.values()))
        order = torch.randperm(len(families), generator=torch.Generator().manual_seed(seed)).tolist()
        ends = [round(sum(shares[:count]) * len(families)) for count in range(len(shares) + 1)]
        parts = [{families[i] for i in order[first:end]} for first, end in pairwise(ends)]
        if not all(parts):
            raise ValueError(f"{len(families)} classes or families are too few for parts of {shares=}")
        return [self.of_classes([name for name in self.classes if family_of[name] in part]) for part in parts]

    def in_memory(self, transform: Any = None, train: bool = True) -> Images:
        """Read all images into memory, as uint8: `image_size`² × `channels` bytes each.

        Without a `transform` they are normalised by their own mean and standard deviation per channel; pass the
        training images' `transform` for any others. Raises ValueError for files that cannot be read, naming them, and
        without a `transform` if there are no images.
        """
        data = torch.empty(len(self), self.image_size, self.image_size, self.channels, dtype=torch.uint8)

        def store(index: int, image: Any) -> None:
            data[index] = functional.pil_to_tensor(image).permute(1, 2, 0)

        problems = read_photos(self.paths, self.image_size, self.channels, store)
        if problems:
            named = "\n".join(sorted(problems.values())[:MAX_NAMED])
            raise ValueError(
                f"{len(problems)} of {len(self):,} files cannot be read:\n{named}\n`unreadable()` of a `FolderImages` "
                "finds them all"
            )
        transform = transform or fit_normalization(data)
        return Images(data.squeeze(3) if self.channels == 1 else data, self.targets, self.classes, train, transform)

    def unreadable(self) -> dict[Path, str]:
        """Read all files once, without keeping them, and return those that cannot be read, each with its problem.

        To go on without them: `images.subset([path not in bad for path in images.paths])`, where `bad` is the result.
        """
        problems = read_photos(self.paths, self.image_size, self.channels, lambda index, image: None)
        return {self.paths[index]: problem for index, problem in problems.items()}


def load_folder(
    root: str | os.PathLike, image_size: int = 28, channels: int = 1, seed: int = 0
) -> tuple[Images, Images]:
    """Load the training and the test images of `root`, a folder with one sub-folder of images per class.

    If `root` has sub-folders `train` and `test` (or `val`) instead, each with one sub-folder per class, they are the
    two sets. Other usual names will do, such as `Training` and `validation`; `test` goes before `val`. Otherwise one
    image in five of each class, at least one of two, is a test image, drawn from `seed`. To hold out whole classes, see
    `FolderImages.split_by_class`. Images are read by `read_photo`, grey with one channel and in colour with three, and
    normalised by the mean and standard deviation of the training images. All are held in memory.

    Raises the errors of `FolderImages`, and ValueError for files that cannot be read, naming them, for fewer than two
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
    root = expand(root)
    training, tests = find_splits(list_folders(root))
    if training or tests:
        train, test = (FolderImages(folder, image_size, channels) for folder in _pair(root, training, tests))
        _check_same_classes(training[0], train.classes, tests[0], test.classes)
    else:
        images = FolderImages(root, image_size, channels)
        is_test = _draw_test_images(images.targets, seed)
        if not is_test.any():
            raise ValueError(printable(f"each class in {root} has a single image, so none is left for testing"))
        train, test = (images.subset(chosen.nonzero().squeeze(1)) for chosen in (~is_test, is_test))
    if len(train.classes) < 2:
        problem = f"{root} has one class, {train.classes[0]!r}; at least two are needed, one sub-folder each"
        raise ValueError(printable(problem))
    train_set = train.in_memory()
    return train_set, test.in_memory(train_set.transform, train=False)


def _pair(root: Path, training: list[Path], tests: list[Path]) -> tuple[Path, Path]:
    """Return the folder of the training and of the test images."""
    if len(training) != 1 or not tests:
        raise ValueError(
            printable(
                f"{root} has the sub-folders {name_folders(training + tests)}, which seem to be parts of the images, "
                "not classes; there must be one for training, such as 'train', and one more, such as 'test' or 'val'"
            )
        )
    return training[0], tests[0]


def _check_same_classes(train: Path, train_classes: list[str], test: Path, test_classes: list[str]) -> None:
    if train_classes != test_classes:
        alone = {
            folder: sorted(set(ours) - set(theirs))
            for folder, ours, theirs in ((train, train_classes, test_classes), (test, test_classes, train_classes))
        }
        differences = "; ".join(
            f"only {folder} has {listed(names, MAX_NAMED // 2)}" for folder, names in alone.items() if names
        )
        raise ValueError(
            printable(
                f"training and test images must have the same classes: {differences}. If they differ on purpose, read "
                "each with FolderImages, the second with classes=… of the first where it only lacks some"
            )
        )


def _draw_test_images(labels: Tensor, seed: int) -> Tensor:
    """Draw a mask (N,) of test images: one in `TEST_ONE_IN` of each class, at least one, but never its only image."""
    generator = torch.Generator().manual_seed(seed)
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    for members in members_by_class(labels).values():
        n_test = max(1, len(members) // TEST_ONE_IN) if len(members) > 1 else 0
        is_test[members[torch.randperm(len(members), generator=generator)[:n_test]]] = True
    return is_test
