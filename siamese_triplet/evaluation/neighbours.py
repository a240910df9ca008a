"""Exact nearest neighbours without a matrix of all distances.

Distances are computed in blocks of queries, on a CPU one block per thread at a time. There the smallest of a row are
sought only among distances up to a threshold, estimated from a sample: to partition the whole row would take most of
the time.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from siamese_triplet._validation import check_finite, check_known, check_labels, check_matrix
from siamese_triplet.distances import SquaredDistances, block_rows, exponent_if_tiny, full_precision, root, scale

BLOCK = 2**20  # distances of a block on a CPU
ONE_OF = 12  # one column in 12 is in the sample that gives a threshold
AS_INTEGERS = {torch.float32: torch.int32, torch.float64: torch.int64}  # the bits of numbers ≥ 0 sort alike


class Neighbours(NamedTuple):
    """The nearest images of each query, the nearest first."""

    distances: Tensor  # (Q, k) Euclidean, not squared
    indices: Tensor  # (Q, k) int64, into the gallery


def nearest(queries: Tensor, gallery: Tensor | None = None, k: int = 5) -> Neighbours:
    """Find the `k` nearest of `gallery` (N, D) for each of `queries` (Q, D), exactly, by Euclidean distance.

    Without a gallery each query searches the other queries. Of images at the same distance, in float32, the first in
    the gallery comes first. Memory is linear in Q and N. No queries give (0, k) results.
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
    check_sets(queries, gallery)
    itself = gallery is None
    n_candidates = len(queries) - 1 if gallery is None else len(gallery)
    if len(queries) or not itself:  # no queries among themselves have no neighbours
        check_k(k, n_candidates)
    return search(queries, gallery, k)


def search(queries: Tensor, gallery: Tensor | None, k: int) -> Neighbours:
    """Find neighbours like `nearest`, for checked arguments."""
    queries, gallery, itself, exponent = in_full_precision(queries, gallery)
    distances = queries.new_empty(len(queries), k)
    indices = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    map_blocks(queries, gallery, itself, lambda _, block: first_of(block, k), (distances, indices))
    return Neighbours(scale(root(distances), exponent), indices)


def knn_predictions(train_embeddings: Tensor, train_labels: Tensor, test_embeddings: Tensor, k: int = 5) -> Tensor:
    """Predict the class (M,) of each test image: the most frequent one among its `k` nearest `train_embeddings` (N, D).

    A tie goes to the smaller label. For equal distances and errors see `nearest`.

    >>> import torch
    >>> from siamese_triplet import knn_predictions
    >>> train, train_labels = torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    >>> knn_predictions(train, train_labels, torch.tensor([[0.4], [4.6]]), k=2)
    tensor([0, 1])
    """
    check_not_empty("train_embeddings", train_embeddings)
    check_labels(train_embeddings, train_labels, "train_embeddings", "train_labels")
    check_known("train_labels", train_labels)
    check_sets(test_embeddings, train_embeddings, "test_embeddings", "train_embeddings")
    check_k(k, len(train_embeddings))
    return vote(train_embeddings, train_labels, test_embeddings, k)


def vote(train_embeddings: Tensor, train_labels: Tensor, test_embeddings: Tensor, k: int) -> Tensor:
    """Predict like `knn_predictions`, for checked arguments."""
    votes = train_labels[search(test_embeddings, train_embeddings, k).indices]  # (M, k)
    return votes.long().mode(dim=1).values.to(train_labels.dtype)


def knn_accuracy(
    train_embeddings: Tensor, train_labels: Tensor, test_embeddings: Tensor, test_labels: Tensor, k: int = 5
) -> float:
    """Compute the share of `test_embeddings` (M, D) whose class `knn_predictions` finds with `k` neighbours.

    For an interval: `bootstrap_interval(knn_predictions(…) == test_labels)`. Raises as `nearest` does, and ValueError
    for no test images and for embeddings and labels that do not fit together.

    >>> import torch
    >>> from siamese_triplet import knn_accuracy
    >>> train, train_labels = torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    >>> knn_accuracy(train, train_labels, torch.tensor([[0.4], [4.6]]), torch.tensor([0, 0]), k=2)
    0.5
    """
    check_not_empty("test_embeddings", test_embeddings)
    check_labels(test_embeddings, test_labels, "test_embeddings", "test_labels")
    predictions = knn_predictions(train_embeddings, train_labels, test_embeddings, k)
    return (predictions == test_labels).double().mean().item()


def check_sets(queries: Tensor, gallery: Tensor | None, name: str = "queries", gallery_name: str = "gallery") -> None:
    """Check that both sets of embeddings are finite matrices of one size on one device; `gallery` may be None."""
    sets = {name: queries} if gallery is None else {name: queries, gallery_name: gallery}
    for called, embeddings in sets.items():
        check_matrix(called, embeddings)
    if gallery is not None and queries.device != gallery.device:
        raise ValueError(
            f"{name} are on {queries.device}, {gallery_name} on {gallery.device}; move one of them with .to(device)"
        )
    for called, embeddings in sets.items():
        check_finite(called, embeddings)
    if gallery is not None and queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"{gallery_name} and {name} must have embeddings of one size, got {tuple(gallery.shape)} and "
            f"{tuple(queries.shape)}"
        )


