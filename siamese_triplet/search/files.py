"""The image files of a folder, and what has changed in it since they were read."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from siamese_triplet.datasets._listing import _find_images, find_splits, list_folders
from siamese_triplet.datasets._naming import MAX_NAMED, listed, printable


class Stamp(NamedTuple):
    """Size of a file in bytes, and time of its last change in nanoseconds: if both are the same, so is the file."""

    size: int
    changed: int


NO_FILE = Stamp(-1, -1)  # of an embedding that came without a file


@dataclass(repr=False)
class Changes:
    """What an update has changed, as paths relative to the folder."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)  # files that cannot be read, each with its problem

    def __repr__(self) -> str:
        counts = {"added": self.added, "changed": self.changed, "removed": self.removed}
        text = ", ".join(f"{len(paths):,} {what}" for what, paths in counts.items())
        if self.broken:
            names = listed(map(printable, self.broken), MAX_NAMED // 2)
            text += f"; left out as they cannot be read: {len(self.broken):,}, {names}"
        return text


def list_images(folder: Path) -> dict[str, Stamp]:
    """List the image files in `folder` and below, by paths relative to it, with `/`, in order.

    Hidden files and folders are skipped, linked folders are not. Raises FileNotFoundError if there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(printable(f"{folder} is not a folder"))
    paths, _ = _find_images(folder)
    stamps = ((path.relative_to(folder).as_posix(), stamp_of(path)) for path in paths)
    return {path: stamp for path, stamp in stamps if stamp != NO_FILE}


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file; `NO_FILE` if it is gone."""
    try:
        facts = os.stat(path)
    except OSError:
        return NO_FILE
    return Stamp(facts.st_size, facts.st_mtime_ns)


def classes_of(folder: Path, paths: Iterable[str]) -> dict[str, str | None]:
    """Return the class of each path: the sub-folder of `folder` in which it lies; None for images beside these.

    Where the sub-folders are splits, such as `train` and `val`, the classes are the sub-folders of these.
    """
    training, test = find_splits(list_folders(folder))
    splits = {split.name for split in training + test}

    def class_of(path: str) -> str | None:
        parts = path.split("/")[:-1]
        parts = parts[1:] if parts and parts[0] in splits else parts
        return parts[0] if parts else None

    return {path: class_of(path) for path in paths}


def changed_since(known: Mapping[str, Stamp], now: Mapping[str, Stamp]) -> tuple[list[str], list[str]]:
    """Return which paths of `now` have another stamp than in `known`, or none there, and which of `known` are gone."""
    return [path for path in now if known.get(path) != now[path]], [path for path in known if path not in now]
