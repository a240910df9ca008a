"""Playgrounds: two or three points to drag, with their loss."""

from siamese_triplet._validation import check_margin
from siamese_triplet.live.element import LiveFigure

GREATEST_MARGIN = 100.0  # far beyond all squared distances in the plane of a playground


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


def _check_drawable(margin: float) -> float:
    """Return `margin` as a float, if a playground has use for it."""
    margin = check_margin(margin)
    if margin > GREATEST_MARGIN:
        raise ValueError(
            f"{margin=:g} is too large for a playground, whose points are a few units apart; take one up to "
            f"{GREATEST_MARGIN:g}"
        )
    return margin
