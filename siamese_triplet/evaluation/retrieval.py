"""Retrieval metrics, exact and in linear memory: does a search find images of the query's class?"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from siamese_triplet._validation import check_labels
from siamese_triplet.evaluation.intervals import bootstrap_intervals
from siamese_triplet.evaluation.neighbours import (
    check_k,
    check_not_empty,
    check_sets,
    in_full_precision,
    map_blocks,
    ordered_keys,
    smallest,
)


def retrieval_metrics(
    embeddings: Tensor,
    labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    ks: Sequence[int] = (1, 5, 10),
    *,
    n_resamples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure how well each of `embeddings` (Q, D) finds the images of its class in `gallery` (N, D) by distance.

    Without a gallery each image queries the others, itself excluded. R is the number of images of the query's class
    that it can find. The metrics are means over the queries:

    - `precision_at_1`: the nearest image is of the query's class.
    - `recall_at_<k>` for each of `ks`: at least one of the `k` nearest images is (the recall of metric learning, Jégou
      and others, 2011).
    - `r_precision`: the share of the class among the R nearest images.
    - `map_at_r`: the mean over the places 1 … R of the precision at a place with an image of the class, and of 0 at
      other places (Musgrave, Belongie and Lim, 2020).
    - `mrr`: the reciprocal of the place of the first image of the class.

    Queries whose class has no (other) image in the gallery are left out; `n_queries` and `n_excluded` are the numbers
    of queries that count and that do not. With `n_resamples` each mean has a 95 % bootstrap interval over the queries,
    `<name>_interval`, drawn from `seed`.

    Among images at the same distance, in the precision of the embeddings (float32 at least), images of other classes
    come first. Memory is linear in Q and N. Raises ValueError for empty sets, embeddings that are not finite,
    embeddings and labels that do not fit together, a k above the number of images to choose from, and if all queries
    are left out.

    >>> import torch
    >>> from siamese_triplet import retrieval_metrics
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> found = retrieval_metrics(embeddings, labels, ks=(1, 3))
    >>> found["recall_at_1"], found["recall_at_3"], found["n_queries"]
    (0.5, 1.0, 4)
    """
    values = retrieval_values(embeddings, labels, gallery, gallery_labels, ks)
    is_counted = ~values["precision_at_1"].isnan()
    values = {name: column[is_counted] for name, column in values.items()}
    n_queries = int(is_counted.sum())
    if not n_queries:
        raise ValueError(
            f"none of the {len(embeddings)} queries has {'another' if gallery is None else 'an'} image of its class "
            "in the gallery; are the labels right?"
        )
    metrics: dict[str, Any] = {name: column.mean().item() for name, column in values.items()}
    if n_resamples:
        metrics |= bootstrap_intervals(values, n_resamples, seed=seed)
    return metrics | {"n_queries": n_queries, "n_excluded": len(embeddings) - n_queries}


def retrieval_values(
    embeddings: Tensor,
    labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    ks: Sequence[int] = (1, 5, 10),
) -> dict[str, Tensor]:
    """Compute the metrics of each query, float64 vectors (Q,): `retrieval_metrics` takes their means.

    Queries that are left out have NaN. For the arguments see `retrieval_metrics`.

    >>> import torch
    >>> from siamese_triplet import retrieval_values
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> retrieval_values(embeddings, labels, ks=(1,))["recall_at_1"].tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("give both gallery and gallery_labels, or neither")
    check_not_empty("embeddings", embeddings)
    check_labels(embeddings, labels)
    if gallery is not None and gallery_labels is not None:
        check_not_empty("gallery", gallery)
        check_labels(gallery, gallery_labels, "gallery", "gallery_labels")
    check_sets(embeddings, gallery, "embeddings")
    queries, gallery, itself = in_full_precision(embeddings, gallery)
    for k in ks:
        check_k(k, len(gallery) - itself)
    classes, gallery_classes = _as_codes(labels, labels if gallery_labels is None else gallery_labels)  # (Q,), (N,)
    sizes = torch.bincount(gallery_classes, minlength=int(classes.max()) + 1)  # (C,) images of a class in the gallery
    bounds = [0, *sizes.cumsum(0).cpu().tolist()]  # of each class in the gallery sorted by class
    order = classes.argsort(stable=True)  # (Q,)
    classes, n_relevant = classes[order], sizes[classes[order]] - int(itself)  # (Q,)
    gallery = gallery[gallery_classes.argsort(stable=True)]

    def evaluate(rows: slice, distances: Tensor) -> Tensor:
        keys = ordered_keys(distances)  # (b, N)
        runs, lengths = (counts.cpu().tolist() for counts in classes[rows].unique_consecutive(return_counts=True))
        for run, label in zip(keys.split(lengths), runs, strict=True):
            run[:, bounds[label] : bounds[label + 1]].bitwise_or_(1)  # in a tie the query's class comes last
        return _metrics_of_keys(keys, n_relevant[rows], ks)

    sorted_values = torch.cat(map_blocks(queries[order], gallery, itself, evaluate))  # (Q, M)
    sorted_values[n_relevant < 1] = torch.nan
    values = torch.empty_like(sorted_values).index_copy_(0, order, sorted_values)
    return dict(zip(_metric_names(ks), values.T, strict=True))


def _metric_names(ks: Sequence[int]) -> list[str]:
    return ["precision_at_1", *(f"recall_at_{k}" for k in ks), "r_precision", "map_at_r", "mrr"]


def _as_codes(labels: Tensor, gallery_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Renumber the classes of both from 0."""
    codes = torch.cat([labels.long(), gallery_labels.long()]).unique(return_inverse=True)[1]
    return codes[: len(labels)], codes[len(labels) :]


def _metrics_of_keys(keys: Tensor, n_relevant: Tensor, ks: Sequence[int]) -> Tensor:
    """Compute the metrics (b, M) of a block of queries from its `ordered_keys` (b, N), odd for the query's class."""
    n_places = min(keys.shape[1], max(1, int(n_relevant.max()), *ks))
    is_hit = smallest(keys, n_places).bitwise_and_(1)  # (b, n_places)
    n_hits = is_hit.cumsum(dim=1, dtype=torch.float32)
    place = torch.arange(1, n_places + 1, device=keys.device)
    precisions = torch.where(place <= n_relevant[:, None], n_hits / place * is_hit, 0)
    n_relevant = n_relevant.clamp(min=1)
    hits_within = n_hits.gather(1, n_relevant[:, None] - 1).squeeze(1)
    return torch.stack(
        [
            is_hit[:, 0].double(),
            *((n_hits[:, k - 1] > 0).double() for k in ks),
            hits_within.double() / n_relevant,
            precisions.sum(dim=1, dtype=torch.float64) / n_relevant,
            1 / _first_hits(is_hit, keys).double(),
        ],
        dim=1,
    )


def _first_hits(is_hit: Tensor, keys: Tensor) -> Tensor:
    """Find the place (b,), from 1, of the first image of the class: among the nearest, else among all `keys` (b, N)."""
    place = is_hit.argmax(dim=1) + 1
    missing = (is_hit.amax(dim=1) == 0).nonzero().squeeze(1)
    if len(missing):
        rest = keys[missing]
        first = rest.masked_fill(rest.bitwise_and(1) == 0, torch.iinfo(rest.dtype).max).amin(dim=1, keepdim=True)
        place[missing] = (rest < first).sum(dim=1) + 1
    return place
