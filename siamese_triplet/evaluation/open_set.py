"""Open-set search: from which distance on is the nearest image no answer, and "none of these" is?"""

from typing import NamedTuple

import torch
from torch import Tensor

from siamese_triplet._validation import check_batch
from siamese_triplet.distances import scale
from siamese_triplet.evaluation.neighbours import check_not_empty, in_full_precision, map_blocks
from siamese_triplet.evaluation.verification import pair_metrics

FEWEST_CLASSES = 4  # with fewer, no half of them is left to measure on


class Threshold(NamedTuple):
    """A distance, not squared, beyond which the answer to a query is "none of these", and its rates.

    The rates are shares of queries from classes that had no part in choosing the distance; NaN with too few classes.
    """

    distance: float
    false_accepts: float  # of images whose class the gallery lacks: the nearest image is within the distance
    accepts: float  # of images whose class the gallery has: the same
    correct: float  # of these: the nearest image is within the distance, and of their class

    def __str__(self) -> str:
        if self.false_accepts != self.false_accepts:
            return f"threshold {self.distance:.4g}; too few classes to measure its rates on others"
        return (
            f"threshold {self.distance:.4g}: accepts {100 * self.false_accepts:.1f} % of the images whose class is "
            f"missing,\nand {100 * self.accepts:.1f} % of those whose class is there "
            f"({100 * self.correct:.1f} % with the right class)"
        )


class LeftOut(NamedTuple):
    """Distances (Q,), not squared, from images to the nearest other image of their class, and of any other class."""

    own: Tensor  # infinite for an image that is alone in its class
    other: Tensor


def choose_threshold(
    embeddings: Tensor,
    labels: Tensor,
    false_accepts: float | None = 0.05,
    *,
    max_queries: int = 10_000,
    seed: int = 0,
) -> Threshold:
    """Choose the distance beyond which the nearest of `embeddings` (N, D) is no answer to a query.

    Every image is a query twice: to all other images, which have its class, and to those of other classes, as if its
    class were missing. The threshold is the greatest that accepts at most the share `false_accepts` of the latter or,
    with None, the one with the best balanced accuracy: the greatest difference between the two shares of accepted
    queries. It lies halfway to the next distance that occurs. It is chosen on one half of the classes, drawn from
    `seed`; its rates are measured on the other half. With fewer than four classes, or without two images of one class
    in each half, it is chosen on all, and the rates are NaN. Of more than `max_queries` images a sample asks. A label
    of −1 is an image of no known class, and left out.

    The classes must be new to the network: distances between classes that it was trained on are larger. And the gallery
    should be about as large as that of later use, as the nearest of many images is nearer than the nearest of few.

    Raises ValueError for embeddings that are not finite, a share beyond 0…1, a single class, and if no class has two
    images.

    >>> import torch
    >>> from siamese_triplet.evaluation import choose_threshold
    >>> embeddings = torch.tensor([0.0, 1, 10, 11, 20, 21, 30, 31])[:, None]
    >>> found = choose_threshold(embeddings, torch.arange(8) // 2)
    >>> found.distance, found.false_accepts, found.correct
    (5.0, 0.0, 1.0)
    """
    check_batch(embeddings, labels)
    if false_accepts is not None and not 0 <= false_accepts <= 1:
        raise ValueError(f"choose_threshold: {false_accepts=} must be a share of queries between 0 and 1, or None")
    known = labels >= 0
    embeddings, labels = embeddings[known], labels[known]
    check_not_empty("the embeddings of images with a class", embeddings)
    generator = torch.Generator().manual_seed(seed)
    asking = torch.randperm(len(labels), generator=generator)[:max_queries].to(labels.device)
    distances = leave_out(embeddings, labels, asking)
    chosen_on = _draw_half(labels, labels[asking], generator)
    halves = [LeftOut(*(column[part] for column in distances)) for part in (chosen_on, ~chosen_on)]
    if not all(half.own.isfinite().any() for half in halves) or len(labels.unique()) < FEWEST_CLASSES:
        nan = float("nan")
        return Threshold(_choose(distances, false_accepts), nan, nan, nan)
    return rates(_choose(halves[0], false_accepts), halves[1])


def leave_out(embeddings: Tensor, labels: Tensor, asking: Tensor) -> LeftOut:
    """Compute how far the images `asking` (Q,), by index, are from the others, (N, D) with `labels` (N,), by class."""
    queries, gallery, _, exponent = in_full_precision(embeddings[asking], embeddings)

    def compare(rows: slice, distances: Tensor) -> tuple[Tensor, Tensor]:
        distances.scatter_(1, asking[rows, None], torch.inf)  # to themselves
        is_same = labels[asking[rows], None] == labels  # (b, N)
        return distances.masked_fill(~is_same, torch.inf).amin(dim=1), distances.masked_fill(is_same, torch.inf).amin(1)

    found = LeftOut(queries.new_empty(len(queries)), queries.new_empty(len(queries)))
    map_blocks(queries, gallery, False, compare, found)
    return LeftOut(*(scale(column.sqrt(), exponent) for column in found))


def rates(distance: float, queries: LeftOut) -> Threshold:
    """Measure the rates of a threshold on queries."""
    own, nearest = queries.own, torch.minimum(queries.own, queries.other)
    is_known, is_accepted = own.isfinite(), nearest <= distance
    is_correct = is_accepted & (own <= queries.other)
    shares = (queries.other <= distance, is_accepted[is_known], is_correct[is_known])
    return Threshold(distance, *(share.double().mean().item() for share in shares))


def _choose(queries: LeftOut, false_accepts: float | None) -> float:
    own, other = queries
    is_known = own.isfinite()
    if not is_known.any() or not other.isfinite().any():
        raise ValueError(
            "a threshold is chosen from the distances within classes and between them: it needs two classes, and two "
            "images in one of them. Set a threshold of your own, or label more images"
        )
    distances = torch.cat([torch.minimum(own, other)[is_known], other])
    has_class = torch.arange(len(distances), device=distances.device) < int(is_known.sum())
    found = pair_metrics(distances, has_class, fprs=() if false_accepts is None else (false_accepts,))
    chosen: float = found["threshold"] if false_accepts is None else found[f"threshold_at_fpr_{false_accepts:g}"]
    if chosen < 0:  # nothing is accepted but copies
        return 0.0
    following = distances[distances > chosen]
    return (chosen + float(following.min())) / 2 if len(following) else chosen


def _draw_half(labels: Tensor, of: Tensor, generator: torch.Generator) -> Tensor:
    """Draw half of the classes among `labels` (N,); return which of the labels `of` (Q,) are among them."""
    classes = labels.unique()
    order = torch.randperm(len(classes), generator=generator).to(labels.device)
    return torch.isin(of, classes[order[: len(classes) // 2]])
