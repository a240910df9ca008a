"""Results in JSON lists, which resume after an interruption, and the tables made from them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from siamese_triplet.runs.provenance import write_json
from siamese_triplet.trainer import History

T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # 97.5 %, of 1 to 9 degrees of freedom
Key = dict[str, Any]  # all that decides a result, and part of the result
TITLES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
Results = Sequence[Mapping[str, Any]]
Quantity = Callable[[Mapping[str, Any]], float]


def check_complete(history: History, n_epochs: int) -> None:
    """Raise KeyboardInterrupt for a run with fewer than `n_epochs`: at Ctrl-C `fit` returns the history so far."""
    if history.n_epochs < n_epochs:
        raise KeyboardInterrupt


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read the list of results in `path`; a missing file gives an empty list. Raises ValueError for a damaged one."""
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
    path: Path | None, keys: Iterable[Key], compute: Callable[[Key], dict[str, Any]], verbose: bool = True
) -> list[dict[str, Any]]:
    """Return the result of each key, including the key: from the list in `path`, or computed now and added to it.

    Without a path nothing is kept.
    """
    kept = read_results(path) if path is not None else []
    found = []
    for key in keys:
        known = [result for result in kept if all(result.get(name) == value for name, value in key.items())]
        if not known:
            if verbose:
                print(", ".join(str(value) for value in key.values()), flush=True)
            known = [key | compute(key)]
            kept += known
            if path is not None:
                write_json(path, kept)
        found += known
    return found


def table(
    results: Results,
    rows: str | Callable[[Mapping[str, Any]], str],
    columns: Mapping[str, Quantity],
    percent: bool = True,
    best: bool = True,
) -> str:
    """Format mean ± standard deviation over the seeds as a table in Markdown: a row per value of `rows`.

    - `rows`: a key of the results, or a function of a result; the rows are in the order of their first result.
    - `columns`: functions of a result, by title; a KeyError means that the result lacks the quantity.
    - `percent`: multiply by 100 and show one digit, instead of three.
    - `best`: show the best mean of a column in bold if it is ahead of all others, see `is_ahead`.
    """
    cells = table_cells(results, rows, columns, percent, best)
    return markdown_table(["", *columns], [[name, *row] for name, row in cells.items()])


def table_cells(
    results: Results,
    rows: str | Callable[[Mapping[str, Any]], str],
    columns: Mapping[str, Quantity],
    percent: bool = True,
    best: bool = True,
) -> dict[str, list[str]]:
    """Format the cells of `table`, by the names of its rows."""
    name_of = rows if callable(rows) else lambda result: result[rows]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(str(name_of(result)), []).append(result)
    values = {name: [quantities(group, column) for column in columns.values()] for name, group in groups.items()}
    factor, digits = (100, 1) if percent else (1, 3)
    found: dict[str, list[str]] = {}
    for name, row in values.items():
        found[name] = []
        for number, seed_values in enumerate(row):
            cell = spread([factor * value for value in seed_values], f".{digits}f")
            others = [other[number] for other_name, other in values.items() if other_name != name and other[number]]
            is_best = best and others and all(is_ahead(seed_values, other) for other in others)
            found[name].append(f"**{cell}**" if is_best else cell)
    return found


def is_ahead(values: Sequence[float], others: Sequence[float]) -> bool:
    """Tell whether `values` are greater than `others`, and their 95 % intervals do not overlap.

    At least three values are needed. A single other one is taken as it is, as that of pixels, which have no seed.

    >>> from siamese_triplet.book.results import is_ahead
    >>> is_ahead([0.91, 0.92, 0.93], [0.85, 0.86, 0.87]), is_ahead([0.91, 0.92, 0.93], [0.88, 0.89, 0.90])
    (True, False)
    """
    if len(values) < 3 or not others:
        return False
    return interval(values)[0] > (interval(others)[1] if len(others) > 1 else others[0])


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of at least two values, by Student's t (Student, 1908).

    >>> from siamese_triplet.book.results import interval
    >>> low, high = interval([0.91, 0.92, 0.93])
    >>> round(low, 3), round(high, 3)
    (0.895, 0.945)
    """
    half = T_QUANTILES[min(len(values) - 1, len(T_QUANTILES)) - 1] * stdev(values) / len(values) ** 0.5
    return mean(values) - half, mean(values) + half


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in Markdown; columns of numbers and dashes, except for the first column, are right-aligned.

    >>> from siamese_triplet.book.results import markdown_table
    >>> print(markdown_table(["method", "accuracy"], [["softmax", "98.9"], ["triplet", "–"]]))
    | method | accuracy |
    | --- | ---: |
    | softmax | 98.9 |
    | triplet | – |
    """
    columns = [[row[number] for row in rows] for number in range(1, len(head))]
    are_numeric = [
        all(cell.strip("*")[:1] in "×+-–−" or cell.strip("*")[0].isdigit() for cell in column) for column in columns
    ]
    align = ["---", *("---:" if is_numeric else "---" for is_numeric in are_numeric)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, align, *rows))


def quantities(results: Results, quantity: Quantity) -> list[float]:
    """Compute `quantity` for each result that has it."""
    found = []
    for result in results:
        try:
            found.append(quantity(result))
        except KeyError:
            continue
    return found


def spread(values: Sequence[float], form: str = ".1f", sd_form: str | None = None) -> str:
    """Format mean ± standard deviation without a line break; one value stands alone, and none gives a dash.

    `form` and `sd_form` are format specifications, such as ".1f".
    """
    if not values:
        return "–"
    middle = f"{mean(values):{form}}"
    return middle if len(values) == 1 else f"{middle}\u00a0±\u00a0{stdev(values):{sd_form or form}}"


def origin(results: Results, n_images: str, **more: Iterable[str]) -> str:
    """List the origin of results: their seeds, epochs or steps, images, `more`, devices, versions, dates and time."""
    made = [result["made"] for result in results]
    extent = "steps" if all("n_steps" in result.get("settings", {}) for result in results) else "epochs"
    parts = {
        "seeds": (str(result["seed"]) for result in results),
        extent: (str({**result.get("settings", {}), **result}[f"n_{extent}"]) for result in results),
        "training images": [n_images],
        **more,
        "device": (f"{run['device']}, threads: {run['threads']}" for run in made),
        "versions": (f"torch {run['torch']}, Python {run['python']}" for run in made),
        "dates": (run["date"] for run in made),
    }
    lines = [f"- {name}: {', '.join(_distinct(values))}" for name, values in parts.items()]
    hours = sum(result["seconds"] for result in results) / 3600
    return "\n".join([*lines, f"- time to train, of {len(results)} runs together: {hours:.1f} hours"])


def folded(summary: str, text: str) -> str:
    """Format `text` in Markdown as a part of a page that opens at a click on `summary`."""
    return f'<details class="origin"><summary>{summary}</summary>\n\n{text}\n\n</details>'


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values), key=lambda value: (len(value), value))
