"""Atomic writes of files, and digests that reveal damage."""

import hashlib
import os
import secrets
from pathlib import Path

DIGEST_SIZE = hashlib.sha256().digest_size
MAX_NAME = 50  # characters of its later name in the name of an unfinished file; file systems take 255 bytes


def write_atomically(path: str | os.PathLike, contents: bytes) -> None:
    """Write `contents` to a new file beside `path`, and rename it to `path` once it is on disk.

    A leading `~` is the home folder. Missing folders are created. If the file cannot be written, an OSError is raised
    and the old file stays intact. The new file has a random name until then, so that several processes can write to one
    path; a process that is killed leaves it behind, as `<name>.<random>.partial`.
    """
    path = Path(os.path.expanduser(path)).resolve()  # replace the target of a link, not the link
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name[:MAX_NAME]}.{secrets.token_hex(8)}.partial")
    file = open(partial, "xb")  # noqa: SIM115 - exclusive: neither a file nor a link of that name is written through
    try:
        with file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:  # an interruption too
        partial.unlink(missing_ok=True)
        raise
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
