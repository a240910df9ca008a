"""Folders such as people have: small pictures whose colour and shape show their class, with the faults of real ones.

`OWN_FOLDERS` has a function of each kind by name: `OWN_FOLDERS["12 classes x 10"](root)` writes it below `root`, which
is made, and returns `root`. The same kind is always the same, byte by byte. All but the largest take under a second.
"""

import colorsys
import csv
import os
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import count, product
from pathlib import Path

from PIL import Image, ImageDraw

SIZE = (28, 24)  # width and height of a picture
SHAPES = ("disc", "square", "triangle", "ring", "cross", "bars")
NAMES = (  # of classes, in any script
    "قطة", "猫", "Кошка", "γάτα", "חתול", "แมว", "🐈", "👩‍👩‍👧", "ein Name mit Leerzeichen", "person-001", "person-002",
    "-rf", "--help", "it's", 'say "cat"', "$\\frac{", "a_b", "<b>bold", "100%", "{x}", "#1", "new\nline", "Ünïcödé",
    "con.jpg", "train station",
)  # fmt: skip
LATIN_1 = os.fsdecode("chät".encode("latin-1"))  # a name that is no UTF-8


def draw(number: int, rng: random.Random, size: tuple[int, int] = SIZE) -> Image.Image:
    """Draw a picture of class `number`: its colour, its shape and its ground, at a place and of a size from `rng`."""
    width, height = size
    hue = number * 0.618034 % 1
    colour, ground = _colour(hue, 0.85, 0.75, rng), _colour(hue * 7 % 1, 0.15, 0.95, rng)
    picture = Image.new("RGB", size, ground)
    pen = ImageDraw.Draw(picture)
    radius = min(size) * rng.uniform(0.28, 0.38)
    x, y = (side / 2 + rng.uniform(-2, 2) for side in (width, height))
    box = (x - radius, y - radius, x + radius, y + radius)
    match SHAPES[number % len(SHAPES)]:
        case "disc":
            pen.ellipse(box, fill=colour)
        case "square":
            pen.rectangle(box, fill=colour)
        case "triangle":
            pen.polygon([(x, box[1]), (box[0], box[3]), (box[2], box[3])], fill=colour)
        case "ring":
            pen.ellipse(box, outline=colour, width=3)
        case "cross":
            pen.line((box[0], y, box[2], y), fill=colour, width=4)
            pen.line((x, box[1], x, box[3]), fill=colour, width=4)
        case "bars":
            for shift in (-radius, 0, radius):
                pen.line((x + shift, box[1], x + shift, box[3]), fill=colour, width=3)
    return picture


