"""The data sets that the explorer offers, in memory once they were asked for."""

import os

import torch

from siamese_triplet.datasets import Images
from siamese_triplet.datasets.mnist import SOURCES
from siamese_triplet.explorer.settings import OWN, Settings
from siamese_triplet.runs import Data

SMALLEST_CLASS = {"mnist": 5421, "fashion-mnist": 6000}  # of the full training sets


class Library:
    """The data sets to choose from, each loaded when it is first asked for: MNIST, FashionMNIST and the reader's own.

    `root` is the folder of the full data, see `datasets.load`; `own` are training and test images, if there are any.
    """

    def __init__(self, root: str | os.PathLike | None = None, own: tuple[Images, Images] | None = None) -> None:
        self.root = root
        self.own = own
        self.loaded: dict[Data, tuple[Images, Images]] = {}

    def names(self) -> list[str]:
        """What `Settings.dataset` can be."""
        return [*([OWN] if self.own else []), *SOURCES]

    def load(self, settings: Settings) -> tuple[Images, Images]:
        """The training and the test images. Raises what `datasets.load` raises."""
        if settings.dataset == OWN and self.own is not None:
            return self.own
        data = Data(settings.dataset, settings.embedded)
        if data not in self.loaded:
            self.loaded[data] = data.load(self.root)
        return self.loaded[data]

    def class_sizes(self, settings: Settings) -> list[int]:
        """How many training images each class has; at least, where that would take loading the full data."""
        is_loaded = Data(settings.dataset, settings.embedded) in self.loaded
        if settings.dataset in SMALLEST_CLASS and not settings.embedded and not is_loaded:
            return [SMALLEST_CLASS[settings.dataset]] * 10
        return torch.as_tensor(self.load(settings)[0].targets).unique(return_counts=True)[1].tolist()