def in_full_precision(queries: Tensor, gallery: Tensor | None) -> tuple[Tensor, Tensor, bool, int]:
    """Return both sets in one dtype, float32 at least, whether the gallery is the queries themselves, and an exponent.

    Both are divided by 2^exponent: it is 0, unless the numbers are so small that squares of differences would vanish.
    """
    itself = gallery is None
    gallery = queries if gallery is None else gallery
    dtype = torch.promote_types(full_precision(queries).dtype, gallery.dtype)
    queries, gallery = queries.detach().to(dtype), gallery.detach().to(dtype)
    exponent = exponent_if_tiny(gallery) if itself else exponent_if_tiny(queries, gallery)
    return scale(queries, -exponent), scale(gallery, -exponent), itself, exponent


def check_not_empty(name: str, embeddings: Tensor) -> None:
    """Check that `embeddings` (N, D) have a row."""
    if embeddings.ndim and not len(embeddings):
        raise ValueError(f"{name} are empty, shape {tuple(embeddings.shape)}; at least one image is needed")


def check_k(k: int, n_images: int, argument: str = "k") -> None:
    """Check that a query can have `k` neighbours among `n_images`; `argument`, "k" or "ks", is where it was given."""
    if not 1 <= k <= n_images:
        raise ValueError(
            f"{k=} must be between 1 and the {n_images} images of the gallery that a query can find; pass another "
            f"{argument}"
        )


def ordered_keys(distances: Tensor) -> Tensor:
    """Reinterpret distances (b, N) ≥ 0 in place as integers that sort alike.

    The keys are even: the low bit is left for breaking ties.
    """
    keys = distances.view(AS_INTEGERS[distances.dtype]).mul_(2)  # the highest bit goes into the sign bit, which is free
    return keys.bitwise_xor_(torch.iinfo(keys.dtype).min)


def smallest(keys: Tensor, k: int) -> Tensor:
    """Return the `k` smallest integers of each row of `keys` (b, N), in order: (b, k). May reorder `keys` on a CPU."""
    if keys.device.type != "cpu":
        return keys.topk(k, dim=1, largest=False).values
    array = keys.numpy()
    some = candidates(array, k)
    if some is None:
        if k < array.shape[1]:
            array.partition(k - 1, axis=1)
        some = array[:, :k]
    return torch.from_numpy(np.sort(some, axis=1)[:, :k])


def count_below(keys: Tensor, bound: Tensor) -> Tensor:
    """Count the integers of each row of `keys` (b, N) that are below its `bound` (b, 1): (b,)."""
    if keys.device.type != "cpu":
        return (keys < bound).sum(dim=1)
    return torch.from_numpy(np.count_nonzero(keys.numpy() < bound.numpy(), axis=1))  # torch would make int64 of each


def candidates(keys: np.ndarray, k: int) -> np.ndarray | None:
    """Return the keys of each row of `keys` (b, N) up to a threshold of the row, at least `k` of them.

    The result is (b, M), padded with the greatest integer. It is None where the thresholds, which come from a sample,
    leave fewer than `k` keys in a row, or too many to be worth it. The sample is always the same; the exact result does
    not depend on it.

    Example: the two smallest of 1,000. The sample has 83 keys, and its sixth smallest is the threshold. In these two
    rows 29 and 66 keys are not above it, and only those need sorting:

    >>> import numpy as np
    >>> from siamese_triplet.evaluation.neighbours import candidates
    >>> keys = np.stack([np.arange(1000), np.arange(1000)[::-1]]).astype(np.int32)
    >>> few = candidates(keys, k=2)
    >>> few.shape, np.sort(few)[:, :2].tolist()
    ((2, 66), [[0, 1], [0, 1]])
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


def map_blocks(
    queries: Tensor,
    gallery: Tensor,
    itself: bool,
    function: Callable[[slice, Tensor], Sequence[Tensor]],
    results: Sequence[Tensor],
) -> None:
    """Call `function(rows, distances)` for every block: a slice of the queries, and their squared distances (b, N).

    It returns tensors with a row per query of the block, which are written into `results`, with a row per query. These
    are made before: a small result that is made between large blocks keeps the memory of freed blocks from being used
    again.

    If the gallery is the queries themselves, the distance of a query to itself is infinite. On a CPU the blocks are
    divided among as many threads as torch may use, each computing alone: threads that wait for each other after every
    operation wait longer than they compute.
    """
    distances = SquaredDistances(queries, None if itself else gallery)
    size = block_rows(gallery, BLOCK)

    def call(first: int) -> None:
        block = distances.block(first, first + size)
        if itself:
            block.diagonal(first).fill_(torch.inf)
        rows = slice(first, first + len(block))
        for result, part in zip(results, function(rows, block), strict=True):
            result[rows] = part

    starts = range(0, len(queries), size)
    n_threads = torch.get_num_threads()
    if queries.device.type != "cpu" or min(n_threads, len(starts)) < 2:
        for first in starts:
            call(first)
        return
    try:
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(call, starts))  # raises what a thread raised
    finally:
        torch.set_num_threads(n_threads)  # some libraries keep one number for all threads


def first_of(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the `k` smallest of each row of `distances` (b, N) and their columns; of equal ones the first."""
    cut = distances.topk(k, dim=1, largest=False).values[:, -1:]  # (b, 1)
    is_candidate = distances <= cut
    rows, columns = is_candidate.nonzero(as_tuple=True)  # in the order of the columns
    order = distances[rows, columns].argsort(stable=True)
    order = order[rows[order].argsort(stable=True)]
    n_candidates = is_candidate.sum(dim=1)  # (b,) ≥ k
    chosen = (n_candidates.cumsum(0) - n_candidates)[:, None] + torch.arange(k, device=distances.device)
    columns = columns[order[chosen]]
    return distances.gather(1, columns), columns
