"""`python tools/pictures.py` draws the first page's picture and the social card, both from the embeddings of chapter 5.

They go to `book/images/`. Run it after chapter 5 was executed anew.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import torch

from siamese_triplet.plots import COLOURS, MARKERS, PAGE_WIDTH, new_figure, plot_embeddings

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


def before_and_after(data: dict[str, Any]) -> plt.Figure:
    """The images as an untrained network sees them, and after the last epoch; each on a scale of its own."""
    figure, [axes] = new_figure(1, 2, PAGE_WIDTH / 2 + 0.3)
    labels = torch.tensor(data["labels"])
    titles = ("untrained", f"after {len(data['epochs']) - 1} epochs")
    for ax, epoch, title in zip(axes, (data["epochs"][0], data["epochs"][-1]), titles, strict=True):
        plot_embeddings(torch.from_numpy(points_of(epoch)), labels, legend=False, title=title, ax=ax)
        ax.set(xticks=[], yticks=[])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=10, frameon=False, markerscale=2, columnspacing=0.8)
    return figure


def card(data: dict[str, Any]) -> plt.Figure:
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
    shown = shown_embeddings(BOOK / "05_online_triplets.ipynb")
    before_and_after(shown).savefig(BOOK / "images" / "online_triplets.png", dpi=200)
    card(shown).savefig(BOOK / "images" / "card.png")
