"""The book as a whole: the numbers of the chapters, the lists of them, and how many words it has."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
from prose import words  # noqa: E402

PARTS = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
CHAPTERS = [chapter["file"] for part in PARTS if "numbered" in part for chapter in part["chapters"]]
PAGES = ["book/index", *(chapter["file"] for part in PARTS for chapter in part["chapters"])]
MAIN_LINE, WHOLE = 16_000, 36_000  # words of chapters 1 to 9, and of all pages beside the reference


def source(page: str) -> Path:
    return next(path for path in (ROOT / f"{page}.ipynb", ROOT / f"{page}.md") if path.exists())


def title(page: str) -> str:
    path = source(page)
    text = nbformat.read(path, as_version=4).cells[0].source if path.suffix == ".ipynb" else path.read_text()
    return re.search("^# (.+)$", text, re.MULTILINE)[1]


def listed(page: Path) -> list[tuple[str, ...]]:
    """List the number, title, address and question of each row in a page's table of the chapters."""
    rows = re.findall(r"^\| (\d*) ?\| \[(.+?)\]\((?:book/)?(.+?)\) \| (.+) \|$", page.read_text(), re.MULTILINE)
    assert rows
    return rows


def test_the_chapters_are_numbered_in_the_order_of_the_files() -> None:
    assert [int(Path(chapter).name.partition("_")[0]) for chapter in CHAPTERS] == [*range(1, len(CHAPTERS) + 1)]


@pytest.mark.parametrize("page", ["README.md", "book/index.md"])
def test_a_list_of_the_chapters_has_all_of_them_with_their_numbers_and_titles(page: str) -> None:
    rows = listed(ROOT / page)
    numbered = [address.rpartition(".")[0] for number, _, address, _ in rows if number]
    assert [f"book/{name}" for name in numbered] == CHAPTERS
    assert [number for number, *_ in rows if number] == [str(number) for number in range(1, len(CHAPTERS) + 1)]
    for _, name, address, question in rows:
        assert title(f"book/{address.rpartition('.')[0]}").startswith(name)
        assert question.endswith(("?", "?*"))


def test_the_readme_and_the_first_page_ask_the_same_questions() -> None:
    assert listed(ROOT / "README.md") == listed(ROOT / "book" / "index.md")


def test_the_first_page_has_the_parts_of_the_table_of_contents() -> None:
    parts = re.findall(r"^\| \| \*\*(.+?)\*\* \|", (ROOT / "book" / "index.md").read_text(), re.MULTILINE)
    assert parts == [part["caption"] for part in PARTS if "numbered" in part or part["caption"] == "Appendix"]


def test_words_are_counted_without_code_formulas_and_targets(tmp_path: Path) -> None:
    text = "# A title\n\nOf $x^2$ `code` and [a link](https://example.org/a), 12 times {cite:p}`wu2017`.\n\n"
    text += "```\nimport this\n```\n\n$$\nE = mc^2\n$$\n\n```{figure} a.svg\n:alt: Not counted\n\nA caption.\n```\n"
    (tmp_path / "page.md").write_text(text)
    assert words(tmp_path / "page.md") == len(["A", "title", "Of", "and", "a", "link", "times", "A", "caption"])


def test_the_book_is_no_longer_than_is_promised() -> None:
    counts = {page: words(source(page)) for page in PAGES if "/api/" not in page and page != "genindex"}
    assert sum(counts[page] for page in CHAPTERS[:9]) <= MAIN_LINE, counts
    assert sum(counts.values()) <= WHOLE, counts
    assert counts["book/index"] <= 1000
