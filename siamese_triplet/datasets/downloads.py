"""Where data sets are looked for, and how torchvision is asked to download them."""

import contextlib
import io
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

DATA_VARIABLE = "SIAMESE_TRIPLET_DATA"
DOWNLOAD_TIMEOUT = 20  # seconds without an answer
ONE_AT_A_TIME = threading.Lock()  # the timeout and what is printed are those of the whole process
DOWNLOAD_STEPS = (
    "Downloading",
    "Failed to download",
    "Error downloading",
    "Tried",
)  # what torchvision says beside causes


class MissingDataError(FileNotFoundError):
    """Data that are neither there nor could be downloaded. The message says what to do."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message alone, as no line of code is at fault."""
        return [f"{type(self).__name__}: {self}"]


def named_place(root: str | os.PathLike | None) -> Path | None:
    """The folder of the data that was named: `root`, else what SIAMESE_TRIPLET_DATA says; None for neither."""
    named = root or os.environ.get(DATA_VARIABLE)
    return Path(named) if named else None


def cache_directory() -> Path:
    """Where data go that no place was named for."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siamese_triplet"


def download(fetch: Callable[[], object], folder: Path) -> str | None:
    """Call `fetch`, which downloads into `folder`; returns the problem in a few words, None if there was none.

    A second download, in another thread, waits for the first.
    """
    with ONE_AT_A_TIME:
        return _download(fetch, folder)


def _download(fetch: Callable[[], object], folder: Path) -> str | None:
    timeout = socket.getdefaulttimeout()
    printed = io.StringIO()
    new_folders = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        with _quiet(printed):
            fetch()
    except (RuntimeError, OSError) as error:
        with contextlib.suppress(OSError):  # not empty: what has arrived is kept for the next try
            for new_folder in new_folders:
                new_folder.rmdir()
        lines = f"{printed.getvalue()}\n{error}".splitlines()  # older versions of torchvision only print the cause
        causes = [line for line in lines if line.strip() and not line.startswith(DOWNLOAD_STEPS)]
        return causes[-1] if causes else type(error).__name__
    finally:
        socket.setdefaulttimeout(timeout)
    return None


def _quiet(printed: io.StringIO) -> contextlib.AbstractContextManager:
    """Takes what torchvision prints of every mirror that it tries; not beside the main thread, which prints as well."""
    if threading.current_thread() is threading.main_thread():
        return contextlib.redirect_stdout(printed)
    return contextlib.nullcontext()
