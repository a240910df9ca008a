"""A lock on a folder. The system releases it when its process ends, also when the process is killed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from siamese_triplet._validation import warn

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`. A missing folder is created; the file of the lock is removed at the end.

    Raises ValueError if another process holds the lock. A file system without locks gives a warning, and no lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    file = _open_locked(path)
    try:
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(file)
            with suppress(OSError):  # the next process has opened it already
                path.unlink()
        else:  # removed while it is locked: nobody else's lock is removed
            with suppress(OSError):
                path.unlink()
            os.close(file)


def _open_locked(path: Path) -> int:
    """Open `path` with an exclusive lock, and return its descriptor."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            _lock(file, path.parent)
        except BaseException:
            os.close(file)
            raise
        if _is_same(file, path):
            return file
        os.close(file)  # its last holder removed it between the two steps


def _lock(file: int, folder: Path) -> None:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise ValueError(
            f"another process is training in {folder}; wait until it has ended, or name another folder"
        ) from error
    except OSError as error:  # not every network file system has locks
        warn(f"{folder} cannot be locked ({error}); start no second process on it")


def _is_same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False
