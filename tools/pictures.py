"""Draw the picture of the first page and the social card: `python tools/pictures.py`, after executing chapter 5.

Both show the embeddings of that chapter, and go to `book/images/`.
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
WIDTH, HEIGHT = 1200, 630  # pixels, the usual size of a social card


def read_viewer_data(chapter: Path) -> dict[str, Any]:
    """Read the data of the chapter's embedding viewer from its stored output."""
    outputs = [output for cell in nbformat.read(chapter, as_version=4).cells for output in cell.get("outputs", [])]
    html = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    if (match := VIEWER.search(html)) is None:
        raise SystemExit(f"{chapter.name} has no embedding viewer among its outputs; execute it again")
    return json.loads(match[1])


def decode_points(epoch: dict[str, Any]) -> np.ndarray:
    numbers = np.frombuffer(base64.b64decode(epoch["points"]), dtype="<i2")
    return numbers.reshape(-1, 2) * epoch["unit"]  # (N, 2)


def draw_before_and_after(data: dict[str, Any]) -> plt.Figure:
    """Draw the embeddings of the untrained network and of the last epoch, each on a scale of its own."""
    figure, [axes] = new_figure(1, 2, PAGE_WIDTH / 2 + 0.3)
    labels = torch.tensor(data["labels"])
    titles = ("untrained", f"after {len(data['epochs']) - 1} epochs")
    for ax, epoch, title in zip(axes, (data["epochs"][0], data["epochs"][-1]), titles, strict=True):
        plot_embeddings(torch.from_numpy(decode_points(epoch)), labels, legend=False, title=title, ax=ax)
        ax.set(xticks=[], yticks=[])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=10, frameon=False, markerscale=2, columnspacing=0.8)
    return figure


def draw_card(data: dict[str, Any]) -> plt.Figure:
    points, labels = decode_points(data["epochs"][-1]), np.array(data["labels"])
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
    viewer_data = read_viewer_data(BOOK / "05_online_triplets.ipynb")
    draw_before_and_after(viewer_data).savefig(BOOK / "images" / "online_triplets.png", dpi=200)
    draw_card(viewer_data).savefig(BOOK / "images" / "card.png")
