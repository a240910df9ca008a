"""Images of your own: a folder with one sub-folder for each class."""

import os
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from siamese_triplet.images import Images, normalization

TEST_SHARE = 5  # one image in so many of a class is a test image, where the folder does not say which are


def load_folder(
    root: str | os.PathLike, image_size: int = 28, channels: int = 1, seed: int = 0
) -> tuple[Images, Images]:
    """The training and the test images of the folder `root`, which has a sub-folder of images for each class.

    Where `root` has two sub-folders `train` and `test` instead (or `val`), each with one sub-folder a class, those are
    the two sets. Otherwise one image in five of each class, at least one of two, is a test image, drawn from `seed`.
    Images are scaled and cut to `image_size` × `image_size`, grey with one channel and in colour with three, and
    normalised by the mean and the standard deviation of the training images. All are held in memory.

    Raises FileNotFoundError where there is no such folder or no image in it, and ValueError for an image that cannot be
    read, naming it, for fewer than two classes, for classes of one image each, and for two sets with different classes.
    """
    root = Path(root)
    if channels not in (1, 3):
        raise ValueError(f"{channels=} must be 1 for grey images or 3 for colour")
    tests = [root / name for name in ("test", "val") if (root / name).is_dir()]
    if (root / "train").is_dir() and tests:
        (train, train_labels, classes), (test, test_labels, test_classes) = (
            _read(folder, image_size, channels) for folder in (root / "train", tests[0])
        )
        if classes != test_classes:
            raise ValueError(
                f"{root / 'train'} has the classes {classes}, {tests[0]} has {test_classes}; make them one"
            )
    else:
        data, labels, classes = _read(root, image_size, channels)
        is_test = _held_out(labels, seed)
        if not is_test.any():
            raise ValueError(f"each class in {root} has a single image, so that none is left for the test")
        train, train_labels, test, test_labels = data[~is_test], labels[~is_test], data[is_test], labels[is_test]
    if len(classes) < 2:
        raise ValueError(f"{root} has one class, {classes[0]!r}; at least two are needed, a sub-folder each")
    pixels = train.flatten(0, 2).float() / 255  # (all pixels, channels)
    transform = normalization(pixels.mean(dim=0).tolist(), pixels.std(dim=0).clamp(min=1e-3).tolist())
    train, test = (data.squeeze(3) if channels == 1 else data for data in (train, test))
    return Images(train, train_labels, classes, True, transform), Images(test, test_labels, classes, False, transform)


def _read(folder: Path, image_size: int, channels: int) -> tuple[Tensor, Tensor, list[str]]:
    """uint8 (N, H, W, C), labels (N,) and the names of the classes."""
    try:
        found = ImageFolder(str(folder))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"{folder} is no folder with a sub-folder of images for each class: {error}") from error
    shape = v2.Compose(
        [v2.Grayscale(channels) if channels == 1 else v2.RGB(), v2.Resize(image_size), v2.CenterCrop(image_size)]
    )
    to_tensor = v2.PILToTensor()
    images = []
    for path, _ in found.samples:
        try:
            images.append(to_tensor(shape(found.loader(path))).permute(1, 2, 0))
        except Exception as error:  # Pillow raises errors of several kinds
            raise ValueError(f"{path} is no image, or a truncated one: {error}; remove it or copy it anew") from error
    return torch.stack(images), torch.tensor(found.targets), found.classes


def _held_out(labels: Tensor, seed: int) -> Tensor:
    """Which images are for the test: of each class with at least two, one in `TEST_SHARE`, at least one. (N,) bool"""
    generator = torch.Generator().manual_seed(seed)
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        n_test = max(1, len(members) // TEST_SHARE) if len(members) > 1 else 0
        is_test[members[torch.randperm(len(members), generator=generator)[:n_test]]] = True
    return is_test
