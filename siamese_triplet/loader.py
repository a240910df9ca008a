"""Batches drawn by index from images that already lie on the training device."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from siamese_triplet._devices import best_device
from siamese_triplet.datasets.images import LabelledImages, channels_first, pixelwise_transform
from siamese_triplet.distributed import Share

CHUNK = 4096  # images that are normalised at a time
Batch = tuple[Any, Any]  # the inputs, a tensor or a tuple of them, and the target, [] where there is none


class TensorLoader:
    """Batches of a data set that fits in memory: what a `DataLoader` gives, without a call an image.

    The images are normalised once, when the loader is made, and stay on `device` (by default a GPU where there is one)
    as float32; a batch is a look-up there. `dataset` is an `Images`, a `SiameseMNIST`, a `TripletMNIST`, or any with
    `.data`, `.targets` and `.transform`, as torchvision's MNIST. Give either `batch_size`, with `shuffle` and
    `drop_last`, or a `batch_sampler`, which yields lists of indices.

    A batch is `(images (b, C, H, W), labels (b,))`; of pairs `((images, images), targets)`, of triplets
    `((anchors, positives, negatives), [])`. The same `seed` shuffles alike in every run. In a job of several processes
    each gets its share of every batch; `share=Share(0, 1)` gives each the whole.

    `augment`, such as a `RandomWarp`, changes each batch of normalised images (b, C, H, W), as a whole and on the
    device.

    Raises ValueError for a transform that does not treat every pixel alike, such as an augmentation of single images: a
    `DataLoader` does those; for an empty data set, and for arguments that do not go together.

    >>> from siamese_triplet import TensorLoader, load
    >>> loader = TensorLoader(load("mnist", train=False, subset="embedded"), batch_size=300, shuffle=True, device="cpu")
    >>> [tuple(images.shape) for images, labels in loader]
    [(300, 1, 28, 28), (300, 1, 28, 28), (300, 1, 28, 28), (100, 1, 28, 28)]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = None,
        shuffle: bool = False,
        *,
        batch_sampler: Iterable[list[int]] | None = None,
        drop_last: bool = False,
        seed: int = 0,
        device: torch.device | str | None = None,
        share: Share | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if (batch_size is None) == (batch_sampler is None) or (batch_sampler is not None and (shuffle or drop_last)):
            raise ValueError(
                f"TensorLoader takes either batch_size, with shuffle and drop_last, or batch_sampler alone, "
                f"got {batch_size=}, {shuffle=}, {drop_last=}, batch_sampler={type(batch_sampler).__name__}"
            )
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"TensorLoader: {batch_size=} must be at least 1")
        self.device = best_device() if device is None else torch.device(device)
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, shuffle, drop_last
        self.batch_sampler: Any = batch_sampler  # most of them have a length
        self.augment = augment
        self.share = Share.of_this_process() if share is None else share
        self.generator = torch.Generator().manual_seed(seed)
        self.images = _normalised(getattr(dataset, "source", dataset), self.device)  # (N, C, H, W)

    def __len__(self) -> int:
        if self.batch_size is None:
            return len(self.batch_sampler)
        return len(self.dataset) // self.batch_size if self.drop_last else -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        batches = self._indices()
        columns, targets = self._drawn(torch.cat(batches) if batches else torch.empty(0, dtype=torch.int64))
        columns = columns.T.contiguous().to(self.device)  # all of an epoch in one transfer: (width, n)
        targets = None if targets is None else targets.to(self.device)
        first = 0
        for batch in batches:
            chosen = self.share.slice(first, first + len(batch))
            first += len(batch)
            inputs = tuple(self._images(column[chosen]) for column in columns)
            yield inputs if len(inputs) > 1 else inputs[0], [] if targets is None else targets[chosen]

    def _images(self, indices: Tensor) -> Tensor:
        images = self.images.index_select(0, indices)
        return images if self.augment is None else self.augment(images)

    def _indices(self) -> list[Tensor]:
        """The batches of an epoch, as indices into the data set."""
        if self.batch_size is None:
            return [torch.as_tensor(batch, dtype=torch.int64) for batch in self.batch_sampler]
        n = len(self.dataset)
        order = torch.randperm(n, generator=self.generator) if self.shuffle else torch.arange(n)
        return list(order[: len(self) * self.batch_size].split(self.batch_size)) if len(self) else []

    def _drawn(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        if hasattr(self.dataset, "draw"):
            return self.dataset.draw(indices)
        return indices[:, None], torch.as_tensor(self.dataset.targets)[indices]


def _normalised(source: LabelledImages, device: torch.device) -> Tensor:
    data = torch.as_tensor(source.data)
    if not len(data):
        raise ValueError("TensorLoader: the data set has no images")
    transform = pixelwise_transform(source.transform)
    if transform is None:
        raise ValueError(
            f"TensorLoader normalises all images once, and cannot do that with the transform {source.transform!r}; "
            "use siamese_triplet.datasets.normalization(mean, std), or a DataLoader"
        )
    pieces = (transform(channels_first(chunk).to(device)) for chunk in data.split(CHUNK))
    first = next(pieces)
    images = first.new_empty(len(data), *first.shape[1:])  # filled piece by piece: no second copy is ever held
    for place, piece in zip(images.split(CHUNK), chain([first], pieces), strict=True):
        place.copy_(piece)
    return images
