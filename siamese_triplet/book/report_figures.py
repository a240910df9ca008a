"""The figures of the book's report on the comparison of methods, each also in a narrow version for a phone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from siamese_triplet.book.results import TITLES

FIGURE, MINING_FIGURE = "comparison.svg", "mining.svg"
MINED = {"online random with a loss": "online mined"}  # rows of the figure with another name
IN_THE_TABLE_ONLY = "online semi-hard"  # a run that collapsed would stretch the axes
PANELS = {"kNN accuracy, %": "knn_accuracy", "MAP@R, %": "map_at_r"}
Groups = Mapping[str, Mapping[str, Sequence[float]]]


def draw_figures(seen: Mapping[str, Sequence[Mapping]], mining: Sequence[Mapping], folder: Path) -> None:
    """Draw the comparison of methods and that of what mining is worth, where there are results.

    `seen` are the rows of each data set, `mining` results with names such as "pairs, online mined".
    """
    rows = [(TITLES[dataset], result["row"], result) for dataset, results in seen.items() for result in results]
    named = [(*result["name"].split(", ", maxsplit=1), result) for result in mining]
    arms = [(group, MINED.get(row, row), result) for group, row, result in named if row != IN_THE_TABLE_ONLY]
    for name, results in ((FIGURE, rows), (MINING_FIGURE, arms)):
        if results:
            panels = {label: _groups(results, metric) for label, metric in PANELS.items()}
            _draw(panels, folder / name)
            _draw(panels, narrow(folder / name), is_narrow=True)


def narrow(path: Path) -> Path:
    """Name the version of a figure for a phone, which `tools/book_pages/pictures.py` shows: panels in a column."""
    return path.with_stem(f"{path.stem}-narrow")


def _groups(results: Sequence[tuple[str, str, Mapping[str, Any]]], metric: str) -> Groups:
    """Collect the values of `metric` by group and row; the group with the most rows comes first, and orders them."""
    groups: dict[str, dict[str, list[float]]] = {}
    for group, row, result in results:
        groups.setdefault(group, {}).setdefault(row, []).append(result[metric])
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def _draw(panels: Mapping[str, Groups], path: Path, is_narrow: bool = False) -> None:
    from siamese_triplet.plots import PAGE_WIDTH, new_figure, plot_groups
    from siamese_triplet.plots.figure import PHONE_WIDTH, add_legend

    n_rows = len({row for rows in next(iter(panels.values())).values() for row in rows})
    height, n = 0.9 + 0.34 * n_rows, len(panels)
    shape = (n, 1, n * height) if is_narrow else (1, n, height)
    figure, axes = new_figure(*shape, width=PHONE_WIDTH if is_narrow else PAGE_WIDTH)
    handles: dict[str, Any] = {}
    for ax, (label, groups) in zip(axes.flat, panels.items(), strict=True):
        plot_groups(groups, label, ax=ax)
        if (legend := ax.get_legend()) is not None:
            names = [text.get_text() for text in legend.texts]
            handles = dict(zip(names, legend.legend_handles, strict=True))
            legend.remove()
    for ax in axes.flat[1:]:
        ax.tick_params(labelleft=is_narrow)  # side by side the names of the rows are not repeated
    add_legend(figure, handles, {name: name for name in handles}, loc="outside lower center", ncols=2)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
