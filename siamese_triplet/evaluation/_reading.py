"""Network input from images in memory and from files, and what tells one image, and one network, from another."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from siamese_triplet.datasets import FolderImages, Images
from siamese_triplet.datasets.images import channels_first
from siamese_triplet.datasets.photos import read_photos, sides
from siamese_triplet.evaluation._feature_files import KEY_SIZE
from siamese_triplet.networks import Preprocessing

VERSION = b"1"  # of the way in which images are read


class Reader(ABC):
    """Read images by number: a key of each, and what goes into the network."""

    @abstractmethod
    def keys(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return the keys of the images of `numbers`, except for those that cannot be read."""

    @abstractmethod
    def inputs(self, numbers: Sequence[int]) -> dict[int, Tensor]:
        """Return the network input (C, H, W) of the images of `numbers`, except for those that cannot be read."""

    def report(self) -> None:  # noqa: B027 - most have nothing to report
        """Raise a ValueError for images that cannot be read, or warn of them."""


class PixelReader(Reader):
    """Read images in memory, from their pixels: scale them until they cover the size, and cut out the middle."""

    def __init__(self, images: Images, preprocessing: Preprocessing) -> None:
        self.images, self.preprocessing = images, preprocessing
        self.transform = preprocessing.transform()

    def keys(self, numbers: Sequence[int]) -> dict[int, bytes]:
        return {number: _tensor_key(self.images.data[number]) for number in numbers}

    def inputs(self, numbers: Sequence[int]) -> dict[int, Tensor]:
        pixels = channels_first(self.images.data[list(numbers)])  # (n, C, H, W)
        channels, size = self.preprocessing.channels, sides(self.preprocessing.image_size)
        if pixels.shape[1] != channels:
            pixels = (
                functional.rgb_to_grayscale(pixels, channels) if pixels.shape[1] == 3 else pixels.expand(-1, 3, -1, -1)
            )
        factor = max(wanted / side for wanted, side in zip(size, pixels.shape[2:], strict=True))
        covering = [max(round(factor * side), wanted) for side, wanted in zip(pixels.shape[2:], size, strict=True)]
        scaled = functional.resize(pixels, covering, v2.InterpolationMode.BILINEAR, antialias=True)
        return dict(zip(numbers, self.transform(functional.center_crop(scaled, list(size))), strict=True))


class FileReader(Reader):
    """Read image files by `read_photo`, several at a time."""

    def __init__(self, images: FolderImages, preprocessing: Preprocessing) -> None:
        self.images, self.preprocessing = images, preprocessing
        self.transform = preprocessing.transform()
        self.problems: dict[int, str] = {}

    def keys(self, numbers: Sequence[int]) -> dict[int, bytes]:
        found = {}
        for number in numbers:
            try:
                contents = self.images.paths[number].read_bytes()
            except OSError:
                continue  # reading the image will say more
            found[number] = _key(VERSION, contents)
        return found

    def inputs(self, numbers: Sequence[int]) -> dict[int, Tensor]:
        found: dict[int, Tensor] = {}

        def keep(place: int, image: Image.Image) -> None:
            found[numbers[place]] = self.transform(image)

        paths = [self.images.paths[number] for number in numbers]
        problems = read_photos(paths, self.preprocessing.image_size, self.preprocessing.channels, keep)
        self.problems |= {numbers[place]: problem for place, problem in problems.items()}
        return dict(sorted(found.items()))

    def report(self) -> None:
        if self.problems:
            self.images._report(self.problems)


class TransformReader(Reader):
    """Read images of any kind through their own transform; their keys are those of what it makes of them."""

    def __init__(self, images: Images | FolderImages) -> None:
        self.images = images
        self.read: dict[int, Tensor] = {}

    def keys(self, numbers: Sequence[int]) -> dict[int, bytes]:
        self.read = self.inputs(numbers)
        return {number: _tensor_key(image) for number, image in self.read.items()}

    def inputs(self, numbers: Sequence[int]) -> dict[int, Tensor]:
        return {number: self.read[number] if number in self.read else self._input(number) for number in numbers}

    def _input(self, number: int) -> Tensor:
        image: Any = self.images[number][0]
        if isinstance(image, Tensor):
            return image
        raise ValueError(
            f"frozen_features: an image is a {type(image).__name__}, not a tensor; give the images a transform, such "
            "as normalization(mean, std), or pass preprocessing=Preprocessing(image_size, channels, mean, std)"
        )


def network_key(net: nn.Module, preprocessing: Preprocessing | None) -> str:
    """Return a key of the layers, the weights and the preprocessing of a network, for the name of a folder."""
    digest = hashlib.sha256(f"{net!r}\n{preprocessing}".encode())
    for name, values in net.state_dict().items():
        digest.update(name.encode() + _tensor_key(values))
    return digest.hexdigest()[:32]


def _tensor_key(values: Any) -> bytes:
    plain = torch.as_tensor(values).detach().cpu().contiguous()
    contents = plain.view(-1).view(torch.uint8).numpy() if plain.numel() else b""
    return _key(VERSION, f"{plain.dtype} {tuple(plain.shape)}".encode(), contents)


def _key(*parts: Any) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()[:KEY_SIZE]
