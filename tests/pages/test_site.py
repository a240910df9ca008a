"""The built book as files: links, the API reference, the metadata of pages, and their weight.

Tests that need the built book are skipped without one, unless SIAMESE_TRIPLET_PAGES=required.
"""

import importlib
import json
import re
import sys
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest
from browser import skip_or_fail
from docutils.core import publish_doctree
from PIL import Image
from sphinx.util.inventory import InventoryFile

import siamese_triplet

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
import links  # noqa: E402
from address import PLACEHOLDER, read_address  # noqa: E402
from book_pages import docstrings, names  # noqa: E402
from page_weight import weight  # noqa: E402

IS_PLACEHOLDER = read_address()["slug"].startswith(PLACEHOLDER)
HTML = ROOT / "_build" / "html"
BOOK = ROOT / "book"
SOURCES = [*BOOK.glob("*.ipynb"), *BOOK.glob("*.md"), *BOOK.glob("api/*.md")]
PAGES = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in SOURCES)
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
PACKAGE = (ROOT / "README.md").read_text().partition("## The package")[2]
README_ROWS = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PACKAGE, re.MULTILINE)
MODULES = [module for row in README_ROWS for module in re.findall(r"\w+", row)]


@pytest.fixture
def site() -> Path:
    if not (HTML / "index.html").is_file():
        skip_or_fail("the book is not built; run jupyter-book build first")
    return HTML


@pytest.fixture
def entries(site: Path) -> dict[str, str]:
    """The addresses of the entries of the API reference, by their full names."""
    with (site / "objects.inv").open("rb") as stream:
        inventory = InventoryFile.load(stream, "", lambda base, location: location)
    return {
        name: item[2].replace("$", name)
        for kind, items in inventory.items()
        if kind.startswith("py:")
        for name, item in items.items()
    }


def source(site: Path, page: str) -> str:
    return (site / f"{page}.html").read_text()


def test_no_link_inside_the_book_is_broken(site: Path) -> None:
    assert links.broken(site) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#there"><a href="#here"><a href="#gone"><img src="c">'
    )
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html#there"><a href="https://elsewhere.org/x">')
    assert links.broken(tmp_path) == ["a.html: #gone", "a.html: c", "b.html: a.html#there"]
    assert links.external(tmp_path) == {"https://elsewhere.org/x": ["b.html"]}


def test_the_reference_has_every_public_name(entries: dict[str, str]) -> None:
    assert [name for name in siamese_triplet.__all__ if not has_entry(siamese_triplet, name, entries)] == []


def has_entry(module: ModuleType, name: str, entries: dict[str, str]) -> bool:
    return names.find_entry(names.full_name(module, name), entries) is not None


