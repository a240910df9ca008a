"""Diagram of the negatives that the selectors take, in the plane."""

from collections.abc import Callable

import torch

from siamese_triplet._style import ANCHOR, POSITIVE, PULL, PUSH, SOFT, ZONES
from siamese_triplet.book.diagrams.drawing import Diagram, circle, line, point, text
from siamese_triplet.selectors import (
    HardestNegativeTripletSelector,
    RandomNegativeTripletSelector,
    SemihardNegativeTripletSelector,
    TripletSelector,
)

MARGIN = 1.25
POINTS = torch.tensor(  # (B, 2): the anchor, its positive, and negatives
    [
        *([0, 0], [0.9, -0.45]),
        *([-0.35, 0.5], [0.2, -0.75], [0.95, 0.75], [-1.1, -0.45], [-0.1, -1.3]),
        *([1.75, 0.8], [-1.35, 1.25], [-1.85, -0.9], [1.4, -1.4]),
    ]
)
LABELS = torch.tensor([0, *range(len(POINTS) - 1)])  # (B,): each negative has a class of its own
DRAWS = 200  # selections, enough for a random selector to draw every negative that it may
STRATEGIES: dict[str, Callable[[float], TripletSelector]] = {
    "hardest": HardestNegativeTripletSelector,
    "random": RandomNegativeTripletSelector,
    "semi-hard": SemihardNegativeTripletSelector,
}


def selection_strategies() -> Diagram:
    """Draw the negatives of a positive pair in the plane, and the ones that each selector takes.

    The lower pictures show the choices of the package's selectors among these very points, in `DRAWS` selections.
    """
    choices = {name: collect_taken(selector(MARGIN)) for name, selector in STRATEGIES.items()}
    captions = {
        name: "always this one" if len(taken) == 1 else f"one of {len(taken)}" for name, taken in choices.items()
    }
    return Diagram(
        "Hard, semi-hard and easy negatives, and who takes them",
        "An anchor and its positive in the plane, among negatives. Hard negatives lie within the circle around the "
        "anchor through the positive, semi-hard ones between it and a larger circle with the squared radius "
        "d²(a, p) + m, easy ones outside. Below, the same points for three selectors: the hardest negative is the "
        f"nearest to the anchor; a random one is {captions['random']} within the larger circle; a semi-hard one is "
        f"{captions['semi-hard']} between the circles.",
        492,
        [
            *_plane(172, 136, 80),
            *_legend(370),
            *(
                part
                for x, (name, taken) in zip((94, 280, 466), choices.items(), strict=True)
                for part in (text(x, 300, name, bold=True), *_plane(x, 388, 40, taken), text(x, 474, captions[name]))
            ),
        ],
    )


def collect_taken(selector: TripletSelector) -> set[int]:
    """Collect the indices of the negatives that the selector takes in `DRAWS` selections from `POINTS`."""
    triplets = torch.cat([selector.get_triplets(POINTS, LABELS) for _ in range(DRAWS)])  # (T, 3)
    return set(triplets[triplets[:, 0] == 0, 2].tolist())


def _plane(x: float, y: float, scale: float, taken: set[int] | None = None) -> list[str]:
    """Draw the points around an anchor at (x, y), and the circles between the zones.

    Lines lead to the negatives in `taken`, the others recede; without `taken` all look alike.
    """
    squared = POINTS.square().sum(dim=1).tolist()  # (B,): the anchor is the origin
    inner, outer = squared[1], squared[1] + MARGIN
    places = [(x + scale * right, y - scale * up) for right, up in POINTS.tolist()]
    size = 7 if taken is None else 5
    negatives = []
    for index in range(2, len(POINTS)):
        zone = "hard" if squared[index] <= inner else "semi-hard" if squared[index] < outer else "easy"
        recedes = taken is not None and index not in taken
        negatives.append(point(*places[index], ZONES[zone], size, hollow=recedes))
    return [
        circle(x, y, scale * outer**0.5, fill=_pale(ZONES["semi-hard"][0])),
        circle(x, y, scale * inner**0.5, fill=_pale(ZONES["hard"][0]), dashed=True),
        *(line(places[0], places[index], colour=PUSH, dashed=True) for index in sorted(taken or ())),
        *([] if taken is None else [line(places[0], places[1], colour=PULL)]),
        *negatives,
        point(*places[0], ANCHOR, 1.3 * size),
        point(*places[1], POSITIVE, 1.1 * size),
    ]


def _legend(x: float) -> list[str]:
    styles = {"anchor": ANCHOR, "positive": POSITIVE, **{f"{zone} negative": style for zone, style in ZONES.items()}}
    names = [*styles, "d(a, p)", "√(d²(a, p) + m)"]
    heights = [40 + 32 * row for row in range(len(names))]
    marks = [point(x, y, style, 8) for y, style in zip(heights, styles.values(), strict=False)]
    for y, dashed in zip(heights[-2:], (True, False), strict=True):
        marks.append(line((x - 14, y), (x + 14, y), colour=SOFT, dashed=dashed))
    return [*marks, *(text(x + 22, y, name, anchor="start") for y, name in zip(heights, names, strict=True))]


def _pale(colour: str) -> str:
    """Mix a colour with four parts of white."""
    parts = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{(part + 4 * 255) // 5:02X}" for part in parts)
