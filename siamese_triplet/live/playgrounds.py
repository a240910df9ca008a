"""Playgrounds: points to drag, with the loss of a pair, of a triplet, or of one of the family of losses."""

from siamese_triplet._validation import check_margin
from siamese_triplet.live.element import LiveFigure

GREATEST_MARGIN = 100.0  # far beyond all squared distances in the plane of a playground
FAMILY = {
    "pairs": "pairs",
    "triplets": "all triplets",
    "semi-hard": "semi-hard triplets",
    "infonce": "N-pairs and InfoNCE",
    "supcon": "supervised contrastive",
    "multisimilarity": "MultiSimilarity",
    "proxyanchor": "ProxyAnchor",
    "normalised": "normalised softmax",
    "cosface": "CosFace",
    "arcface": "ArcFace",
}  # as in js/weights.mjs


def triplet_playground(margin: float = 1.0, name: str = "triplet") -> LiveFigure:
    """Show an anchor, a positive and a negative in the plane, to drag, with their triplet loss.

    Distances are squared, as in `TripletLoss`. `name` identifies the figure in the page's address, so two figures on a
    page need two names. Raises ValueError for a margin that is not a number from 0 to 100.
    """
    alt = (
        "an anchor, a positive and a negative in the plane. Around the anchor a circle through the positive, within "
        "which negatives are hard, and a larger one, up to which they are semi-hard; outside they are easy. Arrows "
        "show where a step of descent moves each point."
    )
    return LiveFigure("triplet-playground", name, "Triplet playground", {"margin": _check_drawable(margin)}, alt)


def pair_playground(margin: float = 1.0, name: str = "pair") -> LiveFigure:
    """Show two images in the plane, of one class or of two, to drag, with their contrastive loss.

    Distances are not squared, like the margin of `ContrastiveLoss`. See `triplet_playground`.
    """
    alt = (
        "two images in the plane. Of one class, they pull each other together; of two classes, they push each other "
        "apart while one lies within a circle around the other, whose radius is the margin."
    )
    return LiveFigure("pair-playground", name, "Pair playground", {"margin": _check_drawable(margin)}, alt)


def loss_family(loss: str = "infonce", name: str = "family") -> LiveFigure:
    """Show an anchor with two positives and four negatives, to drag, and the weight of each pair in ten losses.

    The weight is minus the derivative of the loss with respect to the cosine similarity of the pair. `loss` is a key of
    `FAMILY`, the one that the figure begins with. `name`: see `triplet_playground`. Raises ValueError for an unknown
    loss.
    """
    if loss not in FAMILY:
        raise ValueError(f"unknown loss {loss!r}; there are {', '.join(map(repr, FAMILY))}")
    alt = (
        "an anchor, two positives and four negatives on a half circle, over an axis of their cosine similarity to the "
        "anchor. Arrows along the circle show how strongly a loss pulls each positive and pushes each negative. Below, "
        f"the same weights as bars, for {len(FAMILY)} losses side by side: {', '.join(FAMILY.values())}."
    )
    return LiveFigure("loss-family", name, "One family of losses", {"loss": loss}, alt)


def _check_drawable(margin: float) -> float:
    """Return `margin` as a float, if a playground has use for it."""
    margin = check_margin(margin)
    if margin > GREATEST_MARGIN:
        raise ValueError(
            f"{margin=:g} is too large for a playground, whose points are a few units apart; take one up to "
            f"{GREATEST_MARGIN:g}"
        )
    return margin
