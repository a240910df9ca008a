"""The rows of an index and the folder that they come from: images that are added, changed and gone."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from siamese_triplet._progress import bar
from siamese_triplet.datasets._naming import expand, printable
from siamese_triplet.search.embedder import Embedder
from siamese_triplet.search.files import NO_FILE, Changes, Stamp, changed_since, classes_of, list_images, stamp_of
from siamese_triplet.search.table import Table

CHUNK = 512  # files that are embedded before they are kept: an interruption loses no more


class Collection:
    """A `table`, the `folder` that it is kept in step with, and the `broken` files in it, with stamps and problems."""

    def __init__(self, folder: str | os.PathLike | None = None) -> None:
        self.table = Table()
        self.folder = None if folder is None else Path(os.path.abspath(expand(folder)))
        self.broken: dict[str, tuple[Stamp, str]] = {}

    def file_of(self, path: str) -> Path:
        """Return where the image lies that the table names `path`."""
        return Path(path) if self.folder is None else self.folder / path

    def named(self, file: str | os.PathLike) -> str:
        """Return the path by which the table names `file`: relative to the folder if it lies in it, else absolute."""
        whole = Path(os.path.abspath(expand(file)))
        if self.folder is not None and whole.is_relative_to(self.folder):
            return whole.relative_to(self.folder).as_posix()
        return whole.as_posix()

    def known(self, path: str | os.PathLike) -> str:
        """Return the path by which the table names an image, given so or as a file. Raises ValueError for no image."""
        if str(path) in self.table.rows:
            return str(path)
        name = self.named(path)
        return name if name in self.table.rows else self.table.paths[self.table.rows_of([str(path)])[0]]

    def update(self, embedder: Embedder, progress: bool = True) -> Changes:
        """Read the files of the folder that are new or have changed, and drop those that are gone."""
        if self.folder is None:
            raise ValueError("the index was made without a folder; pass folder= to Index, or to Index.load")
        table, now = self.table, list_images(self.folder)
        pairs = zip(table.paths, table.stamps, strict=True)
        own = {path: stamp for path, stamp in pairs if stamp != NO_FILE and not os.path.isabs(path)}
        if not now:
            lost = f", where the index has {len(own):,}; is the drive there? remove() takes them out" if own else ""
            raise FileNotFoundError(printable(f"there is no image in {self.folder}{lost}"))
        to_read, gone = changed_since(own | {path: stamp for path, (stamp, _) in self.broken.items()}, now)
        changes = Changes(removed=[path for path in gone if path in own])
        table.drop(changes.removed)
        self.broken = {path: fact for path, fact in self.broken.items() if path in now}
        self._read({path: now[path] for path in to_read}, classes_of(self.folder, to_read), embedder, changes, progress)
        changes.broken = {path: problem for path, (_, problem) in self.broken.items()}
        return changes

    def add_files(
        self, files: Sequence[str | os.PathLike], given: Sequence[str | None], embedder: Embedder, progress: bool
    ) -> Changes:
        """Read `files` of the classes `given`, by default those of their sub-folders."""
        names = [self.named(file) for file in files]
        inside = [name for name in names if self.folder is not None and not os.path.isabs(name)]
        classes = classes_of(self.folder, inside) if self.folder is not None else {}
        classes |= {name: chosen for name, chosen in zip(names, given, strict=True) if chosen is not None}
        changes = Changes()
        self._read({name: stamp_of(self.file_of(name)) for name in names}, classes, embedder, changes, progress)
        changes.broken = {name: self.broken[name][1] for name in names if name in self.broken}
        for name in changes.broken.keys() - set(inside):
            del self.broken[name]  # no update comes back to it
        return changes

    def _read(
        self,
        stamps: Mapping[str, Stamp],
        classes: Mapping[str, str | None],
        embedder: Embedder,
        changes: Changes,
        progress: bool,
    ) -> None:
        """Embed files by their paths, chunk by chunk; note in `changes` what became of them."""
        names = list(stamps)
        with bar(len(names), "images", progress) as shown:
            for first in range(0, len(names), CHUNK):
                chunk = {name: stamps[name] for name in names[first : first + CHUNK]}
                self._read_chunk(chunk, classes, embedder, changes, shown.update)

    def _read_chunk(
        self,
        stamps: Mapping[str, Stamp],
        classes: Mapping[str, str | None],
        embedder: Embedder,
        changes: Changes,
        done: Callable[[int], object],
    ) -> None:
        names, table = list(stamps), self.table
        embeddings, numbers, problems = embedder.embed_files([self.file_of(name) for name in names], done)
        for name in names:
            self.broken.pop(name, None)
        self.broken |= {names[number]: (stamps[names[number]], problem) for number, problem in problems.items()}
        lost = [names[number] for number in problems if names[number] in table.rows]  # they were whole before
        table.drop(lost)
        changes.removed += lost
        found = [names[number] for number in numbers]
        known = {name: table.class_names[table.rows[name]] for name in found if name in table.rows}
        changes.changed += known
        changes.added += [name for name in found if name not in known]
        table.put(
            found,
            embeddings,
            [classes.get(name) or known.get(name) for name in found],
            [stamps[name] for name in found],
        )
