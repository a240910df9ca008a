"""Tables and figures of the chapter on what came after triplets."""

import importlib.util
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from siamese_triplet._style import COLOURS, MARKERS, SOFT
from siamese_triplet.book.modern_losses import LOSSES
from siamese_triplet.book.results import TITLES, Results, interval, markdown_table, spread, table
from siamese_triplet.book.today import EMOJI, FASHION, PIXELS, UNTRAINED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERPLEXITIES = (2, 30, 100)
ORDER = [PIXELS, UNTRAINED, *LOSSES]
METRICS = {"recall@1": "recall_at_1", "MAP@R": "map_at_r"}


def today_table(results: Results, data: str) -> str:
    """Format recall@1 and MAP@R of unseen classes, in per cent, and on FashionMNIST those of seen ones, as Markdown."""
    columns: dict[str, Any] = {
        f"{title}, unseen": lambda result, metric=metric: result[metric] for title, metric in METRICS.items()
    }
    if data == FASHION:
        columns |= {
            f"{title}, seen": lambda result, metric=metric: result["seen"][metric] for title, metric in METRICS.items()
        }
    return table(of_data(results, data), "loss", columns)


def of_data(results: Results, data: str) -> list[Mapping[str, Any]]:
    """Select the final results on `data`, in the order of the losses, after what was not trained."""
    chosen = [result for result in results if result["data"] == data and result["part"] == "final"]
    return sorted(chosen, key=lambda result: ORDER.index(result["loss"]))


def differences(results: Results, reference: str = "semi-hard", metric: str = "map_at_r") -> str:
    """Format each loss's metric less that of `reference`, in percentage points, as a table in Markdown.

    A difference is taken within a seed, which fixes the classes, and is given with its 95 % interval. One whose
    interval has no zero is bold, if there are three seeds. A single seed has no interval.
    """
    columns = {
        "FashionMNIST, unseen": (FASHION, lambda result: result[metric]),
        "FashionMNIST, seen": (FASHION, lambda result: result["seen"][metric]),
        "emoji, unseen": (EMOJI, lambda result: result[metric]),
    }
    found = {name: of_data(results, data) for name, (data, _) in columns.items()}
    losses = dict.fromkeys(result["loss"] for chosen in found.values() for result in chosen)
    rows = []
    for loss in (name for name in losses if name != reference):
        cells = []
        for name, (_, value) in columns.items():
            by_seed = {(result["loss"], result["seed"]): value(result) for result in found[name]}
            seeds = [seed for other, seed in by_seed if other == loss and (reference, seed) in by_seed]
            cells.append(_difference([100 * (by_seed[loss, seed] - by_seed[reference, seed]) for seed in seeds]))
        rows.append([loss, *cells])
    return markdown_table(["", *columns], rows)


def _difference(values: Sequence[float]) -> str:
    """Format the mean of differences and half its 95 % interval; bold if that has no zero, and three seeds or more."""
    if len(values) < 2:
        return f"{values[0]:+.1f}".replace("-", "−") if values else "–"
    low, high = interval(values)
    text = f"{mean(values):+.1f}\u00a0±\u00a0{(high - low) / 2:.1f}".replace("-", "−")
    return f"**{text}**" if len(values) > 2 and (low > 0 or high < 0) else text


def plot_today(results: Results) -> "Figure":
    """Plot MAP@R of unseen classes, a row per loss and a panel per data set: small marks are seeds, bars the means."""
    panels = [data for data in (FASHION, EMOJI) if of_data(results, data)]
    names = list(dict.fromkeys(result["loss"] for data in panels for result in of_data(results, data)))
    from siamese_triplet.plots import new_figure

    figure, axes = new_figure(1, len(panels), height=0.7 + 0.27 * len(names))
    for ax, data in zip(axes[0], panels, strict=True):
        for row, name in enumerate(names):
            found = [100 * result["map_at_r"] for result in of_data(results, data) if result["loss"] == name]
            colour = COLOURS[0] if name in LOSSES else SOFT
            ax.plot(found, [row] * len(found), "o", color=colour, ms=5, alpha=0.5, ls="")
            if found:
                ax.plot([mean(found)] * 2, [row - 0.35, row + 0.35], color=colour, lw=2)
        ax.set(title=TITLES.get(data, "emoji"), xlabel="MAP@R of unseen classes, %")
        ax.set_xlim(left=0)
        ax.set_yticks(range(len(names)), names if ax is axes[0, 0] else [""] * len(names))
        ax.invert_yaxis()
        ax.grid(axis="y", color="0.9")
    return figure


