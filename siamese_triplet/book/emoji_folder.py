"""A folder of small pictures such as people have: emoji as PNG files, with the faults of real folders."""

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageChops

from siamese_triplet.datasets import Images, load_emoji
from siamese_triplet.datasets._naming import expand

SIDES = (64, 128)  # of the written pictures, in pixels
LIGHT = (190, 255)  # of each colour
PEOPLE = ("man", "woman", "person", "men", "women", "people")
LEFT_OUT = ("Symbols", "Flags")  # groups of signs
COPIED = 48  # pixels a side of a copy
SHORT = 50  # bytes that are left of a broken file


@dataclass(frozen=True)
class Planted:
    """The faults that were planted into a folder: files in a wrong sub-folder, copies in another one, broken files."""

    misplaced: frozenset[Path] = frozenset()
    copies: frozenset[Path] = frozenset()
    broken: frozenset[Path] = frozenset()

    def __str__(self) -> str:
        return f"{len(self.misplaced)} misplaced, {len(self.copies)} copied, {len(self.broken)} broken"


def family(name: str) -> str:
    """Name what `name` shares with its relatives: "man-cook" and "woman-cook" are a cook, like "cook" itself.

    >>> from siamese_triplet.book.emoji_folder import family
    >>> [family(name) for name in ("man-cook", "cook", "family-man-woman-girl", "woman")]
    ['cook', 'cook', 'family-girl', 'woman']
    """
    return "-".join(word for word in name.split("-") if word not in PEOPLE) or name


def write_emoji_folder(root: str | os.PathLike, n_families: int = 160, seed: int = 0) -> Planted:
    """Write a folder of emoji, a sub-folder for each, and plant faults into it.

    The emoji of `n_families` families are drawn from `seed`, with all drawings of each, four to seven, see
    `load_emoji`; signs and flags are left out. A drawing becomes a PNG file of 64 to 128 pixels a side: enlarged, in
    some place of a ground, in light of some colour.
    Then, for every 100 files and at least once, one is moved into the sub-folder of another family, and one is copied
    into one, as a smaller JPEG. One file is cut off. Returns the files with faults.

    Raises FileExistsError if `root` exists and is not empty, and ValueError for a number of families that there is
    not.

    >>> from siamese_triplet.book.emoji_folder import write_emoji_folder
    >>> print(write_emoji_folder("emoji", n_families=20))
    1 misplaced, 1 copied, 1 broken
    """
    root = expand(root)
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty; name a new folder")
    rng, sets = random.Random(seed), (load_emoji(), load_emoji(train=False))
    families = sorted({family(name) for images in sets for name in _names(images)})
    if not 2 <= n_families <= len(families):
        raise ValueError(f"{n_families=} must be from 2 to the {len(families)} families of emoji")
    chosen = set(rng.sample(families, n_families))
    for images in sets:
        for name in _names(images):
            if family(name) in chosen:
                _write_class(root / name, images.data[images.targets == images.classes.index(name)], rng)
    return _plant(root, rng)


def _names(images: Images) -> list[str]:
    """List the emoji that are no signs."""
    assert images.groups is not None
    signs = torch.tensor([images.group_names.index(group) for group in LEFT_OUT])
    numbers = images.targets[~torch.isin(images.groups, signs)].unique()
    return [images.classes[number] for number in numbers.tolist()]


def _write_class(folder: Path, data: torch.Tensor, rng: random.Random) -> None:
    """Write drawings, uint8 (n, 32, 32, 3), as PNG files of several sizes."""
    folder.mkdir(parents=True)
    for number, drawing in enumerate(data.numpy()):
        _photograph(Image.fromarray(drawing), rng).save(folder / f"{number}.png", compress_level=1)


def _photograph(drawing: Image.Image, rng: random.Random) -> Image.Image:
    """Put an enlarged `drawing` somewhere on a larger ground, both in a light of some colour."""
    ground = rng.randint(*SIDES)
    side = round(rng.uniform(0.6, 0.95) * ground)
    place = rng.randint(0, ground - side), rng.randint(0, ground - side)
    picture = Image.new("RGB", (ground, ground), "white")
    picture.paste(drawing.resize((side, side), Image.Resampling.BICUBIC), place)
    red, green, blue = (rng.randint(*LIGHT) for _ in range(3))
    return ImageChops.multiply(picture, Image.new("RGB", picture.size, (red, green, blue)))


def _plant(root: Path, rng: random.Random) -> Planted:
    """Move, copy and break some files below `root`; each file has one fault at most."""
    folders = sorted(root.iterdir())
    files = sorted(root.rglob("*.png"))
    n_faults = max(1, len(files) // 100)
    drawn = iter(rng.sample(files, 2 * n_faults + 1))
    misplaced, copies = [], []

    def other_than(file: Path) -> Path:
        return rng.choice([folder for folder in folders if family(folder.name) != family(file.parent.name)])

    for number in range(n_faults):
        moved, copied = next(drawn), next(drawn)
        misplaced.append(other_than(moved) / f"moved-{number}.png")
        shutil.move(moved, misplaced[-1])
        copies.append(other_than(copied) / f"copied-{number}.jpg")
        with Image.open(copied) as image:
            image.resize((COPIED, COPIED)).save(copies[-1], quality=80)
    broken = next(drawn)
    broken.write_bytes(broken.read_bytes()[:SHORT])
    return Planted(frozenset(misplaced), frozenset(copies), frozenset([broken]))
