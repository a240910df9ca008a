"""Diagram of the images in an evaluation on unseen classes."""

from siamese_triplet._style import PULL, SOFT
from siamese_triplet.book.diagrams.drawing import Diagram, arrow, box, image, line, text

N_SEEN = N_WAY = 5
STEP = 40  # from one image to the next


def evaluation_splits() -> Diagram:
    """Draw the training images, and the gallery and the queries of classes that were never seen."""
    heights = [86 + STEP * row for row in range(N_WAY)]
    middle = heights[N_WAY // 2]
    query = heights[1]  # the query whose comparisons are drawn
    return Diagram(
        "Evaluation on classes that were never seen",
        f"On the left images of {N_SEEN} classes, which train the network. On the right images of {N_WAY} other "
        "classes, which it never saw: one of each class is in the gallery, the others are queries. A query is compared "
        "with every image of the gallery, and is right if the nearest one is of its class. That is "
        f"{N_WAY}-way 1-shot.",
        322,
        [
            text(88, 18, "classes seen", bold=True),
            text(88, 46, "training images"),
            box(8, 62, 160, 208, fill="none", edge=SOFT),
            *(image(28 + STEP * column, y, row, 32) for row, y in enumerate(heights) for column in range(4)),
            arrow((168, middle), (188, middle)),
            box(188, middle - 24, 86, 48, "network"),
            arrow((274, middle), (294, middle)),
            text(424, 18, "classes never seen", bold=True),
            text(332, 46, "gallery"),
            text(492, 46, "queries"),
            box(296, 62, 256, 208, fill="none", edge=SOFT),
            *(line((434, query), (348, y), colour=SOFT, width=1, dashed=True) for y in heights if y != query),
            arrow((434, query), (350, query), colour=PULL),
            *(image(328, y, N_SEEN + row, 32) for row, y in enumerate(heights)),
            *(image(450 + STEP * column, y, N_SEEN + row, 32) for row, y in enumerate(heights) for column in range(3)),
            text(88, 294, "all train", "the network"),
            text(424, 294, f"{N_WAY}-way 1-shot:", f"which of {N_WAY} is nearest?"),
        ],
    )
