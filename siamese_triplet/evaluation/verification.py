"""Are two images of the same class? The curve, the errors and the threshold of a decision by distance."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from siamese_triplet._sorting import ClassOrder, class_order
from siamese_triplet._validation import check_batch, check_finite
from siamese_triplet.distances import full_precision, root, row_distances
from siamese_triplet.evaluation.intervals import quantiles, resamples
from siamese_triplet.evaluation.neighbours import check_not_empty

CHUNK = 2**22  # numbers of embeddings at a time


class Roc(NamedTuple):
    """The receiver operating characteristic of "same class if the distance is at most the threshold"."""

    fpr: Tensor  # (T,) the share of pairs of different classes that are accepted, rising
    tpr: Tensor  # (T,) the share of pairs of one class that are accepted, rising
    threshold: Tensor  # (T,) the distances, rising; the first accepts nothing


class Pairs(NamedTuple):
    """Pairs of images of one set, by index, and whether both are of one class; all (P,)."""

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
    """Decide by the Euclidean distance of `embeddings` (N, D) whether two images are of one class; how well that works.

    - `auc`: the area under the curve: the chance that a pair of one class is nearer than one of two, ties count half;
    - `eer`: the equal error rate, where as many pairs of one class are rejected as pairs of two are accepted;
    - `tpr_at_fpr_<x>` for each of `fprs`: the share of pairs of one class that is accepted at the greatest threshold
      which accepts no more than a share x of the others;
    - `threshold`, a distance, not squared: the best, with the greatest tpr − fpr, for pairs within one half of the
      classes, drawn from `seed`; and what it does to pairs within the other half, which it was not chosen for:
      `threshold_tpr`, `threshold_fpr`, and their balanced `threshold_accuracy`. With fewer than four classes, or a half
      without a pair of one class, these are NaN;
    - `roc`: the whole curve, a `Roc`; `n_pairs` and `n_same`, how many pairs it is made of.

    All pairs are used where there are no more than `max_pairs`. Otherwise a sample is drawn from `seed`, uniformly from
    the pairs of one class and from those of two, half of `max_pairs` each, or all pairs of one class where they are
    fewer; none of these figures depends on how many there are of each.

    With `n_resamples`, `auc_interval` and `eer_interval` are 95 % bootstrap intervals over the images: a pair counts as
    often as the product of how often its two images were drawn. They are NaN where no resample has both kinds of pairs.

    Raises ValueError for no images, embeddings that are not finite, and where there is no pair of one class or none of
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
    for fpr in fprs:
        if not 0 <= fpr <= 1:
            raise ValueError(f"each of fprs is a share of pairs between 0 and 1, got {fpr}")
    generator = torch.Generator().manual_seed(seed)
    pairs = draw_pairs(labels, max_pairs, generator)
    distances = pair_distances(embeddings, pairs)
    roc = roc_curve(distances, pairs.is_same)
    results: dict[str, Any] = {"auc": _area(roc), "eer": _equal_error_rate(roc)}
    results |= {f"tpr_at_fpr_{fpr:g}": roc.tpr[roc.fpr <= fpr].max().item() for fpr in fprs}
    results |= _threshold(distances, pairs, labels, generator)
    if n_resamples:
        results |= _intervals(distances, pairs, len(labels), n_resamples, seed)
    return results | {"roc": roc, "n_pairs": len(pairs.is_same), "n_same": int(pairs.is_same.sum())}


def roc_curve(distances: Tensor, is_same: Tensor, weights: Tensor | None = None) -> Roc:
    """The curve of `distances` (P,) of pairs that are of one class where `is_same` (P,) says so.

    Equal distances are one step. `weights` (P,) tell how often each pair counts. Raises ValueError where there is no
    pair of one class, or none of two, and for distances that are not finite.

    >>> import torch
    >>> from siamese_triplet.evaluation import roc_curve
    >>> roc_curve(torch.tensor([0.5, 1.0, 2.0]), torch.tensor([True, False, True])).tpr
    tensor([0.0000, 0.5000, 0.5000, 1.0000], dtype=torch.float64)
    """
    check_finite("distances", distances[:, None])
    if not is_same.any() or is_same.all():
        raise ValueError(
            f"a curve needs pairs of one class and of two, got {int(is_same.sum())} of one among {len(is_same)} pairs"
        )
    distances, order = distances.sort()
    return _curve(distances, is_same[order], None if weights is None else weights[order])


def _curve(distances: Tensor, is_same: Tensor, weights: Tensor | None) -> Roc:
    """The curve of sorted distances (P,)."""
    weights = torch.ones_like(distances, dtype=torch.float64) if weights is None else weights.double()
    tp, fp = (weights * is_same).cumsum(0), (weights * ~is_same).cumsum(0)
    is_step = torch.cat([distances[1:] > distances[:-1], distances.new_ones(1, dtype=torch.bool)])
    tpr, fpr = (torch.cat([of.new_zeros(1), of[is_step] / of[-1]]) for of in (tp, fp))
    return Roc(fpr, tpr, torch.cat([distances.new_full((1,), -torch.inf), distances[is_step]]))


def _area(roc: Roc) -> float:
    return torch.trapezoid(roc.tpr, roc.fpr).item()


