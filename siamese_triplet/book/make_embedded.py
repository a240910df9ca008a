"""Regenerate the images inside the package: `python -m siamese_triplet.book.make_embedded FOLDER`.

Per class, 600 training and 100 test images are drawn at random with a fixed seed and kept in their original order. The
same folder gives the same files, byte for byte.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from siamese_triplet.datasets import Images, load
from siamese_triplet.datasets.mnist import EMBEDDED, SOURCES

IMAGES_PER_CLASS = {"train": 600, "test": 100}


def balanced_subset(images: Images, per_class: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw `per_class` random images per class; return them and their labels, uint8, in their original order."""
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for label in range(len(images.classes)):
        members = (images.targets == label).nonzero().squeeze(1)
        chosen.append(members[torch.randperm(len(members), generator=generator)[:per_class]])
    indices = torch.cat(chosen).sort().values
    return images.data[indices].numpy(), images.targets[indices].to(torch.uint8).numpy()


def main(root: Path) -> None:
    for name in SOURCES:
        arrays: dict[str, Any] = {}
        for split, per_class in IMAGES_PER_CLASS.items():
            full = load(name, train=split == "train", root=root, download=False)
            arrays[f"{split}_images"], arrays[f"{split}_labels"] = balanced_subset(full, per_class)
        path = EMBEDDED / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
