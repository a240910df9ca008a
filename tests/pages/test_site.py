"""The built book as files: links, the API reference, what pages say of themselves, and their weight.

What needs the built book is skipped where there is none, unless SIAMESE_TRIPLET_PAGES=required.
"""

import importlib
import json
import re
import sys
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest
from browser import unavailable
from docutils.core import publish_doctree
from PIL import Image
from sphinx.util.inventory import InventoryFile

import siamese_triplet

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
import links  # noqa: E402
from book_pages import docstrings, names  # noqa: E402
from page_weight import weight  # noqa: E402

HTML = ROOT / "_build" / "html"
BOOK = ROOT / "book"
SOURCES = [*BOOK.glob("*.ipynb"), *BOOK.glob("*.md"), *BOOK.glob("api/*.md")]
PAGES = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in SOURCES)
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
PACKAGE = (ROOT / "README.md").read_text().partition("## The package")[2]
OF_THE_README = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PACKAGE, re.MULTILINE)
MODULES = [module for row in OF_THE_README for module in re.findall(r"\w+", row)]


@pytest.fixture
def site() -> Path:
    if not (HTML / "index.html").is_file():
        unavailable("the book is not built; run jupyter-book build first")
    return HTML


@pytest.fixture
def entries(site: Path) -> dict[str, str]:
    """The addresses of the entries of the API reference, by their full names."""
    with (site / "objects.inv").open("rb") as stream:
        inventory = InventoryFile.load(stream, "", lambda base, location: location)
    return {
        name: found[2].replace("$", name)
        for kind, of in inventory.items()
        if kind.startswith("py:")
        for name, found in of.items()
    }


def source(site: Path, page: str) -> str:
    return (site / f"{page}.html").read_text()


def test_links_inside_the_book_lead_somewhere(site: Path) -> None:
    assert links.broken(site) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#there"><a href="#here"><a href="#gone"><img src="c">'
    )
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html#there"><a href="https://elsewhere.org/x">')
    assert links.broken(tmp_path) == ["a.html: #gone", "a.html: c", "b.html: a.html#there"]
    assert links.external(tmp_path) == {"https://elsewhere.org/x": ["b.html"]}


def test_the_reference_has_every_public_name(entries: dict[str, str]) -> None:
    assert [name for name in siamese_triplet.__all__ if not described(siamese_triplet, name, entries)] == []


