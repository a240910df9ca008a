"""Image files as network input: upright, on white, grey or in colour, of one size."""

import operator
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms import v2

from siamese_triplet.datasets._naming import expand, printable
from siamese_triplet.datasets._pixels import bytes_per_pixel, to_8_bits
from siamese_triplet.datasets.images import normalization

Size = int | tuple[int, int]  # one side of a square, or height and width
MODES = {1: "L", 3: "RGB"}  # by number of channels
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "WEBP", "TIFF")  # of the endings that `FolderImages` reads; others run programs
MAX_DECODED = 2**28  # bytes of decoded images at a time; 8,192 × 8,192 pixels in colour
MAX_IN_THREAD = 2**26  # bytes of one of several images that are decoded at the same time
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_photo(path: str | os.PathLike, image_size: Size = 64, channels: int = 3) -> Image.Image:
    """Read the image file `path` in `image_size`, grey with one channel or in colour with three.

    `image_size` is one side of a square, or (height, width), such as `(256, 128)` for upright pictures of people. The
    image is turned upright by its EXIF orientation, put on white where it is transparent, scaled until it covers this
    size, and cropped to its centre. Read training images and later queries with this same function, so that they are
    prepared alike. A leading `~` in `path` is the home folder.

    Grey values of more than 8 bits are scaled to 8. Integers are taken for 8, 12 or 16 bits by the largest of the
    image, and floats up to 1 for 0…1. Negative, larger and other floating-point values are scaled from the smallest and
    the largest of the image. (Pillow reads 16 bits of *colour* as the upper 8.)

    Raises ValueError, naming the file, if it is missing, truncated, or no JPEG, PNG, PPM, BMP, TIFF or WebP; if it
    holds NaN or infinite values; and if it is larger than Pillow allows, or takes more than 268 MB when decoded, such
    as 8,192 × 8,192 pixels in colour. A JPEG is decoded at a reduced size, and may have more.
    """
    check_shape(image_size, channels)
    return _read(path, image_size, channels, lambda n_bytes: nullcontext())


def read_photos(
    paths: Sequence[os.PathLike], image_size: Size, channels: int, use: Callable[[int, Image.Image], object]
) -> dict[int, str]:
    """Call `use(index, image)` for each of `paths` in several threads; return the problem of each unreadable file.

    Decoded images take about `MAX_DECODED` bytes at a time. Large ones are read last and one by one.
    """
    room, later, problems = Room(MAX_DECODED), [], {}

    def read(index: int, make_room: Callable[[int], AbstractContextManager]) -> None:
        try:
            image = _read(paths[index], image_size, channels, make_room)
        except TooLargeForThreadsError:
            later.append(index)
        except ValueError as error:
            problems[index] = str(error)
        else:
            use(index, image)

    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda index: read(index, room.of), range(len(paths))))
    for index in sorted(later):  # in this thread, as memory that a thread has freed is of no use to another one
        read(index, lambda n_bytes: nullcontext())
    return dict(sorted(problems.items()))


class TooLargeForThreadsError(Exception):
    """An image takes more than `MAX_IN_THREAD` bytes."""


class Room:
    """Bytes that threads share; one waits until there is room for what it needs."""

    def __init__(self, n_bytes: int) -> None:
        self.free, self.changed = n_bytes, threading.Condition()

    @contextmanager
    def of(self, n_bytes: int) -> Iterator[None]:
        """Take `n_bytes` while the context lasts; raise TooLargeForThreadsError for more than `MAX_IN_THREAD`."""
        if n_bytes > MAX_IN_THREAD:
            raise TooLargeForThreadsError
        with self.changed:
            self.changed.wait_for(lambda: self.free >= n_bytes)
            self.free -= n_bytes
        try:
            yield
        finally:
            with self.changed:
                self.free += n_bytes
                self.changed.notify_all()


def check_shape(image_size: Size, channels: int) -> None:
    """Raise a ValueError for a shape that `read_photo` cannot make."""
    sides(image_size)
    if channels not in MODES:
        raise ValueError(f"{channels=} must be 1 for grey images or 3 for colour")


