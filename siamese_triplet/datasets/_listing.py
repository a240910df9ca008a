"""Class folders, and the image files in them."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from siamese_triplet._validation import warn
from siamese_triplet.datasets._naming import MAX_NAMED, listed, printable

TRAINING = ("train", "training")
TEST = ("test", "testing", "eval", "evaluation", "val", "valid", "validation", "dev", "development")  # best first
N_TEST = 4  # of which are for the test; the others are for validation
SPLIT = re.compile(rf"({'|'.join((*TRAINING, *TEST))})(?:[ _-]?(?:set|data|images|split))?", re.IGNORECASE)
TEXTS = (".csv", ".htm", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".tsv", ".txt", ".xml", ".yaml", ".yml")


def list_folders(root: Path) -> list[Path]:
    """List the sub-folders of `root`, in order, without hidden ones; none if there is no such folder."""
    return sorted(filter(_is_folder, root.iterdir())) if root.is_dir() else []


def find_splits(folders: list[Path]) -> tuple[list[Path], list[Path]]:
    """Find the folders of training and of test images among sub-folders; both are empty if these are classes.

    They are splits where one has a name for training images, such as `train`, and one a name for others, such as `val`,
    or where all have such names and hold sub-folders themselves. The letter case is ignored, and an ending such as
    `_set`. Folders of test images come before those for validation.
    """
    kinds = {folder: match[1].lower() for folder in folders if (match := SPLIT.fullmatch(folder.name))}
    training = [folder for folder, kind in kinds.items() if kind in TRAINING]
    test = sorted((folder for folder in kinds if kinds[folder] in TEST), key=lambda folder: TEST.index(kinds[folder]))
    are_splits = (training and test) or (len(kinds) == len(folders) and all(map(list_folders, folders)))
    return (training, test) if are_splits else ([], [])


def find_parts(root: Path, folders: list[Path]) -> dict[Path, int]:
    """Number the parts among sub-folders: 0 for training, 1 for validation, 2 for test; none if these are classes.

    Without a folder for the test, that for validation is the test: what is left for choosing comes from the training.
    Raises ValueError for parts without one for training or without classes.
    """
    training, others = find_splits(folders)
    if not training + others:
        return {}
    if not training or not all(map(list_folders, training + others)):
        raise ValueError(
            printable(
                f"{root} has the sub-folders {name_folders(training + others)}, which seem to be parts of the images: "
                "there must be one for training, such as 'train', and each must have one sub-folder per class. If they "
                "are classes, read them by FolderImages with classes="
            )
        )
    is_test = [SPLIT.fullmatch(folder.name)[1].lower() in TEST[:N_TEST] for folder in others]  # type: ignore[index]
    numbers = [2 if test or not any(is_test) else 1 for test in is_test]
    return dict.fromkeys(training, 0) | dict(zip(others, numbers, strict=True))


def number_folders(root: Path, folders: list[Path], classes: Sequence[str] | None) -> list[int]:
    """Return the number of the class of each folder: its position in `classes`, else its own.

    Raises ValueError for folders that are not in `classes`, and for splits where `classes` does not name them.
    """
    names = [folder.name for folder in folders]
    if classes is not None and (isinstance(classes, str) or len(set(classes)) < len(classes)):
        raise ValueError(f"classes must be a list of different names, got {listed(classes)}")
    position = {name: number for number, name in enumerate(names if classes is None else classes)}
    unknown = [name for name in names if name not in position]
    training, test = find_splits(folders)
    splits = training + test
    problem = None
    if splits and (classes is None or unknown):
        problem = (
            f"the sub-folders of {root} seem to be parts of the images, not classes: {name_folders(splits)}; read one "
            "of them, or call load_folder, which reads two. If they are classes, pass classes= with the names of all"
        )
    elif unknown:
        problem = (
            f"{root} has {len(unknown):,} sub-folders that are not among the {len(position):,} given classes: "
            f"{listed(unknown)}; pass classes with all names, or none, and choose some with of_classes"
        )
    if problem:
        raise ValueError(printable(problem))
    return [position[name] for name in names]


def find_all_images(root: Path, folders: list[Path]) -> list[list[Path]]:
    """List the image files of each folder. Warn of files that are passed over; raise for a folder without images."""
    found, others = zip(*map(_find_images, folders), strict=True)
    passed_over: Counter[str] = sum(others, Counter())
    if empty := [folder for folder, files in zip(folders, found, strict=True) if not files]:
        instead = f" (but {_describe(passed_over)})" if passed_over else ""
        raise FileNotFoundError(
            printable(
                f"{root} must have one sub-folder of images per class: in {name_folders(empty)} there is no file that "
                f"ends with {', '.join(IMG_EXTENSIONS)}{instead}; add images, or move the sub-folder elsewhere"
            )
        )
    passed_over["beside the sub-folders"] += sum(map(_is_image, root.iterdir()))
    if passed_over.total():
        warn(
            f"{passed_over.total():,} files in {printable(root)} are left out: {_describe(+passed_over)}. Images end "
            f"with {', '.join(IMG_EXTENSIONS)} and lie in a sub-folder; convert or move the others",
        )
    return list(found)


def find_images(root: Path) -> list[Path]:
    """List all image files in `root` and its sub-folders, in order, without a word about the others."""
    return _find_images(root)[0] if root.is_dir() else []


def find_flat_images(root: Path) -> list[Path]:
    """List all image files in `root` and its sub-folders, in order. Warn of files that are passed over.

    Raises FileNotFoundError if there is no image, or no such folder.
    """
    images, others = _find_images(root) if root.is_dir() else ([], Counter())
    if not images:
        there = f"only {_describe(others)}" if others else "nothing of that kind" if root.is_dir() else "no folder"
        raise FileNotFoundError(
            printable(f"{root} has no file that ends with {', '.join(IMG_EXTENSIONS)}; there is {there}")
        )
    if others:
        warn(
            f"{others.total():,} files in {printable(root)} are left out: {_describe(others)}. Images end with "
            f"{', '.join(IMG_EXTENSIONS)}; convert or move the others"
        )
    return images


def name_folders(folders: list[Path]) -> str:
    """Name the folders of one parent, ten at most."""
    return listed([folder.name for folder in folders])


def _find_images(folder: Path) -> tuple[list[Path], Counter[str]]:
    """List the image files in `folder` and its sub-folders, in order; count the endings of the files passed over.

    Linked sub-folders count too, each folder once, but for those that hold `folder` itself. Hidden files and folders
    are skipped. Raises OSError for a folder that cannot be listed.
    """
    images: list[Path] = []
    others: Counter[str] = Counter()
    for path in _walk(folder):
        ending = path.suffix.lower()
        if _is_image(path):
            images.append(path)
        elif ending in IMG_EXTENSIONS:
            others["links to nothing"] += 1
        elif ending not in TEXTS:
            others[ending or "without an ending"] += 1
    return sorted(images), others


def _describe(others: Counter[str]) -> str:
    """Describe files that were passed over, such as "4 .jfif, 1 .gif", the most frequent first."""
    more = f", … ({len(others):,} endings)" if len(others) > MAX_NAMED else ""
    return printable(", ".join(f"{count:,} {ending}" for ending, count in others.most_common(MAX_NAMED)) + more)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMG_EXTENSIONS and not path.name.startswith(".") and path.is_file()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder`, those in its own sub-folders before those in linked ones."""
    own, seen, pending = os.path.realpath(folder), set(), [str(folder)]
    while pending:
        for parent, folders, files in os.walk(pending.pop(0), onerror=_raise):
            real = os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            links = (path for name in folders if os.path.islink(path := os.path.join(parent, name)))
            pending += [path for path in links if not Path(own).is_relative_to(os.path.realpath(path))]
            yield from (Path(parent, name) for name in files if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error
