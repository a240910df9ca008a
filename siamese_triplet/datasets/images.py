"""Labelled images in memory, and their transforms into network input."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms as v1
from torchvision.transforms import v2

from siamese_triplet._validation import integer_vector
from siamese_triplet.datasets._image_checks import UnitRange, as_pixels, check_channels_last, in_known_range

MAX_NAMED = 10  # missing classes in one message
PIXELWISE = (v2.ToImage, v2.ToDtype, UnitRange, v2.Normalize, v2.ToPureTensor)


class LabelledImages(Protocol):
    """The attributes of torchvision's MNIST family, which `SiameseMNIST` and `TripletMNIST` need."""

    data: Any  # (N, H, W) or (N, H, W, C), a tensor or an array
    targets: Any  # (N,) integers
    train: bool
    transform: Any


class Images(Dataset):
    """Labelled images in memory: `images[i]` is `(transform(image), label)`, as in torchvision's MNIST.

    - `data`: uint8 (N, H, W) or (N, H, W, C); other integers from 0 to 255 become uint8. Floats stay as they are, such
      as vectors (N, D).
    - `targets`: integers (N,), which become int64, from 0 to the number of `classes` − 1; −1 if the class is unknown.
    - `classes`: the names of the classes; with none, `targets` may be any integers.
    - `transform`: takes one PIL image, as in torchvision; without one the item is the PIL image.
    - `groups`: int64 (N,), groups of classes, such as the alphabets of characters; most data sets have none.
    - `group_names`: the names of the groups.
    - `sources`: int64 (N,), the origin of each image, such as a camera or a designer; most data sets have none.
    - `source_names`: the names of the sources.

    All may be tensors, arrays or lists. Raises ValueError for integers beyond 0…255, other shapes, such as channels
    first, targets that are no vector of integers or have no name in `classes`, and different lengths.

    >>> import torch
    >>> from siamese_triplet import Images
    >>> data = torch.arange(6, dtype=torch.uint8)[:, None, None].expand(6, 8, 8)  # six grey images
    >>> images = Images(data, torch.tensor([0, 0, 0, 1, 1, 1]), ["dark", "light"])
    >>> images
    6 training images of 8×8, 2 classes
    >>> len(images), images[5][1]
    (6, 1)
    """

    def __init__(
        self,
        data: Any,
        targets: Any,
        classes: Sequence[str],
        train: bool = True,
        transform: Any = None,
        groups: Any = None,
        group_names: Sequence[str] = (),
        sources: Any = None,
        source_names: Sequence[str] = (),
    ) -> None:
        data, targets = as_pixels("Images: data", data), integer_vector("Images: targets", targets)
        if len(data) != len(targets):
            raise ValueError(f"got {len(data)} images but {len(targets)} targets; there must be one target each")
        groups = _numbers("group", groups, group_names, len(data))
        sources = _numbers("source", sources, source_names, len(data))
        _check_names("targets", targets, "classes", classes)
        self.data = data
        self.targets = targets
        self.classes = list(classes)
        self.train = train
        self.transform = transform
        self.groups = groups
        self.group_names = list(group_names)
        self.sources = sources
        self.source_names = list(source_names)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        check_single_indices([index])
        return apply_transform(self.data[index][None], self.transform)[0], int(self.targets[index])

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, int]]:
        """Return a batch of items; a `DataLoader` calls this instead of `__getitem__` per image."""
        check_single_indices(indices)
        images = apply_transform(self.data[indices], self.transform)
        return list(zip(images, self.targets[indices].tolist(), strict=True))

    def draw(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images at `indices` (n,), as indices (n, 1), and their labels (n,), for `TensorLoader`."""
        return indices[:, None], self.targets[indices]

    def subset(self, indices: Iterable[int] | Tensor) -> "Images":
        """Select images by index, or by a boolean mask (N,); classes keep their numbers.

        Raises ValueError for a mask of another length, and IndexError for an index out of range.
        """
        chosen = to_indices(indices, len(self))
        return Images(
            self.data[chosen],
            self.targets[chosen],
            self.classes,
            self.train,
            self.transform,
            None if self.groups is None else self.groups[chosen],
            self.group_names,
            None if self.sources is None else self.sources[chosen],
            self.source_names,
        )

    def of_classes(self, classes: Sequence[str | int]) -> "Images":
        """Select the images of `classes`, given by name or number, and renumber these classes from 0, in their order.

        Raises ValueError for an unknown class, and for one that is named twice.

        >>> import torch
        >>> from siamese_triplet import Images
        >>> data = torch.zeros(3, 8, 8, dtype=torch.uint8)
        >>> images = Images(data, torch.tensor([0, 1, 2]), ["cat", "dog", "eel"])
        >>> part = images.of_classes(["eel", "cat"])
        >>> part.classes, part.targets.tolist()
        (['eel', 'cat'], [1, 0])
        """
        numbers = look_up_classes(classes, self.classes)
        targets = renumber(self.targets, numbers, len(self.classes))
        part = self.subset(targets >= 0)
        part.targets, part.classes = targets[targets >= 0], [self.classes[number] for number in numbers]
        return part

    def __repr__(self) -> str:
        size = "×".join(str(side) for side in self.data.shape[1:])
        return f"{len(self):,} {'training' if self.train else 'test'} images of {size}, {len(self.classes)} classes"


def normalization(mean: float | Sequence[float], std: float | Sequence[float]) -> v2.Compose:
    """Make a transform of pixels 0…255 to float32 (C, H, W), scaled to [0, 1] and normalised.

    `mean` and `std` are numbers for grey images, else one number per channel. The transform takes uint8 images, other
    integers from 0 to 255, and floats from 0 to 1, which are scaled already; it raises ValueError for other numbers.

    >>> import torch
    >>> from siamese_triplet.datasets import normalization
    >>> image = torch.full((1, 28, 28), 255, dtype=torch.uint8)  # white
    >>> normalization(mean=0.5, std=0.25)(image).unique()
    tensor([2.])
    """
    means, stds = ([value] if isinstance(value, (int, float)) else list(value) for value in (mean, std))
    return v2.Compose(
        [v2.ToImage(), UnitRange(torch.float32, scale=True), v2.Normalize(means, stds), v2.ToPureTensor()]
    )


def apply_transform(images: Tensor, transform: Any) -> list[Any]:
    """Apply `transform` to each of `images`, (n, H, W) or (n, H, W, C).

    A pixelwise transform, such as `normalization`, is applied to all images at once. Any other takes one image at a
    time, a PIL image if they are uint8, else a tensor.
    """
    pixelwise = pixelwise_transform(transform)
    if pixelwise is not None:
        return list(apply_pixelwise(images, pixelwise))
    is_bytes = images.dtype == torch.uint8
    singles = [Image.fromarray(image.numpy()) for image in without_channel(images)] if is_bytes else list(images)
    return singles if transform is None else [transform(single) for single in singles]


def apply_pixelwise(images: Tensor, transform: v2.Compose) -> Tensor:
    """Apply a `pixelwise_transform` to `images`, (n, H, W) or (n, H, W, C); return (n, C, H, W).

    Raises ValueError for images whose scale the transform cannot know, as `normalization` does.
    """
    pixels = channels_first(images)
    scales = any(type(step) is v2.ToDtype and step.scale for step in transform.transforms)
    return transform(in_known_range(pixels) if scales else pixels)


def pixelwise_transform(transform: Any) -> v2.Compose | None:
    """Return a transform of a batch (n, C, H, W) that equals `transform` on each image, or None.

    There is one for `normalization`, and for torchvision's older `ToTensor` and `Normalize`.
    """
    steps = getattr(transform, "transforms", [])
    if isinstance(transform, v2.Compose) and all(type(step) in PIXELWISE for step in steps):
        return transform
    if isinstance(transform, v1.Compose) and [type(step) for step in steps] == [v1.ToTensor, v1.Normalize]:
        return normalization(steps[1].mean, steps[1].std)
    return None


def check_single_indices(indices: Sequence[Any]) -> None:
    """Check that the first of `indices` is no list, such as a batch sampler yields."""
    if len(indices) and isinstance(indices[0], (list, tuple)):
        raise ValueError(
            f"got a list of {len(indices[0])} indices for one image; does a batch sampler stand in for a sampler? "
            "Pass it as DataLoader(..., batch_sampler=sampler)"
        )


def check_in_memory(dataset: Any, message: str, attributes: Sequence[str]) -> None:
    """Check that `dataset` has the `attributes` of `LabelledImages`; else a ValueError that begins with `message`."""
    missing = [name for name in attributes if not hasattr(dataset, name)]
    if missing:
        raise ValueError(
            f"{message}; {type(dataset).__name__} lacks {', '.join(missing)}. FolderImages(folder).in_memory() reads "
            "image files, and images.subset(indices) takes the place of a Subset"
        )


def to_indices(indices: Iterable[int] | Tensor, n_images: int) -> Tensor:
    """Convert indices, or a boolean mask of `n_images`, to int64 indices (n,)."""
    chosen = torch.as_tensor(indices if isinstance(indices, Tensor) else list(indices)).cpu()
    if chosen.dtype == torch.bool:
        if chosen.shape != (n_images,):
            raise ValueError(f"a mask of shape {tuple(chosen.shape)} for {n_images} images; give one boolean per image")
        return chosen.nonzero().squeeze(1)
    return chosen.long()


def look_up_classes(classes: Sequence[str | int], names: Sequence[str]) -> list[int]:
    """Return the numbers of `classes`, each given by number or by one of `names`."""
    number_of = {name: number for number, name in enumerate(names)}
    numbers = [number_of.get(given, -1) if isinstance(given, str) else int(given) for given in classes]
    missing = [given for given, number in zip(classes, numbers, strict=True) if not 0 <= number < len(names)]
    if missing:
        listed = ", ".join(map(repr, missing[:MAX_NAMED])) + ", …" * (len(missing) > MAX_NAMED)
        raise ValueError(
            f"no class {listed} among {len(names)} classes; give names, or numbers from 0 to {len(names) - 1}"
        )
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"of {len(numbers)} classes only {len(set(numbers))} are different; name each once")
    return numbers


def renumber(targets: Tensor, numbers: Sequence[int], n_classes: int) -> Tensor:
    """Replace each target (N,) by its position in `numbers`, −1 for other classes and for −1, an unknown class."""
    position = torch.full((n_classes + 1,), -1)  # the last one is that of target −1
    position[list(numbers)] = torch.arange(len(numbers))
    return position[targets]


def unit_range(pixels: Tensor) -> Tensor:
    """Scale pixels linearly to 0…1, whatever their normalisation; constant pixels become 0."""
    low, high = pixels.min(), pixels.max()
    return (pixels - low) / (high - low).clamp(min=1e-6)


def without_channel(images: Tensor) -> Tensor:
    """View grey images (n, H, W, 1) as (n, H, W), the shape Pillow takes; return others unchanged."""
    return images.squeeze(3) if images.shape[3:] == (1,) else images


def channels_first(images: Tensor) -> Tensor:
    """View images (n, H, W) or (n, H, W, C) as (n, C, H, W); a ValueError for other shapes, and for channels first."""
    if images.ndim not in (3, 4):
        raise ValueError(
            f"images must have the shape (N, H, W) or (N, H, W, C), got {tuple(images.shape)}; vectors take no "
            "normalization: leave out the transform"
        )
    check_channels_last(images)
    return images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)


def _numbers(name: str, numbers: Any, names: Sequence[str], n_images: int) -> Tensor | None:
    """Check the groups or the sources of the images, and return them as int64 (N,), or None if there are none."""
    if numbers is None:
        return None
    numbers = integer_vector(f"Images: {name}s", numbers)
    if len(numbers) != n_images:
        raise ValueError(f"got {n_images} images but {len(numbers)} {name}s; there must be one {name} each")
    _check_names(f"{name}s", numbers, f"{name}_names", names)
    return numbers


def _check_names(name: str, numbers: Tensor, of: str, names: Sequence[str]) -> None:
    """Check that each of `numbers` (N,) has one of `names`, where there are names."""
    if not len(names) or not len(numbers):
        return
    low, high = (int(value) for value in numbers.aminmax())
    if low < -1 or high >= len(names):
        raise ValueError(
            f"Images: {name} go from {low} to {high}, but {of} has {len(names)} names, of numbers from 0 to "
            f"{len(names) - 1}; number them from 0, or name all"
        )
