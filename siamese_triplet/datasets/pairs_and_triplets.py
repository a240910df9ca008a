"""Random pairs and triplets of images, the training data of siamese and triplet networks."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from siamese_triplet._generators import PicklesGenerators
from siamese_triplet._validation import check_all_known, integer_vector
from siamese_triplet.datasets._image_checks import as_pixels
from siamese_triplet.datasets.images import LabelledImages, apply_transform, check_in_memory, check_single_indices


class SiameseMNIST(Dataset):
    """Pairs of images: item i is `((image1, image2), target)`, with target 1 for two images of one class, else 0.

    `dataset` is any data set with `.data`, `.targets`, `.train` and `.transform`. Image i is the first of pair i.

    - Training: the second image is drawn on each access: with equal probability a positive (another image of the
      class, never the same one) or a negative (any image of another class).
    - Test: the pairs are fixed by `seed`, alternately positive and negative, and stored in `pairs` (N, 2).

    The only image of a class has no positive and always gets a negative. Raises ValueError for a data set that is empty
    or has a single class.

    >>> import torch
    >>> from siamese_triplet import Images, SiameseMNIST
    >>> data = torch.arange(6, dtype=torch.uint8)[:, None, None].expand(6, 8, 8)  # six grey images
    >>> images = Images(data, torch.tensor([0, 0, 0, 1, 1, 1]), ["dark", "light"], train=False)
    >>> pairs = SiameseMNIST(images)
    >>> (first, second), target = pairs[0]
    >>> target  # of test pairs the first is positive, the second negative
    1
    >>> images.targets[pairs.pairs].tolist()[:2]  # their classes
    [[0, 0], [0, 1]]
    """

    def __init__(self, dataset: LabelledImages, seed: int = 0) -> None:
        self.source = _Source(dataset, seed)
        self.train = dataset.train
        if not self.train:
            first = torch.arange(len(self.source))
            self.pairs = torch.stack([first, self._draw_partners(first, first % 2 == 0)], dim=1)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[tuple[Any, Any], int]:
        check_single_indices([index])
        return self.__getitems__([range(len(self))[index]])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[tuple[Any, Any], int]]:
        check_single_indices(indices)
        pairs, targets = self.draw(torch.tensor(indices))
        images = zip(*(self.source.images(column) for column in pairs.T), strict=True)
        return list(zip(images, targets.tolist(), strict=True))

    def draw(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pairs at `indices` (n,) as image indices (n, 2), and their targets (n,)."""
        if self.train:
            wants_positive = torch.rand(len(indices), generator=self.source.generator()) < 0.5
            pairs = torch.stack([indices, self._draw_partners(indices, wants_positive)], dim=1)
        else:
            pairs = self.pairs[indices]
        first, second = self.source.targets[pairs.T]
        return pairs, (first == second).long()

    def _draw_partners(self, first: Tensor, wants_positive: Tensor) -> Tensor:
        can_be_positive = wants_positive & self.source.has_positive[first]
        return torch.where(can_be_positive, self.source.draw_positives(first), self.source.draw_negatives(first))


