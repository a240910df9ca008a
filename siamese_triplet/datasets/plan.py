"""A plan for training on a folder of images: every number follows from the folder, and says why."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

from siamese_triplet.datasets._plan_numbers import (
    choose_batch,
    choose_episodes,
    choose_epochs,
    choose_size,
    fits_in_memory,
    free_memory,
)
from siamese_triplet.datasets._plan_split import NONE, Parts, class_names, split_images
from siamese_triplet.datasets.folder_images import FolderImages
from siamese_triplet.datasets.photos import Size

LABELS, WIDTH = 24, 88  # columns of a printed plan
START = {
    True: {"pretrained network": "it knows photographs already, so that few of yours are enough"},
    False: {"network from scratch": "no pretrained network was asked for, or the extra `pretrained` is not installed"},
}


@dataclass(frozen=True)
class FolderPlan:
    """How to train on a folder, and to measure it; made by `plan_folder`, whose rules are explained there.

    `split` is "by class", "by image", "as given" or "none"; with "none" nothing can be trained, `can_train` is False,
    and `advice` says what can be had instead. `new_classes`: the test classes are not trained on. `parts` are the
    images, which are read in `image_size`; `pretrained` is as it was asked for. `n_classes` (P), `n_samples` (K) and
    `replacement` are for `BalancedBatchSampler`, `n_epochs` and `patience` for `fit` and `EarlyStopping`; `n_way`,
    `k_shot` and `n_queries` for `few_shot_accuracy`, with `n_way` 0 where that cannot be measured. `reasons` has a line
    for each choice.
    """

    parts: Parts
    split: str
    new_classes: bool
    image_size: Size
    in_memory: bool
    pretrained: bool = False
    n_classes: int = 0
    n_samples: int = 0
    replacement: bool = False
    n_epochs: int = 0
    patience: int = 0
    n_way: int = 0
    k_shot: int = 0
    n_queries: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    advice: tuple[str, ...] = ()

    @property
    def can_train(self) -> bool:
        """Say whether there are two classes with a pair of images each to train on."""
        return self.split != NONE

    def __str__(self) -> str:
        lines = [f"{choice:<{LABELS}}because {reason}" for choice, reason in self.reasons.items()]
        lines += [f"{'advice':<{LABELS}}{advice}" for advice in self.advice]
        return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent=" " * LABELS) for line in lines)


def plan_folder(
    images: FolderImages,
    *,
    family: Callable[[str], str] | None = None,
    pretrained: bool = False,
    largest_side: int | None = None,
    memory: int | None = None,
    n_steps: int | None = None,
    most_epochs: int | None = None,
    seed: int = 0,
) -> FolderPlan:
    """Plan the training on `images`, and the test, from their number, classes, file sizes, and the memory.

    - **Split.** A folder with parts for training and test keeps them. Otherwise whole classes are held out (60 % for
      training, 20 % for validation, 20 % for the test, by `family` as in `FolderImages.split_by_class`), if at least
      five classes of two images or more are left for each of the two. With fewer classes images of each class are held
      out. Without two classes of three images there is nothing to train and test on.
    - **Images alone in their class** have no positive pair. They are in no part, but in `parts.singles`, for the
      gallery, where a query may take them for its own class.
    - **Image size.** The largest usual side that the shorter sides of half the files have: between 32 and 64 from
      scratch, and 96 for a `pretrained` network, which has learned from larger images. `largest_side` replaces the
      upper end, such as 224 with a GPU. Images that are mostly upright or mostly wide, by 1.6 : 1 and more, are
      read so, up to 2 : 1.
    - **In memory** as bytes and as float32 if that takes no more than half of `memory`, in bytes: what is free now.
    - **K**: 4, or the median size of the training classes if that is less; **P** fills a batch of at most 128 images
      that takes at most a quarter of `memory` for an estimated 100 times the bytes of its images. With few classes P is
      all of them, and K grows up to 16. Classes smaller than K repeat images.
    - **Epochs**: as many as make 400 steps from scratch and 100 of a pretrained network, but from 5 to 100; or as make
      `n_steps`. At most `most_epochs`. Training may stop when the validation has not improved for a quarter of them.
    - **Episodes** of few-shot classification: 10 of the held-out classes or all there are, one image of each as the
      support, and as many queries, up to 5, as leave five classes or more.

    Raises ValueError for `n_steps`, `most_epochs` or `memory` below 1.

    >>> from PIL import Image
    >>> from siamese_triplet.datasets import FolderImages, plan_folder
    >>> for name in ("a.png", "b.png"):
    ...     Image.new("RGB", (80, 60)).save(name)
    >>> plan = plan_folder(FolderImages.from_files(["a.png", "b.png"]), memory=10**9)
    >>> plan.split, plan.can_train, plan.image_size
    ('none', False, 48)
    """
    memory = free_memory() if memory is None else memory
    if min(number for number in (n_steps, most_epochs, memory) if number is not None) < 1:
        raise ValueError(f"plan_folder: {n_steps=}, {most_epochs=} and {memory=} must be at least 1")
    reasons = START[pretrained].copy()
    image_size = choose_size(images, pretrained, largest_side, reasons)
    split, parts = split_images(images, family, seed, reasons)
    parts = Parts(*(part.resized(image_size) for part in parts))
    new_classes = not set(class_names(parts.training)) & set(class_names(parts.test))
    in_memory = fits_in_memory(len(images), image_size, images.channels, memory, reasons)
    if split == NONE:
        return FolderPlan(
            parts, split, False, image_size, in_memory, pretrained, reasons=reasons, advice=_advise(images)
        )
    batch = choose_batch(parts.training, image_size, memory, reasons)
    n_epochs, patience = choose_epochs(parts, batch[0] * batch[1], (n_steps, most_epochs), pretrained, reasons)
    episodes = choose_episodes(parts.test, new_classes, reasons)
    advice = _advise(images) if int((images.targets < 0).sum()) else ()
    start = parts, split, new_classes, image_size, in_memory, pretrained
    return FolderPlan(*start, *batch, n_epochs, patience, *episodes, reasons, advice)


def _advise(images: FolderImages) -> tuple[str, ...]:
    """Say what can be had where nothing can be trained, or where images have no class."""
    n_unknown = int((images.targets < 0).sum())
    if not len(images):
        return ("there are no images: name another folder",)
    search = "search by the features of a pretrained network (`load_pretrained`), which needs no classes"
    copies = "find copies with `near_duplicates`, so that you label no image twice"
    if n_unknown:
        few = "label few: images far from each other first (`spread_out`), then the nearest neighbours of each together"
        table = "write labels into a table of two columns, file and class, which `FolderImages.from_csv` reads"
        return search, copies, few, table
    return search, copies, "add images: two classes of three images are the least, 25 classes allow a test on new ones"
