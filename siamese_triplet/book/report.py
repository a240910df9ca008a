"""The book's report on the comparison of methods: tables and figures, with the origin of the results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet.book.comparison import DATASETS, N_SEEN
from siamese_triplet.book.results import TITLES, folded, origin, read_results, table
from siamese_triplet.book.sweep import SWEPT
from siamese_triplet.datasets.mnist import n_training_images

COMPARISON, UNSEEN, SWEEP = "comparison.json", "unseen.json", "sweep.json"
REPORT, SWEEP_REPORT = "comparison.md", "sweep.md"
FIGURE, SWEEP_FIGURE = "comparison.svg", "sweep.svg"
SEEN_METRICS = {
    "kNN accuracy": "knn_accuracy",
    "recall@1": "recall_at_1",
    "R-precision": "r_precision",
    "MAP@R": "map_at_r",
    "AUC": "auc",
    "EER": "eer",
}


def write_report(folder: Path) -> str:
    """Write `comparison.md` and `sweep.md`, and their figures, from the results in `folder`; return both texts.

    A file without results is left unchanged.
    """
    seen, unseen, swept = _results(folder)
    if seen and unseen:
        _draw(seen, unseen, folder / FIGURE)
        _draw(seen, unseen, narrow(folder / FIGURE), is_narrow=True)
    if swept:
        _draw_sweep(swept, folder / SWEEP_FIGURE)
        _draw_sweep(swept, narrow(folder / SWEEP_FIGURE), is_narrow=True)
    texts = {REPORT: report(folder), SWEEP_REPORT: sweep_report(folder)}
    for name, text in texts.items():
        if text.strip():
            write_atomically(folder / name, text.encode())
    return "\n".join(texts.values())


def narrow(path: Path) -> Path:
    """Name the version of a figure for a phone, which `tools/book_pages/pictures.py` shows: panels in a column."""
    return path.with_stem(f"{path.stem}-narrow")


def report(folder: Path) -> str:
    """Format the tables of the methods from the results in `folder`, with the origin of the results.

    Parts without results are left out. Only the longest runs count, and runs on the embedded images only if there are
    no others.
    """
    seen, unseen, _ = _results(folder)
    parts = []
    for dataset in DATASETS:
        if selected := [result for result in seen if result["dataset"] == dataset]:
            parts += [f"**{TITLES[dataset]}**, all figures in per cent", _joint_table(selected, unseen, dataset)]
    if seen:
        parts.append(folded("Where the columns on trained classes come from", origin(seen, _n_images(seen))))
    if seen and unseen:
        images = f"those of six classes of {_n_images(unseen)}"
        parts.append(folded("Where the columns of one-shot accuracy come from", origin(unseen, images)))
    return "\n\n".join(parts) + "\n"


def sweep_report(folder: Path) -> str:
    """Format the tables of the sweep in `folder`, one per setting, with the origin of the results."""
    swept = _results(folder)[2]
    parts = []
    for name in _swept_settings(swept):
        results = [result for result in swept if result["swept"] == name]
        parts += [f"**{name}**", _sweep_table(results)]
    if swept:
        parts.append(folded("Where these numbers come from", origin(swept, _n_images(swept))))
    return "\n\n".join(parts) + "\n"


def _results(folder: Path) -> list[list[Mapping]]:
    """Read the results that count: on seen classes, on unseen classes, and of the sweep."""
    return [_best_trained(read_results(folder / name)) for name in (COMPARISON, UNSEEN, SWEEP)]


def _n_images(results: Sequence[Mapping]) -> str:
    """Format the number of training images in the full or the embedded data."""
    numbers = {n_training_images(result.get("subset")) for result in results}
    return " or ".join(f"{number:,}" for number in sorted(numbers))


def _best_trained(results: Sequence[Mapping]) -> list[Mapping]:
    """Per configuration keep the best-trained results: full data first, then most epochs."""

    def configuration(result: Mapping) -> tuple[str, ...]:
        names = ("dataset", "method", "embedding_size", "swept", "change")
        return tuple(str(result.get(name)) for name in names)

    def extent(result: Mapping) -> tuple[int, int]:
        return n_training_images(result.get("subset")), result["n_epochs"]

    most: dict[tuple[str, ...], tuple[int, int]] = {}
    for result in results:
        most[configuration(result)] = max(extent(result), most.get(configuration(result), (0, 0)))
    return [result for result in results if extent(result) == most[configuration(result)]]


def _swept_settings(swept: Sequence[Mapping]) -> list[str]:
    return [name for name in SWEPT if any(result["swept"] == name for result in swept)]


def _joint_table(seen: Sequence[Mapping], unseen: Sequence[Mapping], dataset: str) -> str:
    columns = {
        title: (lambda result, name=name: result[name])
        for title, name in SEEN_METRICS.items()
        if name not in ("eer", "r_precision")
    }
    held_out = [result for result in unseen if result["dataset"] == dataset]
    sizes = sorted({result["embedding_size"] for result in held_out})
    for size in sizes:
        columns[f"one-shot, {size}-D"] = _one_shot_column(size)
    trained = {result["method"] for result in seen}
    return table([*seen, *(result for result in held_out if result["method"] in trained)], "method", columns)


def _one_shot_column(size: int) -> Any:
    def one_shot(result: Mapping[str, Any]) -> float:
        if result.get("embedding_size") != size:
            raise KeyError(size)
        return result["unseen"]["one_shot"]

    return one_shot


def _sweep_table(results: Sequence[Mapping]) -> str:
    columns = {title: (lambda result, name=name: result[name]) for title, name in SEEN_METRICS.items()}
    columns.pop("EER")
    return table(results, change_of, columns)


def change_of(result: Mapping[str, Any]) -> str:
    """Describe the change of a result of the sweep: the batch and its learning rate, or the value of the setting."""
    change = result["change"]
    if "n_samples" not in change:
        return str(next(iter(change.values())))
    rate = f", rate {change['learning_rate']:g}" if "learning_rate" in change else ""
    return f"{change['n_classes']} × {change['n_samples']}{rate}"


def _draw(seen: Sequence[Mapping], unseen: Sequence[Mapping], path: Path, is_narrow: bool = False) -> None:
    from siamese_triplet.plots import new_figure, plot_groups
    from siamese_triplet.plots.figure import PHONE_WIDTH, add_legend

    figure, axes = new_figure(3, 1, 7.2, width=PHONE_WIDTH) if is_narrow else new_figure(1, 3, 3.4)
    axes = axes.flatten()
    handles: dict[str, Any] = {}
    kinds = (("kNN accuracy, %", seen, lambda r: r["knn_accuracy"]), ("MAP@R, %", seen, lambda r: r["map_at_r"]))
    size = max(result["embedding_size"] for result in unseen)
    unseen = [r for r in unseen if r["embedding_size"] == size and r["method"] in {s["method"] for s in seen}]
    one_shot = f"one-shot, {10 - N_SEEN} held-out\nclasses, {size}-D, %"
    for ax, (label, results, metric) in zip(
        axes, (*kinds, (one_shot, unseen, lambda r: r["unseen"]["one_shot"])), strict=True
    ):
        groups: dict[str, dict[str, list[float]]] = {}
        for result in results:
            groups.setdefault(TITLES[result["dataset"]], {}).setdefault(result["method"], []).append(metric(result))
        plot_groups(groups, label, ax=ax)
        if (legend := ax.get_legend()) is not None:
            names = [text.get_text() for text in legend.texts]
            handles = dict(zip(names, legend.legend_handles, strict=True))
            legend.remove()
    rows = [[label.get_text() for label in ax.get_yticklabels()] for ax in axes]
    for ax, names in zip(axes[1:], rows[1:], strict=True):
        ax.tick_params(labelleft=is_narrow or names != rows[0])  # side by side no repetition of the names of methods
    add_legend(figure, handles, {name: name for name in handles}, loc="outside lower center", ncols=2)
    _save(figure, path)


def _draw_sweep(swept: Sequence[Mapping], path: Path, is_narrow: bool = False) -> None:
    from siamese_triplet.plots import new_figure, plot_groups
    from siamese_triplet.plots.figure import PAGE_WIDTH, PHONE_WIDTH

    names = _swept_settings(swept)
    n_columns, width = (1, PHONE_WIDTH) if is_narrow else (2, PAGE_WIDTH)
    n_rows = -(-len(names) // n_columns)
    figure, axes = new_figure(n_rows, n_columns, 2.6 * n_rows, width=width)
    figure.get_layout_engine().set(h_pad=0.12)  # inches between a label and the title below
    for ax in axes.flat[len(names) :]:
        ax.remove()
    for ax, name in zip(axes.flat, names, strict=False):
        rows: dict[str, list[float]] = {}
        for result in swept:
            if result["swept"] == name:
                rows.setdefault(change_of(result), []).append(result["map_at_r"])
        plot_groups({name: rows}, "MAP@R, %", ax=ax)
        ax.set_title(name)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
