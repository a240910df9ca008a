"""Many images in one picture, for a page."""

import base64
import io
import math
from typing import Any

from PIL import Image
from torch import Tensor

from siamese_triplet.datasets.images import without_channel

GREYS = 16  # grey levels of the images, few to keep the page small
COLUMNS = 40  # images side by side
QUALITY = 75  # of WebP, out of 100


def png_sheet(data: Tensor) -> dict[str, Any]:
    """Tile images, uint8 (N, H, W) or (N, H, W, C), into one PNG of few colours; grey images become dark on light."""
    sheet = tile(data, COLUMNS)
    stream = io.BytesIO()
    sheet.quantize(GREYS if sheet.mode == "L" else 256).save(stream, "PNG", optimize=True)
    return _described(data, COLUMNS, "png", stream)


def webp_sheet(data: Tensor) -> dict[str, Any]:
    """Tile images like `png_sheet` into a lossy WebP, which keeps all colours; it is about square, as none is larger.

    In colour it takes a fifth of what a lossless one does.
    """
    columns = math.ceil(math.sqrt(len(data)))
    stream = io.BytesIO()
    tile(data, columns).save(stream, "WEBP", quality=QUALITY, method=6)
    return _described(data, columns, "webp", stream)


def tile(data: Tensor, columns: int) -> Image.Image:
    """Put images, uint8 (N, H, W) or (N, H, W, C), into one of at most `columns`; grey images become dark on light."""
    data = without_channel(data)
    n_images, height, width = data.shape[:3]
    columns = min(columns, n_images)
    sheet = Image.new("L" if data.ndim == 3 else "RGB", (columns * width, -(-n_images // columns) * height), "white")
    for number, image in enumerate(255 - data if data.ndim == 3 else data):
        sheet.paste(Image.fromarray(image.numpy()), (number % columns * width, number // columns * height))
    return sheet


def data_url(kind: str, contents: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(contents).decode()}"


def _described(data: Tensor, columns: int, kind: str, stream: io.BytesIO) -> dict[str, Any]:
    """Return a sheet as `imageSheet` in `data.mjs` takes it."""
    height, width = data.shape[1:3]
    source = data_url(kind, stream.getvalue())
    return {"source": source, "width": width, "height": height, "columns": min(columns, len(data))}
