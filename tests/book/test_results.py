"""The tables of the book match the files in `book/results`, and these state their origin."""

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

from siamese_triplet.book.results import is_ahead, spread  # noqa: E402
from siamese_triplet.live import train_in_page  # noqa: E402

sys.path.append(str(ROOT / "benchmarks"))
import page  # noqa: E402

CHAPTERS = {  # chapters with tables
    "10_unseen_classes.ipynb": ["unseen.json"],
    "11_omniglot.ipynb": ["omniglot.json", "omniglot-official.json", "omniglot-references.json"],
}
GROUP = ("dataset", "method", "embedding_size", "name")  # the keys that identify a row of a table


def test_the_tables_match_the_results() -> None:
    assert out_of_step() == [], "run python tools/tables.py"


def test_the_pages_include_exactly_the_tables_of_the_results() -> None:
    pages = "\n".join(path.read_text() for path in (ROOT / "book").glob("*.md"))
    included = re.findall(r"^```\{include\} results/(.+)$", pages, re.MULTILINE)
    assert set(included) == set(tables()) - {"sweep.md"}  # chapter 13 makes its tables itself


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the results, with matching tables."""
    copy = Path(shutil.copytree(RESULTS, tmp_path / "results"))
    for name, text in tables(copy).items():
        (copy / name).write_text(text)
    return copy


@pytest.mark.parametrize(
    ("result", "number", "table"),
    [
        ("comparison.json", ("map_at_r",), "comparison.md"),
        ("mining.json", ("knn_accuracy",), "mining.md"),
        ("reproduction.json", ("knn_accuracy",), "reproduction.md"),
        ("selection.json", ("training_share", "step"), "selection.md"),
        ("training.json", ("memory", "growth"), "training.md"),
        ("evaluation.json", ("load",), "evaluation.md"),
    ],
)
def test_an_edited_result_is_found(result: str, number: tuple[str, ...], table: str, folder: Path) -> None:
    assert out_of_step(folder) == []
    contents = json.loads((folder / result).read_text())
    for values in contents if isinstance(contents, list) else [contents]:
        for key in number[:-1]:
            values = values[key]
        values[number[-1]] = 1.1 * values[number[-1]] + 0.1
    (folder / result).write_text(json.dumps(contents))
    assert table in out_of_step(folder)


@pytest.mark.parametrize("name", sorted(tables()))
def test_a_changed_digit_in_a_table_is_found(name: str, folder: Path) -> None:
    text = (folder / name).read_text()
    place = re.search(r"\d(?= \|$)", text, re.MULTILINE).start()
    (folder / name).write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")
    assert out_of_step(folder) == [name]


def test_the_table_states_that_results_are_from_the_embedded_images(folder: Path) -> None:
    for name in ("comparison", "mining", "steps", "references"):  # all rows of the table
        if (path := folder / f"{name}.json").exists():
            path.write_text(json.dumps([result | {"subset": "embedded"} for result in json.loads(path.read_text())]))
    assert "- training images: 6,000\n" in tables(folder)["comparison.md"]


def test_a_table_without_results_is_found(folder: Path) -> None:
    (folder / "more.md").write_text("| best | 99.9 |\n")
    assert out_of_step(folder) == ["more.md"]


@pytest.mark.parametrize("name", sorted(CHAPTERS))
def test_each_row_of_a_chapters_tables_comes_from_one_group_of_results(name: str) -> None:
    groups = [group for path in CHAPTERS[name] for group in spreads(json.loads((RESULTS / path).read_text()))]
    rows = list(table_rows(ROOT / "book" / name))
    assert rows
    for row in rows:
        assert any(row <= group for group in groups), f"python tools/execute.py --runs book/results; {row}"


def test_a_row_with_a_changed_number_matches_no_group_of_results() -> None:
    groups = list(spreads(json.loads((RESULTS / "omniglot.json").read_text())))
    row = next(table_rows(ROOT / "book" / "11_omniglot.ipynb"))
    assert not any({*sorted(row)[:-1], "99.9 ± 0.1"} <= group for group in groups)


def table_rows(path: Path) -> Iterator[set[str]]:
    """Yield the cells of each row of numbers in the Markdown tables among a notebook's outputs, without the first."""
    cells = json.loads(path.read_text())["cells"]
    tables = ["".join(o.get("data", {}).get("text/markdown", "")) for c in cells for o in c.get("outputs", [])]
    for line in "\n".join(tables).replace("\u00a0", " ").replace("*", "").splitlines():
        cells = [cell.strip() for cell in line.split("|")[2:-1]]
        if cells and any(re.match(r"\d", cell) for cell in cells) and not any("shot" in cell for cell in cells):
            yield set(cells) - {"–"}


