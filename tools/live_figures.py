"""For Sphinx: gives the pages with live figures the library that draws them, one file for all of them."""

from pathlib import Path
from typing import Any

from siamese_triplet.figures.element import TAG, library

FILE = "siamese-triplet-figures.js"
ON_A_PAGE = 'document.documentElement.setAttribute("data-siamese-triplet-page", "");\n'  # whose address is ours


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", write_library)
    app.connect("html-page-context", add_library)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_library(app: Any) -> None:
    folder = Path(app.outdir) / "_static"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(ON_A_PAGE + library(), encoding="utf-8")


def add_library(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if f"<{TAG}" in context.get("body", ""):
        app.add_js_file(FILE, loading_method="defer")
