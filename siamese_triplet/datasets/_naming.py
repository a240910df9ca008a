"""Paths and names: as users give them, and as messages show them."""

import os
from collections.abc import Iterable, Sized
from itertools import islice
from pathlib import Path
from typing import Any

MAX_NAMED = 10  # names in one message


def expand(path: str | os.PathLike) -> Path:
    """Replace a leading `~` or `~user` by the home folder; a name that no user has stays as it is."""
    return Path(os.path.expanduser(path))


def printable(text: object) -> str:
    """Convert `text`, such as a path, to characters that every UTF-8 output takes; bytes that are none are escaped."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def listed(names: Iterable[Any], most: int = MAX_NAMED) -> str:
    """List `names` in quotes, ten at most; of a longer list also say how many there are."""
    names = names if isinstance(names, Sized) else list(names)
    more = f", … ({len(names):,} in all)" if len(names) > most else ""
    return ", ".join(map(repr, islice(names, most))) + more
