"""Metadata of a page for search engines and social networks: a description, a card, and structured data."""

import json
from html import escape
from typing import Any

from docutils import nodes

from book_pages.files import CARD

ENOUGH = 60  # characters: shorter paragraphs say too little
LONGEST = 300
CARD_ALT = "Ten clusters of points: the digits of MNIST, as a network that learned from triplets places them"


def setup(app: Any) -> None:
    app.connect("config-inited", set_address, priority=900)  # after Jupyter Book has set its own
    app.connect("html-page-context", add_metadata)


def set_address(app: Any, config: Any) -> None:
    """Set the address of the site, which follows from the repository's on GitHub Pages."""
    if not config.html_baseurl:
        owner, _, name = config.html_theme_options["repository_url"].removeprefix("https://github.com/").partition("/")
        config.html_baseurl = f"https://{owner}.github.io/{name}/"


def add_metadata(app: Any, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    if doctree is None:
        return
    site = app.config.html_baseurl
    title, text = context["title"], description(doctree)
    address, card = f"{site}{app.builder.get_target_uri(page)}", f"{site}_static/{CARD}"
    named = {"description": text, "twitter:card": "summary_large_image"}
    properties = {
        "og:type": "website" if page == app.config.root_doc else "article",
        "og:site_name": app.config.html_title,
        "og:title": title,
        "og:description": text,
        "og:url": address,
        "og:image": card,
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": CARD_ALT,
    }
    metadata = [f'<meta name="{name}" content="{escape(content)}">' for name, content in named.items()]
    metadata += [f'<meta property="{name}" content="{escape(content)}">' for name, content in properties.items()]
    structured = json.dumps(structure(app, page, title, text, address, card), ensure_ascii=False).replace(
        "<", "\\u003c"
    )
    metadata.append(f'<script type="application/ld+json">{structured}</script>')
    context["metatags"] = context.get("metatags", "") + "\n".join(metadata)


def structure(app: Any, page: str, title: str, text: str, address: str, card: str) -> dict[str, Any]:
    """Describe the page by schema.org: the start page is the book, notebooks are chapters, the rest are articles."""
    book = {"@type": "Book", "name": app.config.html_title, "url": app.config.html_baseurl}
    about = {
        "@context": "https://schema.org",
        "headline": title,
        "description": text,
        "url": address,
        "image": card,
        "inLanguage": "en",
        "author": {"@type": "Organization", "name": app.config.author},
    }
    if page == app.config.root_doc:
        return about | book
    return about | {"@type": "Chapter" if page in app.imports else "TechArticle", "name": title, "isPartOf": book}


def description(doctree: nodes.document) -> str:
    """Return the first paragraph that is long enough, cut at a word."""
    paragraphs = (" ".join(paragraph.astext().split()) for paragraph in doctree.findall(nodes.paragraph))
    text = next((text for text in paragraphs if len(text) >= ENOUGH), doctree.get("title", ""))
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " …"
