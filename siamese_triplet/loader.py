"""Batches gathered by index from images that are already on the training device."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from siamese_triplet._devices import best_device
from siamese_triplet._generators import PicklesGenerators
from siamese_triplet.datasets._image_checks import as_pixels
from siamese_triplet.datasets.images import LabelledImages, apply_pixelwise, check_in_memory, pixelwise_transform
from siamese_triplet.distributed import Share

CHUNK = 4096  # images normalised at a time
Batch = tuple[Any, Any]  # inputs, a tensor or a tuple of tensors, and target, [] for none


class TensorLoader(PicklesGenerators):
    """Like `DataLoader`, but gathers a batch by index instead of calling `__getitem__` per image.

    All images are normalised once, when the loader is made, and stay on `device` as float32. Floats without a
    transform stay as they are, such as vectors (N, D).

    - `dataset`: an `Images`, a `SiameseMNIST`, a `TripletMNIST`, or any data set with `.data`, `.targets` and
      `.transform`, such as torchvision's MNIST.
    - `batch_size`, with `shuffle` and `drop_last`, or else `batch_sampler`, which yields lists of indices.
    - `seed`: the same seed shuffles alike in every run.
    - `device`: by default the GPU if there is one.
    - `share`: with several processes each gets its share of every batch; `Share(0, 1)` gives each the whole batch.
    - `augment`: a function of each batch of normalised images (b, C, H, W), on the device, such as a `RandomWarp`.

    A batch is `(images (b, C, H, W), labels (b,))`; of pairs `((images, images), targets)`, of triplets
    `((anchors, positives, negatives), [])`.

    Raises ValueError for a transform that is not pixelwise, such as a crop or a random flip (use a `DataLoader`), for
    a data set that is empty or not in memory, for integers beyond 0…255, and for arguments that do not go together.

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
        self.batch_sampler: Any = batch_sampler  # most have a length
        self.augment = augment
        self.share = Share.current() if share is None else share
        self.generator = torch.Generator().manual_seed(seed)
        self.images = _normalise_all(getattr(dataset, "source", dataset), self.device)  # (N, C, H, W)

    def __len__(self) -> int:
        if self.batch_size is None:
            return len(self.batch_sampler)
        return len(self.dataset) // self.batch_size if self.drop_last else -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        batches = self._epoch_indices()
        columns, targets = self._draw(torch.cat(batches) if batches else torch.empty(0, dtype=torch.int64))
        columns = columns.T.contiguous().to(self.device)  # one transfer per epoch: (width, n)
        targets = None if targets is None else targets.to(self.device)
        first = 0
        for batch in batches:
            chosen = self.share.slice(first, first + len(batch))
            first += len(batch)
            inputs = tuple(self._gather(column[chosen]) for column in columns)
            yield inputs if len(inputs) > 1 else inputs[0], [] if targets is None else targets[chosen]

    def _gather(self, indices: Tensor) -> Tensor:
        images = self.images.index_select(0, indices)
        return images if self.augment is None else self.augment(images)

    def _epoch_indices(self) -> list[Tensor]:
        """List the batches of an epoch, each as indices into the data set."""
        if self.batch_size is None:
            return [torch.as_tensor(batch, dtype=torch.int64) for batch in self.batch_sampler]
        n = len(self.dataset)
        order = torch.randperm(n, generator=self.generator) if self.shuffle else torch.arange(n)
        return list(order[: len(self) * self.batch_size].split(self.batch_size)) if len(self) else []

    def _draw(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        if hasattr(self.dataset, "draw"):
            return self.dataset.draw(indices)
        return indices[:, None], torch.as_tensor(self.dataset.targets)[indices]


def _normalise_all(source: LabelledImages, device: torch.device) -> Tensor:
    message = "TensorLoader needs images in memory, a data set with .data, .targets and .transform, or use a DataLoader"
    check_in_memory(source, message, ("data", "targets", "transform"))
    data = as_pixels("TensorLoader: the data set's data", source.data)
    if not len(data):
        raise ValueError("TensorLoader: the data set has no images")
    if source.transform is None and data.is_floating_point():
        return data.to(device)
    transform = pixelwise_transform(source.transform)
    if transform is None:
        raise ValueError(
            f"TensorLoader normalises all images once and cannot do that with the transform {source.transform!r}; "
            "use siamese_triplet.datasets.normalization(mean, std), or a DataLoader"
        )
    pieces = (apply_pixelwise(chunk.to(device), transform) for chunk in data.split(CHUNK))
    first = next(pieces)
    images = first.new_empty(len(data), *first.shape[1:])  # filled piece by piece, which needs no second copy
    for target, piece in zip(images.split(CHUNK), chain([first], pieces), strict=True):
        target.copy_(piece)
    return images
