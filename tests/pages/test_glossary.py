"""The glossary: links to its terms lead somewhere, and carry the definition."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sphinx.testing.util import SphinxTestApp

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
BOOK = ROOT / "book"
CONF = """
import sys
sys.path.append({tools!r})
extensions = ["myst_nb"]
exclude_patterns = ["**/jupyter_execute"]
html_theme = "basic"
nb_execution_mode = "off"


def setup(app):
    from book_pages import glossary
    glossary.setup(app)
"""
GLOSSARY = """# Glossary

```{glossary}
semi-hard
semi-hard negative
  Farther than the {term}`positive <P × K>`, & by "less". See [chapter 5](chapter.ipynb).

P × K
  A batch.
```
"""
CHAPTER = "# A\n\n[one](glossary.md#term-semi-hard) [two](glossary.md#term-P-K) [none](glossary.md#term-nowhere)"


@pytest.fixture
def built(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """The pages of a chapter and of a glossary, and Sphinx's warnings."""
    (tmp_path / "conf.py").write_text(CONF.format(tools=str(ROOT / "tools")))
    (tmp_path / "index.md").write_text("# Index\n\n```{toctree}\nchapter\nglossary\n```\n")
    (tmp_path / "glossary.md").write_text(GLOSSARY)
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": CHAPTER}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "chapter.ipynb").write_text(json.dumps(notebook))
    app = SphinxTestApp(srcdir=tmp_path)
    app.build()
    yield (
        *((app.outdir / f"{name}.html").read_text(encoding="utf-8") for name in ("chapter", "glossary")),
        app.warning.getvalue(),
    )
    app.cleanup()


def test_a_link_of_a_notebook_to_a_term_carries_its_definition(built: tuple[str, str, str]) -> None:
    chapter, glossary, warnings = built
    links = re.findall(r'<a class="reference internal term" data-definition="([^"]+)" href="([^"]+)"', chapter)
    farther = "Farther than the positive, &amp; by “less”."
    assert links == [(farther, "glossary.html#term-semi-hard"), ("A batch.", "glossary.html#term-P-K")]
    assert re.findall("local id not found in doc 'glossary': '(.+?)'", warnings) == ["term-nowhere"]
    assert 'id="term-semi-hard-negative"' in glossary
    assert "data-definition" not in glossary  # it shows its definitions already


def test_every_link_to_a_term_leads_to_one() -> None:
    entries = (BOOK / "glossary.md").read_text(encoding="utf-8").partition("```{glossary}")[2]
    terms = re.findall(r"^([^\s:`].*)$", entries, re.MULTILINE)
    anchors = {"term-" + re.sub(r"[^A-Za-z0-9]+", "-", term) for term in terms}
    assert len(anchors) == len(terms)
    for path in [*BOOK.glob("*.ipynb"), *BOOK.glob("*.md"), *BOOK.glob("*/*.md")]:
        linked = set(re.findall(r"glossary\.md#([\w-]+)", path.read_text(encoding="utf-8")))
        assert linked <= anchors, path.name