@pytest.mark.parametrize("module_name", MODULES)
def test_the_reference_has_every_module_of_the_readme(module_name: str, entries: dict[str, str]) -> None:
    module = importlib.import_module(f"siamese_triplet.{module_name}")
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    public = {name: getattr(module, name) for name in getattr(module, "__all__", own) if not name.startswith("_")}
    documented = [name for name, value in public.items() if callable(value) and value.__doc__]
    assert f"siamese_triplet.{module_name}" in entries
    assert [name for name in documented if not has_entry(module, name, entries)] == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapters_and_reference_are_linked_both_ways(chapter: Path, site: Path, entries: dict[str, str]) -> None:
    cells = json.loads(chapter.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    addresses = {name: names.find_entry(name, entries) for name in names.find_imports("\n".join(code)).values()}
    page = source(site, f"book/{chapter.stem}")
    for name, address in addresses.items():
        if address is None:  # a constant
            continue
        assert f'<a class="api" href="{address.removeprefix("book/")}">' in page, name
        assert f'href="../{chapter.stem}.html"' in chapters_using(site, address), name


def chapters_using(site: Path, address: str) -> str:
    """Return the links to chapters in an entry of the reference."""
    page, _, anchor = address.partition("#")
    entry = (site / page).read_text().partition(f'id="{anchor}"')[2]
    match = re.search(r"<em>Used in</em>(.*?)</p>", entry, re.DOTALL)
    return match[1] if match else ""


def test_names_in_sentences_link_to_the_reference(site: Path) -> None:
    page = source(site, "book/questions")
    assert re.search(r'href="api/data\.html#siamese_triplet\.datasets[\w.]*\.load_folder"[^>]*><code', page)
    assert ">n_samples</span></code></a>" not in page  # an argument
    assert "check.n_triplets" not in source(site, "book/14_what_goes_wrong")  # a field, not the exercise of that name


def test_every_import_of_a_notebook_is_found() -> None:
    code = "import sys\n%pip install x\nfrom siamese_triplet import fit as train\n"
    code += "from siamese_triplet.book import recipes\nfrom torch import nn\n"
    assert names.find_imports(code) == {
        "train": "siamese_triplet.trainer.loop.fit",
        "recipes": "siamese_triplet.book.recipes",
    }


def test_docstrings_become_valid_restructuredtext() -> None:
    text = """Squares |a|² of `left[i]`s, *not* of x_ and `code that
    goes on`:
    - one of `a`×`b`
    - two

    >>> 2 * 3  # |x| and `y`
    6"""
    lines = docstrings.mark_up([line.removeprefix("    ") for line in text.splitlines()])
    tree = publish_doctree("\n".join(lines), settings_overrides={"report_level": 1, "halt_level": 2})
    assert [code.astext() for code in tree.findall(lambda node: node.tagname == "literal")] == [
        "left[i]", "code that goes on", "a", "b",
    ]  # fmt: skip
    assert tree[0].astext() == "Squares |a|² of left[i]s, *not* of x_ and code that goes on:"
    assert [item.astext() for item in tree.findall(lambda node: node.tagname == "list_item")] == ["one of a×b", "two"]
    assert ">>> 2 * 3  # |x| and `y`\n6" in tree.astext()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_metadata(page: str, site: Path) -> None:
    html = source(site, page)
    metadata = dict(re.findall(r'<meta (?:name|property)="([\w:]+)" content="([^"]*)"', html))
    assert 50 <= len(unescape(metadata["description"])) <= 310
    assert metadata["og:title"]
    if not IS_PLACEHOLDER:
        name = read_address()["slug"].partition("/")[2]
        assert metadata["og:url"].endswith(f".github.io/{name}/{page}.html")
        assert f'<link rel="canonical" href="{metadata["og:url"]}"' in html
    assert metadata["twitter:card"] == "summary_large_image"
    [structured] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', html)
    about = json.loads(structured)
    expected = {"book/index": "Book"}.get(page, "Chapter" if (ROOT / f"{page}.ipynb").exists() else "TechArticle")
    assert about["@type"] == expected
    assert about.get("url") == (None if IS_PLACEHOLDER else metadata["og:url"]) or expected == "Book"


@pytest.mark.parametrize("page", PAGES)
def test_no_page_leads_to_the_placeholder(page: str, site: Path) -> None:
    addresses = re.findall(r'(?:href|src|action|content)="([^"]*)"', source(site, page))
    assert [address for address in addresses if PLACEHOLDER.strip("/") in address] == []


def test_no_two_pages_have_the_same_description(site: Path) -> None:
    pattern = r'<meta name="description" content="([^"]*)"'
    descriptions = [re.search(pattern, source(site, page))[1] for page in PAGES]
    assert len(set(descriptions)) == len(descriptions)


def test_the_social_card_has_the_usual_size(site: Path) -> None:
    card = re.search(r'property="og:image" content="(?:https://[^/]+/[^/]+/)?([^"]+)"', source(site, "book/index"))[1]
    assert Image.open(site / card).size == (1200, 630)


def test_the_site_is_ready_for_github_pages(site: Path) -> None:
    assert (site / ".nojekyll").is_file()
    assert (site / "404.html").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_heavy(page: str, site: Path) -> None:
    assert weight(site / f"{page}.html", site) < 2.5e6


def test_pictures_and_shared_files_add_to_the_weight(tmp_path: Path) -> None:
    for name, size in (("book/a.html", 0), ("_images/b.png", 300), ("_static/book.css", 7)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "_static" / "siamese-triplet-figures.js").write_bytes(b"x" * 50)
    html = '<img src="../_images/b.png"><img src="../_images/b.png">'
    (tmp_path / "book" / "a.html").write_text(html)
    assert weight(tmp_path / "book" / "a.html", tmp_path) == 357 + len(html)


def test_the_name_of_an_argument_is_not_a_link(site: Path) -> None:
    page = source(site, "book/06_fashion_mnist")
    assert '<span class="n">train</span><span class="o">=</span>' in page
    assert ">train</a>" not in page


def test_numbers_in_tables_do_not_wrap(site: Path) -> None:
    cells = re.findall(r"<td([^>]*)>(?:<p>|<strong>)*([\d.]+\u00a0±\u00a0[\d.]+)<", source(site, "book/13_choosing"))
    assert cells
    assert all("short" in attributes for attributes, _ in cells)
