"""A folder of small photographs to try things on, where there is no other: clothes and digits in six colours."""

import os
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from siamese_triplet.datasets import load

COLOURS = {
    "red": (190, 40, 45),
    "yellow": (225, 180, 30),
    "green": (45, 135, 60),
    "blue": (40, 85, 175),
    "violet": (120, 60, 150),
    "black": (35, 35, 35),
}
SOURCES = ("fashion-mnist", "mnist")


def write_example_photos(root: str | os.PathLike, n_photos: tuple[int, int] = (3, 30), seed: int = 0) -> Path:
    """Write photographs of 120 "products" into `root`, a sub-folder each, and return it.

    A product is one of twenty kinds, those of FashionMNIST and of MNIST, in one of six colours: "sneaker-red",
    "digit-7-blue". The images are those inside the package, each in one product only, tinted; hue, light, background
    and size vary from one photograph to the next. How many a product has lies between the two numbers `n_photos`, at
    most 100. All is drawn from `seed`, and the files are JPEG. Raises FileExistsError where `root` is there and not
    empty, and ValueError for other numbers.
    """
    root = Path(root)
    if not 1 <= n_photos[0] <= n_photos[1] <= 100:
        raise ValueError(f"{n_photos=} must be the least and the greatest number of a product, from 1 to 100")
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty; name a new folder")
    generator = torch.Generator().manual_seed(seed)
    for source in SOURCES:
        images = load(source, subset="embedded")
        for label, kind in enumerate(images.classes):
            _write_kind(root, _name(kind), images.data[images.targets == label], n_photos, generator)
    return root


def _write_kind(root: Path, kind: str, data: Tensor, n_photos: tuple[int, int], generator: torch.Generator) -> None:
    """The products of one kind, from `data` (N, 28, 28)."""
    order = iter(torch.randperm(len(data), generator=generator).tolist())
    least, most = n_photos
    for colour, rgb in COLOURS.items():
        folder = root / f"{kind}-{colour}"
        folder.mkdir(parents=True)
        for number in range(int(torch.randint(least, most + 1, (), generator=generator))):
            tinted = _tinted(data[next(order)], torch.tensor(rgb), generator)
            side = int(torch.randint(40, 120, (), generator=generator))
            image = Image.fromarray(tinted.numpy()).resize((side, side), Image.Resampling.BICUBIC)
            image.save(folder / f"{number:03}.jpg", quality=90)


def _tinted(image: Tensor, rgb: Tensor, generator: torch.Generator) -> Tensor:
    """A grey image (H, W), light on black, as a thing of the colour `rgb` on a light ground: uint8 (H, W, 3)."""
    noise = torch.randn(3, generator=generator)
    light, ground = 0.6 + 0.5 * torch.rand(2, generator=generator)
    amount = (image.float() / 255)[:, :, None] ** 0.7
    thing = (rgb + 12 * noise).clamp(0, 255) * (0.35 + 0.65 * amount)
    photo = amount.clamp(max=1) * thing + (1 - amount) * 225 * ground.clamp(max=1)
    return (photo * light.clamp(max=1)).clamp(0, 255).byte()


def _name(kind: str) -> str:
    """The name of a class of one of the two data sets, as one of a folder."""
    return f"digit-{kind[0]}" if kind[0].isdecimal() else kind.lower().replace("/", "-").replace(" ", "-")
