"""Cells of tables that hold a number or a few words, which should stand in one line."""

from typing import Any

from docutils import nodes

LONGEST = 22  # characters of what stays whole, such as `99.01 ± 0.17 (1 of 3)`


def setup(app: Any) -> None:
    app.connect("doctree-resolved", mark_short)


def mark_short(app: Any, doctree: nodes.document, page: str) -> None:
    for entry in doctree.findall(nodes.entry):
        if len(entry.astext()) <= LONGEST:
            entry["classes"].append("short")
