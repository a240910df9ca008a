"""The data of a run: what it is to be, and what was found."""

import os
from dataclasses import dataclass

from torchvision.transforms import v2

from siamese_triplet.datasets import Images, load, load_folder, normalization
from siamese_triplet.datasets._naming import expand, listed
from siamese_triplet.datasets.mnist import SOURCES

SAME = 1e-4  # means of pixels 0…1 may differ by so much between decoders of images


@dataclass(frozen=True)
class Data:
    """A data set: "mnist", "fashion-mnist", or the path of a folder with one sub-folder per class.

    `embedded` selects the small subset inside the package. `image_size` and `channels` apply to a folder.
    """

    name: str
    embedded: bool = False
    image_size: int = 28
    channels: int = 1

    def load(self, root: str | os.PathLike | None = None) -> tuple[Images, Images]:
        """Load the training and the test images. Raises as `datasets.load` and `datasets.load_folder` do."""
        if self.name in SOURCES:
            subset = "embedded" if self.embedded else None
            return load(self.name, True, root, subset=subset), load(self.name, False, root, subset=subset)
        if not expand(self.name).is_dir():
            raise ValueError(
                f"unknown data set {self.name!r}; expected {', '.join(map(repr, SOURCES))} or the path of a folder"
            )
        return load_folder(os.path.expanduser(self.name), self.image_size, self.channels)


@dataclass(frozen=True)
class TrainedOn:
    """What a run keeps of its data: numbers of images, names of classes, size (C, H, W), normalisation per channel.

    Raises ValueError for a size and a normalisation that do not go together.
    """

    n_train: int
    n_test: int
    classes: list[str]
    input_size: list[int]
    mean: list[float]
    std: list[float]

    def __post_init__(self) -> None:
        n_channels = len(self.mean)
        if len(self.input_size) != 3 or n_channels != self.input_size[0] or len(self.std) != n_channels:
            raise ValueError(f"input_size={self.input_size} does not go with mean={self.mean} and std={self.std}")
        if min(self.std) <= 0:
            raise ValueError(f"std={self.std} must be positive")

    @classmethod
    def of(cls, sets: tuple[Images, Images]) -> "TrainedOn":
        """Describe a training and a test set."""
        train, test = sets
        step = next(step for step in train.transform.transforms if isinstance(step, v2.Normalize))
        size = list(train[0][0].shape)
        return cls(len(train), len(test), list(map(str, train.classes)), size, list(step.mean), list(step.std))

    def differences(self, now: "TrainedOn") -> list[str]:
        """Describe how the data `now` differs; classes by name, ten at most."""
        found = [
            f"{before:,} {kind} images, not {after:,}"
            for kind, before, after in (("training", self.n_train, now.n_train), ("test", self.n_test, now.n_test))
            if before != after
        ]
        if missing := sorted(set(self.classes) - set(now.classes)):
            found.append(f"with classes that are missing now: {listed(missing)}")
        if new := sorted(set(now.classes) - set(self.classes)):
            found.append(f"without classes that are there now: {listed(new)}")
        if self.classes != now.classes and not missing and not new:
            found.append("with the classes in another order")
        pairs = zip(self.mean + self.std, now.mean + now.std, strict=False)
        if not found and any(abs(one - other) > SAME for one, other in pairs):
            before, after = ([round(value, 4) for value in data.mean + data.std] for data in (self, now))
            found.append(f"pixels of mean and standard deviation {before}, not {after}")
        return found

    def normalise(self, sets: tuple[Images, Images]) -> tuple[Images, Images]:
        """Normalise `sets` like the training data, and return them."""
        for images in sets:
            images.transform = normalization(self.mean, self.std)
        return sets
