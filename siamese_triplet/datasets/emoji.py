"""Emoji, drawn by several designers: many classes with a few images each."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from siamese_triplet.datasets.images import Images, normalization

EMOJI = "emoji"
FOLDER = Path(__file__).parent / "embedded" / "emoji"
SIZE = 32
DESIGNS = ("noto", "noto-v1", "fxemoji", "fluent-emoji-flat", "fluent-emoji", "twemoji", "emojione")
MEAN, STD = (0.8241, 0.7890, 0.7399), (0.2629, 0.2526, 0.3025)  # of the training images


def load_emoji(train: bool = True) -> Images:
    """Load the emoji of the training classes, or those of the 400 test classes: no class is in both.

    A class is an emoji, an image the drawing of one designer. There are four to seven per class, 32 × 32 in colour on
    white. Skin tones and mirror images are left out. All images come with the package; nothing is downloaded.

    Returns `Images`: `.data` uint8 (N, 32, 32, 3); `.targets`; `.classes`, such as "baby-chick"; `.groups` and
    `.group_names`, Unicode's nine groups, such as "Food & Drink"; `.sources` and `.source_names`, the designs.

    Raises ValueError if the files in the package are missing or damaged.

    Sources: Noto Emoji, new and old (Google), FxEmoji (Mozilla), Apache 2.0; Fluent Emoji, flat and in depth
    (Microsoft), MIT; Twemoji (Twitter and others), EmojiOne 2 (Emoji One), CC BY 4.0. See `embedded/emoji/README.md`.

    >>> from siamese_triplet import load
    >>> images = load("emoji", train=False)
    >>> images
    2,307 test images of 32×32×3, 400 classes
    >>> is_cat = images.targets == images.classes.index("cat")
    >>> [images.source_names[source] for source in images.sources[is_cat]]
    ['noto', 'noto-v1', 'fxemoji', 'fluent-emoji-flat', 'fluent-emoji', 'twemoji', 'emojione']
    """
    try:
        emoji, sheets = _read()
    except Exception as error:
        raise ValueError(f"{FOLDER} is incomplete or damaged: {error}; reinstall siamese_triplet") from error
    chosen = [number for number, entry in enumerate(emoji) if entry["test"] != train]
    groups = sorted({entry["group"] for entry in emoji})
    rows = [  # one per drawing: its class, group, design and place in the sheet
        (label, groups.index(emoji[number]["group"]), DESIGNS.index(design), place)
        for label, number in enumerate(chosen)
        for design, place in emoji[number]["places"].items()
    ]
    targets, group, source, place = torch.tensor(rows).unbind(1)
    data = torch.stack([sheets[DESIGNS[s]][p] for s, p in zip(source.tolist(), place.tolist(), strict=True)])
    return Images(
        data,
        targets,
        [emoji[number]["name"] for number in chosen],
        train,
        normalization(MEAN, STD),
        group,
        groups,
        source,
        DESIGNS,
    )


@cache
def _read() -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Read the list of emoji, with the places of their drawings, and the drawings of each design, (n, 32, 32, 3)."""
    emoji = json.loads((FOLDER / "emoji.json").read_text(encoding="utf-8"))
    count = dict.fromkeys(DESIGNS, 0)
    for entry in emoji:
        entry["places"] = {}
        for design in entry["designs"]:
            entry["places"][design] = count[design]
            count[design] += 1
    return emoji, {design: _read_sheet(FOLDER / f"{design}.webp", n) for design, n in count.items()}


def _read_sheet(path: Path, n_drawings: int) -> Tensor:
    """Read the first `n_drawings` of a sheet, row by row, uint8 (n, 32, 32, 3)."""
    with Image.open(path, formats=["WEBP"]) as image:
        pixels = torch.from_numpy(np.array(image.convert("RGB")))
    rows, columns = pixels.shape[0] // SIZE, pixels.shape[1] // SIZE
    if not 0 <= rows * columns - n_drawings < columns:
        raise ValueError(f"{path.name} has room for {rows * columns} drawings, not for {n_drawings}")
    tiles = pixels.reshape(rows, SIZE, columns, SIZE, 3).transpose(1, 2)  # (rows, columns, 32, 32, 3)
    return tiles.reshape(-1, SIZE, SIZE, 3)[:n_drawings]
