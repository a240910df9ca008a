"""The book's report on the comparison of methods: tables and figures, with the origin of the results."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet.book.comparison import DATASETS
from siamese_triplet.book.evidence import PIXELS, SOFTMAX, UNTRAINED, evidence_results, reference_results
from siamese_triplet.book.results import TITLES, folded, markdown_table, origin, read_results, table, table_cells
from siamese_triplet.book.sweep import SWEPT
from siamese_triplet.datasets.mnist import n_training_images

COMPARISON, UNSEEN, SWEEP = "comparison.json", "unseen.json", "sweep.json"
SEEN_METRICS = {"MAP@R": "map_at_r", "kNN accuracy": "knn_accuracy", "recall@1": "recall_at_1", "AUC": "auc"}
SWEEP_METRICS = {
    "kNN accuracy": "knn_accuracy",
    "recall@1": "recall_at_1",
    "R-precision": "r_precision",
    "MAP@R": "map_at_r",
    "AUC": "auc",
}
EXTENDED = {"mining": (PIXELS, UNTRAINED), "early": (), "recommended": (PIXELS,), "plane": ()}  # references
BY_COSINE, AS_MANY_STEPS = "softmax, by cosine", "triplet, as many steps"
ROWS = (
    PIXELS, UNTRAINED, SOFTMAX, BY_COSINE, "siamese", "triplet", AS_MANY_STEPS, "online-contrastive", "online-triplet",
)  # fmt: skip


def write_report(folder: Path) -> str:
    """Write the tables and figures from the results in `folder`, and return the text of all tables.

    A file without results is left unchanged.
    """
    from siamese_triplet.book.report_figures import draw_figures

    mining = _best_trained(evidence_results(folder, "mining"))
    draw_figures({dataset: seen_rows(folder, dataset) for dataset in DATASETS}, mining, folder)
    texts = reports(folder)
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    return "\n".join(texts.values())


def reports(folder: Path) -> dict[str, str]:
    """Format the tables from the results in `folder`, by the names of their files; without results there is none."""
    texts = {
        "comparison.md": report(folder),
        **{f"{part}.md": _extended_report(folder, part) for part in EXTENDED},
        "sweep.md": sweep_report(folder),
    }
    return {name: text for name, text in texts.items() if text.strip()}


def report(folder: Path) -> str:
    """Format the tables of the methods from the results in `folder`, with the origin of the results.

    Parts without results are left out. Only the longest runs count, and runs on the embedded images only if there are
    no others.
    """
    parts, used = [], []
    for dataset in DATASETS:
        if rows := seen_rows(folder, dataset):
            parts += [f"**{TITLES[dataset]}**, all figures in per cent", table(rows, "row", _columns(SEEN_METRICS))]
            used += rows
    return _joined([*parts, _folded_origin(used)] if used else [])


def seen_rows(folder: Path, dataset: str) -> list[Mapping[str, Any]]:
    """Collect the results on `dataset` in the order of `ROWS`, each with the name of its `row`.

    Without trained methods there are no rows.
    """
    seen = [{**result, "row": result["method"]} for result in _best_trained(read_results(folder / COMPARISON))]
    references = _best_trained(evidence_results(folder, "references"))
    cosine = [{**result, **result["cosine"], "row": BY_COSINE} for result in references if "cosine" in result]
    untrained = [{**result, "row": result["name"]} for result in references if "cosine" not in result]
    longer = _best_trained([*evidence_results(folder, "mining"), *evidence_results(folder, "steps")])
    steps = [{**result, "row": AS_MANY_STEPS} for result in longer if result["name"].endswith("as many steps")]
    if not any(result["dataset"] == dataset for result in seen):
        return []
    found = [result for result in (*untrained, *seen, *cosine, *steps) if result["dataset"] == dataset]
    return sorted(found, key=lambda result: ROWS.index(result["row"]))


def _extended_report(folder: Path, part: str) -> str:
    """Format results by name, with the steps, images and minutes of their training; minutes by the part `costs`."""
    trained = _best_trained(evidence_results(folder, part))
    if not trained:
        return ""
    references = _best_trained(reference_results(folder, EXTENDED[part]))
    results = [*({"n_steps": 0, "n_images": 0, **result} for result in references), *trained]
    of_part = [cost for cost in evidence_results(folder, "costs") if cost["part"] == part]
    per_step = {cost["name"]: cost["seconds"] for cost in of_part}
    heads, extents = ["steps", "images, millions", *["minutes"][: len(of_part)]], {}
    for result in results:
        steps, name = result["n_steps"], result["name"]
        minutes = [f"{steps * per_step.get(name, 0) / 60:.1f}"] if per_step else []
        extent = [f"{steps:,}", f"{result['n_images'] / 1e6:.2f}", *minutes]
        extents[name] = extent if steps else ["–"] * len(heads)
    cells = table_cells(results, "name", _columns(SEEN_METRICS))
    lines = [[name, *row, *extents[name]] for name, row in cells.items()]
    return _joined([markdown_table(["", *SEEN_METRICS, *heads], lines), _folded_origin(results)])


def sweep_report(folder: Path) -> str:
    """Format the tables of the sweep in `folder`, one per setting, with the origin of the results."""
    swept = _best_trained(read_results(folder / SWEEP))
    parts = []
    for name in SWEPT:
        if results := [result for result in swept if result["swept"] == name]:
            parts += [f"**{name}**", table(results, change_of, _columns(SWEEP_METRICS))]
    return _joined([*parts, _folded_origin(swept)] if swept else [])


def change_of(result: Mapping[str, Any]) -> str:
    """Describe the change of a result of the sweep: the batch and its learning rate, or the value of the setting."""
    change = result["change"]
    if "n_samples" not in change:
        return str(next(iter(change.values())))
    rate = f", rate {change['learning_rate']:g}" if "learning_rate" in change else ""
    return f"{change['n_classes']} × {change['n_samples']}{rate}"


def _columns(metrics: Mapping[str, str]) -> dict[str, Callable[[Mapping[str, Any]], float]]:
    return {title: itemgetter(name) for title, name in metrics.items()}


def _folded_origin(results: Sequence[Mapping]) -> str:
    """List the origin of results, folded away in the page."""
    numbers = {n_training_images(result.get("subset")) for result in results}
    images = " or ".join(f"{number:,}" for number in sorted(numbers))
    timed = [{"seconds": 0, **result} for result in results]  # what was not trained took no time to train
    return folded("Where these numbers come from", origin(timed, images))


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _best_trained(results: Sequence[Mapping]) -> list[Mapping]:
    """Per configuration keep the best-trained results: full data first, then most epochs."""

    def configuration(result: Mapping) -> tuple[str, ...]:
        names = ("dataset", "method", "name", "embedding_size", "swept", "change")
        return tuple(str(result.get(name)) for name in names)

    def extent(result: Mapping) -> tuple[int, int]:
        return n_training_images(result.get("subset")), {**result.get("settings", {}), **result}["n_epochs"]

    most: dict[tuple[str, ...], tuple[int, int]] = {}
    for result in results:
        most[configuration(result)] = max(extent(result), most.get(configuration(result), (0, 0)))
    return [result for result in results if extent(result) == most[configuration(result)]]
