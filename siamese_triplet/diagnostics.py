"""Statistics of a batch of embeddings, and detection of a collapse of all embeddings to one point."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from siamese_triplet._sorting import class_order
from siamese_triplet._validation import check_batch, check_margin_or_soft, warn
from siamese_triplet.distances import full_precision, pair_masks, pairwise_distances
from siamese_triplet.losses._batch import has_no_triplet
from siamese_triplet.losses.batch_all import batch_all_loss

PERCENTILES = (5, 50, 95)
Percentiles = tuple[float, float, float]


@dataclass(frozen=True)
class Diagnosis:
    """Statistics of a batch. Distances are plain, not squared. Statistics that a batch cannot give are NaN."""

    n_images: int
    n_classes: int
    n_triplets: int
    active_fraction: float  # share of the triplets that have a loss
    loss: float  # mean over the active triplets
    norms: Percentiles  # of the embeddings; the 5th, 50th and 95th percentile, here and below
    positive_distances: Percentiles
    negative_distances: Percentiles

    def __str__(self) -> str:
        found = f"{self.active_fraction:.1%} active, their mean loss {self.loss:.4g}"
        lines = [
            f"{self.n_images} images of {self.n_classes} classes, {self.n_triplets:,} triplets: "
            f"{found if self.n_triplets else self._why_none()}",
            f"{'percentile':20}" + "".join(f"{percentile:>10}" for percentile in PERCENTILES),
        ]
        for name in ("norms", "positive_distances", "negative_distances"):
            lines.append(f"{name.replace('_', ' '):20}" + "".join(f"{value:10.4g}" for value in getattr(self, name)))
        return "\n".join(lines)

    def _why_none(self) -> str:
        if self.n_images < 2:
            return "a pair takes two images"
        one_class = self.n_classes == 1
        why = (
            "all are of one class, so no pair is negative"
            if one_class
            else "no two are of one class, so no pair is positive"
        )
        return f"{why}; BalancedBatchSampler draws several images of several classes"


@torch.no_grad()
def diagnose(embeddings: Tensor, labels: Tensor, margin: float | str, squared: bool = True) -> Diagnosis:
    """Compute statistics of a batch of `embeddings` (B, D) with integer `labels` (B,) for a triplet loss.

    `margin` and `squared` are those of the loss, see `TripletLoss`. With the soft margin every triplet is active.
    Memory is O(B²). Raises ValueError for embeddings that are not a finite (B, D) matrix and for labels that are not B
    integers.

    >>> import torch
    >>> from siamese_triplet import diagnose
    >>> inputs, labels = torch.tensor([[0.0, 1.0], [0.0, 2.0], [1.0, 1.0], [1.0, 2.0]]), torch.tensor([0, 0, 1, 1])
    >>> print(diagnose(inputs, labels, margin=1.0))
    4 images of 2 classes, 8 triplets: 50.0% active, their mean loss 1
    percentile                   5        50        95
    norms                        1         2     2.236
    positive distances           1         1         1
    negative distances           1     1.414     1.414
    """
    check_batch(embeddings, labels)
    loss, n_active = batch_all_loss(embeddings, class_order(labels), check_margin_or_soft(margin), squared, "active")
    is_positive, is_negative = pair_masks(labels)
    n_triplets = int((is_positive.sum(dim=1) * is_negative.sum(dim=1)).sum())
    distances = pairwise_distances(embeddings, squared=False)
    return Diagnosis(
        n_images=len(labels),
        n_classes=len(labels.unique()),
        n_triplets=n_triplets,
        active_fraction=int(n_active) / n_triplets if n_triplets else math.nan,
        loss=float(loss) if n_triplets else math.nan,
        norms=_percentiles(full_precision(embeddings).norm(dim=1)),
        positive_distances=_percentiles(distances[is_positive]),
        negative_distances=_percentiles(distances[is_negative]),
    )


def spread(embeddings: Tensor) -> Tensor:
    """Compute the root-mean-square distance between the rows of `embeddings` (B, D), a scalar without a gradient.

    >>> import torch
    >>> from siamese_triplet.diagnostics import spread
    >>> spread(torch.tensor([[0.0], [2.0]]))  # the distances 0, 2, 2 and 0
    tensor(1.4142)
    """
    rows = full_precision(embeddings.detach())
    return (2 * rows.var(dim=0, correction=0).sum()).sqrt()


def collapsed_triplet_loss(margin: float | str) -> float:
    """Return the triplet loss where all embeddings coincide: the margin, or log 2 with the soft margin."""
    margin = check_margin_or_soft(margin)
    return math.log(2) if isinstance(margin, str) else margin


def is_collapsed(loss: float, collapsed_loss: float, first_spread: float, now: float) -> bool:
    """Tell whether embeddings have collapsed.

    The loss is then within 2 % of `collapsed_loss`, its value where all embeddings coincide, and their spread `now` is
    less than half of `first_spread`.

    >>> from siamese_triplet.diagnostics import is_collapsed
    >>> is_collapsed(loss=1.01, collapsed_loss=1.0, first_spread=0.8, now=0.1)
    True
    """
    return abs(loss - collapsed_loss) <= 0.02 * collapsed_loss and now < first_spread / 2


def describe_collapse(loss: float, first_spread: float, now: float) -> str:
    """Describe a collapse in one sentence, without a remedy."""
    return (
        f"the embeddings collapse: the loss stays at {loss:.4g}, what it is where all embeddings coincide, while their "
        f"mean distance shrank from {first_spread:.3g} to {now:.3g}."
    )


class CollapseWarning(UserWarning):
    """The network maps all images to nearly the same point."""


class SpreadMetric:
    """Root-mean-square distance between the embeddings of a batch, with a warning when they collapse.

    A metric for `fit` with a triplet loss of this margin. Where all embeddings coincide, every triplet costs exactly
    the margin, or log 2 with the soft margin. A loss that stays there while the embeddings move together does not
    recover on its own. One `CollapseWarning` is issued, at the end of the first epoch that has collapsed in comparison
    with the first batch; see `is_collapsed`. Before the first batch the value is NaN.

    >>> import torch
    >>> from siamese_triplet import SpreadMetric
    >>> metric = SpreadMetric(margin=1.0)
    >>> metric([torch.tensor([[0.0], [2.0]])], None, (torch.tensor(0.5), 1))
    >>> round(metric.value(), 3)
    1.414
    """

    def __init__(self, margin: float | str) -> None:
        self.collapsed_loss = collapsed_triplet_loss(margin)
        self.first_spread: Tensor | None = None
        self.has_warned = False
        self.reset()

    def __call__(self, outputs: Sequence[Tensor], target: Sequence[Tensor] | None, loss: Sequence[Any]) -> None:
        now = spread(outputs[0])  # stays on the device until it is read
        self.first_spread = now if self.first_spread is None else self.first_spread
        self.spreads.append(now)
        self.losses.append(loss[0].detach())
        self.labels.append(target[0] if target else None)

    def reset(self) -> None:
        self.spreads: list[Tensor] = []
        self.losses: list[Tensor] = []
        self.labels: list[Tensor | None] = []

    def value(self) -> float:
        if self.first_spread is None or not self.spreads:
            return math.nan
        first, now, loss = float(self.first_spread), float(torch.stack(self.spreads).mean()), self._mean_loss()
        if not self.has_warned and is_collapsed(loss, self.collapsed_loss, first, now):
            self.has_warned = True
            warn(
                f"{describe_collapse(loss, first, now)} The negatives are probably too hard for a network that has "
                "learned little: start with random or semi-hard ones, or with BatchAllTripletLoss; a lower learning "
                "rate or embeddings on the unit sphere help too",
                CollapseWarning,
            )
        return now

    def _mean_loss(self) -> float:
        """Read the mean over the batches that allow a triplet: the loss of others is 0, whatever the embeddings."""
        losses = torch.stack(self.losses)
        counts = [
            loss != 0 or labels is None or not has_no_triplet(labels)
            for loss, labels in zip(losses.tolist(), self.labels, strict=True)
        ]
        return float((losses if all(counts) else losses[counts]).mean())  # NaN if none counts

    def name(self) -> str:
        return "spread"

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint keeps, so that a continued run warns as an uninterrupted one does."""
        return {"first_spread": self.first_spread, "has_warned": self.has_warned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.first_spread, self.has_warned = state["first_spread"], state["has_warned"]


def _percentiles(values: Tensor) -> Percentiles:
    if not len(values):
        return (math.nan, math.nan, math.nan)
    ranked = values.sort().values  # torch.quantile takes no more than 16 million numbers
    low, middle, high = (float(ranked[round(percentile / 100 * (len(ranked) - 1))]) for percentile in PERCENTILES)
    return low, middle, high
