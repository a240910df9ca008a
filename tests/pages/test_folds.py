"""What a reader need not scroll past is folded in the built page, and so is the answer to every prediction.

The tags of a cell fold it: `hide-input` its code, `hide-output` its output, `hide-cell` both.
"""

import ast
import re
import sys
from pathlib import Path

import nbformat
import pytest
from browser import skip_or_fail

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
from book_pages.folds import LOG  # noqa: E402

HTML = ROOT / "_build" / "html"
CHAPTERS = [path for path in sorted((ROOT / "book").glob("*.ipynb")) if path.stem != "solutions"]
PREDICTION, ANSWER = "**Predict first.**", re.compile(r'<details class="answer">\s*<summary>')


def is_folded(cell: nbformat.NotebookNode, part: str) -> bool:
    return bool({f"hide-{part}", "hide-cell"} & set(cell.metadata.get("tags", [])))


def only_imports(code: str) -> bool:
    python = re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE)
    return bool(code.strip()) and all(isinstance(part, ast.Import | ast.ImportFrom) for part in ast.parse(python).body)


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def unanswered(cells: list[nbformat.NotebookNode]) -> list[str]:
    """List the predictions without a folded answer: in the text before the next, or in the next cell with outputs."""
    found, question = [], None
    for cell in cells:
        if cell.cell_type == "code":
            if question and not cell.outputs and not is_folded(cell, "output"):
                continue
            if question and not is_folded(cell, "output"):
                found.append(question)
            question = None
            continue
        before, *texts = cell.source.split(PREDICTION)
        question = None if ANSWER.search(before) else question
        for text in texts:
            found += [question] if question else []
            question = None if ANSWER.search(text) else text.strip()[:60]
    return found + ([question] if question else [])


def unfolded(cells: list[nbformat.NotebookNode]) -> list[str]:
    """List what should be folded and is not."""
    head = next(number for number, cell in enumerate(cells[1:], 1) if cell.cell_type == "markdown")
    found = [f"answer: {question}" for question in unanswered(cells)]
    for number, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        if (number < head or only_imports(cell.source)) and not is_folded(cell, "input"):
            found.append(f"cell {number}: set-up")
        if LOG.search(printed(cell)) and not is_folded(cell, "output"):
            found.append(f"cell {number}: log")
        if re.search(r"^check\.", cell.source, re.MULTILINE) and not is_folded(cell, "output"):
            found.append(f"cell {number}: verdict")
    if "hide-cell" not in cells[-1].metadata.get("tags", []):
        found.append("the provenance")
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_all_that_can_wait_is_folded(chapter: Path) -> None:
    assert unfolded(nbformat.read(chapter, as_version=4).cells) == []


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_the_answers_of_a_page_without_code_are_folded(page: Path) -> None:
    assert unanswered([nbformat.v4.new_markdown_cell(page.read_text())]) == []


def test_what_is_not_folded_is_found() -> None:
    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    answer = '<details class="answer"><summary>Answer</summary>\n\nNo.\n\n</details>'
    folded = {"metadata": {"tags": ["hide-output"]}}
    log = nbformat.v4.new_output("stream", text="Epoch 1/2  train\nEpoch 2/2  train\n")
    cells = [text("# A"), code("import a"), text(f"{PREDICTION} One? {PREDICTION} Two?\n\n{answer}"), code("1")]
    cells += [text(f"{PREDICTION} Three?"), code("1", **folded), text(f"{PREDICTION} Four?"), code("1", outputs=[log])]
    cells += [code("def f():\n    pass\ncheck.f(f)"), text("---"), code("print(report)")]
    assert unfolded(cells) == [
        "answer: One?", "answer: Four?", "cell 1: set-up", "cell 7: log", "cell 8: verdict", "the provenance",
    ]  # fmt: skip


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_page_hides_what_is_tagged_and_says_what_it_hides(chapter: Path) -> None:
    page = HTML / "book" / f"{chapter.stem}.html"
    if not page.exists():
        skip_or_fail("the book is not built; run jupyter-book build first")
    html, cells = page.read_text(), nbformat.read(chapter, as_version=4).cells
    assert html.count("Show the answer") == folded_answers(cells)
    assert not re.search(r"<details[^>]* open", html)
    assert "Show code cell" not in html
    assert "Toggle hidden content" not in html


def folded_answers(cells: list[nbformat.NotebookNode]) -> int:
    """Count the folded outputs, other than logs, from a prediction without an answer in the text to the next text."""
    count, since, is_open, is_answered = 0, 0, False, False
    for cell in cells:
        if cell.cell_type == "code":
            shows = is_folded(cell, "output") and bool(cell.outputs)
            since += is_open and shows and not LOG.search(printed(cell))
            is_answered = is_answered or bool(cell.outputs)
            continue
        before, *texts = cell.source.split(PREDICTION)
        if ANSWER.search(f"\n{before}".split("\n## ")[0]):
            since = 0  # the text has the answer
        if texts or "\n## " in f"\n{before}":
            count, since = count + since, 0
        if texts or is_answered:
            is_open, is_answered = bool(texts) and not ANSWER.search(texts[-1]), False
    return count + since


CELLS = """
**Predict first.** How many?

```{code-cell} ipython3
:tags: [hide-output]
print(1)
```

```{code-cell} ipython3
:tags: [hide-output]
print(2)
```

Three, because:

- of one thing.

More than that.

**Predict first.** And now?

```{code-cell} ipython3
:tags: [hide-output]
print(3)
```

**Predict first.** Twice? Then go on.

<details class="answer"><summary>Answer</summary>

No.

</details>

```{code-cell} ipython3
:tags: [hide-output]
print(4)
```

Not folded.

**Predict first.** In words?

```{code-cell} ipython3
:tags: [hide-output]
print(5)
```

<details class="answer"><summary>Answer</summary>

Five.

</details>
"""
HEAD = """---
file_format: mystnb
kernelspec: {name: python3, display_name: Python}
---
# A page
"""


@pytest.fixture(scope="module")
def folded_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("folds")
    (folder / "index.md").write_text(HEAD + CELLS)
    tools = str(ROOT / "tools")
    (folder / "conf.py").write_text(
        f"import sys\nsys.path.append({tools!r})\nextensions = ['myst_nb', 'book_pages.folds']\n"
        "nb_execution_mode = 'force'\n"
    )
    from sphinx.cmd.build import main

    assert main(["-q", "-b", "html", str(folder), str(folder / "out")]) == 0
    return (folder / "out" / "index.html").read_text()


def test_what_discusses_an_answer_is_folded_with_it(folded_page: str) -> None:
    folds = re.findall(r"<details class=[^>]*hide.*?</details>", folded_page, re.DOTALL)
    texts = [re.sub(r"<[^>]*>|\s+", " ", fold).split() for fold in folds]
    names = [re.search(r"Show the (\w+)", fold).group(1) for fold in folds]
    assert names == ["answer", "answer", "answer", "output", "output"]
    discussed = [text for text in texts if "Three," in text]
    assert discussed == [texts[1]]
    assert "thing." in texts[1]
    assert not any("More" in text or "Twice?" in text or "Not" in text for text in texts)
