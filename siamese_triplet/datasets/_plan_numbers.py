"""The numbers of a plan, each with its reason."""

import math
import os
from contextlib import suppress
from pathlib import Path

import torch

from siamese_triplet.datasets._plan_split import MIN_HELD_OUT, Parts, class_sizes
from siamese_triplet.datasets.folder_images import FolderImages
from siamese_triplet.datasets.photos import Size, declared_size, sides

SIDES = (32, 48, 64, 96, 128, 160, 192, 224, 256)  # usual sides of images
FROM_SCRATCH, PRETRAINED = (32, 64), (96, 96)  # the smallest and the largest side, unless another is asked for
OBLONG = 1.6  # height / width, or width / height, from which images are not read as squares
PROBED = 64  # files whose sizes are looked at
LARGEST_BATCH, USUAL_SAMPLES, MOST_SAMPLES = 128, 4, 16
ACTIVATIONS = 100  # bytes of a network in training for each byte of an image as float32, measured, rounded up
STEPS = {False: 400, True: 100}  # from scratch, and of a pretrained network, which starts near its goal
EPOCHS = (5, 100)
N_QUERIES = 5  # images to classify of each class of an episode


def free_memory() -> int:
    """Return the bytes of main memory that can be had, or of a GPU's memory if that is less.

    Where the system does not say, this is half of the main memory, else 4 GiB. A container's limit is not looked at.
    """
    free = 4 * 2**30
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not on Linux
        with suppress(AttributeError, ValueError, OSError):  # not on Windows
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return min(free, torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else free


def choose_size(images: FolderImages, pretrained: bool, largest: int | None, reasons: dict[str, str]) -> Size:
    """Choose the size in which images are read, from the sizes that the heads of some files say."""
    step = max(1, len(images) // PROBED)
    found = [size for path in images.paths[::step] if (size := declared_size(path))]
    sizes = torch.tensor(found or [(SIDES[0], SIDES[0])])  # (n, 2), height and width
    least, most = PRETRAINED if pretrained else FROM_SCRATCH
    most = most if largest is None else largest
    median = int(sizes.amin(dim=1).median())
    side = max([side for side in SIDES if side <= min(median, most)], default=min(SIDES[0], most))
    side = min(max(side, least), most)
    start = "a pretrained network saw large images" if pretrained else "a network from scratch starts small"
    reason = f"half of the files have a shorter side of {median} pixels or less, and {start} ({least} to {most})"
    ratio = (sizes[:, 0] / sizes[:, 1]).quantile(torch.tensor([0.25, 0.5, 0.75]))  # of height to width
    height = width = side
    if ratio[0] > OBLONG:
        height, reason = _multiple(side * min(2.0, float(ratio[1]))), f"{reason}; most are upright"
    elif ratio[2] < 1 / OBLONG:
        width, reason = _multiple(side * min(2.0, 1 / float(ratio[1]))), f"{reason}; most are wide"
    reasons[f"{height} × {width} pixels"] = reason
    return side if height == width else (height, width)


def fits_in_memory(n_images: int, image_size: Size, channels: int, memory: int, reasons: dict[str, str]) -> bool:
    """Say whether all images fit into half of `memory`, as bytes and as float32."""
    height, width = sides(image_size)
    needed = 5 * n_images * height * width * channels  # as bytes, and as float32
    sizes = f"{n_images:,} images take {_gigabytes(needed)} as bytes and as float32"
    if 2 * needed <= memory:
        reasons["in memory"] = f"{sizes}, of {_gigabytes(memory)} that are free"
        return True
    reasons["from disk"] = f"{sizes}, more than half of the {_gigabytes(memory)} that are free"
    return False


def choose_batch(
    training: FolderImages, image_size: Size, memory: int, reasons: dict[str, str]
) -> tuple[int, int, bool]:
    """Return the classes of a batch, the images of each, and whether small classes repeat images."""
    height, width = sides(image_size)
    n_bytes = 4 * height * width * training.channels * ACTIVATIONS  # of one image
    largest = max(4, min(LARGEST_BATCH, memory // 4 // n_bytes))
    room = "a quarter of the memory has" if largest < LARGEST_BATCH else "a batch has"
    sizes = class_sizes(training)
    sizes = sizes[sizes > 0]
    median = int(sizes.median())
    n_samples = max(2, min(USUAL_SAMPLES, median, largest // 2))
    n_classes = max(2, min(len(sizes), largest // n_samples))
    reason = f"half of the {len(sizes):,} training classes have {median} images or less"
    reason += f", and more than {USUAL_SAMPLES} add little" * (median > USUAL_SAMPLES)
    if n_classes == len(sizes) and n_classes * n_samples < largest:
        most = min(median, MOST_SAMPLES, largest // n_classes)
        if most > n_samples:
            n_samples = most
            reason = f"there are few classes: more of each fill the batch, and half of them have {median} or less"
    is_all = n_classes == len(sizes)
    reasons[f"P = {n_classes} classes"] = (
        "there are no more for training" if is_all else f"{room} room for {largest} images, K of each class"
    )
    reasons[f"K = {n_samples} images"] = reason
    replacement = int(sizes.min()) < n_samples
    if replacement:
        n_small = int((sizes < n_samples).sum())
        small = "one training class has" if n_small == 1 else f"{n_small:,} training classes have"
        reasons["images repeat"] = f"{small} fewer than {n_samples}"
    return n_classes, n_samples, replacement


def choose_epochs(
    parts: Parts, batch_size: int, limits: tuple[int | None, int | None], pretrained: bool, reasons: dict[str, str]
) -> tuple[int, int]:
    """Return the number of epochs, and how many to wait for an improvement, 0 without a validation.

    `limits` are the number of steps and the largest number of epochs, if they are asked for.
    """
    n_steps, most_epochs = limits
    n_batches = max(1, len(parts.training) // batch_size)
    n_epochs = math.ceil((n_steps or STEPS[pretrained]) / n_batches)
    if n_steps is None:
        n_epochs = min(max(n_epochs, EPOCHS[0]), EPOCHS[1])
    is_cut = most_epochs is not None and most_epochs < n_epochs
    n_epochs = n_epochs if most_epochs is None else min(n_epochs, most_epochs)
    batches = f"{n_batches:,} batches" if n_batches > 1 else "one batch"
    reasons[f"{n_epochs} epochs"] = (
        f"{batches} per epoch: {n_epochs * n_batches:,} steps" + ", cut as asked for" * is_cut
    )
    if not len(parts.validation):
        return n_epochs, 0
    patience = max(3, n_epochs // 4)
    reasons[f"patience {patience}"] = "training may stop early, when the validation has not improved for so long"
    return n_epochs, patience


def choose_episodes(test: FolderImages, new_classes: bool, reasons: dict[str, str]) -> tuple[int, int, int]:
    """Return n_way, k_shot and n_queries; n_way is 0 where episodes cannot be drawn."""
    sizes = class_sizes(test)
    if not new_classes:
        reasons["no episodes"] = "the test classes are known, so that their training images are the support"
        return 0, 0, 0
    for n_queries in range(N_QUERIES, 0, -1):
        n_enough = int((sizes >= 1 + n_queries).sum())
        if n_enough >= (MIN_HELD_OUT if n_queries > 1 else 2):
            n_way = min(10, n_enough)
            reasons[f"{n_way}-way 1-shot"] = (
                f"{n_enough} test classes have {1 + n_queries} images or more: a support and {n_queries} to classify"
            )
            return n_way, 1, n_queries
    reasons["no episodes"] = "fewer than two test classes have two images"
    return 0, 0, 0


def _multiple(length: float) -> int:
    return 8 * round(length / 8)


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"
