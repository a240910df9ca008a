"""The parts of a plan: which images are for training, validation and test."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from siamese_triplet.datasets._splitting import draw_classes
from siamese_triplet.datasets.folder_images import FolderImages

BY_CLASS, BY_IMAGE, AS_GIVEN, NONE = "by class", "by image", "as given", "none"  # how images are split
SHARES = (0.6, 0.2, 0.2)  # training, validation, test
MIN_HELD_OUT = 5  # classes of two images or more in the validation and in the test; with fewer a figure says little


class Parts(NamedTuple):
    """The images of a plan; those that are in none of them have no class."""

    training: FolderImages
    validation: FolderImages
    test: FolderImages
    singles: FolderImages  # images alone in their class: for the gallery


def split_images(
    images: FolderImages, family: Callable[[str], str] | None, seed: int, reasons: dict[str, str]
) -> tuple[str, Parts]:
    """Choose how to split, and split: keep parts that there are, hold out classes, or images of each class."""
    sizes = images.targets[images.targets >= 0].bincount(minlength=len(images.classes))  # (C,)
    alone = torch.isin(images.targets, (sizes == 1).nonzero().squeeze(1))
    singles, nothing = images.subset(alone), images.subset([])
    if images.parts is not None and bool((images.parts == 2).any()):  # a folder for training alone has no test
        return _keep_parts(images, seed, reasons)
    paired = [name for name, size in zip(images.classes, sizes.tolist(), strict=True) if size >= 2]
    n_families = len({family(name) if family else name for name in paired})
    what = "families of classes" if family else "classes"
    if n_families * min(SHARES) >= MIN_HELD_OUT:
        reasons["split by class"] = (
            f"{n_families:,} {what} have two images or more, enough to hold out some: the test is about new classes"
        )
        held = [images.of_classes(names) for names in draw_classes(paired, SHARES, seed, family)]
        split = BY_CLASS
    elif int((sizes >= 3).sum()) >= 2:
        reasons["split by image"] = (
            f"{n_families:,} {what} of two images or more are too few to hold some out: the test is about new images "
            "of the same classes"
        )
        held = images.subset(~alone).split_by_image(SHARES, seed)
        split = BY_IMAGE
    else:
        reasons["no split"] = f"{_shortage(images, sizes)}: nothing can be trained and tested"
        held, split = [nothing] * 3, NONE
    if len(singles):
        reasons[f"{len(singles):,} in no part"] = (
            "they are alone in their class, without a pair; a search may still find them"
        )
    training, validation, test = held
    return split, Parts(training, validation, test, singles)


def _keep_parts(images: FolderImages, seed: int, reasons: dict[str, str]) -> tuple[str, Parts]:
    """Keep the parts that a folder has; draw a validation from the training if there is none."""
    numbers = images.parts
    assert numbers is not None
    training, validation, test = (images.subset(numbers == number) for number in range(3))
    reason = "the folder has parts of its own"
    if not len(validation):
        training, validation = training.split_by_image((0.8, 0.2), seed)
        reason += ", and a fifth of its training images are for validation"
    if int((class_sizes(training) >= 2).sum()) < 2:
        reasons["no split"] = f"{reason}, but fewer than two training classes have two images: nothing can be trained"
        nothing = images.subset([])
        return NONE, Parts(nothing, nothing, nothing, nothing)
    reasons["split as given"] = reason
    alone = (class_sizes(training) == 1).nonzero().squeeze(1)
    is_alone = torch.isin(training.targets, alone)
    return AS_GIVEN, Parts(training.subset(~is_alone), validation, test, training.subset(is_alone))


def _shortage(images: FolderImages, sizes: Tensor) -> str:
    if not images.classes:
        return "the images have no classes"
    if int((sizes > 0).sum()) < 2:
        return "there is one class, and nothing to tell it from"
    return f"of {int((sizes > 0).sum()):,} classes fewer than two have three images"


def class_sizes(images: FolderImages) -> Tensor:
    """Count the images of each class, (C,)."""
    return images.targets[images.targets >= 0].bincount(minlength=len(images.classes))


def class_names(images: FolderImages) -> list[str]:
    """List the names of the classes that have images."""
    return [name for name, size in zip(images.classes, class_sizes(images).tolist(), strict=True) if size]
