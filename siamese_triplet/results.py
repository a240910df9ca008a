"""Lists of results, each in one JSON file, that go on where they were interrupted."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from siamese_triplet.history import History
from siamese_triplet.runs import write_json

Key = dict[str, Any]  # what decides a result, and is part of it


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
