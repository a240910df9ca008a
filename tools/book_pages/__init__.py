"""For Sphinx: what the pages of the book have beyond the theme.

`files` are what all pages share, `docstrings` make the API reference readable, `names` link it and the chapters both
ways, `tables` say which cells are short, `head` says what a page is to search engines and to those who share it.
"""

from typing import Any

from book_pages import docstrings, files, head, names, tables


def setup(app: Any) -> dict[str, bool]:
    for part in (files, docstrings, names, tables, head):
        part.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
