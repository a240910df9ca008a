"""Data sets and batches of the original tutorial (2018), rewritten for the comparison in `training.py`.

Each image goes from the uint8 tensor through a PIL image, `ToTensor` and `Normalize`, one at a time in a `DataLoader`.
Pairs and triplets are drawn item by item with NumPy. Online batches come from shuffled indices, one list per class.
"""

# ruff: noqa: NPY002 - NumPy's global random state, as in the original
from collections.abc import Iterator

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from siamese_triplet import Images
from siamese_triplet.methods import Method

TO_INPUT = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])


def loader(experiment: Method, images: Images) -> DataLoader:
    """Make the loader of an epoch; it shuffles training images."""
    if experiment.method.startswith("online"):
        sampler = _Balanced(images.targets, experiment.n_classes, experiment.n_samples)
        return DataLoader(_Single(images), batch_sampler=sampler)
    dataset = {"siamese": _Pairs, "triplet": _Triplets}.get(experiment.method, _Single)(images)
    return DataLoader(dataset, experiment.batch_size, shuffle=images.train)


class _Single(Dataset):
    """One image and its label at a time."""

    def __init__(self, images: Images) -> None:
        self.data, self.targets, self.train = images.data, images.targets, images.train
        labels = self.targets.numpy()
        self.labels = set(labels)
        self.label_to_indices = {label: np.where(labels == label)[0] for label in self.labels}
        self.test_items: list[tuple] = []  # drawn once
        if not self.train:
            self.test_items = [self.draw(index) for index in range(len(self))]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple:
        indices, target = self.draw(index) if self.train else self.test_items[index]
        images = [TO_INPUT(Image.fromarray(self.data[i].numpy())) for i in indices]
        return images if len(images) > 1 else images[0], target

    def draw(self, index: int) -> tuple:
        """Draw the indices of an item's images, and its target."""
        return [index], self.targets[index]

    def positive(self, index: int) -> int:
        chosen = index
        while chosen == index:
            chosen = np.random.choice(self.label_to_indices[self.targets[index].item()])
        return chosen

    def negative(self, index: int) -> int:
        label = np.random.choice(list(self.labels - {self.targets[index].item()}))
        return np.random.choice(self.label_to_indices[label])


class _Pairs(_Single):
    def draw(self, index: int) -> tuple:
        is_positive = np.random.randint(0, 2) if self.train else 1 - index % 2
        return [index, self.positive(index) if is_positive else self.negative(index)], is_positive


class _Triplets(_Single):
    def draw(self, index: int) -> tuple:
        return [index, self.positive(index), self.negative(index)], []


class _Balanced:
    """Batches of indices from a shuffled list for each class, shuffled again when it runs out."""

    def __init__(self, labels: Tensor, n_classes: int, n_samples: int) -> None:
        self.labels = sorted(set(labels.numpy()))
        self.indices = {label: np.where(labels.numpy() == label)[0] for label in self.labels}
        for indices in self.indices.values():
            np.random.shuffle(indices)
        self.used = dict.fromkeys(self.labels, 0)
        self.n_classes, self.n_samples = n_classes, n_samples
        self.n_batches = len(labels) // (n_classes * n_samples)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(self.n_batches):
            batch: list[int] = []
            for label in np.random.choice(self.labels, self.n_classes, replace=False):
                batch.extend(self._next(label))
            yield batch

    def _next(self, label: int) -> np.ndarray:
        indices, first = self.indices[label], self.used[label]
        self.used[label] += self.n_samples
        if self.used[label] + self.n_samples > len(indices):
            chosen = indices[first : first + self.n_samples].copy()
            np.random.shuffle(indices)
            self.used[label] = 0
            return chosen
        return indices[first : first + self.n_samples]
