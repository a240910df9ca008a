"""Files that all pages share: scripts of the live figures and for printing, styles, the social card, a page for wrong
addresses.

Two mistakes in Sphinx's HTML are mended: the list of references has a role that does not allow its entries, and long
signatures have a list within a heading.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from siamese_triplet.live.element import TAG, script
from siamese_triplet.live.in_page import data_files

HERE = Path(__file__).parent
LIBRARY, STYLES, PRINT, CARD = "siamese-triplet-figures.js", "book.css", "print.js", "card.png"
LONG_SIGNATURE = re.compile(r'(?<=<span class="sig-paren">\(</span>)\s*<dl>(.*?)</dl>\s*', re.DOTALL)
ON_A_PAGE = 'document.documentElement.setAttribute("data-siamese-triplet-page", "");\n'  # figures may use its address


def setup(app: Any) -> None:
    app.connect("builder-inited", write_files)
    app.connect("html-page-context", finish_page)
    app.add_css_file(STYLES)
    app.add_js_file(PRINT, loading_method="defer")


def write_files(app: Any) -> None:
    site = Path(app.outdir)
    static = site / "_static"
    static.mkdir(parents=True, exist_ok=True)
    (static / LIBRARY).write_text(ON_A_PAGE + script(), encoding="utf-8")
    for name in (STYLES, PRINT):
        shutil.copy(HERE / name, static)
    for name, images in data_files().items():  # a page loads them when they are chosen
        (static / name).write_text(images, encoding="utf-8")
    shutil.copy(Path(app.srcdir) / "book" / "images" / CARD, static)
    shutil.copy(HERE / "404.html", site)
    (site / ".nojekyll").touch()  # else GitHub Pages leaves out folders that begin with _


def finish_page(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    body = context.get("body", "")
    context["body"] = LONG_SIGNATURE.sub(parameter_lines, body).replace(
        '<div role="list" class="citation-list">', '<div class="citation-list">'
    )
    if f"<{TAG}" in body:
        app.add_js_file(LIBRARY, loading_method="defer")


def parameter_lines(parameters: re.Match) -> str:
    """Format the parameters of a long signature as lines, in place of Sphinx's list of empty definitions."""
    return parameters[1].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
