"""Verification: are two images of the same class? ROC curve, errors and threshold of a decision by distance."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from siamese_triplet._sorting import ClassOrder, class_order
from siamese_triplet._validation import check_batch, check_finite, check_known, warn
from siamese_triplet.distances import exponent_if_tiny, full_precision, root, row_distances, scale
from siamese_triplet.evaluation.intervals import quantiles, resamples
from siamese_triplet.evaluation.neighbours import check_not_empty

CHUNK = 2**22  # coordinates of embeddings processed at once
SUSPICIOUS_AUC = 0.25  # of similarities in place of distances
THRESHOLD_NAMES = ("threshold", "threshold_accuracy", "threshold_tpr", "threshold_fpr")


class Roc(NamedTuple):
    """Receiver operating characteristic of the decision "same class if the distance is at most the threshold"."""

    fpr: Tensor  # (T,) the share of pairs of two classes that are accepted, ascending
    tpr: Tensor  # (T,) the share of pairs of one class that are accepted, ascending
    threshold: Tensor  # (T,) distances, ascending; the first accepts nothing


class Pairs(NamedTuple):
    """Pairs of images of one set, by index, and whether both images are of one class; all (P,)."""

    left: Tensor
    right: Tensor
    is_same: Tensor


def verification_metrics(
    embeddings: Tensor,
    labels: Tensor,
    fprs: Sequence[float] = (0.001, 0.01, 0.1),
    *,
    max_pairs: int = 1_000_000,
    n_resamples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure how well the Euclidean distance of `embeddings` (N, D) tells whether two images are of one class.

    - `auc`: the area under the curve, the probability that a pair of one class is nearer than a pair of two; ties count
      half.
    - `eer`: the equal error rate: the share of pairs of one class that is rejected where as great a share of the others
      is accepted.
    - `tpr_at_fpr_<x>` for each of `fprs`: the share of pairs of one class that is accepted at the greatest threshold
      that accepts at most the share x of the others.
    - `threshold`, a distance, not squared: the best one, with the greatest tpr − fpr, for pairs within one half of the
      classes, drawn from `seed`.
    - `threshold_tpr`, `threshold_fpr` and their balanced `threshold_accuracy`: its rates for pairs within the other
      half, for which it was not chosen. With fewer than four classes, or a half without a pair of one class, these
      and the threshold are NaN.
    - `roc`: the whole curve, a `Roc`.
    - `n_pairs` and `n_same`: the number of pairs, and of pairs of one class.

    All pairs are used if there are no more than `max_pairs`. Otherwise a sample is drawn from `seed`, uniformly among
    the pairs of one class and among the pairs of two, half of `max_pairs` each, or all pairs of one class if they are
    fewer. None of these metrics depends on the numbers of the two kinds of pairs.

    With `n_resamples`, `auc_interval` and `eer_interval` are 95 % bootstrap intervals over the images: the count of a
    pair is the product of the counts of its images. They are NaN if no resample has both kinds of pairs.

    Raises ValueError for no images, for embeddings that are not finite, and if there is no pair of one class or none of
    two.

    >>> import torch
    >>> from siamese_triplet import verification_metrics
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [4.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    >>> found = verification_metrics(embeddings, labels)
    >>> found["auc"], found["eer"], found["n_pairs"], found["n_same"]
    (1.0, 0.0, 6, 2)
    """
    check_not_empty("embeddings", embeddings)
    check_batch(embeddings, labels)
    check_known("labels", labels)
    _check_fprs(fprs)
    generator = torch.Generator().manual_seed(seed)
    pairs = draw_pairs(labels, max_pairs, generator)
    distances = pair_distances(embeddings, pairs)
    roc = roc_curve(distances, pairs.is_same)
    results = _curve_metrics(roc, fprs)
    results |= _threshold_metrics(distances, pairs, labels, generator)
    if n_resamples:
        results |= _intervals(distances, pairs, len(labels), n_resamples, seed)
    return results | {"roc": roc, "n_pairs": len(pairs.is_same), "n_same": int(pairs.is_same.sum())}


