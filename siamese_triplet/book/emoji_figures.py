"""Figures of the chapter on emoji."""

from collections.abc import Sequence
from statistics import mean

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from siamese_triplet._style import COLOURS
from siamese_triplet.book.many_classes import NUMBERS, PIXELS, UNTRAINED, number_name
from siamese_triplet.book.results import Results
from siamese_triplet.datasets import Images
from siamese_triplet.evaluation import nearest
from siamese_triplet.plots import new_axes, new_figure

TITLE_SIZE = 8
GREY = "0.5"


def plot_designs(images: Images, classes: Sequence[str]) -> Figure:
    """Plot the drawings of some `classes`: a row per class, a column per design, a gap where a design has none."""
    assert images.sources is not None
    figure, axes = new_figure(len(classes), len(images.source_names), height=0.75 * len(classes))
    for row, name in zip(axes, classes, strict=True):
        is_drawing = images.targets == images.classes.index(name)
        drawings = dict(zip(images.sources[is_drawing].tolist(), images.data[is_drawing], strict=True))
        for source, ax in enumerate(row):
            if source in drawings:
                ax.imshow(drawings[source].numpy())
            ax.set_axis_off()
    for ax, design in zip(axes[0], images.source_names, strict=True):
        ax.set_title(design.replace("-", "\n", 1), fontsize=TITLE_SIZE)
    return figure


def plot_numbers(results: Results, metric: str = "recall_at_1") -> Axes:
    """Plot the error, 1 − `metric`, over the number of training classes, with lines for what was not trained.

    A small mark is a seed, the line joins the means.
    """
    ax = new_axes(3.4)
    by_number: dict[int, list[float]] = {}
    for result in results:
        if result["name"] in map(number_name, NUMBERS):
            by_number.setdefault(result["n_classes"], []).append(100 * (1 - result[metric]))
    for number, errors in by_number.items():
        ax.plot([number] * len(errors), errors, "o", color=COLOURS[0], ms=4, alpha=0.6)
    ax.plot(list(by_number), [mean(errors) for errors in by_number.values()], "-", color=COLOURS[0], label="trained")
    for name, line in ((UNTRAINED, "--"), (PIXELS, ":")):
        errors = [100 * (1 - result[metric]) for result in results if result["name"] == name]
        ax.axhline(mean(errors), color=GREY, ls=line, label=name)
    ax.set_xscale("log")
    ax.set_xticks(list(by_number), [f"{number:,}" for number in by_number])
    ax.minorticks_off()
    ax.set(xlabel="number of training classes", ylabel="error on unseen classes, %")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return ax


def confusions(embeddings: Tensor, images: Images) -> Tensor:
    """Count the wrong nearest neighbours of `images`, (G, G): the group of the query by the group of the neighbour.

    `embeddings` are (N, D). The nearest other image counts, and only if it is of another class.
    """
    assert images.groups is not None
    found = nearest(embeddings, embeddings, k=2).indices  # (N, 2), with the image itself
    itself = torch.arange(len(images))
    other = torch.where(found[:, 0] == itself, found[:, 1], found[:, 0])
    is_wrong = images.targets[other] != images.targets
    n = len(images.group_names)
    return (images.groups * n + images.groups[other])[is_wrong].bincount(minlength=n * n).view(n, n)


def plot_confusions(embeddings: Tensor, images: Images) -> Axes:
    """Plot `confusions` in per cent of all queries of a group."""
    assert images.groups is not None
    n_queries = images.groups.bincount(minlength=len(images.group_names))
    shares = 100 * confusions(embeddings, images) / n_queries[:, None]
    ax = new_axes(4.2)
    ax.imshow(shares.numpy(), cmap="Blues", vmin=0)
    for row, values in enumerate(shares.tolist()):
        for column, value in enumerate(values):
            dark = value > shares.max() / 2
            ax.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color="w" if dark else "k")
    ax.set_xticks(range(len(images.group_names)), images.group_names, rotation=40, ha="right", fontsize=8)
    ax.set_yticks(range(len(images.group_names)), images.group_names, fontsize=8)
    ax.set(xlabel="group of the wrong neighbour", ylabel="group of the query")
    return ax
