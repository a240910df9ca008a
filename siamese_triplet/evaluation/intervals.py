"""How far a figure could be off by the luck of which images were asked: bootstrap intervals."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

CHUNK = 2**22  # draws at a time
LEVEL = 0.95


def bootstrap_interval(
    values: Tensor | Sequence[float], n_resamples: int = 1000, level: float = LEVEL, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of `values` (Q,), one a query (Efron, 1979).

    Queries are drawn again, as many as there are, with replacement and from `seed`, `n_resamples` times; `level` of the
    means of these samples lie within the interval. It tells what other queries from the same classes would have
    changed; it does not know of other classes, nor of another training run. Booleans count as 0 and 1. Raises
    ValueError for no values, values that are not a vector, and a `level` that is not between 0 and 1.

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
    """`bootstrap_interval` of several figures, all from the same resamples: `<name>_interval` for each."""
    tensors = {name: torch.as_tensor(of_queries) for name, of_queries in values.items()}
    for name, of_queries in tensors.items():
        if of_queries.ndim != 1 or not len(of_queries):
            raise ValueError(f"{name} must be a vector of one value a query, got shape {tuple(of_queries.shape)}")
    columns = torch.stack([of_queries.double() for of_queries in tensors.values()], dim=1).cpu()  # (Q, M)
    n_queries = len(columns)
    means = [weights @ columns / n_queries for weights in resamples(n_queries, n_resamples, seed)]
    bounds = quantiles(torch.cat(means), level)  # (2, M)
    return {f"{name}_interval": tuple(bound.tolist()) for name, bound in zip(values, bounds.T, strict=True)}


def resamples(n_queries: int, n_resamples: int, seed: int) -> Iterator[Tensor]:
    """How often each query is in each resample: float64 matrices (≤ n_resamples, Q) that together have a row each."""
    if n_resamples < 1:
        raise ValueError(f"{n_resamples=} must be at least 1")
    generator = torch.Generator().manual_seed(seed)
    at_once = max(1, CHUNK // n_queries)
    for first in range(0, n_resamples, at_once):
        n = min(at_once, n_resamples - first)
        drawn = torch.randint(n_queries, (n, n_queries), generator=generator)
        counts = torch.zeros(n, n_queries, dtype=torch.float64)
        yield counts.scatter_add_(1, drawn, torch.ones_like(counts))


def quantiles(samples: Tensor, level: float) -> Tensor:
    """The two ends (2, M) between which `level` of the `samples` (R, M) lie."""
    if not 0 < level < 1:
        raise ValueError(f"{level=} must be between 0 and 1, such as 0.95")
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=samples.dtype)
    return samples.quantile(ends, dim=0)
