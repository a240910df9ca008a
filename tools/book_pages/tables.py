"""Mark the table cells with a number or a few words, which should not wrap."""

from typing import Any

from docutils import nodes

LONGEST = 22  # characters of a cell that does not wrap, such as `99.01 ± 0.17 (1 of 3)`


def setup(app: Any) -> None:
    app.connect("doctree-resolved", mark_short)


def mark_short(app: Any, doctree: nodes.document, page: str) -> None:
    for entry in doctree.findall(nodes.entry):
        if len(entry.astext()) <= LONGEST:
            entry["classes"].append("short")
