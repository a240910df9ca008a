"""The skeleton of a chapter: its parts in order and in fixed words, its exercises and their solutions."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

from siamese_triplet.book import check

sys.path.append(str(Path(__file__).parents[2] / "tools"))
import costs
from address import PLACEHOLDER, read_address

IS_PLACEHOLDER = read_address()["slug"].startswith(PLACEHOLDER)

BOOK = Path(__file__).parents[2] / "book"
ORDER = [name.partition("/")[2] for name in re.findall(r"- file: (\S+)", (BOOK.parent / "_toc.yml").read_text())]
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"), key=lambda path: [*ORDER, path.stem].index(path.stem))
CHAPTERS = [path for path in NOTEBOOKS if path.stem != "solutions"]
OPENING = [
    r"\A# .+\n",
    r"\n\*\*The question: [^*]+\?\*\*\n",
    r"\nAfter this chapter you will be able to\n\n(?:- [^-].+\n(?:  .+\n)*){2,}",
    r"chapter [^.]*in about [^.]+ on two CPU cores",
    r"\nYou need: ",
]
COLAB_LINK = r"\n\[Open this chapter in Colab\]\(https://colab\.research\.google\.com/\S+/book/NAME\.ipynb\)\Z"
FAILURE = re.compile(r"\b(?:go|goes|went|going) wrong\b|\bfail", re.IGNORECASE)  # in the heading before the take-aways
CLOSING = ["Take-aways", "Exercises", "Read on"]
INSTRUCTIONS = """
Each cell below runs as it is, and says what is still wrong. Replace what is marked `your code here`, and run the cell
again. An exercise marked *open* has no check. The [solutions](solutions.ipynb) to the others are at the end of the
book.
"""


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request: pytest.FixtureRequest) -> Path:
    return request.param


def cells(path: Path) -> list[nbformat.NotebookNode]:
    return nbformat.read(path, as_version=4).cells


def markdown(path: Path) -> str:
    return "\n\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")


def exercises(path: Path) -> dict[str, str]:
    """Map the checks of a page to their printed outputs."""
    outputs = {}
    for cell in cells(path):
        for name in re.findall(r"^check\.(\w+)\(", cell.source, re.MULTILINE) if cell.cell_type == "code" else ():
            assert name not in outputs, f"{path.stem} asks for {name} twice"
            outputs[name] = "".join(output.get("text", "") for output in cell.outputs)
    return outputs


def test_every_chapter_opens_alike(chapter: Path) -> None:
    text, place = cells(chapter)[0].source, 0
    for pattern in [*OPENING, *([] if IS_PLACEHOLDER else [COLAB_LINK])]:
        match = re.compile(pattern.replace("NAME", chapter.stem)).search(text, max(0, place - 1))
        assert match, f"{chapter.stem}: {pattern} is missing, or out of order"
        place = match.end()


ELSEWHERE = re.compile(r"(?:/root|/home|/Users)/\S*|using the embedded subset")  # of one machine; not the full data


def printed(path: Path) -> str:
    """Join the texts among the outputs of a notebook."""
    outputs = [output for cell in cells(path) if cell.cell_type == "code" for output in cell.outputs]
    texts = [[output.get("text", ""), *map(str, output.get("data", {}).values())] for output in outputs]
    return "\n".join(text for of_output in texts for text in of_output)


def test_the_outputs_are_of_the_full_data_and_name_no_home_folder(chapter: Path) -> None:
    assert ELSEWHERE.findall(printed(chapter)) == []


def test_an_output_of_another_machine_is_found(tmp_path: Path) -> None:
    fallback = "using the embedded subset of 6,000 images; the full data is not in /home/me/.cache/x"
    outputs = [nbformat.v4.new_output("stream", text=fallback)]
    outputs += [nbformat.v4.new_output("display_data", data={"text/markdown": "/Users/me/x"})]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=outputs)])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    found = ELSEWHERE.findall(printed(tmp_path / "a.ipynb"))
    assert found == ["using the embedded subset", "/home/me/.cache/x", "/Users/me/x"]


def test_the_head_says_what_the_full_recipe_cost(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    assert costs.with_cost(text) == text, "python tools/costs.py"
    report = "".join(output["text"] for output in cells(chapter)[-1].outputs)
    in_any_recipe = "in any recipe" in cells(chapter)[0].source
    assert ("The full recipe took " in cells(chapter)[0].source) == (
        report.startswith("recipe     full") and not in_any_recipe
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["wall time  9.94 min"], "9.9 minutes on one CPU core."),
        (["wall time  7.2 min", "training   42.4 min, then kept in checkpoints"], "50 minutes on one CPU core."),
        (
            ["wall time  0.1 min", "- time to train, of 96 runs together: 1.5 hours"],
            "1.5 hours on one CPU core, and trained 96 networks.",
        ),
    ],
)
def test_the_cost_of_a_chapter_includes_the_runs_that_it_read(lines: list[str], expected: str) -> None:
    report = "\n".join(["recipe     full, 20 epochs", "device     cpu, 1 thread", *lines])
    assert costs.cost(report) == f" The full recipe took {expected}"
    assert costs.cost(report.replace("1 thread", "2 threads")).count("on two CPU cores") == 1
    assert "on one Tesla T4" in costs.cost(report.replace("cpu, 1 thread", "Tesla T4, 1 thread"))
    assert costs.cost(report.replace("full", "quick")) == ""


def test_every_chapter_closes_alike(chapter: Path) -> None:
    headings = re.findall(r"^## (.+)$", markdown(chapter), re.MULTILINE)
    assert headings[-3:] == CLOSING
    assert FAILURE.search(headings[-4]), f"{headings[-4]!r} does not say what goes wrong, or fails"
    assert not set(CLOSING) & set(headings[:-3])
    *_, text, code = cells(chapter)
    assert text.cell_type == "markdown"
    assert text.source.startswith("---\nWhat the outputs of this page came from")
    assert code.cell_type == "code"


def test_a_chapter_asks_for_a_prediction_before_it_shows_a_result(chapter: Path) -> None:
    all_cells = cells(chapter)
    asks = [number for number, cell in enumerate(all_cells) if "**Predict first.**" in cell.source]
    assert asks
    assert all(any(cell.cell_type == "code" for cell in all_cells[number + 1 :]) for number in asks)
    assert not re.search(r"\*\*(Guess first|Try it|Read on)", markdown(chapter))


def test_a_chapter_has_self_checking_exercises_that_are_not_solved_yet(chapter: Path) -> None:
    text = markdown(chapter).partition("\n## Exercises\n")[2].partition("\n## Read on\n")[0]
    assert " ".join(text.split()).startswith(" ".join(INSTRUCTIONS.split()))
    numbers = re.findall(r"^\*\*(\d)\. ", text, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert len(numbers) >= 2
    assert exercises(chapter)
    assert all(printed.startswith("not yet: ") for printed in exercises(chapter).values())


def test_every_check_is_in_one_chapter_and_is_solved() -> None:
    asked = [name for path in CHAPTERS for name in exercises(path)]
    assert sorted(asked) == sorted(check.__all__)
    solved = exercises(BOOK / "solutions.ipynb")
    assert list(solved) == asked  # in the order of the chapters
    assert all(printed.startswith("correct: ") for printed in solved.values())


def test_the_solutions_link_back_to_each_chapter_in_order() -> None:
    links = re.findall(r"^## \[.+\]\((.+)\.ipynb\)$", markdown(BOOK / "solutions.ipynb"), re.MULTILINE)
    assert links == [path.stem for path in CHAPTERS if exercises(path)]
