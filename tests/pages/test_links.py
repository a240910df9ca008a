"""Links that the build adds: the first use of a term in each page, and the titles of chapters."""

import re
import sys
from pathlib import Path

import pytest
from browser import skip_or_fail
from sphinx.testing.util import SphinxTestApp

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
HTML = ROOT / "_build" / "html" / "book"
CONF = """
import sys
sys.path.append({tools!r})
extensions = ["myst_nb"]
nb_execution_mode = "off"
html_theme = "basic"


def setup(app):
    from book_pages import glossary, links, numbers
    for part in (glossary, links, numbers):
        part.setup(app)
"""
INDEX = """# Index

No triplet.

```{toctree}
book/chapter
book/other
book/glossary
```
"""
GLOSSARY = """# Glossary

```{glossary}
semi-hard
semi-hard negative
  Farther than the positive.

triplet
  An anchor, a positive and a negative.

AUC
  The area under a curve.

metric learning
  Of distances.

proxy
  For a class.

seed
  Of random numbers.

hard negative
  Nearer than the positive.

head
  The last layer.
```
"""
CHAPTER = """# The triplet

Many Triplets, `triplet`, *semi-hard negatives* and semi-hard; a triplet-net has a head. An auction, its AUC, and
**AUC**. **The question: which proxy?** **A seed.**

| triplet, proxy |
| --- |

The *area of the AUC curve* has `0.5`, `95 %`, `10 × 4`, `-1` and `a.b`.

<details><summary>An answer</summary>

Metric learning.

</details>

Metric learning of hard negative pairs, then a hard negative.
"""
OTHER = """# Other

[A triplet](glossary.md#term-triplet), then a triplet. See [chapter 1](chapter.md), [this one](chapter.md).
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of a small book, by name."""
    folder = tmp_path_factory.mktemp("links")
    (folder / "conf.py").write_text(CONF.format(tools=str(ROOT / "tools")))
    (folder / "index.md").write_text(INDEX)
    (folder / "book").mkdir()
    for name, text in {"chapter": CHAPTER, "other": OTHER, "glossary": GLOSSARY}.items():
        (folder / "book" / f"{name}.md").write_text(text)
    app = SphinxTestApp(srcdir=folder)
    app.build()
    assert app.warning.getvalue() == ""
    pages = {path.stem: path.read_text(encoding="utf-8") for path in app.outdir.rglob("*.html")}
    app.cleanup()
    return pages


def linked(page: str) -> list[str]:
    """The texts of the links to terms, without markup."""
    found = re.findall(r'<a class="reference internal term"[^>]*>(.*?)</a>', page)
    return [re.sub(r"<[^>]+>", "", text) for text in found]


def test_the_first_use_of_a_term_links_to_it(built: dict[str, str]) -> None:
    found = linked(built["chapter"])
    assert found == ["Triplets", "semi-hard negatives", "AUC", "seed", "proxy", "Metric learning", "hard negative"]
    assert built["chapter"].partition("</details>")[2].count('class="reference internal term"') == 2  # none in the fold
    assert re.search(r"of hard negative pairs, then a <a [^>]*>hard negative</a>", built["chapter"])
    assert linked(built["other"]) == ["A triplet"]  # by hand
    assert linked(built["index"]) == []  # not in the folder of the book
    assert (
        'data-definition="An anchor, a positive and a negative." href="glossary.html#term-triplet"' in built["chapter"]
    )


def test_a_link_by_number_shows_the_title(built: dict[str, str]) -> None:
    links = re.findall(
        r'<a class="reference internal" href="chapter.html"([^>]*)>(?:<span[^>]*>)?([^<]+)', built["other"]
    )
    named = [(title.strip(), text) for title, text in links if text in ("chapter 1", "this one")]
    assert named == [('title="The triplet"', "chapter 1"), ("", "this one")]


def test_words_in_another_sense_are_terms_and_have_no_link_on_their_page() -> None:
    from book_pages.links import OTHER_ON, OTHER_SENSES

    terms = set(re.findall(r"^([^\s:`].*)$", (ROOT / "book" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(OTHER_SENSES).union(*OTHER_ON.values()) <= terms
    for page, words in OTHER_ON.items():
        path = HTML.parent / f"{page}.html"
        if not path.exists():
            skip_or_fail("the book is not built; run jupyter-book build first")
        assert not words & {text.lower() for text in linked(path.read_text(encoding="utf-8"))}


def test_numbers_do_not_look_like_code(built: dict[str, str]) -> None:
    shown = re.search(r"<p>The <em>area.*?</p>", built["chapter"], re.DOTALL)[0]
    assert re.sub(r"<[^>]+>", "", shown) == "The area of the AUC curve has 0.5, 95 %, 10 × 4, -1 and a.b."
    assert re.findall(r'<span class="pre">(.*?)</span>', shown) == ["-1", "a.b"]


@pytest.mark.parametrize(
    ("page", "terms"),
    [
        ("03_triplet", {"anchor", "positive", "negative", "triplet loss"}),
        ("05_online_triplets", {"triplets", "margin", "MAP@R", "unit sphere", "Batch-hard", "Semi-hard"}),
        ("13_choosing", {"margin", "embedding", "MAP@R"}),
        ("19_today", {"InfoNCE", "SupCon", "ArcFace", "CosFace", "temperature"}),
    ],
)
def test_the_terms_of_a_chapter_are_linked(page: str, terms: set[str]) -> None:
    path = HTML / f"{page}.html"
    if not path.exists():
        skip_or_fail("the book is not built; run jupyter-book build first")
    found = linked(path.read_text(encoding="utf-8").replace("&#64;", "@"))
    assert terms <= set(found), found
