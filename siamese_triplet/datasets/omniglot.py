"""Omniglot: 1,623 characters of 50 alphabets, each drawn once by 20 people (Lake, Salakhutdinov and Tenenbaum, 2015).

The archives are read as they are, without unpacking thousands of files.
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

from siamese_triplet.datasets.downloads import DATA_VARIABLE, MissingDataError, cache_directory, named_place
from siamese_triplet.datasets.downloads import download as fetch
from siamese_triplet.datasets.images import Images, normalization

OMNIGLOT = "omniglot"
IMAGE_SIZE = 105
DRAWERS = 20
MEAN, STD = 0.0762, 0.2133  # of the ink of "images_background_small1" at 28 × 28

MINIMAL = {  # the alphabets of the two minimal background sets; Greek and Latin, in both, are in the first here
    True: ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"),
    False: ("Japanese_(katakana)", "Sanskrit", "Tagalog"),
}


@dataclass(frozen=True)
class Archive:
    """A zip file of `folder/alphabet/character/drawing.png`."""

    path: Path
    n_characters: int

    @classmethod
    def full(cls, place: Path, train: bool) -> "Archive":
        """Where torchvision's download keeps the 30 background alphabets, and the 20 for evaluation."""
        folder = place / Omniglot.folder
        return cls(folder / "images_background.zip", 964) if train else cls(folder / "images_evaluation.zip", 659)

    @classmethod
    def minimal(cls, place: Path, train: bool) -> "Archive":
        """The official "minimal" splits, five alphabets each."""
        name, n_characters = ("small1", 136) if train else ("small2", 156)
        return cls(place / "omniglot-minimal" / f"images_background_{name}.zip", n_characters)


def load_omniglot(
    train: bool = True,
    root: str | os.PathLike | None = None,
    download: bool = True,
    subset: str | None = None,
    image_size: int | None = None,
) -> Images:
    """The characters to train on, or others of other alphabets to test on, as dark ink: 0 paper, 255 ink.

    Without a `subset` all: 964 characters of 30 alphabets to train, 659 of 20 others to test, as the authors divide
    them. `subset="minimal"` has the 136 characters of the five alphabets of their first minimal set to train, and the
    106 of the three alphabets that only the second has to test: 4,840 images together.

    `root`, else the environment variable SIAMESE_TRIPLET_DATA, else the user's cache directory is the folder of the
    data, where the archives are looked for as torchvision keeps them, `omniglot-py/*.zip`, and the minimal ones also as
    `omniglot-minimal/images_background_small1.zip` and `…small2.zip`. What is not there is downloaded, if `download`
    allows it. Where only the minimal archives are there, and no `subset` was asked for, they are used, with a line that
    says so.

    Returns `Images`: `.data` uint8 (N, S, S) with S = `image_size`, by default 105, shrunk with antialiasing where it
    is less; `.targets` and `.classes` as "Greek/character01"; `.groups` and `.group_names`, the alphabets.

    Raises ValueError for an unknown `subset`, an `image_size` below 8 or above 105, and an archive that is truncated or
    incomplete, naming it; FileNotFoundError where there is none and it cannot be downloaded.
    """
    if subset not in (None, "minimal"):
        raise ValueError(f"unknown {subset=} of omniglot; it is None for all alphabets or 'minimal'")
    image_size = IMAGE_SIZE if image_size is None else image_size
    if not 8 <= image_size <= IMAGE_SIZE:
        raise ValueError(f"{image_size=} of omniglot must be between 8 and {IMAGE_SIZE}")
    place = named_place(root) or cache_directory()
    archive, alphabets = _find(place, train, download, subset)
    return _images(*_read(archive, alphabets, image_size), train)


def has_omniglot(subset: str | None = None, root: str | os.PathLike | None = None) -> bool:
    """Whether `load_omniglot` finds what it needs without a download."""
    try:
        for train in (True, False):
            _find(named_place(root) or cache_directory(), train, False, subset)
    except FileNotFoundError:
        return False
    return True


