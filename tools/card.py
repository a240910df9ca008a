"""`python tools/card.py` draws the social card, `book/images/card.png`, from the embeddings that chapter 5 shows."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np

from siamese_triplet.plots import COLOURS, MARKERS

BOOK = Path(__file__).parents[1] / "book"
VIEWER = re.compile(r'kind="embedding-viewer"[^>]*><script type="application/json">(.*?)</script>', re.DOTALL)
WIDTH, HEIGHT = 1200, 630  # pixels, what those who show such cards ask for


def shown_embeddings(chapter: Path) -> dict[str, Any]:
    """The data of the chapter's embedding viewer, from its stored output."""
    outputs = [output for cell in nbformat.read(chapter, as_version=4).cells for output in cell.get("outputs", [])]
    pages = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    if (found := VIEWER.search(pages)) is None:
        raise SystemExit(f"{chapter.name} has no embedding viewer among its outputs; execute it anew")
    return json.loads(found[1])


def points_of(epoch: dict[str, Any]) -> np.ndarray:
    numbers = np.frombuffer(base64.b64decode(epoch["points"]), dtype="<i2")
    return numbers.reshape(-1, 2) * epoch["unit"]  # (N, 2)


def draw(data: dict[str, Any]) -> plt.Figure:
    points, labels = points_of(data["epochs"][-1]), np.array(data["labels"])
    figure = plt.figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor="white")
    ax = figure.add_axes((0.5, 0.02, 0.48, 0.96))
    for label in np.unique(labels):
        ax.scatter(
            *points[labels == label].T, s=26, color=COLOURS[label], marker=MARKERS[label], alpha=0.6, linewidths=0
        )
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_axis_off()
    figure.text(0.05, 0.56, "Siamese and\ntriplet networks", size=40, weight="bold", linespacing=1.25)
    figure.text(0.05, 0.36, "A book of executed notebooks:\nlearning to measure, pair by pair,\nin PyTorch", size=21,
                color="#444444", va="center", linespacing=1.4)  # fmt: skip
    return figure


if __name__ == "__main__":
    draw(shown_embeddings(BOOK / "05_online_triplets.ipynb")).savefig(BOOK / "images" / "card.png")
