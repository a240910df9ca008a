"""Omniglot: 1,623 characters of 50 alphabets, each drawn once by 20 people (Lake, Salakhutdinov and Tenenbaum, 2015).

The zip archives are read directly, without unpacking thousands of files.
"""

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.datasets import Omniglot

from siamese_triplet.datasets._naming import printable
from siamese_triplet.datasets.downloads import DATA_VARIABLE, MissingDataError, cache_directory, named_folder
from siamese_triplet.datasets.downloads import download as fetch
from siamese_triplet.datasets.images import Images, normalization

OMNIGLOT = "omniglot"
IMAGE_SIZE = 105
DRAWERS = 20
MAX_BYTES = 2**16  # of a drawing's file; the official ones have some hundred
MEAN, STD = 0.0762, 0.2133  # of the ink in "images_background_small1" at 28 × 28

MINIMAL = {  # alphabets of the two minimal background sets; Greek and Latin, which are in both, are for training
    True: ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"),
    False: ("Japanese_(katakana)", "Sanskrit", "Tagalog"),
}


@dataclass(frozen=True)
class Archive:
    """A zip file of `folder/alphabet/character/drawing.png`."""

    path: Path
    n_characters: int

    @classmethod
    def full(cls, root: Path, train: bool) -> "Archive":
        """Return the archive of the 30 background or the 20 evaluation alphabets, as torchvision stores it."""
        folder = root / Omniglot.folder
        return cls(folder / "images_background.zip", 964) if train else cls(folder / "images_evaluation.zip", 659)

    @classmethod
    def minimal(cls, root: Path, train: bool) -> "Archive":
        """Return the archive of an official "minimal" split, five alphabets each."""
        name, n_characters = ("small1", 136) if train else ("small2", 156)
        return cls(root / "omniglot-minimal" / f"images_background_{name}.zip", n_characters)


def load_omniglot(
    train: bool = True,
    root: str | os.PathLike | None = None,
    download: bool = True,
    subset: str | None = None,
    image_size: int | None = None,
) -> Images:
    """Load the training characters, or the test characters from other alphabets: 0 is paper, 255 is ink.

    - Without a `subset`: the authors' split, 964 training characters of 30 alphabets and 659 test characters of 20.
    - `subset="minimal"`: the 136 characters of the five alphabets in their first minimal set for training, and the 106
      of the three alphabets that only their second has for testing, 4,840 images in all.

    The data folder is `root`, else the folder named by the environment variable SIAMESE_TRIPLET_DATA, else the user's
    cache directory. The archives are looked up in it as torchvision keeps them, `omniglot-py/*.zip`, and the minimal
    ones also as `omniglot-minimal/images_background_small1.zip` and `…small2.zip`. If they are missing and `download`
    is true, they are downloaded. If only the minimal archives are there and no `subset` is given, they are used, and a
    printed line says so.

    Returns `Images`: `.data` uint8 (N, S, S) with S = `image_size`, by default 105, shrunk with antialiasing if
    smaller; `.targets`; `.classes`, such as "Greek/character01"; `.groups` and `.group_names`, the alphabets.

    Raises ValueError for an unknown `subset`, an `image_size` below 8 or above 105, and a truncated or incomplete
    archive, naming it; FileNotFoundError if there is no archive and it cannot be downloaded.
    """
    if subset not in (None, "minimal"):
        raise ValueError(f"unknown {subset=} of omniglot; it is None for all alphabets or 'minimal'")
    image_size = check_image_size(image_size)
    folder = named_folder(root) or cache_directory()
    archive, alphabets = _find(folder, train, download, subset)
    return _make_images(*_read(archive, alphabets, image_size), train)


def has_omniglot(subset: str | None = None, root: str | os.PathLike | None = None) -> bool:
    """Tell whether `load_omniglot` finds its archives without a download."""
    try:
        for train in (True, False):
            _find(named_folder(root) or cache_directory(), train, False, subset)
    except FileNotFoundError:
        return False
    return True


def rotations_as_classes(images: Images) -> Images:
    """Add the rotations of each class of `images` (square) by 90, 180 and 270 degrees as new classes.

    A common way to get four times as many characters (Santoro and others, 2016). A turned alphabet is its own group.
    """
    n_classes, n_groups = len(images.classes), len(images.group_names)
    turns = range(4)
    suffixes = ["", *(f" turned by {90 * turn}°" for turn in turns[1:])]
    return Images(
        torch.cat([images.data.rot90(turn, (1, 2)) for turn in turns]),
        torch.cat([images.targets + turn * n_classes for turn in turns]),
        [name + suffix for suffix in suffixes for name in images.classes],
        images.train,
        images.transform,
        None if images.groups is None else torch.cat([images.groups + turn * n_groups for turn in turns]),
        [name + suffix for suffix in suffixes for name in images.group_names],
        None if images.sources is None else images.sources.repeat(len(turns)),
        images.source_names,
    )