def pair_metrics(distances: Tensor, is_same: Tensor, fprs: Sequence[float] = (0.001, 0.01, 0.1)) -> dict[str, Any]:
    """Measure how well `distances` (P,) tell which pairs are the same, for pairs given as such, without classes.

    `is_same` (P,) holds booleans, or 0 and 1. Of similarities pass the negatives. The result has:

    - `auc`, `eer`, `roc`, `n_pairs`, `n_same`, and `tpr_at_fpr_<x>` for each of `fprs`, as in `verification_metrics`.
    - `threshold_at_fpr_<x>` for each of `fprs`: the greatest threshold that accepts at most the share x of the pairs
      that are not the same; −inf accepts nothing.
    - `threshold`: the one with the greatest tpr − fpr, and `threshold_tpr`, `threshold_fpr` and their balanced
      `threshold_accuracy`, its rates for these very pairs. Choose it on other pairs than you report.

    Distances of pairs of embeddings come from `siamese_triplet.distances.row_distances`, where those below the square
    root of the smallest float are zero. Warns if `auc` is below 0.25:
    the numbers are then probably similarities. Raises ValueError for distances that are not a finite vector, for other
    values or another shape of `is_same`, and if all pairs are the same or none is, no pairs among them.

    >>> import torch
    >>> from siamese_triplet.evaluation import pair_metrics
    >>> found = pair_metrics(torch.tensor([0.5, 1.0, 2.0, 3.0]), torch.tensor([1, 1, 0, 0]), fprs=(0.1,))
    >>> found["auc"], found["threshold"], found["threshold_at_fpr_0.1"]
    (1.0, 1.0, 1.0)
    """
    _check_fprs(fprs)
    roc = roc_curve(distances, is_same)
    results = _curve_metrics(roc, fprs)
    if results["auc"] < SUSPICIOUS_AUC:
        warn(
            f"the auc of {results['auc']:.3f} is far below 0.5: are these similarities? pair_metrics takes distances, "
            "small for pairs that are the same; pass -similarities",
        )
    results |= {f"threshold_at_fpr_{fpr:g}": roc.threshold[roc.fpr <= fpr].max().item() for fpr in fprs}
    best = (roc.tpr - roc.fpr).argmax()
    threshold, tpr, fpr = (column[best].item() for column in (roc.threshold, roc.tpr, roc.fpr))
    results |= _rates(threshold, tpr, fpr)
    return results | {"roc": roc, "n_pairs": len(is_same), "n_same": int(is_same.sum())}


def roc_curve(distances: Tensor, is_same: Tensor, weights: Tensor | None = None) -> Roc:
    """Compute the curve of pairs from their `distances` (P,), with `is_same` (P,) for pairs of one class.

    Equal distances are one step. `is_same` holds booleans, or 0 and 1. `weights` (P,) are the counts of the pairs, by
    default 1. Raises ValueError if there is no pair of one class or none of two, for distances that are not a finite
    vector, and for other values or another shape of `is_same`.

    >>> import torch
    >>> from siamese_triplet.evaluation import roc_curve
    >>> roc_curve(torch.tensor([0.5, 1.0, 2.0]), torch.tensor([True, False, True])).tpr
    tensor([0.0000, 0.5000, 0.5000, 1.0000], dtype=torch.float64)
    """
    distances, is_same = _check_pairs(distances, is_same)
    if not is_same.any() or is_same.all():
        raise ValueError(
            f"a curve needs pairs of one class and of two, got {int(is_same.sum())} of one among {len(is_same)} pairs"
        )
    distances, order = distances.sort()
    return _curve(distances, is_same[order], None if weights is None else weights[order])


