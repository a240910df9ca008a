"""Files that are either the old ones or the new ones, whenever a process dies, and that tell when they are damaged."""

import hashlib
import os
from pathlib import Path

DIGEST_SIZE = hashlib.sha256().digest_size


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


def sealed(contents: bytes) -> bytes:
    """`contents` with a digest of them at the end, for `unsealed`."""
    return contents + hashlib.sha256(contents).digest()


def unsealed(packed: bytes, writer: str) -> bytes:
    """What `sealed` was given by `writer`. Raises ValueError, naming it, where a byte is missing or differs."""
    contents, digest = packed[:-DIGEST_SIZE], packed[-DIGEST_SIZE:]
    if digest != hashlib.sha256(contents).digest():
        raise ValueError(f"it is truncated or damaged, or nothing that {writer} has written")
    return contents
