"""The nearest images of a gallery, exactly, without a matrix of all distances.

Distances come in blocks of queries, on a CPU one for each thread at a time. There the smallest of a row are searched
among those below a threshold, which a sample gives: a partition of the whole row would take most of the time.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from siamese_triplet._validation import check_batch, check_finite, check_matrix
from siamese_triplet.distances import SquaredDistances, block_rows, full_precision, root

BLOCK = 2**20  # distances of a block on a CPU
ONE_OF = 12  # columns is in the sample that gives a threshold
Result = TypeVar("Result")
AS_INTEGERS = {torch.float32: torch.int32, torch.float64: torch.int64}  # numbers ≥ 0 have the order of their bits


class Neighbours(NamedTuple):
    """The nearest images of each query, the nearest first."""

    distances: Tensor  # (Q, k) Euclidean, not squared
    indices: Tensor  # (Q, k) int64, into the gallery


def nearest(queries: Tensor, gallery: Tensor | None = None, k: int = 5) -> Neighbours:
    """The `k` nearest of `gallery` (N, D) for each of `queries` (Q, D), by Euclidean distance, exactly.

    Without a gallery each query looks among the others, itself excluded. Of images at the same distance, in float32,
    the one that stands first in the gallery comes first. Memory is linear in Q and N. No queries give (0, k) results.
    Raises ValueError for embeddings that are not finite or do not fit together, and for a `k` below 1 or above the
    number of images to choose from.

    >>> import torch
    >>> from siamese_triplet import nearest
    >>> distances, indices = nearest(torch.tensor([[0.0], [5.0]]), gallery=torch.tensor([[1.0], [3.0], [9.0]]), k=2)
    >>> distances
    tensor([[1., 3.],
            [2., 4.]])
    >>> indices
    tensor([[0, 1],
            [1, 0]])
    """
    queries, gallery, itself = checked_sets(queries, gallery)
    if len(gallery) or not itself:  # no queries among themselves have no neighbours
        check_k(k, len(gallery) - itself)
    found = of_blocks(queries, gallery, itself, lambda _, distances: _first(distances, k))
    if not found:
        return Neighbours(queries.new_empty(0, k), torch.empty(0, k, dtype=torch.int64, device=queries.device))
    distances, indices = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Neighbours(root(distances), indices)


def knn_predictions(train_embeddings: Tensor, train_labels: Tensor, test_embeddings: Tensor, k: int = 5) -> Tensor:
    """The class (M,) that is the most frequent one among the `k` nearest `train_embeddings` (N, D) of each test image.

    A tie goes to the class with the smaller label. See `nearest` for equal distances and for what is raised.

    >>> import torch
    >>> from siamese_triplet import knn_predictions
    >>> train, train_labels = torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    >>> knn_predictions(train, train_labels, torch.tensor([[0.4], [4.6]]), k=2)
    tensor([0, 1])
    """
    check_not_empty("train_embeddings", train_embeddings)
    check_batch(train_embeddings, train_labels)
    votes = train_labels[nearest(test_embeddings, train_embeddings, k).indices]  # (M, k)
    return votes.long().mode(dim=1).values.to(train_labels.dtype)


def knn_accuracy(
    train_embeddings: Tensor, train_labels: Tensor, test_embeddings: Tensor, test_labels: Tensor, k: int = 5
) -> float:
    """The fraction of `test_embeddings` (M, D) whose class `knn_predictions` finds with `k` neighbours.

    For an interval: `bootstrap_interval(knn_predictions(…) == test_labels)`. Raises ValueError also for no test images,
    and where embeddings and labels do not fit together.

    >>> import torch
    >>> from siamese_triplet import knn_accuracy
    >>> train, train_labels = torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    >>> knn_accuracy(train, train_labels, torch.tensor([[0.4], [4.6]]), torch.tensor([0, 0]), k=2)
    0.5
    """
    check_not_empty("test_embeddings", test_embeddings)
    check_batch(test_embeddings, test_labels)
    predictions = knn_predictions(train_embeddings, train_labels, test_embeddings, k)
    return (predictions == test_labels).double().mean().item()


def checked_sets(queries: Tensor, gallery: Tensor | None) -> tuple[Tensor, Tensor, bool]:
    """Both in full precision, the queries again for no gallery, and whether the gallery is the queries themselves."""
    itself = gallery is None
    gallery = queries if gallery is None else gallery
    for name, embeddings in (("queries", queries), ("gallery", gallery)):
        check_matrix(name, embeddings)
    if queries.device != gallery.device:
        raise ValueError(
            f"the queries are on {queries.device}, the gallery on {gallery.device}; move one of them with .to(device)"
        )
    for name, embeddings in (("queries", queries), ("gallery", gallery)):
        check_finite(name, embeddings)
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            "gallery and queries must have embeddings of one size, "
            f"got {tuple(gallery.shape)} and {tuple(queries.shape)}"
        )
    dtype = torch.promote_types(full_precision(queries).dtype, gallery.dtype)
    return queries.detach().to(dtype), gallery.detach().to(dtype), itself


def check_not_empty(name: str, embeddings: Tensor) -> None:
    """Raise a ValueError for embeddings (N, D) without a row."""
    if embeddings.ndim and not len(embeddings):
        raise ValueError(f"{name} are empty, shape {tuple(embeddings.shape)}; at least one image is needed")


def check_k(k: int, n_images: int) -> None:
    """Raise a ValueError for a number of neighbours that `n_images` cannot give."""
    if not 1 <= k <= n_images:
        raise ValueError(f"{k=} must be between 1 and the {n_images} images of the gallery that a query can find")


def ordered_keys(distances: Tensor) -> Tensor:
    """Even integers in the order of `distances` (b, N) ≥ 0, which they overwrite.

    The last bit is free to put some of the equal ones last.
    """
    keys = distances.view(AS_INTEGERS[distances.dtype]).mul_(2)  # the sign bit, which is free, takes the highest one
    return keys.bitwise_xor_(torch.iinfo(keys.dtype).min)


def smallest(keys: Tensor, k: int) -> Tensor:
    """The `k` smallest integers of each row of `keys` (b, N), in order: (b, k). On a CPU it may reorder the rows."""
    if keys.device.type != "cpu":
        return keys.topk(k, dim=1, largest=False).values
    array = keys.numpy()
    some = candidates(array, k)
    if some is None:
        if k < array.shape[1]:
            array.partition(k - 1, axis=1)
        some = array[:, :k]
    return torch.from_numpy(np.sort(some, axis=1)[:, :k])


def candidates(keys: np.ndarray, k: int) -> np.ndarray | None:
    """All of each row of `keys` (b, N) that are not above some threshold of the row, `k` of them at least.

    They come as (b, M), filled up with the greatest integer. None where thresholds from a sample leave fewer than `k`
    in a row, or too many to be worth it. The sample is drawn always alike; the exact result does not depend on it.
    """
    n_columns = keys.shape[1]
    sample = keys[:, np.random.default_rng(0).integers(n_columns, size=n_columns // ONE_OF)]
    expected = sample.shape[1] * k / n_columns  # of the k smallest in the sample
    place = int(expected + 4 * expected**0.5) + 4
    if 3 * place > sample.shape[1]:
        return None
    sample.partition(place, axis=1)
    is_candidate = keys <= sample[:, [place]]
    counts = np.count_nonzero(is_candidate, axis=1)
    if counts.min() < k or 2 * counts.max() > n_columns:
        return None
    chosen = np.full((len(keys), counts.max()), np.iinfo(keys.dtype).max, dtype=keys.dtype)
    in_order = keys.ravel()[np.flatnonzero(is_candidate)]  # many times faster than keys[is_candidate]
    chosen[np.arange(counts.max()) < counts[:, None]] = in_order
    return chosen


def of_blocks(
    queries: Tensor, gallery: Tensor, itself: bool, function: Callable[[slice, Tensor], Result]
) -> list[Result]:
    """`function(rows, distances)` of every block: which queries, and their squared distances (b, N) to the gallery.

    Where that is the queries themselves, the distance of a query to itself is infinite. On a CPU the blocks are shared
    out among as many threads as torch may use, each of which computes with one: threads that wait for each other after
    every operation would wait longer than they compute.
    """
    distances = SquaredDistances(queries, None if itself else gallery)
    size = block_rows(gallery, BLOCK)

    def of_block(first: int) -> Result:
        block = distances.block(first, first + size)
        if itself:
            block.diagonal(first).fill_(torch.inf)
        return function(slice(first, first + len(block)), block)

    starts = range(0, len(queries), size)
    n_threads = torch.get_num_threads()
    if queries.device.type != "cpu" or min(n_threads, len(starts)) < 2:
        return [of_block(first) for first in starts]
    try:
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(of_block, starts))
    finally:
        torch.set_num_threads(n_threads)  # of the libraries that have one number for all threads


def _first(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` smallest of each row of `distances` (b, N) and their columns; of equal ones the first."""
    cut = distances.topk(k, dim=1, largest=False).values[:, -1:]  # (b, 1)
    is_candidate = distances <= cut
    rows, columns = is_candidate.nonzero(as_tuple=True)  # in the order of the columns
    order = distances[rows, columns].argsort(stable=True)
    order = order[rows[order].argsort(stable=True)]
    n_candidates = is_candidate.sum(dim=1)  # (b,) ≥ k
    chosen = (n_candidates.cumsum(0) - n_candidates)[:, None] + torch.arange(k, device=distances.device)
    columns = columns[order[chosen]]
    return distances.gather(1, columns), columns
