"""Atomic writes of files, and digests that reveal damage."""

import hashlib
import os
from pathlib import Path

DIGEST_SIZE = hashlib.sha256().digest_size


def write_atomically(path: str | os.PathLike, contents: bytes) -> None:
    """Write `contents` to a file beside `path`, and rename it to `path` once it is on disk.

    Missing folders are created. If the file cannot be written, an OSError is raised and the old file stays intact.
    """
    path = Path(path).resolve()  # replace the target of a link, not the link
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")  # one left by a process that died is overwritten
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


def seal(contents: bytes) -> bytes:
    """Append a digest to `contents`, for `unseal`."""
    return contents + hashlib.sha256(contents).digest()


def unseal(packed: bytes, writer: str) -> bytes:
    """Return the contents that `writer` sealed. Raises ValueError, naming it, if a byte is missing or differs."""
    contents, digest = packed[:-DIGEST_SIZE], packed[-DIGEST_SIZE:]
    if digest != hashlib.sha256(contents).digest():
        raise ValueError(f"it is truncated or damaged, or nothing that {writer} has written")
    return contents
