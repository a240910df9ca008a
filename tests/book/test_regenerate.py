"""The command that regenerates all results and outputs of the book: complete, and in step with the stored ones."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from siamese_triplet.__main__ import main
from siamese_triplet.book import comparison, official, omniglot
from siamese_triplet.book.cli import add_book_commands
from siamese_triplet.cli import parser

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
from regenerate import CHAPTERS_OF, STEPS  # noqa: E402


def test_every_notebook_is_executed_once() -> None:
    executed = [name for chapters in CHAPTERS_OF.values() for name in chapters.split()]
    assert sorted(executed) == sorted(path.stem for path in (ROOT / "book").glob("*.ipynb"))


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_a_script_or_a_command_of_the_package(step: str) -> None:
    script, *options = shlex.split(STEPS[step])
    if script == "-m":
        assert options.pop(0) == "siamese_triplet"
        parser(add_book_commands).parse_args(options)
    else:
        text = (ROOT / script).read_text()
        assert all(option in text for option in options if option.startswith("--"))


@pytest.mark.parametrize(
    "step", ["methods", "settings", "evidence", "omniglot", "omniglot-selection", "omniglot-official"]
)
def test_the_step_would_make_exactly_the_stored_results(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any, **options: Any) -> None:
        raise AssertionError("a result is missing from book/results, or was made in another way")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(comparison, "fit_method", fail)
    monkeypatch.setattr(omniglot, "train_characters", fail)
    monkeypatch.setattr(official, "train_characters", fail)
    monkeypatch.setattr(official, "embed_views", fail)
    before = {path: path.read_bytes() for path in (ROOT / "book" / "results").iterdir()}
    assert main(shlex.split(STEPS[step])[2:]) == 0
    assert {path: path.read_bytes() for path in (ROOT / "book" / "results").iterdir()} == before
