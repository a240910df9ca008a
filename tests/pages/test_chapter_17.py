"""Chapter 17 on folders such as people have: it runs from top to bottom, with a small network."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from own_folders import OWN_FOLDERS

from siamese_triplet import ConvEmbeddingNet
from siamese_triplet.networks import Preprocessing
from siamese_triplet.search import Index

CHAPTER = Path(__file__).parents[2] / "book" / "17_search.ipynb"


def small_net(name: str, image_size: int) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = ConvEmbeddingNet(16, (3, 16, 16), width=8)
    net.preprocessing = Preprocessing(16, 3, (0.5,) * 3, (0.25,) * 3)  # type: ignore[assignment]
    return net


def in_this_process(command: list[str], **_: Any) -> subprocess.CompletedProcess:
    """Run what `python -c program` would run, without the seconds that a process takes to start."""
    _, flag, program, *arguments = command
    assert flag == "-c"
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", ["-c", *arguments])
        exec(program, {})
    return subprocess.CompletedProcess(command, 0, printed.getvalue(), "")


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run all code cells of the chapter on `folder`; return their variables."""
    monkeypatch.setattr("siamese_triplet.networks.load_pretrained", small_net)
    monkeypatch.setattr(subprocess, "run", in_this_process)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    cells = json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert sum("MY_FOLDER = None" in source for source in sources) == 1
    variables: dict[str, Any] = {}
    for source in sources:
        if "%pip" not in source:
            exec(source.replace("MY_FOLDER = None", f"MY_FOLDER = {str(folder)!r}"), variables)
    return variables


@pytest.mark.parametrize("kind", OWN_FOLDERS)
def test_the_chapter_runs_on_any_folder(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder = OWN_FOLDERS[kind](tmp_path / "own")
    before = sorted(folder.rglob("*"))
    variables = run(folder, monkeypatch)
    printed = capsys.readouterr().out
    index: Index = variables["index"]
    assert sorted(folder.rglob("*")) == before  # the reader's own folder is left alone
    assert set(index.paths) | set(index.broken) == {
        path.relative_to(folder).as_posix() for path in before if path.suffix in (".jpg", ".png") and path.is_file()
    }
    assert "1 added, 0 changed, 1 removed; left out as they cannot be read: 1, 'broken.jpg'" in printed
    assert f"{len(index):,} images in the index" in printed
    assert "status 0, a page of" in printed
    assert ("no image has a class" in printed) == (not index.classes)
    assert ("no threshold:" in printed) == (index.threshold is None)
    shutil.rmtree(folder)
