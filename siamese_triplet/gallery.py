"""A gallery of labelled embeddings to search, save and load."""

import io
import os
import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from siamese_triplet._atomic_files import seal, unseal, write_atomically
from siamese_triplet._sorting import members_by_class
from siamese_triplet._validation import check_batch
from siamese_triplet.datasets._naming import expand
from siamese_triplet.distances import full_precision
from siamese_triplet.evaluation.neighbours import Neighbours, check_k, check_not_empty, check_sets, vote
from siamese_triplet.evaluation.prepared import PreparedGallery

if TYPE_CHECKING:
    import faiss

FORMAT = "siamese_triplet.Gallery"


class Gallery:
    """Embeddings (N, D) of known images, with labels (N,) and the names of the classes.

    A label is an index into `classes` or, without these, any integer. Raises ValueError for an empty gallery, for
    embeddings that are not finite, and for labels that do not fit the embeddings or `classes`.

    >>> import torch
    >>> from siamese_triplet import Gallery
    >>> gallery = Gallery(torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1]), ["cat", "dog"])
    >>> gallery.search(torch.tensor([[0.9]]), k=2).indices
    tensor([[1, 0]])
    >>> [gallery.classes[label] for label in gallery.classify(torch.tensor([[4.4]]), k=2)]
    ['dog']
    >>> gallery.save("animals.gallery")
    >>> Gallery.load("animals.gallery")
    Gallery of 4 images of 2 classes, embeddings of size 1
    """

    def __init__(self, embeddings: Tensor, labels: Tensor, classes: Sequence[str] = ()) -> None:
        check_not_empty("the gallery's embeddings", embeddings)
        check_batch(embeddings, labels)
        if classes and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
            raise ValueError(
                f"labels from {int(labels.min())} to {int(labels.max())} do not fit {len(classes)} classes; each "
                "must be an index into classes"
            )
        self.embeddings, self.labels, self.classes = full_precision(embeddings.detach()), labels, list(classes)
        self._prepared: PreparedGallery | None = None

    def __len__(self) -> int:
        return len(self.embeddings)

    def __repr__(self) -> str:
        n_classes = len(self.labels.unique())
        return f"Gallery of {len(self):,} images of {n_classes} classes, embeddings of size {self.embeddings.shape[1]}"

    def search(self, queries: Tensor, k: int = 5) -> Neighbours:
        """Find the `k` nearest images of each query (Q, D): distances, not squared, and indices. See `nearest`."""
        self._check(queries, k)
        if self._prepared is None or not self._prepared.is_for(self.embeddings):
            self._prepared = PreparedGallery(self.embeddings)
        return self._prepared.search(queries, k)

    def classify(self, queries: Tensor, k: int | None = None) -> Tensor:
        """Predict the labels (Q,) of `queries` (Q, D) by majority vote of the `k` nearest. See `knn_predictions`.

        By default `k` is five, or the size of the smallest class if less: a larger `k` would let others outvote it.
        """
        if k is None:
            k = min(5, int(self.labels.unique(return_counts=True)[1].min()))
        self._check(queries, k)
        return vote(self.embeddings, self.labels, queries, k)

    def _check(self, queries: Tensor, k: int) -> None:
        check_sets(queries, self.embeddings[:1])  # the gallery was checked when it was made
        check_k(k, len(self))

    def prototypes(self) -> "Gallery":
        """Return a gallery of the mean embedding of each class: a classifier from a handful of images."""
        labels, index = self.labels.unique(return_inverse=True)
        sums = self.embeddings.new_zeros(len(labels), self.embeddings.shape[1]).index_add(0, index, self.embeddings)
        return Gallery(sums / index.bincount()[:, None], labels, self.classes)

    def few_labels(self, n: int, seed: int = 0) -> "Gallery":
        """Return a gallery of `n` images per class, drawn from `seed`, as if no more had been labelled.

        Raises ValueError if a class has fewer.
        """
        generator = torch.Generator().manual_seed(seed)
        chosen = []
        for label, members in members_by_class(self.labels).items():
            if not 1 <= n <= len(members):
                raise ValueError(f"{n=} images per class: class {label} has {len(members)}")
            chosen.append(members[torch.randperm(len(members), generator=generator)[:n].to(members.device)])
        indices = torch.cat(chosen)
        return Gallery(self.embeddings[indices], self.labels[indices], self.classes)

    def save(self, path: str | os.PathLike) -> None:
        """Write the gallery to one file, for `Gallery.load`."""
        tensors = {"embeddings": self.embeddings.cpu().clone(), "labels": self.labels.cpu().clone()}
        stream = io.BytesIO()  # clones, as torch.save writes the whole tensor of a slice
        torch.save({"format": FORMAT, **tensors, "classes": self.classes}, stream)
        write_atomically(path, seal(stream.getvalue()))

    @classmethod
    def load(cls, path: str | os.PathLike, device: torch.device | str = "cpu") -> "Gallery":
        """Load the gallery that `save` wrote to `path`. Raises ValueError for any other file, and for a damaged one.

        Every byte is checked, and no code from the file is run.
        """
        packed = expand(path).read_bytes()
        try:
            contents = torch.load(io.BytesIO(unseal(packed, "Gallery.save")), map_location="cpu", weights_only=True)
            if contents["format"] != FORMAT:
                raise ValueError("it holds other data")
            gallery = cls(contents["embeddings"], contents["labels"], contents["classes"])
        except (ValueError, RuntimeError, pickle.UnpicklingError, LookupError, TypeError, AttributeError) as error:
            cause = str(error).partition("\n")[0]
            raise ValueError(f"{path} is not a gallery, or is damaged: {cause}; save it again") from error
        return cls(gallery.embeddings.to(device), gallery.labels.to(device), gallery.classes)

    def to_faiss(self, kind: str = "Flat") -> "faiss.Index":
        """Return a faiss index of the embeddings: `index.search(queries.numpy(), k)`. Distances are squared.

        "Flat" searches exactly, like `search`. For millions of images faiss has others by name that look at a part of
        them only, and may miss some neighbours: "HNSW32" is fast and takes more memory, "IVF1024,PQ32" takes 32 bytes
        for each. Those that need training are trained on the embeddings. Raises ImportError if faiss, the extra
        "search", is not installed, and ValueError for a name that it does not know or too few embeddings to train on.
        """
        try:
            import faiss
        except ImportError as error:
            raise ImportError("to_faiss needs faiss: python -m pip install faiss-cpu") from error
        embeddings = self.embeddings.cpu().float().contiguous().numpy()
        try:
            index = faiss.index_factory(embeddings.shape[1], kind)
            if not index.is_trained:
                index.train(embeddings)
        except RuntimeError as error:
            cause = str(error).strip().splitlines()[-1]
            raise ValueError(f"faiss cannot make an index {kind!r} of {len(self):,} embeddings: {cause}") from error
        index.add(embeddings)
        return index