def chosen_rates(results: Results, data: str) -> str:
    """List the learning rates of the losses' own parameters that were chosen, as multiples of the network's."""
    rates: dict[str, list[str]] = {}
    for result in of_data(results, data):
        if "rate" in result["settings"]:
            rates.setdefault(result["loss"], []).append(f"{result['settings']['rate']:g}")
    return "\n".join(f"{name}: {', '.join(found)}" for name, found in rates.items())


def with_steps(results: Results) -> list[dict[str, Any]]:
    """Return the trained results with their steps among the settings, for `results.origin`."""
    trained = [result for result in results if result["n_steps"]]
    return [{**result, "settings": {**result["settings"], "n_steps": result["n_steps"]}} for result in trained]


def known_clusters(n: int = 100, size: int = 64, seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """Make points (N, size) of known arrangement, with their cluster (N,): of two sizes, at two distances, and one."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*clusters: tuple[float, float]) -> tuple[Tensor, Tensor]:
        points = [spread * torch.randn(n, size, generator=generator) for _, spread in clusters]
        for rows, (centre, _) in zip(points, clusters, strict=True):
            rows[:, 0] += centre
        return torch.cat(points), torch.arange(len(clusters)).repeat_interleave(n)

    return {
        "one ten times as wide": draw((0, 1), (100, 10)),
        "one five times as far": draw((0, 1), (20, 1), (120, 1)),
        "one cluster only": draw((0, 1)),
    }


def plot_tsne(perplexities: Sequence[int] = PERPLEXITIES) -> "Figure | None":
    """Plot the points of `known_clusters` in the plane of t-SNE, a row per arrangement and a column per perplexity.

    Without scikit-learn, print how to install it and return None.
    """
    if importlib.util.find_spec("sklearn") is None:
        print("t-SNE comes from scikit-learn: pip install scikit-learn")
        return None
    from sklearn.manifold import TSNE

    arrangements = known_clusters()
    from siamese_triplet.plots import new_figure

    figure, axes = new_figure(len(arrangements), len(perplexities), height=5.4)
    for row, (name, (points, clusters)) in zip(axes, arrangements.items(), strict=True):
        for ax, perplexity in zip(row, perplexities, strict=True):
            perplexity = min(perplexity, len(points) - 1)
            plane = TSNE(perplexity=perplexity, random_state=0, init="pca").fit_transform(points.numpy())
            for cluster in clusters.unique().tolist():
                shown = plane[(clusters == cluster).numpy()]
                ax.plot(*shown.T, MARKERS[cluster], color=COLOURS[2 * cluster], ms=3, alpha=0.7)
            ax.set(xticks=[], yticks=[])
            ax.set_aspect("equal", adjustable="datalim")
        row[0].set_ylabel(name, fontsize=9)
    for ax, perplexity in zip(axes[0], perplexities, strict=True):
        ax.set_title(f"perplexity {perplexity}", fontsize=9)
    return figure


def most_popular(n: int = 1000, sizes: Sequence[int] = (3, 30, 300), k: int = 10, seed: int = 0) -> dict[int, str]:
    """Count among how many others' `k` nearest the most popular of `n` random points is, by number of dimensions."""
    counts = {}
    for size in sizes:
        found = []
        for draw in range(3):
            points = torch.randn(n, size, generator=torch.Generator().manual_seed(seed + draw))
            nearest = torch.cdist(points, points).fill_diagonal_(torch.inf).topk(k, largest=False).indices
            found.append(float(nearest.flatten().bincount(minlength=n).max()))
        counts[size] = spread(found, ".0f")
    return counts