def rotations_as_classes(images: Images) -> Images:
    """Four times as many classes: `images` (square), and each class turned by 90, 180 and 270 degrees as a new one.

    A usual way to more classes of characters (Santoro and others, 2016). A turned alphabet is a group of its own.
    """
    n_classes, n_groups = len(images.classes), len(images.group_names)
    turns = range(4)
    turned = ["", *(f" turned by {90 * turn}°" for turn in turns[1:])]
    return Images(
        torch.cat([images.data.rot90(turn, (1, 2)) for turn in turns]),
        torch.cat([images.targets + turn * n_classes for turn in turns]),
        [name + suffix for suffix in turned for name in images.classes],
        images.train,
        images.transform,
        None if images.groups is None else torch.cat([images.groups + turn * n_groups for turn in turns]),
        [name + suffix for suffix in turned for name in images.group_names],
    )


def _find(place: Path, train: bool, download: bool, subset: str | None) -> tuple[Archive, tuple[str, ...] | None]:
    """The archive to read, and which of its alphabets, None for all."""
    minimal, alphabets = Archive.minimal(place, train), MINIMAL[train]
    full = Archive.full(place, train or subset == "minimal")  # both minimal sets are parts of the background set
    wanted = alphabets if subset == "minimal" else None
    if subset == "minimal" and minimal.path.is_file():
        return minimal, alphabets
    if full.path.is_file():
        return full, wanted
    if minimal.path.is_file():
        print(f"omniglot: using the minimal set {minimal.path.name}; all alphabets would be in {full.path}")
        return minimal, alphabets
    background = full.path.name == "images_background.zip"
    problem: str | None = "download=False"
    if download:
        problem = fetch(lambda: Omniglot(place, background=background, download=True), full.path.parent)
    if problem:
        raise MissingDataError(
            f"no omniglot data: there is neither {full.path} nor {minimal.path}, and it was not downloaded: {problem}. "
            f"Connect once, or name the folder that has them with root= or {DATA_VARIABLE}"
        )
    return full, wanted


def _read(archive: Archive, alphabets: tuple[str, ...] | None, image_size: int) -> tuple[Tensor, list[tuple[str, str]]]:
    """The ink uint8 (N, S, S) of the drawings of these alphabets, and the alphabet and the character of each."""
    advice = "delete it, so that it is downloaded again, or copy it anew"
    drawings, characters = [], []
    try:
        with zipfile.ZipFile(archive.path) as file:
            names = sorted(name for name in file.namelist() if name.endswith(".png"))
            for name in names:
                alphabet, character = name.split("/")[1:3]
                if alphabets is None or alphabet in alphabets:
                    with Image.open(io.BytesIO(file.read(name))) as image:
                        drawings.append(torch.from_numpy(np.array(image.convert("L"))))
                    characters.append((alphabet, character))
        data = 255 - torch.stack(drawings)
    except Exception as error:  # zipfile, zlib and Pillow raise errors of several kinds
        raise ValueError(
            f"{archive.path} is truncated or corrupt: {error or type(error).__name__}; {advice}"
        ) from error
    if len(names) != DRAWERS * archive.n_characters:
        raise ValueError(
            f"{archive.path} holds {len(names)} drawings, not the {DRAWERS * archive.n_characters} of the official "
            f"archive; {advice}"
        )
    if image_size < IMAGE_SIZE:
        shrunk = [
            F.interpolate(part[:, None].float(), (image_size, image_size), mode="bilinear", antialias=True)
            for part in data.split(1000)
        ]
        data = torch.cat(shrunk).squeeze(1).round().clamp(0, 255).byte()
    return data, characters


def _images(data: Tensor, characters: list[tuple[str, str]], train: bool) -> Images:
    classes, alphabets = sorted(set(characters)), sorted({alphabet for alphabet, _ in characters})
    place = {character: number for number, character in enumerate(classes)}
    return Images(
        data,
        torch.tensor([place[character] for character in characters]),
        ["/".join(character) for character in classes],
        train,
        normalization(MEAN, STD),
        groups=torch.tensor([alphabets.index(alphabet) for alphabet, _ in characters]),
        group_names=alphabets,
    )
