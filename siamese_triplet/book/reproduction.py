"""The book's experiments at the full recipe: two data sets, five methods, several seeds, and one result file each."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from siamese_triplet.book.results import TITLES
from siamese_triplet.methods import FULL_EPOCHS, METHODS, Speed
from siamese_triplet.runs import HISTORY, Data, Run, differences, train_run, write_json

DATASETS = ("mnist", "fashion-mnist")

# The validation figures at the last epoch of the tutorial that the book grew out of (Bielski, 2018), from its log. Its
# online contrastive loss has no ½, and it uses one anchor of each positive pair: half of the loss and twice the number
# of triplets that it prints stand here, to be compared with ours.
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
    results: Path,
    work: Path,
    *,
    datasets: Sequence[str] = DATASETS,
    methods: Iterable[str] = tuple(METHODS),
    seeds: Iterable[int] = range(3),
    n_epochs: int = FULL_EPOCHS,
    embedded: bool = False,
    speed: Speed | None = None,
    **where: Any,
) -> None:
    """Train every experiment that has no result yet, one after the other.

    A result is a file in `results`, called as `run_name` says: history, evaluation, seed, device, versions, data
    and wall time. The runs themselves, with their checkpoints, are in `work`, and go on from there when interrupted.
    `where` is the `root` of the data and the `device`, for `train_run`. Raises ValueError for the result of a run with
    other settings under the same name.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError(
            "reproduce trains one run after another in one process; start it without torchrun, and several at once, if "
            "you like, each with a data set or a method of its own"
        )
    methods, speed = tuple(methods), speed or Speed()
    for seed in seeds:
        for dataset in datasets:
            for method in methods:
                name = run_name(dataset, method, seed, speed.bfloat16)
                run = Run(Data(dataset, embedded), METHODS[method], n_epochs, seed, speed)
                if _has_result(results / f"{name}.json", run):
                    print(f"{name}: has a result already", flush=True)
                    continue
                print(name, flush=True)
                evaluation = train_run(run, work / name, **where)
                assert evaluation is not None  # as there is one process
                history = json.loads((work / name / HISTORY).read_text())
                write_json(results / f"{name}.json", evaluation | {"history": history})


def _has_result(path: Path, run: Run) -> bool:
    """Whether `path` holds the result of `run`. Raises ValueError where it is that of a run with other settings."""
    if not path.exists():
        return False
    differing = differences(json.loads(path.read_text())["run"], run)
    if differing:
        raise ValueError(
            f"{path} is the result of a run with other settings: {'; '.join(differing)}. Name another folder for the "
            "results, or move it away"
        )
    return True


def run_name(dataset: str, method: str, seed: int, bfloat16: bool) -> str:
    """What a run and its result are called: `mnist-softmax-0`, or `mnist-softmax-bfloat16-0`."""
    return "-".join([dataset, method, *(["bfloat16"] if bfloat16 else []), str(seed)])


def summary(results: Path) -> str:
    """A table of all results in the folder, mean ± standard deviation over the seeds, beside the original's log.

    Behind them, in brackets, how many seeds are at least as good. Below the table stands what the results came from. No
    results give a line that says so.
    """
    found = [json.loads(path.read_text()) for path in sorted(results.glob("*-[0-9]*.json"))]
    if not found:
        return f"There are no results in {results}."
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for result in found:
        run = result["run"]
        groups.setdefault((run["data"]["name"], run["experiment"]["method"], _arithmetic(result)), []).append(result)
    kinds = sorted({kind for _, _, kind in groups})
    parts = []
    for dataset in sorted({dataset for dataset, _, _ in groups}, reverse=True):
        rows = [["method", "quantity", "log", *kinds], ["---"] * 2 + ["---:"] * (1 + len(kinds))]
        for method in METHODS:
            rows += _rows(dataset, method, [groups.get((dataset, method, kind), []) for kind in kinds])
        parts += [f"**{TITLES[dataset]}**", "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    return "\n\n".join([*parts, _origin(found)])


def _rows(dataset: str, method: str, runs_of_kinds: list[list[dict[str, Any]]]) -> list[list[str]]:
    """The rows of one experiment, none where it was not run; the first says which it is."""
    if not any(runs_of_kinds):
        return []
    rows = []
    for quantity, original in ORIGINAL[dataset, method].items():
        cells = [_compared([run["last_epoch"][quantity] for run in runs], quantity, original) for runs in runs_of_kinds]
        rows.append([quantity.removeprefix("val_").replace("_", " "), f"{original:.4g}", *cells])
    cells = [_spread([100 * run["knn_accuracy"] for run in runs]) for runs in runs_of_kinds]
    rows.append(["kNN accuracy", "–", *cells])
    return [[method if number == 0 else "", *row] for number, row in enumerate(rows)]


def _arithmetic(result: dict[str, Any]) -> str:
    return "bfloat16" if result["run"]["speed"]["bfloat16"] else "float32"


def _compared(values: Sequence[float], quantity: str, original: float) -> str:
    as_good = [value >= original if "accuracy" in quantity else value <= original for value in values]
    return f"{_spread(values)} ({sum(as_good)} of {len(values)})" if values else "–"


def _origin(found: list[dict[str, Any]]) -> str:
    """What the results came from; what differs between them is listed."""
    run, made = (lambda result: result["run"]), (lambda result: result["made"])
    parts = {
        "seeds": lambda result: str(run(result)["seed"]),
        "epochs": lambda result: str(result["n_epochs"]),
        "training images": lambda result: f"{result['n_train']:,}",
        "layout": lambda result: "channels last" if run(result)["speed"]["channels_last"] else "channels first",
        "device": lambda result: f"{made(result)['device']}, threads: {made(result)['threads']}",
        "versions": lambda result: f"torch {made(result)['torch']}, Python {made(result)['python']}",
        "dates": lambda result: made(result)["date"],
    }
    lines = [f"- {name}: {', '.join(sorted({value(result) for result in found}))}" for name, value in parts.items()]
    hours = sum(result["seconds"] for result in found) / 3600
    return "\n".join([*lines, f"- time to train, of {len(found)} runs together: {hours:.1f} hours"])


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.4g}"
    deviation = stdev(values)
    return f"{mean(values):.4g} ± {deviation:.2g}" if deviation < 10 else f"{mean(values):.4g} ± {deviation:.0f}"
