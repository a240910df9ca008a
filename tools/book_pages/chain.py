"""The way from page to page: Sphinx makes the index itself, and forgets where it stands in the table of contents."""

from typing import Any

INDEX = "genindex"


def setup(app: Any) -> None:
    app.connect("html-page-context", link_index)


def link_index(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the index links to the pages before and after it."""
    if page != INDEX:
        return
    _, *neighbours = app.env.collect_relations()[INDEX]
    for side, name in zip(("prev", "next"), neighbours, strict=True):
        if name:
            title = app.builder.render_partial(app.env.titles[name])["title"]
            context[side] = {"link": app.builder.get_relative_uri(page, name), "title": title}