def _check_pairs(distances: Tensor, is_same: Tensor) -> tuple[Tensor, Tensor]:
    """Return distances (P,) as floating-point numbers and `is_same` (P,) as booleans, if they are that."""
    if distances.ndim != 1 or is_same.shape != distances.shape:
        raise ValueError(
            f"distances and is_same must be vectors with one number per pair, got shapes {tuple(distances.shape)} and "
            f"{tuple(is_same.shape)}"
        )
    if is_same.device != distances.device:
        raise ValueError(f"distances are on {distances.device}, is_same on {is_same.device}; move one with .to(device)")
    if is_same.dtype != torch.bool and not ((is_same == 0) | (is_same == 1)).all():
        raise ValueError("is_same must hold booleans, or 1 for pairs that are the same and 0 for others")
    distances = distances.detach() if distances.is_floating_point() else distances.double()
    check_finite("distances", distances[:, None])
    return distances, is_same.bool()


def _check_fprs(fprs: Sequence[float]) -> None:
    for fpr in fprs:
        if not 0 <= fpr <= 1:
            raise ValueError(f"each of fprs is a share of pairs between 0 and 1, got {fpr}")


def _curve(distances: Tensor, is_same: Tensor, weights: Tensor | None) -> Roc:
    """Compute the curve from sorted distances (P,)."""
    weights = torch.ones_like(distances, dtype=torch.float64) if weights is None else weights.double()
    tp, fp = (weights * is_same).cumsum(0), (weights * ~is_same).cumsum(0)
    is_step = torch.cat([distances[1:] > distances[:-1], distances.new_ones(1, dtype=torch.bool)])
    tpr, fpr = (torch.cat([count.new_zeros(1), count[is_step] / count[-1]]) for count in (tp, fp))
    return Roc(fpr, tpr, torch.cat([distances.new_full((1,), -torch.inf), distances[is_step]]))


def _curve_metrics(roc: Roc, fprs: Sequence[float]) -> dict[str, Any]:
    results = {"auc": _area(roc), "eer": _equal_error_rate(roc)}
    return results | {f"tpr_at_fpr_{fpr:g}": roc.tpr[roc.fpr <= fpr].max().item() for fpr in fprs}


def _rates(threshold: float, tpr: float, fpr: float) -> dict[str, float]:
    numbers = (threshold, (tpr + 1 - fpr) / 2, tpr, fpr)
    return dict(zip(THRESHOLD_NAMES, numbers, strict=True))


def _area(roc: Roc) -> float:
    return torch.trapezoid(roc.tpr, roc.fpr).item()


def _equal_error_rate(roc: Roc) -> float:
    """Find where the curve meets the falling diagonal, on the straight line between two of its points."""
    excess = roc.fpr - (1 - roc.tpr)  # ascending from −1 to 1
    after = int((excess >= 0).nonzero()[0])
    share = -excess[after - 1] / (excess[after] - excess[after - 1])
    return torch.lerp(roc.fpr[after - 1], roc.fpr[after], share).item()


