"""The rows of an index: embeddings with paths, classes and stamps of files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from siamese_triplet.datasets._naming import listed, printable
from siamese_triplet.gallery import Gallery
from siamese_triplet.search.files import NO_FILE, Stamp

NO_CLASS = -1  # the label of an image without a class


class Table:
    """Embeddings (N, D), and for each its path, the name of its class or None, and the stamp of its file."""

    def __init__(self) -> None:
        self.embeddings = torch.empty(0, 0)
        self.paths: list[str] = []
        self.class_names: list[str | None] = []
        self.stamps: list[Stamp] = []
        self._changed()

    def __len__(self) -> int:
        return len(self.paths)

    def _changed(self) -> None:
        self._gallery: Gallery | None = None
        self._rows: dict[str, int] | None = None

    @property
    def rows(self) -> dict[str, int]:
        """The row of each path."""
        if self._rows is None:
            self._rows = {path: row for row, path in enumerate(self.paths)}
        return self._rows

    @property
    def gallery(self) -> Gallery:
        """The embeddings with their labels, which index `classes`. Raises ValueError if there are none."""
        if not len(self):
            raise ValueError("the index is empty; add images first")
        if self._gallery is None:
            classes = self.classes if None not in self.class_names else ()  # a gallery's classes name every label
            self._gallery = Gallery(self.embeddings, self.labels, classes)
        return self._gallery

    @property
    def classes(self) -> list[str]:
        return sorted({name for name in self.class_names if name is not None})

    @property
    def labels(self) -> Tensor:
        """The label (N,) of each row: an index into `classes`, or −1."""
        numbers: dict[str | None, int] = {name: number for number, name in enumerate(self.classes)}
        return torch.tensor([numbers.get(name, NO_CLASS) for name in self.class_names], dtype=torch.int64)

    def rows_of(self, paths: Iterable[str]) -> list[int]:
        """Return the rows of `paths`. Raises ValueError for those that there are not."""
        paths = list(paths)
        if missing := [path for path in paths if path not in self.rows]:
            raise ValueError(
                printable(f"the index has no image {listed(missing)}; index.paths lists those it has, as it names them")
            )
        return [self.rows[path] for path in paths]

    def put(
        self,
        paths: Sequence[str],
        embeddings: Tensor,
        class_names: Sequence[str | None],
        stamps: Sequence[Stamp] | None = None,
    ) -> None:
        """Add rows; those with a path that is there already take its place. Raises ValueError for another size."""
        if not len(paths):
            return
        if len(set(paths)) < len(paths):
            twice = [path for path, count in Counter(paths).items() if count > 1]
            raise ValueError(printable(f"each path may be given once; twice there is {listed(twice)}"))
        if len(self) and embeddings.shape[1] != self.embeddings.shape[1]:
            raise ValueError(
                f"the index has embeddings of size {self.embeddings.shape[1]}, got {tuple(embeddings.shape)}; all must "
                "come from one network"
            )
        self.drop([path for path in paths if path in self.rows])
        embeddings = embeddings.to(self.embeddings.dtype).cpu()
        self.embeddings = torch.cat([self.embeddings, embeddings]) if len(self) else embeddings.clone()
        self.paths += paths
        self.class_names += class_names
        self.stamps += [NO_FILE] * len(paths) if stamps is None else stamps
        self._changed()

    def drop(self, paths: Sequence[str]) -> None:
        """Remove the rows of `paths`, which must be there."""
        if not len(paths):
            return
        gone = set(self.rows_of(paths))
        kept = [row for row in range(len(self)) if row not in gone]
        self.embeddings = self.embeddings[kept]
        self.paths = [self.paths[row] for row in kept]
        self.class_names = [self.class_names[row] for row in kept]
        self.stamps = [self.stamps[row] for row in kept]
        self._changed()

    def set_classes(self, names: Mapping[str, str | None]) -> None:
        """Set the class of the images at the paths given."""
        for row, name in zip(self.rows_of(names), names.values(), strict=True):
            self.class_names[row] = name
        self._changed()
