"""Small data sets for the tests of training: a part of MNIST, and stripes that are easy to learn."""

import torch

from siamese_triplet import Images, load
from siamese_triplet.datasets import normalization


def part(train_part: bool, n_per_class: int = 50) -> Images:
    """Load the first images of each class of the embedded MNIST."""
    images = load("mnist", train=train_part, subset="embedded")
    chosen = torch.cat([(images.targets == label).nonzero().squeeze(1)[:n_per_class] for label in range(10)])
    return images.subset(chosen)


def stripes(train: bool = True) -> Images:
    """Make 60 noisy 6 × 6 images of three classes, each with its own bright row."""
    generator = torch.Generator().manual_seed(0 if train else 1)
    labels = torch.arange(60) % 3
    data = torch.randint(0, 60, (60, 6, 6), generator=generator)
    data[torch.arange(60), 2 * labels] += 180
    return Images(data.to(torch.uint8), labels, ["a", "b", "c"], train=train, transform=normalization(0.3, 0.3))