def spreads(results: list[dict[str, Any]]) -> Iterator[set[str]]:
    """Yield all metrics of each group of results in per cent, formatted as in a table.

    Then each metric of a group over all data sets, seed by seed, as in a table whose columns are seeds.
    """
    groups: dict[tuple, list[dict[str, float]]] = {}
    seeds: dict[tuple, list[dict[str, float]]] = {}
    for result in results:
        groups.setdefault(tuple(result.get(key) for key in GROUP), []).append(flat_metrics(result))
        seeds.setdefault(tuple(result.get(key) for key in GROUP[1:]), []).append(flat_metrics(result))
    for group in groups.values():
        yield {spread([100 * one[key] for one in group]).replace("\u00a0", " ") for key in group[0]}
    for group in seeds.values():
        yield from ({spread([100 * one[key]]) for one in group} for key in group[0])


def flat_metrics(result: dict[str, Any]) -> dict[str, float]:
    parts = {part: values for part, values in result.items() if isinstance(values, dict)}
    flat = {f"{part}/{key}": value for part, values in parts.items() for key, value in values.items()}
    return {key: value for key, value in flat.items() if isinstance(value, float)}


NOT_TRAINED = ("pixels", "untrained network", "frozen features", "modified Hausdorff distance")


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_state_their_date_machine_and_versions(path: Path) -> None:
    contents = json.loads(path.read_text())
    results: list[dict[str, Any]] = contents if isinstance(contents, list) else [contents]
    assert results
    for result in results:
        made = result.get("made") or result["machine"]
        assert {"date", "threads", "python", "torch"} <= made.keys()
        assert made.get("device") or made.get("processor")
        if "made" in result:
            assert isinstance(result.get("seed", result.get("run", {}).get("seed")), int)
            assert result["seconds"] > 0 or result.get("name", result.get("loss")) in NOT_TRAINED or "n_nets" in result


def page_runs(chapter: str) -> list[list[dict]]:
    """The results of each run that begins in the page of a chapter, a list with one per seed."""
    rows = json.loads((RESULTS / "page.json").read_text())["chapters"]
    groups: dict[str, list[dict]] = {}
    for row in rows:
        if row["chapter"] == chapter:
            groups.setdefault(json.dumps(row["run"]), []).append(row)
    return list(groups.values())


def shares(rows: list[dict], name: str, step: int) -> list[float]:
    assert len(rows) == 3
    return [dict(row[name])[step] for row in rows]


@pytest.mark.parametrize("chapter", page.CHAPTERS)
def test_the_stored_runs_are_those_of_the_page(chapter: str) -> None:
    """The benchmark trains what `train_in_page` begins with in the chapter."""
    cells = json.loads((ROOT / "book" / f"{chapter}.ipynb").read_text())["cells"]
    [call] = [source for cell in cells if (source := "".join(cell["source"])).startswith("train_in_page(")]
    start = eval(call, {"train_in_page": train_in_page}).data["start"]
    first = {name: start[name] for name in ("method", "selector", "margin") if start[name] not in ("", 1.0)}
    second = {**first, start["beside"]: start["value"]}
    expected = [first, second] if start["beside"] else [first]
    assert [{name: str(value) for name, value in run.items()} for run in page.CHAPTERS[chapter]] == [
        {name: str(value) for name, value in run.items()} for run in expected
    ]
    assert [group[0]["run"] for group in page_runs(chapter)] == page.CHAPTERS[chapter]
    assert (start["data"], start["geometry"], start["batch"], start["rate"]) == ("mnist", "plane", "10 × 16", 1e-3)


def test_what_the_chapters_say_of_three_seeds_in_the_page() -> None:
    small, large = page_runs("02_siamese")
    assert not is_ahead(shares(large, "accuracy", 401), shares(small, "accuracy", 401))
    [triplets] = page_runs("03_triplet")
    assert [round(50 * share) for share in shares(triplets, "active", 101)] == [16, 16, 12]  # about fifteen of fifty
    hard, random = page_runs("04_online_pairs")
    assert is_ahead(shares(hard, "accuracy", 101), shares(random, "accuracy", 101))
    assert min(shares(hard, "active", 101)) == 1
    assert all(a > b for a, b in zip(shares(random, "active", 101), shares(random, "active", 401), strict=True))
    milder, hardest = page_runs("05_online_triplets")
    assert all(row["collapse"] <= 36 for row in hardest)
    assert all(row["collapse"] is None for row in milder)
    assert is_ahead(shares(milder, "accuracy", 101), shares(hardest, "accuracy", 101))
