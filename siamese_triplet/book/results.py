"""Lists of results, each in one JSON file, that go on where they were interrupted."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from siamese_triplet.runs import write_json
from siamese_triplet.trainer import History

Key = dict[str, Any]  # what decides a result, and is part of it
TITLES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
Results = Sequence[Mapping[str, Any]]
Figure = Callable[[Mapping[str, Any]], float]


def check_whole(history: History, n_epochs: int) -> None:
    """Raise a KeyboardInterrupt for a run that ended before its `n_epochs`, as `fit` does without one at Ctrl-C."""
    if history.n_epochs < n_epochs:
        raise KeyboardInterrupt


def read_results(path: Path) -> list[dict[str, Any]]:
    """The list of results in `path`, empty where there is no such file. Raises ValueError for a damaged one."""
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} holds no list of results, or a damaged one: {error}; move it away") from error
    if not isinstance(found, list) or not all(isinstance(result, dict) for result in found):
        raise ValueError(f"{path} holds no list of results, but other JSON; name the file that `compare` wrote")
    return found


def collect(
    path: Path | None, keys: Iterable[Key], results: Callable[[Key], dict[str, Any]], verbose: bool = True
) -> list[dict[str, Any]]:
    """The result of each key, itself included: from the list in `path`, or made and added to it, one after the other.

    Without a path nothing is kept.
    """
    kept = read_results(path) if path is not None else []
    found = []
    for key in keys:
        known = [result for result in kept if all(result.get(name) == value for name, value in key.items())]
        if not known:
            if verbose:
                print(", ".join(str(value) for value in key.values()), flush=True)
            known = [key | results(key)]
            kept += known
            if path is not None:
                write_json(path, kept)
        found += known
    return found


def table(
    results: Results,
    rows: str | Callable[[Mapping[str, Any]], str],
    columns: Mapping[str, Figure],
    percent: bool = True,
    best: bool = True,
) -> str:
    """A row for each value of `rows`, in the order of their first result, a column for each of `columns`.

    `rows` is a key of the results or a function of one; a column is a function of one, which may raise KeyError where a
    result has no such figure. In bold stands the best mean of each column, as rounded, where
    `best` asks for it.
    """
    name_of = rows if callable(rows) else lambda result: result[rows]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(str(name_of(result)), []).append(result)
    values = {name: [figures(group, of) for of in columns.values()] for name, group in groups.items()}
    factor, digits = (100, 1) if percent else (1, 3)
    tops = [
        max((round(factor * mean(row[number]), digits) for row in values.values() if row[number]), default=None)
        for number in range(len(columns))
    ]
    header = ["", *columns]
    lines = [header, ["---", *["---:"] * len(columns)]]
    for name, row in values.items():
        cells = []
        for of_seeds, top in zip(row, tops, strict=True):
            cell = spread([factor * value for value in of_seeds], digits)
            is_best = best and of_seeds and round(factor * mean(of_seeds), digits) == top
            cells.append(f"**{cell}**" if is_best else cell)
        lines.append([name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figures(results: Results, of: Figure) -> list[float]:
    """`of` of each result that has such a figure."""
    found = []
    for result in results:
        try:
            found.append(of(result))
        except KeyError:
            continue
    return found


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation, on one line; the value alone where there is one, a dash where there is none."""
    if not values:
        return "–"
    middle = f"{mean(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle}\u00a0±\u00a0{stdev(values):.{digits}f}"


def origin(results: Results, n_images: str) -> str:
    """What the results came from: seeds, epochs, device, versions, dates and time; what differs is listed."""
    made = [result["made"] for result in results]
    parts = {
        "seeds": (str(result["seed"]) for result in results),
        "epochs": (
            str(result["n_epochs"] if "n_epochs" in result else result["settings"]["n_epochs"]) for result in results
        ),
        "training images": [n_images],
        "device": (f"{of['device']}, threads: {of['threads']}" for of in made),
        "versions": (f"torch {of['torch']}, Python {of['python']}" for of in made),
        "dates": (of["date"] for of in made),
    }
    lines = [f"- {name}: {', '.join(_distinct(values))}" for name, values in parts.items()]
    hours = sum(result["seconds"] for result in results) / 3600
    return "\n".join([*lines, f"- time to train, of {len(results)} runs together: {hours:.1f} hours"])


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values), key=lambda value: (len(value), value))
