"""Pixels of any kind as 8 bits, converted a band of rows at a time: whole copies of a large image fill the memory."""

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image

SMALL_PIXELS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}  # bytes; others take 4
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
NUMERIC = (*SIXTEEN_BITS, "I", "F")
BITS = (8, 12, 16)  # of integers
MOST_USED = 64  # floats up to a smaller maximum are no greys 0…255
BITS_PER_SAMPLE = 258  # the TIFF tag
BAND = 2**20  # pixels converted at a time
MAX_CONVERTED = 2**26  # bytes; an image that would take more is reduced as it is converted


def bytes_per_pixel(mode: str) -> int:
    """Return the bytes that Pillow takes for a pixel of `mode`."""
    return SMALL_PIXELS.get(mode, 4)


def to_8_bits(image: Image.Image, mode: str, image_size: int) -> Image.Image:
    """Convert a loaded image to "L" or `mode`, on white where it is transparent.

    One that would take more than `MAX_CONVERTED` bytes is reduced by a whole number, to no less than twice
    `image_size`. Raises ValueError for NaN and infinite values.
    """
    is_numeric, is_opaque = image.mode in NUMERIC, "transparency" not in image.info
    if is_opaque and image.mode in ("L", mode):
        return image
    if is_numeric or (is_opaque and image.mode == "1"):
        mode = "L"
    scale = _scale(image) if is_numeric else None
    too_large = image.width * image.height * bytes_per_pixel(mode) > MAX_CONVERTED
    factor = max(1, min(image.size) // (2 * image_size)) if too_large else 1
    converted = Image.new(mode, (math.ceil(image.width / factor), math.ceil(image.height / factor)))
    for top, band in _bands(image, factor):
        eight_bits = _on_white(band) if scale is None else _scaled(band, *scale)
        converted.paste(eight_bits.convert(mode).reduce(factor), (0, top // factor))
    return converted


def _bands(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Cut `image` into bands of about `BAND` pixels, of a multiple of `factor` rows; yield each after its top."""
    n_rows = factor * max(1, BAND // (image.width * factor))
    if n_rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, n_rows):
        yield top, image.crop((0, top, image.width, min(top + n_rows, image.height)))


def _on_white(image: Image.Image) -> Image.Image:
    """Put `image` on white if it is transparent."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image


def _scale(image: Image.Image) -> tuple[float, float, float]:
    """Return the black of a numeric image, the factor from there to 0…255, and what to add before rounding down.

    Integers have the factor of 8, 12 or 16 bits, so that the images of one camera have the same one.
    """
    ends = np.array([(values.min(), values.max()) for values in (_values(band) for _, band in _bands(image))])
    low, high = float(ends.min()), float(ends.max())
    if not math.isfinite(high - low):
        raise ValueError("it holds NaN or infinite values; replace them, such as by 0")
    if image.mode == "F" and low >= 0 and (high <= 1 or MOST_USED <= high <= 255):
        return (0, 255, 0.5) if high <= 1 else (0, 1, 0)
    if image.mode != "F" and low >= 0 and high < 2 ** BITS[-1]:
        bits = next(bits for bits in BITS if high < 2**bits)
        return 0, 2.0 ** (8 - (bits if bits == 8 else _declared_bits(image) or bits)), 0
    return low, 255 / ((high - low) or 1), 0.5


def _declared_bits(image: Image.Image) -> int | None:
    """Return the bits of the integers of an image file, if it says so: 16 in a container may be fewer."""
    if image.format == "PPM":
        return 16  # Pillow scales from the largest value that the file names
    return 12 if getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE) == (12,) else None


def _values(image: Image.Image) -> np.ndarray:
    """View the values of a numeric image as int32 or float32 (H, W)."""
    return np.asarray(image.convert("I") if image.mode in SIXTEEN_BITS else image)


def _scaled(image: Image.Image, black: float, factor: float, added: float) -> Image.Image:
    greys = (_values(image).astype(np.float64) - black) * factor + added
    return Image.fromarray(greys.clip(0, 255).astype(np.uint8))
