"""Diagrams of three ways to train an embedding network: by a classifier, by pairs, by triplets."""

from siamese_triplet._style import INK, PULL, PUSH, SOFT
from siamese_triplet.book.diagrams.drawing import Diagram, arrow, box, line, number, point, style_of, text

TWO, TWO_AGAIN, FOUR = (  # drawn digits
    (".####.", "##..##", "....##", "...##.", "..##..", ".##...", "######"),
    (".####.", "#...##", "....##", "..###.", ".##...", "##....", ".#####"),
    ("...##.", "..###.", ".##.#.", "##..#.", "######", "....#.", "....#."),
)
SCORES = (0.35, 0.2, 1.0, 0.3, 0.15, 0.25, 0.4, 0.1, 0.3, 0.2)  # ten classes, the third with the highest score


def classifier() -> Diagram:
    """Draw a softmax classifier, and the place where the embedding is taken from it."""
    y = 52
    bars = [box(404, y - 40 + 8 * row, 48 * score, 6, fill=SOFT, edge="none") for row, score in enumerate(SCORES)]
    return Diagram(
        "A classifier and its embedding",
        "An image goes through a convolutional network and a PReLU, which give an embedding of two numbers. A linear "
        "layer makes ten scores of them, one for each class, and the softmax makes probabilities of the scores. The "
        "embedding is what the linear layer sees, after the PReLU.",
        172,
        [
            _digit(32, y, TWO, 2),
            arrow((58, y), (82, y)),
            box(82, y - 30, 136, 60, "convolutional", "network, PReLU"),
            arrow((218, y), (242, y)),
            box(242, y - 28, 38, 28, "z₁", fill="white", edge=PULL),
            box(242, y, 38, 28, "z₂", fill="white", edge=PULL),
            arrow((280, y), (304, y)),
            box(304, y - 30, 72, 60, "linear", "layer"),
            arrow((376, y), (400, y)),
            *bars,
            arrow((442, y), (464, y)),
            box(464, y - 30, 88, 60, "softmax"),
            text(32, y + 52, "image"),
            text(428, y + 52, "10 scores"),
            arrow((261, 136), (261, y + 30), colour=PULL),
            text(261, 152, "embedding z: taken from here", colour=PULL, bold=True),
        ],
    )


def siamese_network() -> Diagram:
    """Draw a siamese network: two images, one network used twice, one distance."""
    above, middle, below = 42, 108, 174
    rows = []
    for y, digit, label, name, towards in ((above, TWO, 2, "z₁", -22), (below, FOUR, 4, "z₂", 22)):
        rows += [_digit(32, y, digit, label), arrow((58, y), (82, y)), box(82, y - 30, 124, 60, "network")]
        rows += [arrow((206, y), (230, y)), box(230, y - 16, 40, 32, name, fill="white")]
        rows.append(arrow((270, y), (332, y), (332, middle + towards)))
    return Diagram(
        "A siamese network",
        "Two images go through two copies of one network, which share their weights, and become two embeddings. The "
        "contrastive loss takes the distance d of the two, and whether the images are of one class or of two.",
        216,
        [
            *rows,
            line((138, above + 30), (138, below - 30)),
            line((150, above + 30), (150, below - 30)),
            box(74, middle - 15, 140, 30, "same weights", fill="white"),
            box(276, middle - 22, 112, 44, "distance d"),
            arrow((388, middle), (412, middle)),
            box(412, middle - 30, 140, 60, "contrastive", "loss"),
            text(482, below + 2, "label y: same", "or different"),
            arrow((482, below - 20), (482, middle + 30)),
        ],
    )


def triplet_network() -> Diagram:
    """Draw a triplet network: three images, one network, two distances."""
    rows = []
    for y, name, digit, label in ((34, "positive", TWO_AGAIN, 2), (122, "anchor", TWO, 2), (210, "negative", FOUR, 4)):
        rows += [_digit(40, y, digit, label), text(40, y + 36, name), arrow((66, y), (90, y))]
        rows += [arrow((182, y), (206, y)), box(206, y - 16, 40, 32, name[0], fill="white")]
    return Diagram(
        "A triplet network",
        "An anchor, a positive of its class and a negative of another class go through one network. The loss compares "
        "the squared distance from the anchor to the positive with that to the negative: "
        "max(0, d²(a, p) − d²(a, n) + m).",
        262,
        [
            *rows,
            box(90, 8, 92, 228, "one", "network", "for all", "three"),
            line((226, 50), (226, 106), colour=PULL),
            line((226, 138), (226, 194), colour=PUSH, dashed=True),
            text(236, 78, "d²(a, p)", anchor="start", colour=PULL),
            text(236, 166, "d²(a, n)", anchor="start", colour=PUSH),
            arrow((318, 78), (346, 78)),
            arrow((318, 166), (346, 166)),
            box(346, 54, 206, 136),
            text(449, 90, "triplet loss", bold=True),
            text(449, 136, "max(0, d²(a, p)", "− d²(a, n) + m)"),
        ],
    )


def _digit(x: float, y: float, digit: tuple[str, ...], label: int) -> str:
    """Draw an image of a digit around (x, y), framed in the colour of its class and with the marker of the class."""
    pixel, colour = 4.5, style_of(label)[0]
    left, top = x - pixel * len(digit[0]) / 2, y - pixel * len(digit) / 2
    ink = "".join(
        f"M{number(left + pixel * column)} {number(top + pixel * row)}h{pixel}v{pixel}h-{pixel}z"
        for row, pixels in enumerate(digit)
        for column, mark in enumerate(pixels)
        if mark == "#"
    )
    frame = box(x - 22, y - 22, 44, 44, fill="white", edge=colour)
    return f'{frame}<path d="{ink}" fill="{INK}"/>{point(x + 22, y - 22, style_of(label), 6)}'
