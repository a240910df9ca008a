"""A folder of emoji, as if somebody had collected them: a sub-folder for each, with the drawings of several hands."""

import os
from pathlib import Path

import torch
from PIL import Image

from siamese_triplet.datasets import load
from siamese_triplet.datasets._naming import expand


def write_example_emoji(root: str | os.PathLike, n_classes: int = 100, seed: int = 0) -> Path:
    """Write the drawings of `n_classes` emoji into `root`, one sub-folder for each, and return `root`.

    They are test classes of `load("emoji")`, drawn from `seed`; a file is called by its designer. Raises
    FileExistsError if `root` exists and is not empty, and ValueError for more classes than there are.
    """
    root, emoji = expand(root), load("emoji", train=False)
    if not 1 <= n_classes <= len(emoji.classes):
        raise ValueError(f"{n_classes=} must be from 1 to {len(emoji.classes)}")
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty; name a new folder")
    chosen = torch.randperm(len(emoji.classes), generator=torch.Generator().manual_seed(seed))[:n_classes].tolist()
    for number in range(len(emoji)):
        label = int(emoji.targets[number])
        if label in chosen:
            folder = root / emoji.classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            designer = emoji.source_names[int(emoji.sources[number])]
            Image.fromarray(emoji.data[number].numpy()).save(folder / f"{designer}.png")
    return root