def _equal_error_rate(roc: Roc) -> float:
    """Where the curve meets the falling diagonal, on the straight line between two of its points."""
    excess = roc.fpr - (1 - roc.tpr)  # rising from −1 to 1
    after = int((excess >= 0).nonzero()[0])
    share = -excess[after - 1] / (excess[after] - excess[after - 1])
    return torch.lerp(roc.fpr[after - 1], roc.fpr[after], share).item()


def _threshold(distances: Tensor, pairs: Pairs, labels: Tensor, generator: torch.Generator) -> dict[str, float]:
    classes, place = labels.unique(return_inverse=True)
    order = torch.randperm(len(classes), generator=generator).to(labels.device)
    half = (torch.argsort(order) < len(classes) // 2)[place]  # (N,) of an image
    left, right = half[pairs.left], half[pairs.right]
    names = ("threshold", "threshold_accuracy", "threshold_tpr", "threshold_fpr")
    chosen_on, tested_on = left & right, ~left & ~right  # pairs (P,)
    for pairs_of_half in (chosen_on, tested_on):
        is_same = pairs.is_same[pairs_of_half]
        if not is_same.any() or is_same.all():
            return dict.fromkeys(names, float("nan"))
    roc = roc_curve(distances[chosen_on], pairs.is_same[chosen_on])
    best = (roc.tpr - roc.fpr).argmax()
    threshold = roc.threshold[best]
    is_accepted, is_same = distances[tested_on] <= threshold, pairs.is_same[tested_on]
    tpr, fpr = (is_accepted[which].double().mean().item() for which in (is_same, ~is_same))
    return dict(zip(names, (threshold.item(), (tpr + 1 - fpr) / 2, tpr, fpr), strict=True))


def _intervals(distances: Tensor, pairs: Pairs, n_images: int, n_resamples: int, seed: int) -> dict[str, Any]:
    distances, order = distances.sort()
    left, right, is_same = (of[order] for of in pairs)
    figures = []
    for counts in resamples(n_images, n_resamples, seed):
        for of_images in counts.to(distances.device):
            weights = of_images[left] * of_images[right]
            if (weights * is_same).any() and (weights * ~is_same).any():
                roc = _curve(distances, is_same, weights)
                figures.append([_area(roc), _equal_error_rate(roc)])
    if not figures:
        return dict.fromkeys(("auc_interval", "eer_interval"), (float("nan"), float("nan")))
    bounds = quantiles(torch.tensor(figures, dtype=torch.float64), 0.95)
    return {f"{name}_interval": tuple(ends.tolist()) for name, ends in zip(("auc", "eer"), bounds.T, strict=True)}


def pair_distances(embeddings: Tensor, pairs: Pairs) -> Tensor:
    """The Euclidean distances (P,) of pairs of `embeddings` (N, D), not squared."""
    rows = full_precision(embeddings)
    size = max(1, CHUNK // max(1, rows.shape[1]))
    chunks = zip(pairs.left.split(size), pairs.right.split(size), strict=True)
    return root(torch.cat([row_distances(rows[left], rows[right], squared=True) for left, right in chunks]))


def draw_pairs(labels: Tensor, max_pairs: int, generator: torch.Generator) -> Pairs:
    """All pairs of images with `labels` (N,) where they are no more than `max_pairs`, else a sample as described in
    `verification_metrics`."""
    if max_pairs < 2:
        raise ValueError(f"{max_pairs=} must be at least 2")
    n = len(labels)
    if n * (n - 1) // 2 <= max_pairs:
        left, right = torch.triu_indices(n, n, offset=1, device=labels.device)
        return Pairs(left, right, labels[left] == labels[right])
    classes = class_order(labels)
    size = classes.end - classes.start  # (N,) of an image's class
    n_same, n_different = int((size - 1).sum()) // 2, int((n - size).sum())
    wanted = min(n_same, max_pairs // 2)
    is_all = wanted == n_same
    same = torch.arange(n_same) if is_all else torch.randint(n_same, (wanted,), generator=generator)
    different = torch.randint(max(1, n_different), (max_pairs - wanted if n_different else 0,), generator=generator)
    places = _same_class(classes, same.to(labels.device)), _two_classes(classes, different.to(labels.device))
    left, right = (classes.image[torch.cat(of)] for of in zip(*places, strict=True))
    return Pairs(left, right, labels[left] == labels[right])


def _same_class(classes: ClassOrder, number: Tensor) -> tuple[Tensor, Tensor]:
    """The places of the pairs of one class with these numbers, counted through all classes; both (n,).

    Each place has the pairs with the places of its class that stand before it.
    """
    before = torch.arange(len(classes.start), device=number.device) - classes.start  # (N,)
    place, partner = _counted(before, number)
    return place, classes.start[place] + partner


def _two_classes(classes: ClassOrder, number: Tensor) -> tuple[Tensor, Tensor]:
    """The places of the pairs of two classes with these numbers, counted through all images; both (n,).

    Each place has the pairs with all places of other classes.
    """
    size = classes.end - classes.start  # (N,)
    place, partner = _counted(len(size) - size, number)
    return place, torch.where(partner < classes.start[place], partner, partner + size[place])


def _counted(n_partners: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """The place whose partners hold each `number` (n,), counted through all `n_partners` (N,), and which of them."""
    end = n_partners.cumsum(0)
    place = torch.searchsorted(end, number, right=True)
    return place, number - (end - n_partners)[place]
