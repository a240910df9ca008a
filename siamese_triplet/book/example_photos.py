"""A folder of small example photographs: clothes and digits in six colours."""

import os
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from siamese_triplet.datasets import load
from siamese_triplet.datasets._naming import expand

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
    """Write photographs of 120 "products" into `root`, one sub-folder per product, and return `root`.

    A product is one of the twenty classes of FashionMNIST and MNIST in one of six colours: "sneaker-red",
    "digit-7-blue". The photographs are the images inside the package, tinted, each in one product only; hue, light,
    background and size vary between them. A product has `n_photos` (least, most) of them, at most 100. Everything is
    drawn from `seed`, and the files are JPEG.

    Raises FileExistsError if `root` exists and is not empty, and ValueError for other numbers.
    """
    root = expand(root)
    if not 1 <= n_photos[0] <= n_photos[1] <= 100:
        raise ValueError(f"{n_photos=} must be the least and the greatest number per product, from 1 to 100")
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty; name a new folder")
    generator = torch.Generator().manual_seed(seed)
    for source in SOURCES:
        images = load(source, subset="embedded")
        for label, kind in enumerate(images.classes):
            _write_kind(root, _folder_name(kind), images.data[images.targets == label], n_photos, generator)
    return root


def _write_kind(root: Path, kind: str, data: Tensor, n_photos: tuple[int, int], generator: torch.Generator) -> None:
    """Write the products of one kind from `data` (N, 28, 28)."""
    order = iter(torch.randperm(len(data), generator=generator).tolist())
    least, most = n_photos
    for colour, rgb in COLOURS.items():
        folder = root / f"{kind}-{colour}"
        folder.mkdir(parents=True)
        for number in range(int(torch.randint(least, most + 1, (), generator=generator))):
            tinted = _tint(data[next(order)], torch.tensor(rgb), generator)
            side = int(torch.randint(40, 120, (), generator=generator))
            image = Image.fromarray(tinted.numpy()).resize((side, side), Image.Resampling.BICUBIC)
            image.save(folder / f"{number:03}.jpg", quality=90)


def _tint(image: Tensor, rgb: Tensor, generator: torch.Generator) -> Tensor:
    """Tint a grey image (H, W), light on black, to the colour `rgb` on a light background: uint8 (H, W, 3)."""
    noise = torch.randn(3, generator=generator)
    light, background = 0.6 + 0.5 * torch.rand(2, generator=generator)
    amount = (image.float() / 255)[:, :, None] ** 0.7
    foreground = (rgb + 12 * noise).clamp(0, 255) * (0.35 + 0.65 * amount)
    photo = amount.clamp(max=1) * foreground + (1 - amount) * 225 * background.clamp(max=1)
    return (photo * light.clamp(max=1)).clamp(0, 255).byte()


def _folder_name(kind: str) -> str:
    """Turn the name of a class of either data set into that of a folder."""
    return f"digit-{kind[0]}" if kind[0].isdecimal() else kind.lower().replace("/", "-").replace(" ", "-")
