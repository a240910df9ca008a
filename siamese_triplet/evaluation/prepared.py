"""Exact search of a few queries among many embeddings, faster: candidates in float32, their distances in float64."""

import torch
from torch import Tensor

from siamese_triplet.distances import FEW_COLUMNS, FEW_ROWS, TILE, SquaredDistances, full_precision, mean_of, root
from siamese_triplet.evaluation.neighbours import Neighbours, first_of, search

UNIT = 2.0**-24  # the greatest relative error of a rounding to float32
LEAST_RADIUS = 2.0**-20  # below, products in float32 may vanish
MOST_CANDIDATES = 8  # one embedding in so many


class PreparedGallery:
    """Embeddings (N, D), prepared for queries that come one or a few at a time.

    For each query, squared distances are computed in float32 up to a constant. An embedding is a candidate if its
    distance, less the greatest rounding error, is not above the k-th. The neighbours are chosen among the candidates by
    distances from float64, so they are those of `nearest`. Sets that this does not suit are searched like any other:
    many queries, small galleries, short or float64 embeddings, and galleries far from the origin, whose rounding errors
    leave too many candidates.
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
        distances = torch.addmv(self.norms, self.gallery, query, alpha=-2)  # (N,) squared, less the query's square
        length, radius = float(query.double().norm()), self.radius
        of_product = (2 * len(query) + 4) * radius * length + 3 * radius**2  # bounds of the errors, in units
        of_result = (radius + length) ** 2  # the exact distances are rounded to float32, too
        kth = float(distances.topk(k, largest=False).values[-1])
        return (distances <= kth + 2.2 * UNIT * (of_product + of_result)).nonzero()[:, 0]

    def _choose(self, query: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Choose the `k` nearest of the candidates: squared distances and indices, (1, k) each."""
        distances = SquaredDistances(query[None], self.gallery[candidates], self.mean).block(0, 1)
        chosen, places = first_of(distances, k)
        return chosen, candidates[places]
