"""The tables of the book are what the files in `book/results` give, and these say what they came from."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
from tables import RESULTS, out_of_step, tables  # noqa: E402

from siamese_triplet.book.results import spread  # noqa: E402

SHOWN = {"10_unseen_classes.ipynb": "unseen.json", "11_omniglot.ipynb": "omniglot.json"}  # as tables, by chapters
GROUP = ("dataset", "method", "embedding_size", "name")  # what a row of a table is about


def test_the_tables_of_the_results_are_what_the_results_give() -> None:
    assert out_of_step() == [], "run python tools/tables.py"


def test_every_table_is_on_a_page_and_every_page_takes_its_tables_from_there() -> None:
    pages = "\n".join(path.read_text() for path in (ROOT / "book").glob("*.md"))
    included = re.findall(r"^```\{include\} results/(.+)$", pages, re.MULTILINE)
    assert set(included) == set(tables())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the results, and tables that fit them."""
    copy = Path(shutil.copytree(RESULTS, tmp_path / "results"))
    for name, text in tables(copy).items():
        (copy / name).write_text(text)
    return copy


@pytest.mark.parametrize(
    ("result", "number", "table"),
    [
        ("comparison.json", ("map_at_r",), "comparison.md"),
        ("unseen.json", ("unseen", "one_shot"), "comparison.md"),
        ("reproduction.json", ("knn_accuracy",), "reproduction.md"),
        ("selection.json", ("training_share", "step"), "selection.md"),
        ("training.json", ("memory", "growth"), "training.md"),
        ("evaluation.json", ("load",), "evaluation.md"),
    ],
)
def test_a_result_that_is_edited_is_found(result: str, number: tuple[str, ...], table: str, folder: Path) -> None:
    assert out_of_step(folder) == []
    found = json.loads((folder / result).read_text())
    for one in found if isinstance(found, list) else [found]:
        for key in number[:-1]:
            one = one[key]
        one[number[-1]] = 1.1 * one[number[-1]] + 0.1
    (folder / result).write_text(json.dumps(found))
    assert out_of_step(folder) == [table]


@pytest.mark.parametrize("name", sorted(tables()))
def test_a_digit_that_is_changed_in_a_table_is_found(name: str, folder: Path) -> None:
    text = (folder / name).read_text()
    place = re.search(r"\d(?= \|$)", text, re.MULTILINE).start()
    (folder / name).write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")
    assert out_of_step(folder) == [name]


def test_results_from_the_embedded_images_are_not_said_to_be_from_all(folder: Path) -> None:
    path = folder / "comparison.json"
    path.write_text(json.dumps([result | {"subset": "embedded"} for result in json.loads(path.read_text())]))
    assert "- training images: 6,000\n" in tables(folder)["comparison.md"]


def test_a_table_that_no_results_give_is_found(folder: Path) -> None:
    (folder / "more.md").write_text("| best | 99.9 |\n")
    assert out_of_step(folder) == ["more.md"]


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_each_row_of_a_chapters_tables_comes_from_one_group_of_results(name: str) -> None:
    groups = list(spreads(json.loads((RESULTS / SHOWN[name]).read_text())))
    rows = list(table_rows(ROOT / "book" / name))
    assert rows
    for row in rows:
        assert any(row <= of_group for of_group in groups), f"python tools/execute.py --runs book/results; {row}"


def test_a_row_with_a_changed_number_comes_from_no_group_of_results() -> None:
    groups = list(spreads(json.loads((RESULTS / "omniglot.json").read_text())))
    row = next(table_rows(ROOT / "book" / "11_omniglot.ipynb"))
    assert not any({*sorted(row)[:-1], "99.9 ± 0.1"} <= of_group for of_group in groups)


def table_rows(path: Path) -> Iterator[set[str]]:
    """The cells of each row, but the first, of the Markdown tables among a notebook's outputs."""
    cells = json.loads(path.read_text())["cells"]
    shown = ["".join(o.get("data", {}).get("text/markdown", "")) for c in cells for o in c.get("outputs", [])]
    for line in "\n".join(shown).replace("\u00a0", " ").replace("*", "").splitlines():
        cells = [cell.strip() for cell in line.split("|")[2:-1]]
        if cells and any(re.match(r"\d", cell) for cell in cells) and not any("shot" in cell for cell in cells):
            yield set(cells)


def spreads(results: list[dict[str, Any]]) -> Iterator[set[str]]:
    """For each group of results all its figures in per cent, as a table shows them."""
    groups: dict[tuple, list[dict[str, float]]] = {}
    for result in results:
        groups.setdefault(tuple(result.get(key) for key in GROUP), []).append(figures(result))
    for group in groups.values():
        yield {spread([100 * one[key] for one in group]).replace("\u00a0", " ") for key in group[0]}


def figures(result: dict[str, Any]) -> dict[str, float]:
    inner = {f"{part}/{key}": value for part, of in result.items() if isinstance(of, dict) for key, value in of.items()}
    return {key: value for key, value in inner.items() if isinstance(value, float)}


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_say_when_where_and_with_what_they_were_made(path: Path) -> None:
    found = json.loads(path.read_text())
    results: list[dict[str, Any]] = found if isinstance(found, list) else [found]
    assert results
    for result in results:
        made = result.get("made") or result["machine"]
        assert {"date", "threads", "python", "torch"} <= made.keys()
        assert made.get("device") or made.get("processor")
        if "made" in result:
            assert isinstance(result.get("seed", result.get("run", {}).get("seed")), int)
            assert result["seconds"] > 0
