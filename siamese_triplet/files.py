"""Files that are either the old ones or the new ones, whenever a process dies."""

import os
from pathlib import Path


def write_atomically(path: str | os.PathLike, contents: bytes) -> None:
    """Write `contents` to `path`, by way of a file beside it that takes its place when it is safely on disk.

    Missing folders are made. Raises OSError where the file cannot be written; what was there before is untouched.
    """
    path = Path(path).resolve()  # of a link, the file that it leads to
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")  # of a process that died here: overwritten by the next
    with open(partial, "wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    if os.name == "posix":  # the new name must be on disk too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