def sides(image_size: Size) -> tuple[int, int]:
    """Return the height and the width of `image_size`, which may be one side of a square; a ValueError for others."""
    try:
        given = tuple(image_size) if isinstance(image_size, Iterable) else (image_size, image_size)
        height, width = map(operator.index, given)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ValueError(
            f"{image_size=} must be the side of a square, such as 64, or (height, width), such as (256, 128), both "
            "whole numbers and at least 1"
        )
    return height, width


def declared_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """Return the height and the width that the head of an image file says, when upright; None for a broken file."""
    try:
        with Image.open(expand(path), formats=FORMATS) as file:
            is_turned = file.getexif().get(ORIENTATION, 1) >= 5
            return (file.width, file.height) if is_turned else (file.height, file.width)
    except Exception:  # Pillow raises errors of several kinds
        return None


def fit_normalization(data: Tensor) -> v2.Compose:
    """Make a `normalization` from the mean and standard deviation of uint8 images (N, H, W, C), per channel.

    Both come from a histogram of the values 0…255, which takes little memory. Constant channels stay finite. Raises
    ValueError for no images.
    """
    if not data.numel():
        raise ValueError("no images to take mean and standard deviation from; pass the transform of other images")
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in data.unbind(3)]).double()  # (C, 256)
    n = counts.sum(dim=1)
    means = counts @ values / n
    variances = (counts * (values - means[:, None]) ** 2).sum(dim=1) / (n - 1).clamp(min=1)
    return normalization(means.tolist(), variances.sqrt().clamp(min=1e-3).tolist())


def _read(
    path: str | os.PathLike, image_size: Size, channels: int, room: Callable[[int], AbstractContextManager]
) -> Image.Image:
    """Read an image file as `read_photo` does, and decode it while there is `room` for its bytes."""
    try:
        is_path = isinstance(path, (str, os.PathLike))  # an open file is read as it is
        with Image.open(expand(path) if is_path else path, formats=FORMATS) as file:
            n_full = file.width * file.height
            n_needed = 2 * max(sides(image_size))
            file.draft(None, (n_needed, n_needed))  # decodes a large JPEG no larger than needed
            with room(_check_bytes(file, n_full)):
                image = _fit(file, image_size, MODES[channels])
                if is_path:
                    file.close()  # frees its pixels while there is room for them
                return image
    except TooLargeForThreadsError:
        raise
    except FileNotFoundError as error:
        raise ValueError(printable(f"there is no file {path}; check its name and its folder")) from error
    except UnidentifiedImageError as error:  # which says no more than the path
        advice = f"save it as {' or '.join(FORMATS[:2])}, or remove it"
        raise ValueError(printable(f"{path} is not an image, or is truncated; {advice}")) from error
    except Exception as error:  # Pillow raises errors of several kinds
        advice = f"remove it, copy it again, save it as {' or '.join(FORMATS[:2])}, or, if it is too large, smaller"
        raise ValueError(printable(f"{path} is not an image, or is truncated: {error}; {advice}")) from error


def _check_bytes(file: Image.Image, n_full: int) -> int:
    """Return the bytes to read a file of `n_full` declared pixels; ValueError if decoding it takes too many.

    An image that is neither grey nor in colour is held twice, as it is and converted.
    """
    n_bytes = file.width * file.height * bytes_per_pixel(file.mode)
    if file.info.get("progressive"):  # a progressive JPEG is held as coefficients of 2 bytes, in full size
        samples = [horizontal * vertical for _, horizontal, vertical, *_ in getattr(file, "layer", [])]
        n_bytes = max(n_bytes, 2 * n_full * sum(samples) // max(samples, default=1))
    if n_bytes > MAX_DECODED:
        raise ValueError(
            f"{file.width:,} × {file.height:,} pixels ({file.mode}) would take {n_bytes / 1e6:,.0f} MB, more than the "
            f"{MAX_DECODED / 1e6:,.0f} MB that one image may take"
        )
    return n_bytes if file.mode in MODES.values() else 2 * n_bytes


def _fit(file: Image.Image, image_size: Size, mode: str) -> Image.Image:
    """Decode an open image, and make it upright, of `image_size` and of `mode`."""
    file.load()
    height, width = sides(image_size)
    image = to_8_bits(file, mode, max(height, width))
    turn = TURNS.get(file.getexif().get(ORIENTATION, 1))
    image = image if turn is None else image.transpose(turn)
    return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR).convert(mode)
