"""A network with all that it takes to embed an image file: how the file is read, and on which device."""

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.v2 import functional

from siamese_triplet._devices import best_device
from siamese_triplet._validation import check_finite, check_matrix
from siamese_triplet.datasets import read_photo
from siamese_triplet.datasets.photos import read_photos
from siamese_triplet.distances import full_precision
from siamese_triplet.evaluation import extract_embeddings
from siamese_triplet.networks import Preprocessing, PretrainedNet

BATCH = 16  # images; the memory of larger ones is taken from the system anew for every layer, which takes as long
AS_TIFF = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F")  # modes of images that are kept as they are


class Embedder:
    """A network `net`, the `preprocessing` of its images, and `cosine`: whether embeddings are scaled to length 1.

    `preprocessing` is by default that of the network, which a `PretrainedNet` has. `cosine` is by default on for a
    `PretrainedNet`, whose features are compared by their directions. Raises ValueError for a network without
    preprocessing.
    """

    def __init__(
        self,
        net: nn.Module,
        preprocessing: Preprocessing | None = None,
        cosine: bool | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        found = _of_parts(net, "preprocessing") if preprocessing is None else preprocessing
        if not isinstance(found, Preprocessing):
            raise ValueError(
                f"it is not known how the images of {type(net).__name__} are read; pass preprocessing="
                "Preprocessing(image_size, channels, mean, std), with the mean and std of its training images"
            )
        self.net, self.preprocessing = net.to(best_device() if device is None else device), found
        self.cosine = isinstance(net, PretrainedNet) if cosine is None else cosine

    def embed_files(
        self, paths: Sequence[Path], done: Callable[[int], object] = lambda n: None
    ) -> tuple[Tensor, list[int], dict[int, str]]:
        """Embed image files, `BATCH` at a time; the next batch is read meanwhile. `done(n)` counts those that are done.

        Returns embeddings (n, D), the numbers of the files that they belong to, and the problem of each file that
        cannot be read.
        """
        problems: dict[int, str] = {}

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            chunks = [range(first, min(first + BATCH, len(paths))) for first in range(0, len(paths), BATCH)]
            with ThreadPoolExecutor(1) as reader:
                pending = [reader.submit(self._read, paths, chunk) for chunk in chunks[:1]]
                for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
                    pixels, found, broken = pending.pop().result()
                    if following is not None:
                        pending.append(reader.submit(self._read, paths, following))
                    problems.update(broken)
                    if found:
                        yield self._normalised(pixels), torch.tensor(found)
                    done(len(chunk))

        loader = batches()
        first = next(loader, None)
        if first is None:  # nothing could be read
            return torch.empty(0, 0), [], problems
        embeddings, numbers = extract_embeddings(itertools.chain([first], loader), self.net)
        return as_compared(embeddings, self.cosine), numbers.tolist(), problems

    def embed_image(self, image: Any) -> Tensor:
        """Embed one image (1, D): a path, the bytes of an image file, a PIL image, or an array or a tensor of pixels.

        Pixels are uint8 (H, W) or (H, W, C) as an array and (C, H, W) as a tensor, which are read like a file, or
        floats (C, H, W), which go into the network as they are.
        """
        if isinstance(image, Tensor) and image.is_floating_point():
            pixels = image[None] if image.ndim == 3 else image  # (1, C, H, W)
        else:
            size, channels = self.preprocessing.image_size, self.preprocessing.channels
            pixels = self._normalised(functional.pil_to_tensor(read_photo(_openable(image), size, channels))[None])
        embeddings, _ = extract_embeddings([(pixels, torch.zeros(len(pixels)))], self.net)
        return as_compared(embeddings, self.cosine)

    def _read(self, paths: Sequence[Path], numbers: range) -> tuple[Tensor, list[int], dict[int, str]]:
        """Read the files of `numbers`: uint8 pixels (n, C, H, W), the numbers read, and the problems of the others."""
        pixels: dict[int, Tensor] = {}

        def keep(place: int, image: Image.Image) -> None:
            pixels[numbers[place]] = functional.pil_to_tensor(image)

        chosen = [paths[number] for number in numbers]
        problems = read_photos(chosen, self.preprocessing.image_size, self.preprocessing.channels, keep)
        found = sorted(pixels)
        stacked = torch.stack([pixels[number] for number in found]) if found else torch.empty(0)
        return stacked, found, {numbers[place]: problem for place, problem in problems.items()}

    def _normalised(self, pixels: Tensor) -> Tensor:
        """Turn uint8 pixels (n, C, H, W) into network input, laid out as convolutions on a CPU are fastest."""
        images: Tensor = self.preprocessing.transform()(pixels)
        return images.contiguous(memory_format=torch.channels_last)


def as_compared(embeddings: Tensor, cosine: bool) -> Tensor:
    """Return embeddings (n, D) as they are compared: at least float32 and, by `cosine`, of length 1, but for zeros.

    Raises ValueError for embeddings that are not a finite matrix.
    """
    check_matrix("embeddings", embeddings)
    check_finite("embeddings", embeddings)
    embeddings = full_precision(embeddings.detach())
    return F.normalize(embeddings) if cosine else embeddings


def embeddings_in(query: Any) -> Tensor | None:
    """Return embeddings (Q, D) from floats of one or two dimensions; None for anything else."""
    if isinstance(query, np.ndarray) and np.issubdtype(query.dtype, np.floating):
        query = torch.from_numpy(query)
    if isinstance(query, Tensor) and query.is_floating_point() and query.ndim in (1, 2):
        return query[None] if query.ndim == 1 else query
    return None


def _of_parts(net: nn.Module, name: str) -> Any:
    """Return the attribute `name` of `net`, or of the first part of it that has one, such as a `PretrainedNet`."""
    return next((getattr(part, name) for part in net.modules() if hasattr(part, name)), None)


class _Contents(io.BytesIO):
    """The contents of an image file, which messages call "the image"."""

    def __str__(self) -> str:
        return "the image"


def _openable(image: Any) -> Any:
    """Return something that `read_photo` opens: a path, or the contents of a file."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _Contents(image)
    if isinstance(image, Tensor):
        if image.dtype != torch.uint8 or image.ndim != 3:
            raise ValueError(f"pixels must be uint8 (C, H, W) or floats, got {image.dtype} of {tuple(image.shape)}")
        image = functional.to_pil_image(image)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3):
            raise ValueError(f"an array of pixels must be uint8 (H, W) or (H, W, C), got {image.dtype} {image.shape}")
        image = Image.fromarray(image.squeeze(2) if image.shape[2:] == (1,) else image)
    if not isinstance(image, Image.Image):
        return image
    upright = ImageOps.exif_transpose(image)
    if "transparency" in upright.info:
        upright = upright.convert("RGBA")
    file = _Contents()
    (upright if upright.mode in AS_TIFF else upright.convert("RGB")).save(file, "TIFF")
    file.seek(0)
    return file
