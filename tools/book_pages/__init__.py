"""Sphinx extension for the pages of the book.

- `files`: files that all pages share.
- `docstrings`: markup of docstrings for the API reference.
- `names`: links between the API reference and the chapters.
- `tables`: marks on short cells.
- `pictures`: wide charts on a phone.
- `folds`: the names of folded cells.
- `head`: metadata for search engines and social cards.
- `glossary`: definitions in the links to terms.
- `links`: the first use of a term, and titles of chapters in links by their numbers.
- `numbers`: numbers in the style of code, as text.
- `chain`: the index at the end of the chain of pages.
- `search`: both spellings of a word in the search, and its errors mended.
"""

from typing import Any

from book_pages import chain, docstrings, files, folds, glossary, head, links, names, numbers, pictures, search, tables


def setup(app: Any) -> dict[str, bool]:
    for part in (files, docstrings, names, tables, pictures, folds, numbers, links, head, glossary, chain, search):
        part.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
