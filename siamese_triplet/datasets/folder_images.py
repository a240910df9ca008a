"""Your own images: files on a disk, read on access."""

import copy
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from siamese_triplet._validation import warn
from siamese_triplet.datasets._labels import existing_files, number_labels, read_labels
from siamese_triplet.datasets._listing import find_all_images, find_flat_images, list_folders, number_folders
from siamese_triplet.datasets._naming import MAX_NAMED, expand, printable
from siamese_triplet.datasets._splitting import draw_classes, draw_images
from siamese_triplet.datasets.images import Images, look_up_classes, renumber, to_indices
from siamese_triplet.datasets.photos import Size, check_shape, fit_normalization, read_photo, read_photos, sides


class FolderImages(Dataset):
    """The image files of `root`, a folder with one sub-folder per class; each file is read on access.

    `images[i]` is `(transform(image), label)`, for a PIL image of `image_size` from `read_photo`: one side of a square,
    or (height, width). Without a transform it is `(image, label)`. `paths` are the files, `targets` is int64 (N,),
    `classes` are the names of the sub-folders, in order. Images in deeper folders belong to the class above them, and
    so do those in linked folders. Hidden files and folders are skipped. So are files without an image extension, and a
    warning counts them.

    `classes` numbers the classes by other images' names, such as the training images' `classes`: `targets` are then
    positions in it, and classes without a sub-folder have no images. A leading `~` in `root` is the home folder.

    Other folders: `from_files` takes a list of files and of labels, `from_csv` a table of them, and `unlabelled` a
    folder without classes; `read_folder` finds out which of them it is. The target of an image without a class is −1.

    A broken file raises a ValueError, in the middle of an epoch if need be. With `skip_broken` another image of its
    class takes its place, and a warning counts such files (the first, the tenth, the hundredth …). `in_memory` then
    leaves them out, and says how many. So does `without_broken`, which reads all files once.

    Raises FileNotFoundError if there is no such folder, and for sub-folders without images; ValueError unless
    `channels` is 1 (grey) or 3 (colour), for sub-folders that are not in `classes`, for a name that is twice in
    `classes`, and for sub-folders with the names of splits, such as `train` and `val`, that `classes` does not name.
    """

    parts: Tensor | None = None  # of a folder with splits: int64 (N,), 0 for training, 1 for validation, 2 for test

    def __init__(
        self,
        root: str | os.PathLike,
        image_size: Size = 64,
        channels: int = 3,
        transform: Any = None,
        *,
        classes: Sequence[str] | None = None,
        skip_broken: bool = False,
    ) -> None:
        root = expand(root)
        folders = list_folders(root)
        if not folders:
            raise FileNotFoundError(_describe_flat(root))
        names = [folder.name for folder in folders]
        numbers = number_folders(root, folders, classes)
        files = find_all_images(root, folders)
        self.classes = names if classes is None else list(classes)
        self.paths = [path for found in files for path in found]
        self.targets = torch.tensor(numbers).repeat_interleave(torch.tensor([len(found) for found in files]))
        self._read_as(image_size, channels, transform, skip_broken)

    @classmethod
    def from_files(
        cls,
        paths: Iterable[str | os.PathLike],
        labels: Any = None,
        image_size: Size = 64,
        channels: int = 3,
        transform: Any = None,
        *,
        classes: Sequence[str] | None = None,
        skip_broken: bool = False,
    ) -> "FolderImages":
        """Make the images of the files `paths` (N,), with a label each: a name, or a whole number.

        Without `classes` these are the different labels, in order. With them, labels are names in `classes`, or numbers
        of positions there. Without a label, or where it is None, NaN or −1, the target is −1. No files give no images.

        Raises FileNotFoundError for paths that are no files, naming ten; ValueError for another number of labels, for
        labels that are neither names nor whole numbers, and for those that are not in `classes`.

        >>> from PIL import Image
        >>> from siamese_triplet.datasets import FolderImages
        >>> for name in ("a.png", "b.png", "c.png"):
        ...     Image.new("RGB", (80, 60)).save(name)
        >>> images = FolderImages.from_files(["a.png", "b.png", "c.png"], ["cat", "dog", None], image_size=(60, 80))
        >>> images.classes, images.targets.tolist(), images[0][0].size  # a PIL image: width, height
        (['cat', 'dog'], [0, 1, -1], (80, 60))
        """
        images = cls.__new__(cls)
        images.paths = existing_files(paths)
        images.classes, images.targets = number_labels(labels, len(images.paths), classes)
        images._read_as(image_size, channels, transform, skip_broken)
        return images

    @classmethod
    def from_csv(
        cls,
        table: str | os.PathLike,
        root: str | os.PathLike | None = None,
        image_size: Size = 64,
        channels: int = 3,
        transform: Any = None,
        *,
        file_column: str | None = None,
        label_column: str | None = None,
        classes: Sequence[str] | None = None,
        skip_broken: bool = False,
    ) -> "FolderImages":
        """Make the images that a CSV file `table` lists, a row each: the name of a file, and its label.

        Files lie in `root`, by default the folder of the table, or deeper; their names may lack the ending. Columns are
        found by what is in them, unless they are named. An empty label is unknown, −1. Commas, semicolons or tabs
        separate columns; the text is UTF-8.

        Raises FileNotFoundError for files that are not there, ValueError for a table that is none, and for columns that
        cannot be told apart, and otherwise as `from_files`.
        """
        table = expand(table)
        paths, labels = read_labels(table, table.parent if root is None else expand(root), file_column, label_column)
        return cls.from_files(paths, labels, image_size, channels, transform, classes=classes, skip_broken=skip_broken)

    @classmethod
    def unlabelled(
        cls,
        root: str | os.PathLike,
        image_size: Size = 64,
        channels: int = 3,
        transform: Any = None,
        *,
        skip_broken: bool = False,
    ) -> "FolderImages":
        """Make the images of all files in `root` and its sub-folders, without classes: all targets are −1.

        What needs to know which images belong together, such as a sampler or a metric, refuses them; what compares
        images, such as `near_duplicates` and a search, does not. Raises FileNotFoundError for a folder without images.
        """
        paths = find_flat_images(expand(root))
        return cls.from_files(paths, None, image_size, channels, transform, skip_broken=skip_broken)

    def _read_as(self, image_size: Size, channels: int, transform: Any, skip_broken: bool) -> None:
        check_shape(image_size, channels)
        self.image_size, self.channels, self.transform = image_size, channels, transform
        self.skip_broken, self._instead = skip_broken, dict[int, int]()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        index = self._instead.get(index, index)
        try:
            image = read_photo(self.paths[index], self.image_size, self.channels)
        except ValueError as error:
            if not self.skip_broken:
                raise
            return self._replace(index, str(error))
        return image if self.transform is None else self.transform(image), int(self.targets[index])

    def _replace(self, index: int, problem: str) -> tuple[Any, int]:
        """Return the next image of the class of a broken one, and count it."""
        others = (self.targets == self.targets[index]).nonzero().squeeze(1).tolist()
        place = others.index(index % len(self))
        for other in others[place + 1 :] + others[:place]:
            if other not in self._instead:
                self._instead[index] = other
                count = len(self._instead)
                if set(str(count)[1:]) <= {"0"} and str(count)[0] == "1":
                    warn(f"{count:,} broken files are replaced by other images of their class; the last: {problem}")
                return self[other]
        raise ValueError(f"of {len(others)} images of this class none can be read; the last: {problem}")

    def __repr__(self) -> str:
        if not self.classes:
            return f"{len(self):,} image files without classes"
        n_unknown = int((self.targets < 0).sum())
        others = f", {n_unknown:,} of them without a class" if n_unknown else ""
        return f"{len(self):,} image files of {len(self.classes):,} classes{others}"

    def subset(self, indices: Iterable[int] | Tensor) -> "FolderImages":
        """Select images by index, or by a boolean mask (N,); classes keep their numbers.

        Raises ValueError for a mask of another length, and IndexError for an index out of range.
        """
        part, chosen = copy.copy(self), to_indices(indices, len(self))
        part.paths, part.targets = [self.paths[index] for index in chosen.tolist()], self.targets[chosen]
        part.parts, part._instead = None if self.parts is None else self.parts[chosen], {}
        return part

    def resized(self, image_size: Size) -> "FolderImages":
        """Return the same images, to be read in `image_size`: one side of a square, or (height, width)."""
        check_shape(image_size, self.channels)
        part = self.subset(range(len(self)))
        part.image_size = image_size
        return part

    def of_classes(self, classes: Sequence[str | int]) -> "FolderImages":
        """Select the images of `classes`, given by name or number, and renumber these classes from 0, in their order.

        Raises ValueError for an unknown class, and for one that is named twice.
        """
        numbers = look_up_classes(classes, self.classes)
        targets = renumber(self.targets, numbers, len(self.classes))
        part = self.subset(targets >= 0)
        part.targets, part.classes = targets[targets >= 0], [self.classes[number] for number in numbers]
        return part

    def split_by_class(
        self,
        shares: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        family: Callable[[str], str] | None = None,
    ) -> list["FolderImages"]:
        """Split into parts with no class in common, such as training, validation and test images.

        Each part has about its share of the classes, drawn from `seed`. `family(name)` names the family of a class,
        such as a product that comes in several colours: families are never split, and shares are shares of families.
        Images without a class are in no part. Raises ValueError for shares that are not positive or do not sum to 1,
        and if a part would be empty.
        """
        return [self.of_classes(names) for names in draw_classes(self.classes, shares, seed, family)]

    def split_by_image(self, shares: Sequence[float] = (0.6, 0.2, 0.2), seed: int = 0) -> list["FolderImages"]:
        """Split each class into parts, such as training, validation and test images; classes keep their numbers.

        Each part has about its share of the images of each class, drawn from `seed`. The first part gets at least two
        of each class, if there are two, and the last is served next: of three images there are two for training and
        one for the test. Images without a class are in no part. Raises ValueError for shares that are not positive or
        do not sum to 1. No images give empty parts.
        """
        return [self.subset(places) for places in draw_images(self.targets, shares, seed)]

    def in_memory(self, transform: Any = None, train: bool = True) -> Images:
        """Read all images into memory, as uint8: height × width × `channels` bytes each.

        Without a `transform` they are normalised by their own mean and standard deviation per channel; pass the
        training images' `transform` for any others. Raises ValueError for files that cannot be read, naming them, and
        without a `transform` if there are no images. With `skip_broken` such files are left out, with a warning.
        """
        data = torch.empty(len(self), *sides(self.image_size), self.channels, dtype=torch.uint8)

        def store(index: int, image: Any) -> None:
            data[index] = functional.pil_to_tensor(image).permute(1, 2, 0)

        problems = read_photos(self.paths, self.image_size, self.channels, store)
        targets = self.targets
        if problems:
            self._report(problems)
            is_read = torch.ones(len(self), dtype=torch.bool).index_fill(0, torch.tensor(list(problems)), False)
            data, targets = data[is_read], targets[is_read]
        transform = transform or fit_normalization(data)
        return Images(data.squeeze(3) if self.channels == 1 else data, targets, self.classes, train, transform)

    def _report(self, problems: dict[int, str]) -> None:
        """Raise a ValueError that names the broken files, or warn of them."""
        named = "\n".join(sorted(problems.values())[:MAX_NAMED])
        if self.skip_broken:
            warn(f"{len(problems):,} of {len(self):,} files cannot be read and are left out:\n{named}")
            return
        raise ValueError(
            f"{len(problems)} of {len(self):,} files cannot be read:\n{named}\n`unreadable()` of a `FolderImages` "
            "finds them all, and skip_broken=True leaves them out"
        )

    def unreadable(self) -> dict[Path, str]:
        """Read all files once, without keeping them, and return those that cannot be read, each with its problem."""
        problems = read_photos(self.paths, self.image_size, self.channels, lambda index, image: None)
        return {self.paths[index]: problem for index, problem in problems.items()}

    def without_broken(self) -> "FolderImages":
        """Read all files once, and select those that can be read; a warning counts the others, and names ten."""
        problems = self.unreadable()
        if not problems:
            return self
        named = "\n".join(sorted(problems.values())[:MAX_NAMED])
        warn(f"{len(problems):,} of {len(self):,} files cannot be read and are left out:\n{named}")
        return self.subset([index for index, path in enumerate(self.paths) if path not in problems])


def _describe_flat(root: Path) -> str:
    try:
        n_images = len(find_flat_images(root))
    except FileNotFoundError:
        return printable(f"{root} is not a folder with one sub-folder of images per class")
    return printable(
        f"{root} is not a folder with one sub-folder of images per class: it has {n_images:,} images, but no "
        "sub-folder. Read them without classes by FolderImages.unlabelled, with a list of labels by "
        "FolderImages.from_files, or with a table by FolderImages.from_csv"
    )
