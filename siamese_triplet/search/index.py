"""An index of images: search it, keep it in one file, and keep it in step with its folder."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet.datasets._naming import expand, printable
from siamese_triplet.evaluation import Threshold, choose_threshold, near_pairs
from siamese_triplet.gallery import Gallery
from siamese_triplet.networks import Preprocessing, load_pretrained
from siamese_triplet.search.answers import Answer, Match
from siamese_triplet.search.collection import Collection
from siamese_triplet.search.embedder import Embedder, as_compared, embeddings_in
from siamese_triplet.search.files import NO_FILE, Changes, Stamp
from siamese_triplet.search.storage import StoredNet, find_folder, from_bytes, relative_to_file, to_bytes
from siamese_triplet.search.table import Table

if TYPE_CHECKING:
    import faiss


class Index:
    """Images to search: embeddings with the paths and classes of the images, and the network that made them.

    `net` is a network of this package, or any other, and `preprocessing` says how its images are read, by default as
    the network says itself. With `cosine` embeddings are scaled to length 1; distances are then those on the unit
    sphere, √(2 − 2 cos), from 0 to 2. By default it is on for a `PretrainedNet` and off for all others, whose training
    has decided. Without a network only embeddings can be added and searched.

    - `folder`: the folder that `update` keeps the index in step with; `paths` are relative to it.
    - `paths`, `embeddings` (N, D), `class_names` (None for an image without a class), in the order of adding; `classes`
      are their names in order, `labels` (N,) index them, −1 for none.
    - `threshold`: the distance beyond which the answer is "none of these"; None accepts every match.
    - `trained_classes`: classes that the network was trained on, on which no threshold is chosen. Set them yourself.

    >>> import torch
    >>> from siamese_triplet.search import Index
    >>> index = Index()
    >>> index.add(torch.tensor([[0.0, 0.0], [0.0, 1.0], [5.0, 5.0]]), ["cat", "cat", "dog"], paths=["a", "b", "c"])
    3 added, 0 changed, 0 removed
    >>> answer = index.search(torch.tensor([0.0, 0.9]), k=2)
    >>> answer.class_name, [match.path for match in answer]
    ('cat', ['b', 'a'])
    >>> index.threshold = 2.0
    >>> index.search(torch.tensor([9.0, 9.0])).is_none
    True
    >>> index.save("animals.index")
    >>> Index.load("animals.index")
    Index of 3 images of 2 classes, embeddings of size 2, threshold 2
    """

    def __init__(
        self,
        net: nn.Module | None = None,
        preprocessing: Preprocessing | None = None,
        *,
        folder: str | os.PathLike | None = None,
        cosine: bool | None = None,
        threshold: float | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self._collection = Collection(folder)
        self._embedder = None if net is None else Embedder(net, preprocessing, cosine, device)
        self._stored: StoredNet | None = None
        self._device = device
        self.cosine = bool(cosine) if self._embedder is None else self._embedder.cosine
        self.threshold = threshold
        self.false_accepts: float | None = None  # the share that the threshold was chosen for
        self.trained_classes: list[str] = []

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike,
        net: nn.Module | None = None,
        preprocessing: Preprocessing | None = None,
        *,
        cosine: bool | None = None,
        device: torch.device | str | None = None,
        progress: bool = True,
    ) -> "Index":
        """Index the images in `folder` and below; by default with `load_pretrained()`, which needs no training.

        The class of an image is the sub-folder in which it lies; images beside these have none, so that a flat folder
        will do. Files are read in threads, a batch at a time. Those that cannot be read are left out, and
        `index.broken` names them. Raises FileNotFoundError for a folder without images.
        """
        index = cls(
            load_pretrained() if net is None else net, preprocessing, folder=folder, cosine=cosine, device=device
        )
        index.update(progress)
        return index

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        size = self.embeddings.shape[1]
        classes = f" of {len(self.classes):,} classes" if self.classes else ""
        facts = [f"Index of {len(self):,} images{classes}", f"embeddings of size {size}"]
        facts += ["cosine"] * self.cosine + ([] if self.threshold is None else [f"threshold {self.threshold:.4g}"])
        return ", ".join(facts)

    @property
    def _table(self) -> Table:
        return self._collection.table

    @property
    def folder(self) -> Path | None:
        return self._collection.folder

    @property
    def broken(self) -> dict[str, str]:
        """The files of the folder that cannot be read, each with its problem."""
        return {path: problem for path, (_, problem) in self._collection.broken.items()}

    @property
    def paths(self) -> list[str]:
        return self._table.paths

    @property
    def class_names(self) -> list[str | None]:
        return self._table.class_names

    @property
    def classes(self) -> list[str]:
        return self._table.classes

    @property
    def labels(self) -> Tensor:
        return self._table.labels

    @property
    def embeddings(self) -> Tensor:
        return self._table.embeddings

    @property
    def gallery(self) -> Gallery:
        """The embeddings and `labels` as a `Gallery`, which searches them."""
        return self._table.gallery

    @property
    def embedder(self) -> Embedder:
        """The network and how its images are read; that of a loaded index is built when it is first asked for."""
        if self._embedder is None and self._stored is not None:
            self._embedder = self._stored.embedder(self.cosine, self._device)
        if self._embedder is None:
            raise ValueError(
                "the index has no network, and takes embeddings only; make it with Index(net), or load it so"
            )
        return self._embedder

    def file_of(self, path: str) -> Path:
        """Return where the image lies that the index names `path`."""
        return self._collection.file_of(path)

    def update(self, progress: bool = True) -> Changes:
        """Bring the index in step with its folder: read files that are new or have changed, drop those that are gone.

        A file has changed if its size or the time of its last change has. Images from elsewhere stay. An interruption
        keeps what was done. Raises ValueError for an index without a folder, and FileNotFoundError if the folder is
        gone, or has no image any more.
        """
        return self._collection.update(self.embedder, progress)

    def add(
        self,
        images: Any,
        class_names: str | Sequence[str | None] | None = None,
        *,
        paths: Sequence[str] | None = None,
        progress: bool = False,
    ) -> Changes:
        """Add images: paths of files, one or several, or images or embeddings (n, D) with `paths` to name them.

        `class_names` is one for all or one for each; by default the class of a file is its sub-folder in `folder`, and
        other images have none. An image with a path that is there already takes its place. Files that cannot be read
        are left out, and named in the result. Raises ValueError for embeddings of another size, or not finite, and for
        numbers of images, classes and paths that differ.
        """
        if isinstance(images, (str, os.PathLike)):
            images = [images]
        if paths is None and not all(isinstance(image, (str, os.PathLike)) for image in images):
            raise ValueError("images and embeddings that are no files need names: paths=, one for each")
        n_paths = len(images) if paths is None else len(paths)
        if class_names is None or isinstance(class_names, str):
            class_names = [class_names] * n_paths
        if not len(images) == n_paths == len(class_names):
            raise ValueError(f"got {len(images)} images, {n_paths} paths and {len(class_names)} classes; one for each")
        if paths is None:
            return self._collection.add_files(images, class_names, self.embedder, progress)
        known = self._table.rows
        changes = Changes([path for path in paths if path not in known], [path for path in paths if path in known])
        self._table.put(list(paths), self._embed(images), list(class_names))
        return changes

    def remove(self, paths: str | os.PathLike | Iterable[str | os.PathLike]) -> None:
        """Remove images by their paths, those of the index or those of the files.

        A file that still lies in the folder comes back with the next `update`. Raises ValueError for a path that the
        index does not have; nothing is removed then.
        """
        given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        self._table.drop(sorted({self._collection.known(path) for path in given}))

    def set_class(
        self, paths: str | os.PathLike | Iterable[str | os.PathLike], class_name: str | Sequence[str | None] | None
    ) -> None:
        """Set the class of images by their paths, one for all or one for each: how to label a flat folder.

        None takes a class away. Raises ValueError for a path that the index does not have; nothing is set then.
        """
        given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        names = [class_name] * len(given) if class_name is None or isinstance(class_name, str) else class_name
        if len(names) != len(given):
            raise ValueError(f"got {len(given)} paths and {len(names)} classes; give one for all or one for each")
        known = [self._collection.known(path) for path in given]
        self._table.set_classes(dict(zip(known, names, strict=True)))

    def search(self, query: Any, k: int = 10) -> Answer:
        """Find the `k` images nearest to `query`, or all if there are fewer.

        `query` is the path of an image file, the bytes of one, a PIL image, pixels (uint8, an array (H, W) or (H, W, C)
        or a tensor (C, H, W)), the network's input (a float tensor (C, H, W)), or an embedding (D,) or (1, D). The
        search is exact; of images at the same distance the one that was added first comes first. Raises ValueError for
        a file that is no image, an embedding of another size or with NaN, a `k` below 1, and an empty index.
        """
        embeddings = embeddings_in(query)
        if embeddings is not None and len(embeddings) != 1:
            raise ValueError(f"search takes one query, got {len(embeddings)} embeddings; search_all takes several")
        return self.search_all([query] if embeddings is None else embeddings, k)[0]

    def search_all(self, queries: Any, k: int = 10) -> list[Answer]:
        """Search as `search` does for each of several queries, or for embeddings (Q, D)."""
        if isinstance(queries, (str, os.PathLike)):
            raise ValueError("search_all takes a list of queries; search takes one")
        if k < 1:
            raise ValueError(f"{k=} must be at least 1")
        gallery = self.gallery
        queries = queries if embeddings_in(queries) is not None else list(queries)
        found = gallery.search(self._embed(queries), min(k, len(self)))
        rows = zip(queries, found.distances.tolist(), found.indices.tolist(), strict=True)
        return [self._answer(query, distances, indices) for query, distances, indices in rows]

    def similar(self, path: str | os.PathLike, k: int = 10) -> Answer:
        """Find the `k` images nearest to one that is in the index, without itself and without reading its file."""
        name = self._collection.known(path)
        row = self._table.rows[name]
        found = self.gallery.search(self.embeddings[[row]], min(k + 1, len(self)))
        pairs = zip(found.distances[0].tolist(), found.indices[0].tolist(), strict=True)
        others = [pair for pair in pairs if pair[1] != row][:k]
        columns = [list(column) for column in zip(*others, strict=True)] or [[], []]
        return dataclasses.replace(self._answer(self.file_of(name), *columns), query=name)

    def near_duplicates(self, most: float = 0.3) -> list[tuple[str, str, float]]:
        """Find pairs of images whose embeddings are at most `most` apart: two paths and their distance, nearest first.

        Each image is compared with the one nearest to it. The default is for the unit sphere.
        """
        pairs, distances = near_pairs(self.embeddings, most)
        rows = zip(pairs.tolist(), distances.tolist(), strict=True)
        return [(self.paths[one], self.paths[other], distance) for (one, other), distance in rows]

    def choose_threshold(
        self, false_accepts: float | None = 0.05, classes: Iterable[str] | None = None, seed: int = 0
    ) -> Threshold:
        """Set the threshold by the index's own images, as `evaluation.choose_threshold` does, and return it with rates.

        `classes` are those to choose it on, by default all but the `trained_classes`, whose distances tell nothing of
        new ones. Raises ValueError for an index without such classes, and the errors of that function.
        """
        names = set(self.classes) - set(self.trained_classes) if classes is None else set(classes)
        pairs = zip(self.labels.tolist(), self.class_names, strict=True)
        labels = torch.tensor([label if name in names else -1 for label, name in pairs], dtype=torch.int64)
        if not len(labels) or int(labels.max()) < 0:
            raise ValueError(
                "a threshold is chosen on images with classes that the network was not trained on, and there are none; "
                "set index.threshold yourself, or label some images with set_class"
            )
        found = choose_threshold(self.embeddings, labels, false_accepts, seed=seed)
        self.threshold, self.false_accepts = found.distance, false_accepts
        return found

    def to_faiss(self, kind: str = "Flat") -> "faiss.Index":
        """Return a faiss index of the embeddings for millions of images; see `Gallery.to_faiss`.

        Its rows are those of `paths`. A query is `index.embedder.embed_image("query.jpg").numpy()`.
        """
        return self.gallery.to_faiss(kind)

    def _embed(self, images: Any) -> Tensor:
        """Embed a list of anything that `search` takes, or take embeddings, (n, D)."""
        embeddings = embeddings_in(images)
        if embeddings is None:
            found = [embeddings_in(image) for image in images]
            parts = [
                self.embedder.embed_image(image) if part is None else part
                for image, part in zip(images, found, strict=True)
            ]
            embeddings = torch.cat(parts) if parts else self.embeddings[:0]
        return as_compared(embeddings, self.cosine)

    def _answer(self, query: Any, distances: list[float], indices: list[int]) -> Answer:
        limit = float("inf") if self.threshold is None else self.threshold
        matches = [
            Match(
                self.paths[i],
                d,
                self.class_names[i],
                d <= limit,
                None if self._table.stamps[i] == NO_FILE else self.file_of(self.paths[i]),
            )
            for d, i in zip(distances, indices, strict=True)
        ]
        if isinstance(query, (str, os.PathLike)):
            return Answer(tuple(matches), str(query), expand(query), self.threshold)
        name = "an embedding" if embeddings_in(query) is not None else "an image"
        return Answer(tuple(matches), name, None, self.threshold)

    def save(self, path: str | os.PathLike, network: bool = True) -> None:
        """Write the index to one file, for `Index.load`: embeddings, paths, classes, network, threshold.

        Raises ValueError for a network that `networks.architecture` cannot describe. Without `network` the file holds
        none: `load` then takes one.
        """
        path = expand(path)
        stored = None
        if network:
            try:
                stored = self._stored if self._embedder is None else StoredNet.of(self._embedder)
            except ValueError as error:
                raise ValueError(
                    f"{error}; save(path, network=False), and load it with net= and preprocessing="
                ) from error
        write_atomically(path, to_bytes(self._table, self._facts(path), stored))

    def _facts(self, path: Path) -> dict[str, Any]:
        folder = None
        if self.folder is not None:
            folder = {"absolute": str(self.folder), "relative": relative_to_file(self.folder, path)}
        broken = [[name, *stamp, problem] for name, (stamp, problem) in self._collection.broken.items()]
        return {
            "cosine": self.cosine, "threshold": self.threshold, "false_accepts": self.false_accepts,
            "folder": folder, "broken": broken, "trained_classes": self.trained_classes,
        }  # fmt: skip

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        *,
        folder: str | os.PathLike | None = None,
        net: nn.Module | None = None,
        preprocessing: Preprocessing | None = None,
        device: torch.device | str | None = None,
    ) -> "Index":
        """Load the index that `save` wrote to `path`. Every byte is checked, and no code from the file is run.

        The images are sought where they were relative to the file, so that both can move together, and else where they
        were before; `folder` names another place. They are needed for `update` and for pictures, not for a search.
        `net` takes the place of the network. The network is built when it is first needed. Raises FileNotFoundError if
        there is no such file, ValueError for any other file, for a damaged one, and for one that a newer version wrote.
        """
        path = expand(path)
        if not path.is_file():
            command = "python -m siamese_triplet index"
            if path.is_dir():
                advice = f"{path} is a folder; make its index with {command} {path} --out {path.name}.index"
                raise FileNotFoundError(printable(advice))
            raise FileNotFoundError(printable(f"there is no index {path}; make it with {command} FOLDER --out {path}"))
        table, facts, network = from_bytes(path.read_bytes(), path)
        if folder is None and facts["folder"] is not None:
            folder = find_folder(path, **facts["folder"])
        index = cls(
            net, preprocessing, folder=folder, cosine=facts["cosine"], threshold=facts["threshold"], device=device
        )
        index._stored = network if net is None else None
        index.false_accepts, index.trained_classes = facts["false_accepts"], facts["trained_classes"]
        broken = {name: (Stamp(size, changed), problem) for name, size, changed, problem in facts["broken"]}
        index._collection.table, index._collection.broken = table, broken
        return index
