"""No result of a run is typed in the prose of a page: such numbers are included from `book/results`.

A number that no run made, such as a setting or the size of the data, stands in `numbers_allowed.json`: per page, each
phrase with a reason. The reasons "code" and "output" are checked: each number of the phrase must be in the code, or in
the compared outputs, of the same notebook.
"""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
from prose import NUMBER, find_unexplained, prose  # noqa: E402

ALLOWED: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("numbers_allowed.json").read_text())
EVERYWHERE = list(ALLOWED.pop("everywhere"))
PAGES = [*sorted((ROOT / "book").glob("*.ipynb")), *sorted((ROOT / "book").glob("*.md"))]
PAGES += [ROOT / "README.md", ROOT / "CHANGELOG.md"]
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
ADVICE = "numbers of runs are included from book/results; others go into tests/pages/numbers_allowed.json with a reason"


@pytest.mark.parametrize("name", NAMES)
def test_no_number_is_typed_in_prose_without_a_reason(name: str) -> None:
    assert find_unexplained(prose(ROOT / name), EVERYWHERE, list(ALLOWED.get(name, {}))) == [], ADVICE


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_an_allowed_phrase_is_on_the_page_and_its_reason_holds(name: str) -> None:
    text = prose(ROOT / name)
    for phrase, reason in ALLOWED[name].items():
        assert phrase in text, f"{phrase!r} is not in {name} any more; take it out of tests/pages/numbers_allowed.json"
        assert NUMBER.search(phrase), phrase
        assert reason, phrase
        assert is_traced(phrase, reason, ROOT / name), f"{phrase!r} in {name} is not in its {reason}"


def is_traced(phrase: str, reason: str, path: Path) -> bool:
    return reason not in ("code", "output") or numbers(phrase) <= numbers(source(path, reason))


def source(path: Path, kind: str) -> str:
    """Return the "code" of a notebook, or the text of its compared outputs."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    if kind == "code":
        return "\n".join("".join(cell["source"]) for cell in cells)
    compared = [cell for cell in cells if "nbval-ignore-output" not in cell["metadata"].get("tags", [])]
    return "\n".join("".join(output.get("text", "")) for cell in compared for output in cell["outputs"])


def numbers(text: str) -> set[float]:
    return {float(number) for number in re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d)[,_](?=\d{3})", "", text))}


@pytest.mark.parametrize(
    "claim",
    [
        "It reaches an accuracy of 91.4 %.",
        "It is three times faster.",
        "An epoch takes 20 s, and the margin of 1 matters.",
        "In $0.93$ of all cases it is right.",
        "One in 345,601 triplets is active.",
        "```{figure} results/selection.svg\n:alt: The line ends at 97.\n:width: 100%\n```",
    ],
)
def test_a_typed_result_is_found(claim: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n```\npython --epochs 7\n```\n\n{claim}\n")
    assert len(find_unexplained(prose(page), EVERYWHERE, ["345,60", "345,600 triplets", "1 triplets"])) == 1


def test_code_links_and_the_digits_of_formulas_do_not_count(tmp_path: Path) -> None:
    page = tmp_path / "page.ipynb"
    text = "`x[3]`, [a page](04_pairs.ipynb), $\\tfrac{1}{2} d^2$, {cite:p}`wu2017`\n\n```\n12 s\n```\n"
    page.write_text(json.dumps({"cells": [{"cell_type": "markdown", "metadata": {}, "source": [text]}]}))
    assert find_unexplained(prose(page), EVERYWHERE, []) == []


@pytest.mark.parametrize(
    ("phrase", "reason", "is_there"),
    [
        ("a margin of 0.5", "code", True),
        ("a margin of 0.6", "code", False),
        ("1,200 triplets", "output", True),
        ("7 batches", "output", False),
        ("any 3", "an example", True),
    ],
)
def test_a_number_is_searched_in_the_place_of_its_reason(
    phrase: str, reason: str, is_there: bool, tmp_path: Path
) -> None:
    def cell(text: str, *tags: str) -> dict:
        outputs = [{"output_type": "stream", "name": "stdout", "text": [text]}]
        return {"cell_type": "code", "metadata": {"tags": tags}, "source": ["margin = 0.5"], "outputs": outputs}

    page = tmp_path / "page.ipynb"
    page.write_text(json.dumps({"cells": [cell("1200 triplets"), cell("7 batches", "nbval-ignore-output")]}))
    assert is_traced(phrase, reason, page) == is_there
