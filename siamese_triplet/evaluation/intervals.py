"""Bootstrap intervals: how much a metric depends on the luck of which images were the queries."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

CHUNK = 2**22  # draws held at once
LEVEL = 0.95


def bootstrap_interval(
    values: Tensor | Sequence[float], n_resamples: int = 1000, level: float = LEVEL, seed: int = 0
) -> tuple[float, float]:
    """Compute the percentile bootstrap interval of the mean of `values` (Q,), one per query (Efron, 1979).

    Samples of Q queries are drawn with replacement, from `seed`, `n_resamples` times. The share `level` of their means
    lies within the interval. It reflects the choice of queries from the same classes, but neither other classes nor
    another training run. Booleans count as 0 and 1. Raises ValueError for no values, values that are not a vector, and
    a `level` that is not between 0 and 1.

    >>> import torch
    >>> from siamese_triplet import bootstrap_interval
    >>> is_right = torch.tensor([True] * 90 + [False] * 10)
    >>> low, high = bootstrap_interval(is_right)
    >>> low < 0.9 < high
    True
    >>> bootstrap_interval(torch.ones(100))
    (1.0, 1.0)
    """
    return bootstrap_intervals({"mean": values}, n_resamples, level, seed)["mean_interval"]


def bootstrap_intervals(
    values: Mapping[str, Tensor | Sequence[float]], n_resamples: int = 1000, level: float = LEVEL, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Compute `bootstrap_interval` of several metrics, all from the same resamples: `<name>_interval` for each."""
    tensors = {name: torch.as_tensor(column) for name, column in values.items()}
    for name, column in tensors.items():
        if column.ndim != 1 or not len(column):
            raise ValueError(f"{name} must be a vector with one value per query, got shape {tuple(column.shape)}")
    columns = torch.stack([column.double() for column in tensors.values()], dim=1).cpu()  # (Q, M)
    n_queries = len(columns)
    means, first = columns.new_empty(max(0, n_resamples), columns.shape[1]), 0
    for weights in resamples(n_queries, n_resamples, seed):
        means[first : first + len(weights)] = weights @ columns / n_queries
        first += len(weights)
    bounds = quantiles(means, level)  # (2, M)
    return {f"{name}_interval": tuple(bound.tolist()) for name, bound in zip(values, bounds.T, strict=True)}


def resamples(n_queries: int, n_resamples: int, seed: int) -> Iterator[Tensor]:
    """Draw resamples as counts of each query: float64 matrices (≤ n_resamples, Q) with one row per resample."""
    if n_resamples < 1:
        raise ValueError(f"{n_resamples=} must be at least 1")
    generator = torch.Generator().manual_seed(seed)
    chunk_size = max(1, CHUNK // n_queries)
    for first in range(0, n_resamples, chunk_size):
        n = min(chunk_size, n_resamples - first)
        drawn = torch.randint(n_queries, (n, n_queries), generator=generator)
        counts = torch.zeros(n, n_queries, dtype=torch.float64)
        yield counts.scatter_add_(1, drawn, torch.ones_like(counts))


def quantiles(samples: Tensor, level: float) -> Tensor:
    """Compute the two ends (2, M) between which the share `level` of the `samples` (R, M) lies."""
    if not 0 < level < 1:
        raise ValueError(f"{level=} must be between 0 and 1, such as 0.95")
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=samples.dtype)
    return samples.quantile(ends, dim=0)
