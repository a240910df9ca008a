"""What all pages share: the library of the live figures, styles, the social card, a page for wrong addresses.

The list of references loses a role that does not allow for its entries, and long signatures lose a list in a heading.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from siamese_triplet.live.element import TAG, script

HERE = Path(__file__).parent
LIBRARY, STYLES, CARD = "siamese-triplet-figures.js", "book.css", "card.png"
LONG_SIGNATURE = re.compile(r'(?<=<span class="sig-paren">\(</span>)\s*<dl>(.*?)</dl>\s*', re.DOTALL)
ON_A_PAGE = 'document.documentElement.setAttribute("data-siamese-triplet-page", "");\n'  # whose address is ours


def setup(app: Any) -> None:
    app.connect("builder-inited", write_files)
    app.connect("html-page-context", finish_page)
    app.add_css_file(STYLES)


def write_files(app: Any) -> None:
    site = Path(app.outdir)
    static = site / "_static"
    static.mkdir(parents=True, exist_ok=True)
    (static / LIBRARY).write_text(ON_A_PAGE + script(), encoding="utf-8")
    shutil.copy(HERE / STYLES, static)
    shutil.copy(Path(app.srcdir) / "book" / "images" / CARD, static)
    shutil.copy(HERE / "404.html", site)
    (site / ".nojekyll").touch()  # GitHub Pages would else leave out folders that begin with _


def finish_page(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    body = context.get("body", "")
    context["body"] = LONG_SIGNATURE.sub(lines_without_list, body).replace(
        '<div role="list" class="citation-list">', '<div class="citation-list">'
    )
    if f"<{TAG}" in body:
        app.add_js_file(LIBRARY, loading_method="defer")


def lines_without_list(parameters: re.Match) -> str:
    """The parameters of a long signature as lines: Sphinx makes a list of definitions that define nothing."""
    return parameters[1].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
