"""One image file, as a network can take it: upright, on white, grey or in colour, of one size."""

import os

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2

from siamese_triplet.datasets.images import normalization

MODES = {1: "L", 3: "RGB"}  # of so many channels
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B")


def read_photo(path: str | os.PathLike, image_size: int = 64, channels: int = 3) -> Image.Image:
    """The image in the file `path`, `image_size` × `image_size`, grey with one channel and in colour with three.

    It is turned upright as its camera says, laid on white where it is transparent, scaled until its shorter side fits,
    and its middle is kept. Images of 16 bits are scaled to 8. A file for training and one for a search later are read
    alike only if both are read by this.

    Raises ValueError, naming the file, for one that is no image, is truncated, or is larger than Pillow trusts.
    """
    check_shape(image_size, channels)
    try:
        with Image.open(path) as file:
            file.draft(None, (2 * image_size, 2 * image_size))  # a large JPEG is decoded only as large as needed
            image = _on_white(ImageOps.exif_transpose(file))
            return ImageOps.fit(image.convert(MODES[channels]), (image_size, image_size), Image.Resampling.BILINEAR)
    except Exception as error:  # Pillow raises errors of several kinds
        advice = "remove it, copy it anew, or, where it is too large, save it smaller"
        raise ValueError(f"{path} is no image, or a truncated one: {error}; {advice}") from error


def check_shape(image_size: int, channels: int) -> None:
    """Raise a ValueError for a shape that `read_photo` does not make."""
    if channels not in MODES or image_size < 1:
        raise ValueError(f"{channels=} must be 1 for grey images or 3 for colour, {image_size=} at least 1")


def normalization_of(data: Tensor) -> v2.Compose:
    """`normalization` by the mean and the standard deviation of these uint8 images (N, H, W, C), channel by channel.

    Both come from a count of the values 0…255, so that they need little memory. Channels that are all of one value
    stay finite.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in data.unbind(3)]).double()  # (C, 256)
    n = counts.sum(dim=1)
    means = counts @ values / n
    variances = (counts * (values - means[:, None]) ** 2).sum(dim=1) / (n - 1)
    return normalization(means.tolist(), variances.sqrt().clamp(min=1e-3).tolist())


def _on_white(image: Image.Image) -> Image.Image:
    """`image` without transparency, of 8 bits."""
    if image.mode in SIXTEEN_BITS or (image.mode == "I" and np.asarray(image).max() > 255):  # "I" is that of a PGM
        return image.convert("I").point(lambda value: value / 256).convert("L")  # else most of it becomes white
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image
