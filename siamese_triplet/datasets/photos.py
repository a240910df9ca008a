"""Image files as network input: upright, on white, grey or in colour, of one size."""

import os

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2

from siamese_triplet.datasets.images import normalization

MODES = {1: "L", 3: "RGB"}  # by number of channels
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B")


def read_photo(path: str | os.PathLike, image_size: int = 64, channels: int = 3) -> Image.Image:
    """Read the image file `path` as `image_size` × `image_size`, grey with one channel or in colour with three.

    The image is turned upright by its EXIF orientation, put on white where it is transparent, scaled to fit its shorter
    side, and cropped to its centre. Images of 16 bits are scaled to 8. Read training images and later queries with this
    same function, so that they are prepared alike.

    Raises ValueError, naming the file, if it is missing, not an image, truncated, or larger than Pillow allows.
    """
    check_shape(image_size, channels)
    try:
        with Image.open(path) as file:
            file.draft(None, (2 * image_size, 2 * image_size))  # decodes a large JPEG no larger than needed
            image = _opaque_8_bit(ImageOps.exif_transpose(file))
            return ImageOps.fit(image.convert(MODES[channels]), (image_size, image_size), Image.Resampling.BILINEAR)
    except Exception as error:  # Pillow raises errors of several kinds
        advice = "remove it, copy it again, or, if it is too large, save it smaller"
        raise ValueError(f"{path} is not an image, or is truncated: {error}; {advice}") from error


def check_shape(image_size: int, channels: int) -> None:
    """Raise a ValueError for a shape that `read_photo` cannot make."""
    if channels not in MODES or image_size < 1:
        raise ValueError(f"{channels=} must be 1 for grey images or 3 for colour, {image_size=} at least 1")


def fit_normalization(data: Tensor) -> v2.Compose:
    """Make a `normalization` from the mean and standard deviation of uint8 images (N, H, W, C), per channel.

    Both come from a histogram of the values 0…255, which takes little memory. Constant channels stay finite.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in data.unbind(3)]).double()  # (C, 256)
    n = counts.sum(dim=1)
    means = counts @ values / n
    variances = (counts * (values - means[:, None]) ** 2).sum(dim=1) / (n - 1)
    return normalization(means.tolist(), variances.sqrt().clamp(min=1e-3).tolist())


def _opaque_8_bit(image: Image.Image) -> Image.Image:
    """Convert `image` to 8 bits, and put it on white if it is transparent."""
    if image.mode in SIXTEEN_BITS or (image.mode == "I" and np.asarray(image).max() > 255):  # a PGM opens as "I"
        return image.convert("I").point(lambda value: value / 256).convert("L")  # convert("L") alone would clip
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image