def described(module: ModuleType, name: str, entries: dict[str, str]) -> bool:
    return names.entry_of(names.full_name(module, name), entries) is not None


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_has_what_the_readme_lists(module: str, entries: dict[str, str]) -> None:
    named = importlib.import_module(f"siamese_triplet.{module}")
    own = [name for name, thing in vars(named).items() if getattr(thing, "__module__", None) == named.__name__]
    public = {name: getattr(named, name) for name in getattr(named, "__all__", own) if not name.startswith("_")}
    documented = [name for name, thing in public.items() if callable(thing) and thing.__doc__]
    assert f"siamese_triplet.{module}" in entries
    assert [name for name in documented if not described(named, name, entries)] == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapters_and_reference_are_linked_both_ways(chapter: Path, site: Path, entries: dict[str, str]) -> None:
    cells = json.loads(chapter.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    imported = {name: names.entry_of(name, entries) for name in names.imported("\n".join(code)).values()}
    page = source(site, f"book/{chapter.stem}")
    for name, address in imported.items():
        if address is None:  # a constant
            continue
        assert f'<a class="api" href="{address.removeprefix("book/")}">' in page, name
        assert f'href="../{chapter.stem}.html"' in used_in(site, address), name


def used_in(site: Path, address: str) -> str:
    """The chapters that an entry of the reference names."""
    page, _, anchor = address.partition("#")
    entry = (site / page).read_text().partition(f'id="{anchor}"')[2]
    found = re.search(r"<em>Used in</em>(.*?)</p>", entry, re.DOTALL)
    return found[1] if found else ""


def test_names_in_sentences_lead_to_the_reference(site: Path) -> None:
    page = source(site, "book/questions")
    assert re.search(r'href="api/data\.html#siamese_triplet\.folders\.load_folder"[^>]*><code', page)
    assert ">n_samples</span></code></a>" not in page  # an argument
    assert "check.n_triplets" not in source(site, "book/13_what_goes_wrong")  # a field, not the exercise of that name


def test_names_are_read_from_all_that_a_notebook_imports() -> None:
    code = "import sys\n%pip install x\nfrom siamese_triplet import fit as train\n"
    code += "from siamese_triplet.book import recipes\nfrom torch import nn\n"
    assert names.imported(code) == {
        "train": "siamese_triplet.trainer.loop.fit",
        "recipes": "siamese_triplet.book.recipes",
    }


def test_docstrings_are_readable_as_restructuredtext() -> None:
    text = """Squares |a|² of `left[i]`s, *not* of x_ and `code that
    goes on`:
    - one of `a`×`b`
    - two

    >>> 2 * 3  # |x| and `y`
    6"""
    lines = docstrings.marked_up([line.removeprefix("    ") for line in text.splitlines()])
    tree = publish_doctree("\n".join(lines), settings_overrides={"report_level": 1, "halt_level": 2})
    assert [code.astext() for code in tree.findall(lambda node: node.tagname == "literal")] == [
        "left[i]", "code that goes on", "a", "b",
    ]  # fmt: skip
    assert tree[0].astext() == "Squares |a|² of left[i]s, *not* of x_ and code that goes on:"
    assert [item.astext() for item in tree.findall(lambda node: node.tagname == "list_item")] == ["one of a×b", "two"]
    assert ">>> 2 * 3  # |x| and `y`\n6" in tree.astext()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_is(page: str, site: Path) -> None:
    html = source(site, page)
    said = dict(re.findall(r'<meta (?:name|property)="([\w:]+)" content="([^"]*)"', html))
    assert 50 <= len(unescape(said["description"])) <= 310
    assert said["og:title"]
    assert said["og:url"].endswith(f".github.io/siamese_triplet/{page}.html")
    assert f'<link rel="canonical" href="{said["og:url"]}"' in html
    assert said["twitter:card"] == "summary_large_image"
    [structured] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', html)
    about = json.loads(structured)
    expected = {"book/index": "Book"}.get(page, "Chapter" if (ROOT / f"{page}.ipynb").exists() else "TechArticle")
    assert about["@type"] == expected
    assert about["url"] == said["og:url"] or expected == "Book"


def test_descriptions_differ(site: Path) -> None:
    found = [re.search(r'<meta name="description" content="([^"]*)"', source(site, page))[1] for page in PAGES]
    assert len(set(found)) == len(found)


def test_the_card_has_the_size_that_is_asked_for(site: Path) -> None:
    card = re.search(r'property="og:image" content="https://[^/]+/[^/]+/([^"]+)"', source(site, "book/index"))[1]
    assert Image.open(site / card).size == (1200, 630)


def test_the_site_is_ready_for_its_host(site: Path) -> None:
    assert (site / ".nojekyll").is_file()
    assert (site / "404.html").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_page_is_light(page: str, site: Path) -> None:
    assert weight(site / f"{page}.html", site) < 2.5e6


def test_pictures_and_what_all_pages_share_are_weighed(tmp_path: Path) -> None:
    for name, size in (("book/a.html", 0), ("_images/b.png", 300), ("_static/book.css", 7)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "_static" / "siamese-triplet-figures.js").write_bytes(b"x" * 50)
    html = '<img src="../_images/b.png"><img src="../_images/b.png">'
    (tmp_path / "book" / "a.html").write_text(html)
    assert weight(tmp_path / "book" / "a.html", tmp_path) == 357 + len(html)


def test_the_name_of_an_argument_is_no_link(site: Path) -> None:
    page = source(site, "book/06_fashion_mnist")
    assert '<span class="n">train</span><span class="o">=</span>' in page
    assert ">train</a>" not in page


def test_numbers_in_tables_are_marked_to_stay_whole(site: Path) -> None:
    cells = re.findall(
        r"<td([^>]*)>(?:<p>|<strong>)*([\d.]+\u00a0±\u00a0[\d.]+)<", source(site, "book/10_unseen_classes")
    )
    assert cells
    assert all("short" in attributes for attributes, _ in cells)
