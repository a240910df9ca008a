"""For Sphinx: what the pages of the book have beyond the theme.

Pages with live figures get the library that draws them, one file for all of them. Code in a sentence may break where
a phone is too narrow for it, and wide tables are a little smaller. The list of references loses a role that does not
allow for its entries.
"""

from pathlib import Path
from typing import Any

from siamese_triplet.figures.element import TAG, library

LIBRARY, STYLES = "siamese-triplet-figures.js", "book.css"
ON_A_PAGE = 'document.documentElement.setAttribute("data-siamese-triplet-page", "");\n'  # whose address is ours
CSS = """\
code.literal .pre { white-space: pre-wrap; overflow-wrap: anywhere; }
article table.table { font-size: 0.88em; }
article table.table :is(th, td) { padding: 0.3rem 0.45rem; }
"""


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", write_files)
    app.connect("html-page-context", finish_page)
    app.add_css_file(STYLES)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_files(app: Any) -> None:
    folder = Path(app.outdir) / "_static"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIBRARY).write_text(ON_A_PAGE + library(), encoding="utf-8")
    (folder / STYLES).write_text(CSS, encoding="utf-8")


def finish_page(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    body = context.get("body", "")
    context["body"] = body.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    if f"<{TAG}" in body:
        app.add_js_file(LIBRARY, loading_method="defer")