def _find(root: Path, train: bool, download: bool, subset: str | None) -> tuple[Archive, tuple[str, ...] | None]:
    """Find or download the archive to read; return it with the alphabets to take from it, None for all."""
    minimal, alphabets = Archive.minimal(root, train), MINIMAL[train]
    full = Archive.full(root, train or subset == "minimal")  # both minimal sets are parts of the background set
    wanted = alphabets if subset == "minimal" else None
    if subset == "minimal" and minimal.path.is_file():
        return minimal, alphabets
    if full.path.is_file():
        return full, wanted
    if minimal.path.is_file():
        where = printable(full.path)
        print(f"omniglot: using the minimal set {minimal.path.name}; all alphabets would be in {where}")
        return minimal, alphabets
    background = full.path.name == "images_background.zip"
    problem: str | None = "download=False"
    if download:
        problem = fetch(lambda: Omniglot(root, background=background, download=True), full.path.parent)
    if problem:
        neither = printable(f"neither {full.path} nor {minimal.path}")
        raise MissingDataError(
            f"no omniglot data: there is {neither}, and it was not downloaded: {problem}. Connect once, or "
            f"name the folder that has them with root= or {DATA_VARIABLE}"
        )
    return full, wanted


def _read(archive: Archive, alphabets: tuple[str, ...] | None, image_size: int) -> tuple[Tensor, list[tuple[str, str]]]:
    """Read the ink, uint8 (N, S, S), of all drawings of `alphabets`, and the alphabet and character of each."""
    drawings, characters, n_expected = [], [], DRAWERS * archive.n_characters
    try:
        with zipfile.ZipFile(archive.path) as file:
            names = sorted(name for name in file.namelist() if name.endswith(".png"))
            if len(names) != n_expected:
                raise ValueError(f"it holds {len(names)} drawings, not the {n_expected} of the official archive")
            for name in names:
                alphabet, character = name.split("/")[1:3]
                if alphabets is None or alphabet in alphabets:
                    drawings.append(read_drawing(file, name))
                    characters.append((alphabet, character))
        data = 255 - torch.stack(drawings)
    except Exception as error:  # zipfile, zlib and Pillow raise errors of several kinds
        raise damaged(archive.path, error) from error
    return shrink(data, image_size), characters


def damaged(path: Path, error: Exception) -> ValueError:
    """Make the error for an archive that cannot be read, or that holds something else."""
    problem = f"{path} is truncated or corrupt: {error or type(error).__name__}"
    return ValueError(printable(f"{problem}; delete it to have it downloaded again, or copy it again"))


def shrink(data: Tensor, image_size: int) -> Tensor:
    """Shrink drawings, uint8 (N, 105, 105), to `image_size` with antialiasing."""
    if image_size == IMAGE_SIZE:
        return data
    shrunk = [
        F.interpolate(part[:, None].float(), (image_size, image_size), mode="bilinear", antialias=True)
        for part in data.split(1000)
    ]
    return torch.cat(shrunk).squeeze(1).round().clamp(0, 255).byte()


def check_image_size(image_size: int | None) -> int:
    """Return `image_size`, by default that of the drawings. Raises ValueError for one below 8 or above it."""
    image_size = IMAGE_SIZE if image_size is None else image_size
    if not 8 <= image_size <= IMAGE_SIZE:
        raise ValueError(f"{image_size=} of omniglot must be between 8 and {IMAGE_SIZE}")
    return image_size


def read_drawing(file: zipfile.ZipFile, name: str) -> Tensor:
    """Read a drawing, uint8 (105, 105), whose declared sizes are checked before it is unpacked and decoded."""
    n_bytes = file.getinfo(name).file_size
    if n_bytes > MAX_BYTES:
        raise ValueError(f"{name} has {n_bytes:,} bytes, more than the {MAX_BYTES:,} that a drawing may have")
    with file.open(name) as member:
        contents = member.read(MAX_BYTES)  # no more, whatever it unpacks to
    with Image.open(io.BytesIO(contents), formats=["PNG"]) as image:
        if image.size != (IMAGE_SIZE, IMAGE_SIZE):
            raise ValueError(f"{name} has {image.width} × {image.height} pixels, not {IMAGE_SIZE} × {IMAGE_SIZE}")
        return torch.from_numpy(np.array(image.convert("L")))


def _make_images(data: Tensor, characters: list[tuple[str, str]], train: bool) -> Images:
    classes, alphabets = sorted(set(characters)), sorted({alphabet for alphabet, _ in characters})
    number_of = {character: number for number, character in enumerate(classes)}
    return Images(
        data,
        torch.tensor([number_of[character] for character in characters]),
        ["/".join(character) for character in classes],
        train,
        normalization(MEAN, STD),
        groups=torch.tensor([alphabets.index(alphabet) for alphabet, _ in characters]),
        group_names=alphabets,
    )
