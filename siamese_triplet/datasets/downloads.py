"""Lookup of data folders, and downloads by torchvision."""

import contextlib
import io
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from siamese_triplet.datasets._naming import expand, printable

DATA_VARIABLE = "SIAMESE_TRIPLET_DATA"
DOWNLOAD_TIMEOUT = 20  # seconds without an answer
ONE_AT_A_TIME = threading.Lock()  # the socket timeout and stdout are shared by the whole process
DOWNLOAD_STEPS = ("Downloading", "Failed to download", "Error downloading", "Tried")  # lines that name no cause


class MissingDataError(FileNotFoundError):
    """The data is not on disk and was not downloaded. The message says what to do."""

    def _render_traceback_(self) -> list[str]:
        """Render only the message in a notebook: no line of the reader's code is at fault."""
        return [f"{type(self).__name__}: {self}"]


def named_folder(root: str | os.PathLike | None) -> Path | None:
    """Return the data folder given by `root`, else by SIAMESE_TRIPLET_DATA; None without either.

    A leading `~` is the home folder.
    """
    named = root or os.environ.get(DATA_VARIABLE)
    return expand(named) if named else None


def cache_directory() -> Path:
    """Return the data folder for when none is named."""
    return expand(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siamese_triplet"


def download(fetch: Callable[[], object], folder: Path) -> str | None:
    """Call `fetch`, which downloads into `folder`; return the problem in a few words, or None.

    Downloads in several threads run one at a time.
    """
    with ONE_AT_A_TIME:
        return _download(fetch, folder)


def _download(fetch: Callable[[], object], folder: Path) -> str | None:
    timeout = socket.getdefaulttimeout()
    printed = io.StringIO()
    new_folders = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        with _capture_stdout(printed):
            fetch()
    except (RuntimeError, OSError) as error:
        with contextlib.suppress(OSError):  # not empty: finished files are kept for the next try
            for new_folder in new_folders:
                new_folder.rmdir()
        lines = f"{printed.getvalue()}\n{error}".splitlines()  # older versions of torchvision only print the cause
        causes = [line for line in lines if line.strip() and not line.startswith(DOWNLOAD_STEPS)]
        return printable(causes[-1]) if causes else type(error).__name__
    finally:
        socket.setdefaulttimeout(timeout)
    return None


def _capture_stdout(printed: io.StringIO) -> contextlib.AbstractContextManager:
    """Capture torchvision's lines about each mirror; only in the main thread, as all threads share stdout."""
    if threading.current_thread() is threading.main_thread():
        return contextlib.redirect_stdout(printed)
    return contextlib.nullcontext()