class TripletMNIST(Dataset):
    """Triplets of images: item i is `((anchor, positive, negative), [])`, with an empty list in place of a target.

    `dataset` is any data set with `.data`, `.targets`, `.train` and `.transform`. Every image is the anchor of one
    triplet, in the order of the data set. The positive is another image of its class, the negative any image of another
    class.

    - Training: positive and negative are drawn on each access.
    - Test: the triplets are fixed by `seed` and stored in `triplets` (N, 3).

    The only image of a class has no positive: it is never an anchor, only a negative. Raises ValueError for a data set
    that is empty, has a single class, or has no two images of one class.

    >>> import torch
    >>> from siamese_triplet import Images, TripletMNIST
    >>> data = torch.arange(6, dtype=torch.uint8)[:, None, None].expand(6, 8, 8)  # six grey images
    >>> images = Images(data, torch.tensor([0, 0, 0, 1, 1, 1]), ["dark", "light"], train=False)
    >>> triplets = TripletMNIST(images)
    >>> (anchor, positive, negative), _ = triplets[0]
    >>> images.targets[triplets.triplets].tolist()[:2]  # the classes of anchor, positive and negative
    [[0, 0, 1], [0, 0, 1]]
    """

    def __init__(self, dataset: LabelledImages, seed: int = 0) -> None:
        self.source = _Source(dataset, seed)
        self.train = dataset.train
        self.anchors = self.source.has_positive.nonzero().squeeze(1)
        if not len(self.anchors):
            raise ValueError(
                f"TripletMNIST: each of the {len(self.source)} images is the only one of its class; "
                "a triplet needs two images of one class"
            )
        if not self.train:
            self.triplets = self._draw_triplets(self.anchors)

    def __len__(self) -> int:
        return len(self.anchors)

    def __getitem__(self, index: int) -> tuple[tuple[Any, Any, Any], list]:
        check_single_indices([index])
        return self.__getitems__([range(len(self))[index]])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[tuple[Any, Any, Any], list]]:
        check_single_indices(indices)
        triplets, _ = self.draw(torch.tensor(indices))
        images = [self.source.images(column) for column in triplets.T]
        return [(triplet, []) for triplet in zip(*images, strict=True)]

    def draw(self, indices: Tensor) -> tuple[Tensor, None]:
        """Return the triplets at `indices` (n,) as image indices (n, 3), and None in place of targets."""
        return self._draw_triplets(self.anchors[indices]) if self.train else self.triplets[indices], None

    def _draw_triplets(self, anchors: Tensor) -> Tensor:
        return torch.stack([anchors, self.source.draw_positives(anchors), self.source.draw_negatives(anchors)], dim=1)


class _Source(PicklesGenerators):
    """A data set sorted by class: a random image of the same or of another class is one look-up."""

    def __init__(self, dataset: LabelledImages, seed: int) -> None:
        attributes = ("data", "targets", "train", "transform")
        message = "a data set must have .data, .targets, .train and .transform, like torchvision's MNIST"
        check_in_memory(dataset, message, attributes)
        self.data = as_pixels("the data set's data", dataset.data)
        self.targets = integer_vector("targets", dataset.targets, f"{len(self.data)} integers, one per image")
        self.transform = dataset.transform
        self.seed = seed
        self._generator = torch.Generator().manual_seed(seed)
        self._worker_seed: int | None = None
        if len(self.targets) != len(self.data):
            raise ValueError(f"targets must be {len(self.data)} integers, one per image, got {len(self.targets)}")
        check_all_known("targets", self.targets)
        classes, label, size = self.targets.unique(return_inverse=True, return_counts=True)
        if len(classes) < 2:
            raise ValueError(
                f"the data set has {len(self.data)} images of {len(classes)} classes; "
                "negatives need at least two classes"
            )
        self.by_class = label.argsort(stable=True)  # (N,) image indices, class after class
        self.start = (size.cumsum(0) - size)[label]  # (N,) start of the image's class in by_class
        self.size = size[label]  # (N,) number of images of its class
        self.rank = self.by_class.argsort() - self.start  # (N,) its position within its class
        self.has_positive = self.size > 1  # (N,)

    def __len__(self) -> int:
        return len(self.data)

    def images(self, indices: Tensor) -> list[Any]:
        return apply_transform(self.data[indices], self.transform)

    def draw_positives(self, indices: Tensor) -> Tensor:
        """Draw a uniformly random other image of each image's class; the image itself if there is no other."""
        others = self._random_below(self.size[indices] - 1)
        others += others >= self.rank[indices]
        return self.by_class[self.start[indices] + torch.where(self.has_positive[indices], others, 0)]

    def draw_negatives(self, indices: Tensor) -> Tensor:
        """Draw a uniformly random image of another class for each image."""
        others = self._random_below(len(self) - self.size[indices])
        others += (others >= self.start[indices]) * self.size[indices]
        return self.by_class[others]

    def generator(self) -> torch.Generator:
        """Return the generator of this process: each worker of a `DataLoader` has its own, reseeded each epoch."""
        worker = get_worker_info()
        if worker is not None and worker.seed != self._worker_seed:
            self._generator = torch.Generator().manual_seed(worker.seed + self.seed)
            self._worker_seed = worker.seed
        return self._generator

    def _random_below(self, bounds: Tensor) -> Tensor:
        uniform = torch.rand(len(bounds), dtype=torch.float64, generator=self.generator())
        return (uniform * bounds).long()
