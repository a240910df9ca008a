"""Retrieval metrics, exact and in linear memory: does a search find images of the query's class?"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from siamese_triplet._validation import check_known, check_labels
from siamese_triplet.evaluation.intervals import bootstrap_intervals
from siamese_triplet.evaluation.neighbours import (
    check_k,
    check_not_empty,
    check_sets,
    count_below,
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
    groups: Tensor | None = None,
    gallery_groups: Tensor | None = None,
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

    `groups` (Q,) and `gallery_groups` (N,) are integers, such as the camera of each picture. Images of the query's
    class and group are then left out of its search, as in the same-camera protocol (Zheng and others, 2015). Images of
    other classes stay, whatever their group. Without a gallery give `groups` alone.

    A query that stands in the gallery finds itself, unless groups tell: number the gallery by
    `gallery_groups=torch.arange(N)`, and give each query the number of its own image there, or −1. Distractors are
    images of the gallery with a label of no query.

    Queries whose class has no (other) image in the gallery are left out; `n_queries` and `n_excluded` are the numbers
    of queries that count and that do not. With `n_resamples` each mean has a 95 % bootstrap interval over the queries,
    `<name>_interval`, drawn from `seed`.

    Among images at the same distance, in the precision of the embeddings (float32 at least), images of other classes
    come first. Memory is linear in Q and N. Raises ValueError for empty sets, embeddings that are not finite,
    embeddings, labels and groups that do not fit together, a k above the number of images to choose from, and if all
    queries are left out.

    >>> import torch
    >>> from siamese_triplet import retrieval_metrics
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.5], [4.0]]), torch.tensor([0, 0, 1, 1])
    >>> found = retrieval_metrics(embeddings, labels, ks=(1, 3))
    >>> found["recall_at_1"], found["recall_at_3"], found["n_queries"]
    (0.5, 1.0, 4)
    """
    values = retrieval_values(
        embeddings, labels, gallery, gallery_labels, ks, groups=groups, gallery_groups=gallery_groups
    )
    is_counted = ~values["precision_at_1"].isnan()
    values = {name: column[is_counted] for name, column in values.items()}
    n_queries = int(is_counted.sum())
    if not n_queries:
        raise ValueError(
            f"none of the {len(embeddings)} queries has {'another' if gallery is None else 'an'} image of its class "
            f"in the gallery{'' if groups is None else ' and of another group'}; are the labels right?"
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
    *,
    groups: Tensor | None = None,
    gallery_groups: Tensor | None = None,
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
    check_known("labels", labels)
    if gallery is not None and gallery_labels is not None:
        check_not_empty("gallery", gallery)
        check_labels(gallery, gallery_labels, "gallery", "gallery_labels")
    check_sets(embeddings, gallery, "embeddings")
    queries, gallery, itself, _ = in_full_precision(embeddings, gallery)
    for k in ks:
        check_k(k, len(gallery) - itself, "ks")
    gallery_labels = labels if gallery_labels is None else gallery_labels
    _check_groups(labels, groups, gallery_labels, gallery_groups, itself)
    classes, gallery_classes = _as_codes(labels, gallery_labels)  # (Q,), (N,)
    codes, gallery_codes = classes, gallery_classes  # of class and group
    if groups is not None:
        group, gallery_group = _as_codes(groups, groups if gallery_groups is None else gallery_groups)
        n_groups = 1 + max(int(group.max()), int(gallery_group.max()))
        codes, gallery_codes = classes * n_groups + group, gallery_classes * n_groups + gallery_group
    order, gallery_order = codes.argsort(stable=True), gallery_codes.argsort(stable=True)
    own = _ranges(classes[order], gallery_classes[gallery_order])  # (Q, 2)
    left_out = torch.zeros_like(own) if groups is None else _ranges(codes[order], gallery_codes[gallery_order])
    n_left_out = int(itself) if groups is None else left_out[:, 1] - left_out[:, 0]
    n_relevant = own[:, 1] - own[:, 0] - n_left_out  # (Q,)
    ranges = torch.cat([own, left_out], dim=1)  # (Q, 4)

    def evaluate(rows: slice, distances: Tensor) -> tuple[Tensor]:
        keys = ordered_keys(distances)  # (b, N)
        first_hit = _mark(keys, ranges[rows])
        return (_metrics_of_keys(keys, first_hit, n_relevant[rows], ks),)

    sorted_values = torch.empty(len(queries), len(_metric_names(ks)), dtype=torch.float64, device=queries.device)
    map_blocks(queries[order], gallery[gallery_order], itself, evaluate, (sorted_values,))
    sorted_values[n_relevant < 1] = torch.nan
    values = torch.empty_like(sorted_values).index_copy_(0, order, sorted_values)
    return dict(zip(_metric_names(ks), values.T, strict=True))


def _check_groups(
    labels: Tensor, groups: Tensor | None, gallery_labels: Tensor, gallery_groups: Tensor | None, itself: bool
) -> None:
    """Check that there are groups of both sets or of none, each one integer per image."""
    if (gallery_groups is not None) != (groups is not None and not itself):
        raise ValueError("give groups alone without a gallery; with one, both groups and gallery_groups, or neither")
    for name, given, expected in (("groups", groups, labels), ("gallery_groups", gallery_groups, gallery_labels)):
        if given is not None and (given.shape != expected.shape or given.is_floating_point()):
            raise ValueError(
                f"{name} must be one integer per image, of shape {tuple(expected.shape)}, got {given.dtype} of shape "
                f"{tuple(given.shape)}"
            )
        if given is not None and given.device != expected.device:
            raise ValueError(f"{name} are on {given.device}, labels on {expected.device}; move one with .to(device)")


def _ranges(codes: Tensor, gallery_codes: Tensor) -> Tensor:
    """Find where each of `codes` (Q,) begins and ends among sorted `gallery_codes` (N,): (Q, 2)."""
    ends = [torch.searchsorted(gallery_codes, codes, right=right) for right in (False, True)]
    return torch.stack(ends, dim=1)


def _mark(keys: Tensor, ranges: Tensor) -> Tensor:
    """Make the keys (b, N) of the images to be found odd, so that they come last in a tie; return the least (b, 1).

    A row of `ranges` (b, 4) has the columns of its class, and those of them that are left out, which come last of all.
    """
    last = torch.iinfo(keys.dtype).max
    least = keys.new_full((len(keys), 1), last)
    runs, lengths = (found.cpu().tolist() for found in ranges.unique_consecutive(dim=0, return_counts=True))
    for run, run_least, (first, end, first_out, end_out) in zip(
        keys.split(lengths), least.split(lengths), runs, strict=True
    ):
        if first < end:
            run[:, first:end].bitwise_or_(1)
            run[:, first_out:end_out] = last - 1  # the greatest even key
            torch.amin(run[:, first:end], dim=1, keepdim=True, out=run_least)
    return least


def _metric_names(ks: Sequence[int]) -> list[str]:
    return ["precision_at_1", *(f"recall_at_{k}" for k in ks), "r_precision", "map_at_r", "mrr"]


def _as_codes(labels: Tensor, gallery_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Renumber the classes of both from 0."""
    codes = torch.cat([labels.long(), gallery_labels.long()]).unique(return_inverse=True)[1]
    return codes[: len(labels)], codes[len(labels) :]


def _metrics_of_keys(keys: Tensor, first_hit: Tensor, n_relevant: Tensor, ks: Sequence[int]) -> Tensor:
    """Compute the metrics (b, M) of a block of queries from its keys (b, N) and the least odd ones of them (b, 1)."""
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
            1 / _first_places(is_hit, keys, first_hit).double(),
        ],
        dim=1,
    )


def _first_places(is_hit: Tensor, keys: Tensor, first_hit: Tensor) -> Tensor:
    """Find the place (b,), from 1, of `first_hit` (b, 1): among the nearest, else among all `keys` (b, N)."""
    place = is_hit.argmax(dim=1) + 1
    missing = (is_hit.amax(dim=1) == 0).nonzero().squeeze(1)
    if len(missing):
        place[missing] = count_below(keys[missing], first_hit[missing]) + 1
    return place
