"""Whether the embeddings of a run collapse to a point, and what helps.

`SpreadMetric` warns of that too, but a warning from a thread would end up somewhere in the notebook.
"""

import math

import torch

from siamese_triplet.explorer.settings import Settings


def collapsed_loss(settings: Settings) -> float | None:
    """The mean loss where all embeddings coincide; None for the softmax, which does not go by distances."""
    if settings.method == "softmax":
        return None
    if settings.method in ("triplet", "online-triplet"):
        return math.log(2) if settings.margin == "soft" else float(settings.margin)
    if settings.method == "siamese":
        return float(settings.margin) ** 2 / 4  # half of the pairs are negative
    labels = torch.arange(settings.n_classes).repeat_interleave(settings.n_samples)
    return float(settings.experiment().loss()(torch.zeros(len(labels), 2), labels))


def collapse(settings: Settings, loss: float, first_spread: float, spread: float) -> str:
    """What to say where the embeddings collapse to a point, and "" where they do not.

    `loss` is that of an epoch; the spreads are mean distances between the embeddings of test images, untrained and
    after the epoch. The rule is that of `SpreadMetric`: a loss within 2 % of that of a point, and less than half the
    spread.
    """
    of_a_point = collapsed_loss(settings)
    if of_a_point is None or abs(loss - of_a_point) > 0.02 * of_a_point or not spread < first_spread / 2:
        return ""
    easier = {
        "online-triplet": "choose the selector random, semihard or batch-all, whose negatives are easier to begin with",
        "online-contrastive": "choose the selector all, whose negatives are easier to begin with",
    }.get(settings.method, "choose another method")
    return (
        f"The embeddings collapse: the loss stays at {loss:.3g}, what it is where all of them coincide, while their "
        f"mean distance shrank from {first_spread:.2g} to {spread:.2g}. It will not recover on its own: {easier}, "
        "lower the learning rate, or put the embeddings on the unit sphere."
    )