def write_class(folder: Path, number: int, n_images: int, size: tuple[int, int] = SIZE, seed: int = 0) -> list[Path]:
    """Write `n_images` pictures of class `number` into `folder`, some as JPEG and some as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{number} {seed}")
    paths = [folder / f"{image:03}.{'jpg' if image % 2 else 'png'}" for image in range(n_images)]
    for path in paths:
        draw(number, rng, size).save(path)
    return paths


def write_classes(root: Path, sizes: Iterable[int], names: Iterable[str] | None = None) -> Path:
    """Write a sub-folder for each of `sizes`, the number of its images; without `names` it is called by its number."""
    for number, (n_images, name) in enumerate(zip(sizes, names or map("{:04}".format, count()), strict=False)):
        write_class(root / name, number, n_images)
    return root


def few_images(root: Path) -> Path:
    """Write 60 classes of 3 to 6 images."""
    return write_classes(root, [3 + number % 4 for number in range(60)])


def singles(root: Path) -> Path:
    """Write 40 classes: of one half there is a single image, of the other there are four."""
    return write_classes(root, [1, 4] * 20)


def only_singles(root: Path) -> Path:
    """Write 20 classes of one image each."""
    return write_classes(root, [1] * 20)


def flat(root: Path) -> Path:
    """Write 48 images of eight kinds into one folder; nothing says which is which."""
    root.mkdir(parents=True)
    rng = random.Random(0)
    for image in range(48):
        draw(image * 5 % 8, rng).save(root / f"IMG_{image:04}.jpg")
    return root


def flat_with_csv(root: Path) -> Path:
    """Write a `flat` folder and `labels.csv`, of the columns `file` and `class`."""
    rows = [(path.name, f"kind {int(path.stem[4:]) * 5 % 8}") for path in sorted(flat(root).iterdir())]
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "class"), *rows])
    return root


def any_script(root: Path) -> Path:
    """Write a class of four images for each of `NAMES`, and of `LATIN_1` where the file system allows it."""
    names = [name for name in (*NAMES, LATIN_1) if _can_have(root, name)]
    return write_classes(root, [4] * len(names), names)


def broken_files(root: Path) -> Path:
    """Write 12 classes of 10 images; six of the files are broken, each in another way, and six more are no images."""
    write_classes(root, [10] * 12)
    whole = (root / "0000" / "001.jpg").read_bytes()
    (root / "0000" / "001.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "0001" / "000.png").write_bytes((root / "0001" / "000.png").read_bytes()[:60])
    (root / "0002" / "003.jpg").write_bytes(b"")
    (root / "0003" / "003.jpg").write_text("<!DOCTYPE html><title>404 Not Found</title>")
    (root / "0004" / "003.jpg").write_bytes(b"%!PS-Adobe-3.0\nshowpage\n")
    (root / "0005" / "002.png").write_bytes(bytes(range(256)))
    for number, ending in enumerate(("heic", "gif", "avif", "mp4", "psd", "")):
        (root / f"{number:04}" / f"more.{ending}".rstrip(".")).write_bytes(b"of another kind")
    (root / "Thumbs.db").write_bytes(b"of Windows")
    (root / "0000" / ".DS_Store").write_bytes(b"of a Mac")
    return root


def nested(root: Path) -> Path:
    """Write eight classes of nine images, which lie in deeper folders: `class/year/session/image`."""
    for number, seed in product(range(8), range(3)):
        write_class(root / f"class {number}" / str(2023 + seed) / "a session", number, 3, seed=seed)
    return root


def with_splits(root: Path) -> Path:
    """Write eight classes, in folders for training (six images of each), validation and test (three each)."""
    for seed, (part, n_images) in enumerate((("train", 6), ("val", 3), ("test", 3))):
        for number in range(8):
            write_class(root / part / f"class {number}", number, n_images, seed=seed)
    return root


def large(root: Path, n_images: int = 30_000, n_classes: int = 300) -> Path:
    """Write `n_images` files of `n_classes`; those of a class are links to four, so that it takes seconds."""
    for number in range(n_classes):
        paths = write_class(root / f"{number:04}", number, 4)
        for image in range(4, n_images // n_classes):
            source = paths[image % 4]
            _link(source, source.with_name(f"{image:03}{source.suffix}"))
    return root


def _n_classes(sizes: Sequence[int]) -> Callable[[Path], Path]:
    return lambda root: write_classes(root, sizes)


OWN_FOLDERS: dict[str, Callable[[Path], Path]] = {
    "3 classes x 20": _n_classes([20] * 3),
    "12 classes x 10": _n_classes([10] * 12),
    "30 classes x 10": _n_classes([10] * 30),
    "60 classes x 3 to 6": few_images,
    "2,000 classes x 2": _n_classes([2] * 2000),
    "one image of half of the classes": singles,
    "one image of each class": only_singles,
    "one class": _n_classes([12]),
    "two images of two classes": _n_classes([2] * 2),
    "flat": flat,
    "flat with a CSV": flat_with_csv,
    "names in any script": any_script,
    "broken files": broken_files,
    "nested": nested,
    "train, val and test": with_splits,
    "30,000 images": large,
}


def _colour(hue: float, saturation: float, value: float, rng: random.Random) -> tuple[int, int, int]:
    """Mix a colour, a little lighter or darker each time."""
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value * rng.uniform(0.85, 1))
    return round(255 * red), round(255 * green), round(255 * blue)


def _can_have(root: Path, name: str) -> bool:
    """Say whether the file system below `root` takes a folder of that name."""
    root.mkdir(parents=True, exist_ok=True)
    try:
        (root / name).mkdir()
    except OSError:  # Windows and macOS have rules of their own
        return False
    return True


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        target.write_bytes(source.read_bytes())
