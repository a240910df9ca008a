"""Exact search of a few queries among many embeddings, faster: candidates in float32, their distances in float64.

A query is compared with every embedding once, which takes as long as reading them all from memory. NumPy does that as
fast as the memory allows, and on one core in a third of the time that MKL's product of a matrix and a vector takes.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from siamese_triplet.distances import FEW_COLUMNS, FEW_ROWS, TILE, SquaredDistances, full_precision, mean_of, root
from siamese_triplet.evaluation.neighbours import Neighbours, first_of, search

UNIT = 2.0**-24  # the greatest relative error of a rounding to float32
LEAST_RADIUS = 2.0**-20  # below, products in float32 may vanish
MOST_CANDIDATES = 8  # one embedding in so many
IN_CACHES = 2**21  # numbers that fit into a processor's caches, where a product by BLAS is faster
BLOCKS, BLOCKS_PER_NEIGHBOUR = 1024, 32  # of distances, whose minima give a threshold


class PreparedGallery:
    """Embeddings (N, D), prepared for queries that come one or a few at a time.

    For each query, squared distances are computed in float32 up to a constant. An embedding is a candidate if its
    distance, less the greatest rounding error, is not above a threshold that `k` distances reach: the k-th smallest
    minimum of blocks. The neighbours are chosen among the candidates by distances from float64, so they are those of
    `nearest`. Sets that this does not suit are searched like any other: many queries, small galleries, short or float64
    embeddings, and galleries far from the origin, whose rounding errors leave too many candidates.
    """

    def __init__(self, gallery: Tensor) -> None:
        self.gallery, self.version = gallery, None if gallery.is_inference() else gallery._version
        self.suits = (
            self.version is not None  # or changes could not be told
            and gallery.dtype == torch.float32
            and gallery.device.type == "cpu"
            and gallery.shape[1] > FEW_COLUMNS
            and len(gallery) > TILE
        )
        if self.suits:
            self.mean = mean_of(gallery)  # (D,) float64
            norms = [part.double().square().sum(dim=1) for part in gallery.split(TILE)]
            self.norms = torch.cat(norms).float()  # (N,) squared
            self.radius = float(self.norms.max()) ** 0.5
            self.suits = self.radius >= LEAST_RADIUS

    def is_for(self, gallery: Tensor) -> bool:
        """Tell whether this was prepared from `gallery` as it is now."""
        return gallery is self.gallery and (self.version is None or gallery._version == self.version)

    def search(self, queries: Tensor, k: int) -> Neighbours:
        """Find the `k` nearest of each of the checked `queries` (Q, D). See `nearest`."""
        wide = full_precision(queries.detach())
        if not self.suits or not 0 < len(queries) <= FEW_ROWS or wide.dtype != torch.float32:
            return search(queries, self.gallery, k)
        candidates = [self._candidates(query, k) for query in wide]
        if max(map(len, candidates)) * MOST_CANDIDATES > len(self.gallery):
            return search(queries, self.gallery, k)
        found = [self._choose(query, some, k) for query, some in zip(wide, candidates, strict=True)]
        distances, indices = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Neighbours(root(distances), indices)

    def _candidates(self, query: Tensor, k: int) -> Tensor:
        """Return the indices, in order, of all embeddings that may be among the `k` nearest to `query` (D,)."""
        distances = products(self.gallery, query).mul_(-2).add_(self.norms)  # (N,) squared, less the query's square
        length, radius = float(query.double().norm()), self.radius
        of_product = (2 * len(query) + 4) * radius * length + 3 * radius**2  # bounds of the errors, in units
        of_result = (radius + length) ** 2  # the exact distances are rounded to float32, too
        limit = threshold(distances, k) + 2.2 * UNIT * (of_product + of_result)
        return torch.from_numpy(np.flatnonzero(distances.numpy() <= limit))  # a fifth of the time of torch's nonzero

    def _choose(self, query: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Choose the `k` nearest of the candidates: squared distances and indices, (1, k) each."""
        distances = SquaredDistances(query[None], self.gallery[candidates], self.mean).block(0, 1)
        chosen, places = first_of(distances, k)
        return chosen, candidates[places]


def products(rows: Tensor, query: Tensor) -> Tensor:
    """Compute the scalar products (N,) of `rows` (N, D) and `query` (D,), float32 on a CPU, in any order of summing."""
    matrix, vector = rows.numpy(), query.numpy()
    results = np.empty(len(matrix), dtype=matrix.dtype)
    if matrix.size <= IN_CACHES:
        np.dot(matrix, vector, out=results)
        return torch.from_numpy(results)
    n_parts = min(torch.get_num_threads(), len(matrix))
    ends = [len(matrix) * part // n_parts for part in range(n_parts + 1)]

    def multiply(part: int) -> None:
        rows = slice(ends[part], ends[part + 1])
        np.einsum("nd,d->n", matrix[rows], vector, out=results[rows])  # leaves other threads alone: it holds no lock

    if n_parts == 1:
        multiply(0)
    else:
        with ThreadPoolExecutor(n_parts) as pool:
            list(pool.map(multiply, range(n_parts)))
    return torch.from_numpy(results)


def threshold(distances: Tensor, k: int) -> float:
    """Return a number that at least `k` of `distances` (N,) do not exceed, not far above the k-th smallest.

    It is the k-th smallest of the minima of blocks. A block takes one distance in so many, as those next to one another
    may be of one class.
    """
    n_blocks = max(BLOCKS, BLOCKS_PER_NEIGHBOUR * k)
    n_rows = len(distances) // n_blocks
    if n_rows < 2:
        return float(distances.topk(k, largest=False).values[-1])
    minima = distances[: n_rows * n_blocks].view(n_rows, n_blocks).amin(dim=0)
    rest = distances[n_rows * n_blocks :]
    minima[: len(rest)] = torch.minimum(minima[: len(rest)], rest)
    return float(minima.topk(k, largest=False).values[-1])
