"""The book's experiments at the full recipe, five methods on two data sets, beside the original's log."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

from siamese_triplet.book.results import (
    TITLES,
    Key,
    Results,
    collect,
    folded,
    markdown_table,
    origin,
    read_results,
    spread,
)
from siamese_triplet.methods import FULL_EPOCHS, METHODS, Speed
from siamese_triplet.runs import Data, Run, train_run
from siamese_triplet.runs.run import HISTORY

DATASETS = ("mnist", "fashion-mnist")
REPRODUCTION = "reproduction.json"

# The validation metrics at the last epoch of the tutorial that the book grew out of (Bielski, 2018), from its log. Its
# online contrastive loss has no ½, and it uses one anchor per positive pair. To be comparable with ours, these are half
# of the logged loss and twice the logged number of triplets.
ORIGINAL = {
    ("mnist", "softmax"): {"val_accuracy": 99.04, "val_loss": 0.0898},
    ("mnist", "siamese"): {"val_loss": 0.0041},
    ("mnist", "triplet"): {"val_loss": 0.0196},
    ("mnist", "online-contrastive"): {"val_loss": 0.0147 / 2},
    ("mnist", "online-triplet"): {"val_loss": 1.2147, "val_nonzero_triplets": 2 * 352},
    ("fashion-mnist", "softmax"): {"val_accuracy": 90.72, "val_loss": 0.4207},
    ("fashion-mnist", "siamese"): {"val_loss": 0.0274},
    ("fashion-mnist", "triplet"): {"val_loss": 0.0741},
    ("fashion-mnist", "online-contrastive"): {"val_loss": 0.1386 / 2},
    ("fashion-mnist", "online-triplet"): {"val_loss": 1.3636, "val_nonzero_triplets": 2 * 1727},
}


def reproduce(
    path: Path,
    work: Path,
    *,
    datasets: Sequence[str] = DATASETS,
    methods: Iterable[str] = tuple(METHODS),
    seeds: Iterable[int] = range(3),
    n_epochs: int = FULL_EPOCHS,
    embedded: bool = False,
    speed: Speed | None = None,
    verbose: bool = True,
    **where: Any,
) -> list[dict[str, Any]]:
    """Train every experiment without a result in the list `path`, one after the other, and return all results.

    A result has the evaluation, history, seed, device, versions and wall time of its run. The runs are in `work`, with
    their checkpoints, under the names of `run_name`; an interrupted one resumes. `where` is the `root` of the data and
    the `device`, for `train_run`. Raises ValueError under `torchrun`, and if `work` holds a run of the same name with
    other settings.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError("reproduce trains one run after another in one process; start it without torchrun")
    methods, speed = tuple(methods), speed or Speed()

    def compute(key: Key) -> dict[str, Any]:
        run = Run(Data(key["dataset"], embedded), METHODS[key["method"]], n_epochs, key["seed"], speed)
        folder = work / run_name(key["dataset"], key["method"], key["seed"], speed.bfloat16)
        evaluation = train_run(run, folder, **where)
        assert evaluation is not None  # there is only one process
        return evaluation | {"history": json.loads((folder / HISTORY).read_text())}

    keys = (
        {
            "dataset": dataset,
            "method": method,
            "seed": seed,
            "n_epochs": n_epochs,
            "subset": "embedded" if embedded else None,
            "speed": str(speed),
        }
        for seed in seeds
        for dataset in datasets
        for method in methods
    )
    return collect(path, keys, compute, verbose)


def run_name(dataset: str, method: str, seed: int, bfloat16: bool) -> str:
    """Name the folder of a run: `mnist-softmax-0`, or `mnist-softmax-bfloat16-0`."""
    return "-".join([dataset, method, *(["bfloat16"] if bfloat16 else []), str(seed)])


def summary(path: Path) -> str:
    """Format the results in the list `path` beside the original's log: mean ± standard deviation over the seeds.

    The number in brackets counts the seeds that are at least as good as the log. Below the tables stands the origin of
    the results. An empty list gives a line that says so.
    """
    results = read_results(path)
    if not results:
        return f"There are no results in {path}."
    kinds = sorted({_arithmetic(result) for result in results})
    parts = []
    for dataset in sorted({result["dataset"] for result in results}, reverse=True):
        selected = [result for result in results if result["dataset"] == dataset]
        rows = [row for method in METHODS for row in _rows(selected, dataset, method, kinds)]
        parts += [f"**{TITLES[dataset]}**", markdown_table(["method", "quantity", "log", *kinds], rows)]
    n_images = " or ".join(f"{n:,}" for n in sorted({result["n_train"] for result in results}))
    layouts = ("channels last" if "channels last" in result["speed"] else "channels first" for result in results)
    return "\n\n".join([*parts, folded("Where these numbers come from", origin(results, n_images, layout=layouts))])


def _rows(results: Results, dataset: str, method: str, kinds: Sequence[str]) -> list[list[str]]:
    """Format the rows of one experiment, none if it was not run; only the first names the method."""
    groups = [[r for r in results if r["method"] == method and _arithmetic(r) == kind] for kind in kinds]
    if not any(groups):
        return []
    rows = []
    for quantity, logged in ORIGINAL[dataset, method].items():
        cells = [
            _beside_log([result["last_epoch"][quantity] for result in group], quantity, logged) for group in groups
        ]
        rows.append([quantity.removeprefix("val_").replace("_", " "), f"{logged:.4g}", *cells])
    rows.append(
        ["kNN accuracy", "–", *(_spread([100 * result["knn_accuracy"] for result in group]) for group in groups)]
    )
    return [["" if number else method, *row] for number, row in enumerate(rows)]


def _arithmetic(result: Mapping[str, Any]) -> str:
    return result["speed"].partition(",")[0]


def _beside_log(values: Sequence[float], quantity: str, logged: float) -> str:
    is_as_good = [value >= logged if "accuracy" in quantity else value <= logged for value in values]
    return f"{_spread(values)} ({sum(is_as_good)} of {len(values)})" if values else "–"


def _spread(values: Sequence[float]) -> str:
    return spread(values, ".4g", ".2g" if len(values) < 2 or stdev(values) < 10 else ".0f")
