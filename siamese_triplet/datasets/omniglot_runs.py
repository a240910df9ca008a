"""The 20 official one-shot runs of Omniglot: fixed episodes, each within one alphabet (Lake and others, 2015).

The zip archive is read directly, and its members are checked before they are unpacked.
"""

import hashlib
import http.client
import os
import re
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet.datasets._naming import printable
from siamese_triplet.datasets.downloads import DATA_VARIABLE, MissingDataError, cache_directory, named_folder
from siamese_triplet.datasets.downloads import download as fetch
from siamese_triplet.datasets.images import Images, normalization
from siamese_triplet.datasets.omniglot import MEAN, STD, check_image_size, damaged, read_drawing, shrink

RUNS, WAYS = 20, 20
ARCHIVE = Path("omniglot-one-shot") / "all_runs.zip"
URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/one-shot-classification/all_runs.zip"
SHA256 = "437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325"
MAX_BYTES = 2**22  # of the archive; the official one has 0.4 MB
MAX_LABELS = 2**14  # bytes of the labels of a run; the official ones have 980
LABEL = r"run{run:02}/test/item(\d\d)\.png\s+run{run:02}/training/class(\d\d)\.png"


class OneShotRuns(NamedTuple):
    """The drawings of all runs, and the indices of the support and of the query of each class in each run."""

    images: Images
    support: Tensor  # (20, 20, 1): runs, classes, drawings
    queries: Tensor  # (20, 20, 1)


def load_one_shot_runs(
    root: str | os.PathLike | None = None, download: bool = True, image_size: int | None = None
) -> OneShotRuns:
    """Load the 20 official one-shot runs of Omniglot: in each, 20 test drawings of 20 characters of one alphabet.

    They are the test that the authors of the data ask others to use. Their alphabets are in none of the background
    sets. Choose no setting with them. The data folder is that of `load_omniglot`; the runs are looked up in it as
    `omniglot-one-shot/all_runs.zip`. If they are missing and `download` is true, they are downloaded (0.4 MB), and kept
    only if their SHA-256 is the official one.

    Returns `OneShotRuns`. Its `images` are 800 drawings, uint8 (800, S, S) with S = `image_size`, by default 105;
    their `classes`, such as "run01/class08", and their `groups`, the runs.

    Raises ValueError for an `image_size` below 8 or above 105 and for a damaged archive; FileNotFoundError if there is
    none and it cannot be downloaded.
    """
    image_size = check_image_size(image_size)
    path = (named_folder(root) or cache_directory()) / ARCHIVE
    if not path.is_file():
        _find(path, download)
    try:
        with zipfile.ZipFile(path) as file:
            data, targets = _read(file)
    except Exception as error:  # zipfile, zlib and Pillow raise errors of several kinds
        raise damaged(path, error) from error
    return _make_runs(shrink(data, image_size), targets)


def has_one_shot_runs(root: str | os.PathLike | None = None) -> bool:
    """Tell whether `load_one_shot_runs` finds its archive without a download."""
    return ((named_folder(root) or cache_directory()) / ARCHIVE).is_file()


def _find(path: Path, wanted: bool) -> None:
    problem = fetch(lambda: _download(path), path.parent) if wanted else "download=False"
    if problem:
        raise MissingDataError(
            f"no one-shot runs of omniglot: there is no {printable(path)}, and it was not downloaded: {problem}. "
            f"Connect once, or name the folder that has them with root= or {DATA_VARIABLE}"
        )


def _download(path: Path) -> None:
    """Download the archive. Raises OSError for other contents than the official ones."""
    try:
        with urllib.request.urlopen(URL) as answer:
            contents = answer.read(MAX_BYTES)
    except http.client.HTTPException as error:
        raise OSError(f"the download broke off: {error!r}") from error
    if hashlib.sha256(contents).hexdigest() != SHA256:
        raise OSError(f"{URL} has other contents than the official runs, by their SHA-256")
    write_atomically(path, contents)


def _read(file: zipfile.ZipFile) -> tuple[Tensor, Tensor]:
    """Read the ink, uint8 (800, 105, 105), and the class of each: of every run the supports, then the queries."""
    n_drawings = sum(name.endswith(".png") for name in file.namelist())
    if n_drawings != 2 * RUNS * WAYS:
        raise ValueError(f"it holds {n_drawings} drawings, not the {2 * RUNS * WAYS} of the official archive")
    drawings, targets = [], []
    for run in range(1, RUNS + 1):
        names = [f"run{run:02}/{kind}{way:02}.png" for kind in ("training/class", "test/item") for way in _ways()]
        drawings += [read_drawing(file, name) for name in names]
        first = (run - 1) * WAYS
        targets += [first + way for way in (*range(WAYS), *_read_answers(file, run))]
    return 255 - torch.stack(drawings), torch.tensor(targets)


def _read_answers(file: zipfile.ZipFile, run: int) -> list[int]:
    """Read the class, from 0 on, of each test drawing of a run, in the order of the drawings."""
    name = f"run{run:02}/class_labels.txt"
    n_bytes = file.getinfo(name).file_size
    if n_bytes > MAX_LABELS:
        raise ValueError(f"{name} has {n_bytes:,} bytes, more than the {MAX_LABELS:,} that it may have")
    with file.open(name) as member:
        lines = member.read(MAX_LABELS).decode("ascii").split("\n")
    found = [re.fullmatch(LABEL.format(run=run), line.strip()) for line in lines if line.strip()]
    answers = {int(match[1]): int(match[2]) - 1 for match in found if match}
    if None in found or sorted(answers) != list(_ways()) or sorted(answers.values()) != list(range(WAYS)):
        raise ValueError(f"{name} does not name one test drawing for each of the {WAYS} classes")
    return [answers[item] for item in _ways()]


def _ways() -> range:
    return range(1, WAYS + 1)


def _make_runs(data: Tensor, targets: Tensor) -> OneShotRuns:
    runs = torch.arange(RUNS).repeat_interleave(2 * WAYS)  # (800,)
    names = [f"run{run:02}" for run in range(1, RUNS + 1)]
    images = Images(
        data,
        targets,
        [f"{run}/class{way:02}" for run in names for way in _ways()],
        False,
        normalization(MEAN, STD),
        groups=runs,
        group_names=names,
    )
    by_class = targets.argsort(stable=True).view(RUNS, WAYS, 2)  # the support of each class, then its query
    return OneShotRuns(images, by_class[..., :1], by_class[..., 1:])
