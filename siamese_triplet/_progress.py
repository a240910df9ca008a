"""A progress bar where somebody can see it."""

import os
import sys

from tqdm.auto import tqdm


def bar(total: int, unit: str, wanted: bool = True) -> tqdm:
    """Make a bar for a terminal or a notebook; elsewhere, and where TQDM_DISABLE is set, it is silent."""
    in_notebook = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)
    is_seen = wanted and (in_notebook or sys.stderr.isatty()) and not os.environ.get("TQDM_DISABLE")
    return tqdm(total=total, unit=f" {unit}", leave=False, disable=not is_seen)
