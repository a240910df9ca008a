"""Links to the terms of the glossary, which show the definition on hover and on focus.

In a notebook, `[semi-hard](glossary.md#term-semi-hard)` links to a term, as `{term}` does in a page. The definition is
written into the link, where `book.css` shows it, so that it needs neither a script nor another file.
"""

import re
from html import escape
from typing import Any

from docutils import nodes

SEE = re.compile(r"\s*See (?:chapter \d+|[^.]+)\.$")  # where the term is at home, which the link of the entry says
LINK = re.compile(r'<a class="reference internal"( href="(?P<page>[^"#]*)#(?P<term>term-[^"]+)")')


def setup(app: Any) -> None:
    app.connect("doctree-read", record_terms)
    app.connect("html-page-context", define_links)


def record_terms(app: Any, doctree: nodes.document) -> None:
    """Record the definitions of a page by the anchors of their terms, and let MyST link to these anchors."""
    definitions: dict[str, str] = {}
    for item in doctree.findall(nodes.definition_list_item):
        text = " ".join(item.children[-1].astext().split())
        for term in item.findall(nodes.term):
            definitions |= {anchor: SEE.sub("", text) for anchor in term["ids"] if anchor.startswith("term-")}
            slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
            slugs |= {anchor: (item.line or 1, anchor, term.astext()) for anchor in term["ids"]}
    if definitions:
        app.env.metadata[app.env.docname]["definitions"] = definitions


def define_links(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Write its definition into each link to a term; of other pages only, as the glossary shows its own."""
    definitions = {
        (app.builder.get_relative_uri(page, home), anchor): text
        for home, metadata in app.env.metadata.items()
        for anchor, text in metadata.get("definitions", {}).items()
        if home != page
    }

    def define(link: re.Match) -> str:
        text = definitions.get((link["page"], link["term"]))
        return f'<a class="reference internal term" data-definition="{escape(text)}"{link[1]}' if text else link[0]

    if "body" in context:
        context["body"] = LINK.sub(define, context["body"])
