"""The settings and the training sets of the experiment on Omniglot's official one-shot runs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from siamese_triplet.book.omniglot import Characters
from siamese_triplet.datasets import Images, RandomWarp, load_omniglot, rotations_as_classes
from siamese_triplet.losses import SupervisedContrastiveLoss
from siamese_triplet.networks import ConvEmbeddingNet, ResidualEmbeddingNet

HELD_OUT = ("Korean", "Latin")  # alphabets of the first minimal set for the choice of settings
STRONG: dict[str, Any] = {"degrees": 20, "scale": 0.3, "elastic": 0.045}


@dataclass(frozen=True)
class OfficialCharacters(Characters):
    """The settings of a run for the official figure: `Characters` with another net and loss, and the set to train on.

    - `background`: "small1" for the first minimal set, "both" for both, "held out" for the choice of settings.
    - `temperature`: that of the supervised contrastive loss; with None, the loss is that of `Characters`.
    - `residual`: a `ResidualEmbeddingNet` of this `width`, instead of a `ConvEmbeddingNet`.
    - `mirrored`: mirrored characters are classes of their own, as turned ones.
    - `strong`: stronger warps than those of `Characters`.
    """

    n_epochs: int = 16
    image_size: int = 28
    bfloat16: bool = True
    background: str = "small1"
    temperature: float | None = 0.1
    residual: bool = False
    mirrored: bool = True
    strong: bool = False

    def load(self, train: bool, root: str | os.PathLike | None = None, subset: str | None = "minimal") -> Images:
        """Load the characters to train on, or to validate on: those held out, or else the three of the second set."""
        images = load_omniglot(train or self.background == "held out", root, subset=subset, image_size=self.image_size)
        if self.background == "held out":
            images = of_alphabets(images, [name for name in images.group_names if (name in HELD_OUT) is not train])
        elif self.background == "both" and train:
            images = join(images, load_omniglot(False, root, subset=subset, image_size=self.image_size))
        if not train:
            return images
        images = mirrored_as_classes(images) if self.mirrored else images
        return rotations_as_classes(images) if self.turned else images

    def network(self) -> nn.Module:
        size = (1, self.image_size, self.image_size)
        cls = ResidualEmbeddingNet if self.residual else ConvEmbeddingNet
        return cls(self.embedding_size, size, self.width, self.unit_sphere)

    def warp(self, seed: int) -> RandomWarp | None:
        return RandomWarp(**STRONG, seed=seed) if self.warped and self.strong else super().warp(seed)

    def loss(self, seed: int) -> nn.Module:
        return super().loss(seed) if self.temperature is None else SupervisedContrastiveLoss(self.temperature)


def of_alphabets(images: Images, names: Sequence[str]) -> Images:
    """Select the characters of the alphabets `names`, and renumber both from 0."""
    part = images.of_classes([name for name in images.classes if name.split("/")[0] in names])
    assert part.groups is not None
    numbers = torch.tensor([names.index(name) if name in names else -1 for name in images.group_names])
    part.groups, part.group_names = numbers[part.groups], list(names)
    return part


def join(first: Images, second: Images) -> Images:
    """Join two sets of other characters and other alphabets."""
    assert first.groups is not None
    assert second.groups is not None
    return Images(
        torch.cat([first.data, second.data]),
        torch.cat([first.targets, second.targets + len(first.classes)]),
        [*first.classes, *second.classes],
        first.train,
        first.transform,
        torch.cat([first.groups, second.groups + len(first.group_names)]),
        [*first.group_names, *second.group_names],
    )


def mirrored_as_classes(images: Images) -> Images:
    """Add the mirror image of each class as a new class; a mirrored alphabet is its own group."""
    mirrored = Images(
        images.data.flip(2),
        images.targets,
        [f"{name} mirrored" for name in images.classes],
        images.train,
        images.transform,
        images.groups,
        [f"{name} mirrored" for name in images.group_names],
    )
    return join(images, mirrored)