def _threshold_metrics(distances: Tensor, pairs: Pairs, labels: Tensor, generator: torch.Generator) -> dict[str, float]:
    classes, place = labels.unique(return_inverse=True)
    order = torch.randperm(len(classes), generator=generator).to(labels.device)
    half = (torch.argsort(order) < len(classes) // 2)[place]  # (N,) whether an image is in the first half
    left, right = half[pairs.left], half[pairs.right]
    chosen_on, tested_on = left & right, ~left & ~right  # pairs (P,)
    for pairs_of_half in (chosen_on, tested_on):
        is_same = pairs.is_same[pairs_of_half]
        if not is_same.any() or is_same.all():
            return dict.fromkeys(THRESHOLD_NAMES, float("nan"))
    roc = roc_curve(distances[chosen_on], pairs.is_same[chosen_on])
    best = (roc.tpr - roc.fpr).argmax()
    threshold = roc.threshold[best]
    is_accepted, is_same = distances[tested_on] <= threshold, pairs.is_same[tested_on]
    tpr, fpr = (is_accepted[kind].double().mean().item() for kind in (is_same, ~is_same))
    return _rates(threshold.item(), tpr, fpr)


def _intervals(distances: Tensor, pairs: Pairs, n_images: int, n_resamples: int, seed: int) -> dict[str, Any]:
    distances, order = distances.sort()
    left, right, is_same = (column[order] for column in pairs)
    samples = []
    for chunk in resamples(n_images, n_resamples, seed):
        for counts in chunk.to(distances.device):
            weights = counts[left] * counts[right]
            if (weights * is_same).any() and (weights * ~is_same).any():
                roc = _curve(distances, is_same, weights)
                samples.append([_area(roc), _equal_error_rate(roc)])
    if not samples:
        return dict.fromkeys(("auc_interval", "eer_interval"), (float("nan"), float("nan")))
    bounds = quantiles(torch.tensor(samples, dtype=torch.float64), 0.95)
    return {f"{name}_interval": tuple(ends.tolist()) for name, ends in zip(("auc", "eer"), bounds.T, strict=True)}


def pair_distances(embeddings: Tensor, pairs: Pairs) -> Tensor:
    """Compute the Euclidean distances (P,), not squared, of pairs of `embeddings` (N, D)."""
    rows = full_precision(embeddings)
    exponent = exponent_if_tiny(rows)
    rows = scale(rows, -exponent)
    squared = rows.new_empty(len(pairs.left))  # made before: small results between freed blocks would keep these
    size = max(1, CHUNK // max(1, rows.shape[1]))
    for result, left, right in zip(squared.split(size), pairs.left.split(size), pairs.right.split(size), strict=True):
        result.copy_(row_distances(rows[left], rows[right], squared=True))
    return scale(root(squared), exponent)


def draw_pairs(labels: Tensor, max_pairs: int, generator: torch.Generator) -> Pairs:
    """List all pairs of images with `labels` (N,) if they are at most `max_pairs`, else draw a sample of them.

    For the sample see `verification_metrics`.
    """
    if max_pairs < 2:
        raise ValueError(f"{max_pairs=} must be at least 2")
    n = len(labels)
    if n * (n - 1) // 2 <= max_pairs:
        left, right = torch.triu_indices(n, n, offset=1, device=labels.device)
        return Pairs(left, right, labels[left] == labels[right])
    classes = class_order(labels)
    size = classes.end - classes.start  # (N,) of each image's class
    n_same, n_different = int((size - 1).sum()) // 2, int((n - size).sum())
    wanted = min(n_same, max_pairs // 2)
    is_all = wanted == n_same
    same = torch.arange(n_same) if is_all else torch.randint(n_same, (wanted,), generator=generator)
    different = torch.randint(max(1, n_different), (max_pairs - wanted if n_different else 0,), generator=generator)
    places = (
        _pairs_of_one_class(classes, same.to(labels.device)),
        _pairs_of_two_classes(classes, different.to(labels.device)),
    )
    left, right = (classes.image[torch.cat(side)] for side in zip(*places, strict=True))
    return Pairs(left, right, labels[left] == labels[right])


def _pairs_of_one_class(classes: ClassOrder, number: Tensor) -> tuple[Tensor, Tensor]:
    """Return both places, (n,) each, of the pairs of one class with each `number` (n,).

    The pairs are numbered place by place: each place is paired with the places of its class before it.
    """
    before = torch.arange(len(classes.start), device=number.device) - classes.start  # (N,)
    place, partner = _locate(before, number)
    return place, classes.start[place] + partner


def _pairs_of_two_classes(classes: ClassOrder, number: Tensor) -> tuple[Tensor, Tensor]:
    """Return both places, (n,) each, of the pairs of two classes with each `number` (n,).

    The pairs are numbered place by place: each place is paired with all places of other classes.
    """
    size = classes.end - classes.start  # (N,)
    place, partner = _locate(len(size) - size, number)
    return place, torch.where(partner < classes.start[place], partner, partner + size[place])


def _locate(n_partners: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Find the place of each `number` (n,) if places have `n_partners` (N,), and which of its partners it is."""
    end = n_partners.cumsum(0)
    place = torch.searchsorted(end, number, right=True)
    return place, number - (end - n_partners)[place]
