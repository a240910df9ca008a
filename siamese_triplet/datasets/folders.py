"""Training and test images from a folder with one sub-folder per class."""

import os
from pathlib import Path

import torch
from torch import Tensor

from siamese_triplet._sorting import members_by_class
from siamese_triplet.datasets._listing import find_splits, list_folders, name_folders
from siamese_triplet.datasets._naming import MAX_NAMED, expand, listed, printable
from siamese_triplet.datasets.folder_images import FolderImages
from siamese_triplet.datasets.images import Images
from siamese_triplet.datasets.photos import Size

TEST_ONE_IN = 5  # one image in five of each class is a test image, unless the folder names its test images


def load_folder(
    root: str | os.PathLike,
    image_size: Size = 28,
    channels: int = 1,
    seed: int = 0,
    *,
    skip_broken: bool = False,
) -> tuple[Images, Images]:
    """Load the training and the test images of `root`, a folder with one sub-folder of images per class.

    If `root` has sub-folders `train` and `test` (or `val`) instead, each with one sub-folder per class, they are the
    two sets. Other usual names will do, such as `Training` and `validation`; `test` goes before `val`. Otherwise one
    image in five of each class, at least one of two, is a test image, drawn from `seed`. To hold out whole classes, see
    `FolderImages.split_by_class`. Images are read by `read_photo`, grey with one channel and in colour with three, and
    normalised by the mean and standard deviation of the training images. All are held in memory. `image_size` is one
    side of a square, or (height, width). With `skip_broken` files that cannot be read are left out, with a warning.

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
        train, test = (
            FolderImages(folder, image_size, channels, skip_broken=skip_broken)
            for folder in _pair(root, training, tests)
        )
        _check_same_classes(training[0], train.classes, tests[0], test.classes)
    else:
        images = FolderImages(root, image_size, channels, skip_broken=skip_broken)
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
