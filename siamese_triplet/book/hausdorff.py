"""The baseline that comes with Omniglot: the modified Hausdorff distance between drawings, without any training."""

import torch
from torch import Tensor

from siamese_triplet.datasets import OneShotRuns


def ink_points(drawing: Tensor) -> Tensor:
    """Return the coordinates (n, 2) of the inked pixels of a drawing, uint8 (S, S), relative to their mean, float64."""
    points = drawing.nonzero().double()
    return points - points.mean(dim=0)


def modified_hausdorff(left: Tensor, right: Tensor) -> Tensor:
    """Compute the modified Hausdorff distance of two sets of points, (n, 2) and (m, 2) (Dubuisson and Jain, 1994).

    It is the mean distance of a point to the nearest one of the other set, from the set in which it is greater.

    >>> import torch
    >>> from siamese_triplet.book.hausdorff import modified_hausdorff
    >>> modified_hausdorff(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item()
    1.5
    """
    distances = torch.cdist(left[None], right[None], compute_mode="donot_use_mm_for_euclid_dist")[0]  # (n, m)
    return torch.maximum(distances.amin(dim=1).mean(), distances.amin(dim=0).mean())


def hausdorff_errors(runs: OneShotRuns) -> Tensor:
    """Compute the error (E,) of each run by the nearest support, the first of equally near ones."""
    points = [ink_points(drawing) for drawing in runs.images.data]
    errors = []
    for support, queries in zip(runs.support.squeeze(2).tolist(), runs.queries.squeeze(2).tolist(), strict=True):
        found = [
            torch.stack([modified_hausdorff(points[query], points[known]) for known in support]).argmin()
            for query in queries
        ]
        errors.append(sum(int(way) != own for own, way in enumerate(found)) / len(queries))
    return torch.tensor(errors, dtype=torch.float64)
