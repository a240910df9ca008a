"""The chapter on your own images, run from top to bottom on folders of every kind."""

import builtins
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from own_folders import OWN_FOLDERS, large

from siamese_triplet.book import own_images
from siamese_triplet.book.recipes import RECIPE_VARIABLE
from siamese_triplet.datasets import plan

CHAPTER = Path(__file__).parents[2] / "book" / "16_your_own_images.ipynb"
SCRATCH, PRETRAINED = "untrained network", "frozen network"
PATHS = {  # of each kind of folder: the network that it starts from, and lines that prove which way was taken
    "3 classes x 20": (PRETRAINED, "split by image", "P = 3 classes", "searched among the training images"),
    "12 classes x 10": (SCRATCH, "split by image", "P = 12 classes", "searched among the training images"),
    "30 classes x 10": (SCRATCH, "split by class", "6-way 1-shot", "6 new classes"),
    "60 classes x 3 to 6": (PRETRAINED, "split by class", "5-way 1-shot", "images repeat", "12 new classes"),
    "2,000 classes x 2": (SCRATCH, "split by class", "K = 2 images", "400 new classes"),
    "one image of half of the classes": (SCRATCH, "split by image", "20 in no part", "20 classes that were trained on"),
    "one image of each class": (PRETRAINED, "no split", "nothing was trained", "no test: ", "label first"),
    "one class": ("pixels", "no split", "there is one class", "no test: ", "label first"),
    "two images of two classes": ("pixels", "no split", "nothing was trained", "the most doubtful labels"),
    "flat": (PRETRAINED, "the images have no classes", "no test: ", "spread_out", "label first"),
    "flat with a CSV": (SCRATCH, "classes from the table 'labels.csv'", "split by image", "P = 8 classes"),
    "names in any script": (SCRATCH, "split by class", "new classes"),
    "broken files": (SCRATCH, "6 broken files are left out", "split by image"),
    "nested": (SCRATCH, "one sub-folder per class", "8 classes that were trained on"),
    "train, val and test": (SCRATCH, "parts: 'train' for training", "split as given"),
    "30,000 images": (SCRATCH, "from disk", "split by class", "60 new classes"),
}


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what is printed, and choose a short recipe."""
    lines: list[str] = []
    monkeypatch.setattr(builtins, "print", lambda *given, sep=" ", **_: lines.append(sep.join(map(str, given))))
    monkeypatch.setenv(RECIPE_VARIABLE, "quick:1:20")
    return lines


def test_every_kind_of_folder_is_here() -> None:
    assert set(PATHS) == set(OWN_FOLDERS)


@pytest.mark.parametrize("kind", PATHS)
def test_the_chapter_runs_on_any_folder(
    kind: str, printed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, *expected = PATHS[kind]
    folder = tmp_path / "root"
    if kind == "30,000 images":
        large(folder, 900)
        monkeypatch.setattr(plan, "free_memory", lambda: 20_000_000)
    else:
        OWN_FOLDERS[kind](folder)
    monkeypatch.setattr(own_images, "has_pretrained", lambda: start == PRETRAINED)
    names = run_chapter(folder)
    text = "\n".join(printed)
    for line in (f"to compare with: {start}", *expected):
        assert line in text, f"{line!r} is not in\n{text}"
    assert names["plan"].can_train == ("trained for 1 epoch" in text)


def run_chapter(folder: Path) -> dict[str, Any]:
    """Run all code cells but the first, which installs the package in Colab, on `folder`; return their names."""
    matplotlib.use("agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    sources = [cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells if cell.cell_type == "code"]
    assert "MY_FOLDER = None" in "".join(sources)
    for source in sources[1:]:
        code = TransformerManager().transform_cell(source.replace("MY_FOLDER = None", f"MY_FOLDER = {str(folder)!r}"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fonts lack some letters, and folders hold other files
            exec(code, names)
            plt.close("all")
    return names
