"""The site's address, and structured data for search engines. `sphinxext.opengraph` adds the description and the card.

While the repository's address is the placeholder, the site has no address, and no button leads to the repository.
"""

import json
import re
from typing import Any

from docutils import nodes

from book_pages.files import CARD

PLACEHOLDER = "https://github.com/your--account/"  # no account can have this name
TAG = re.compile(r"<[^>]+>")  # around the number of a chapter
BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button", "use_source_button")


def setup(app: Any) -> None:
    app.connect("config-inited", set_address, priority=900)  # after Jupyter Book has set its own
    app.connect("html-page-context", add_structured_data)


def set_address(app: Any, config: Any) -> None:
    """Set the address of the site, which follows from the repository's on GitHub Pages."""
    repository = config.html_theme_options["repository_url"]
    if repository.startswith(PLACEHOLDER):
        config.html_theme_options.update(dict.fromkeys(BUTTONS, False), launch_buttons={})
    elif not config.html_baseurl:
        owner, _, name = repository.removeprefix("https://github.com/").partition("/")
        config.html_baseurl = f"https://{owner}.github.io/{name}/"
    config.ogp_site_url, config.ogp_site_name = config.html_baseurl, config.html_title
    config.ogp_image = f"{config.html_baseurl}_static/{CARD}"


def add_structured_data(
    app: Any, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Describe the page by schema.org: the start page is the book, notebooks are chapters, the rest are articles."""
    if doctree is None:
        return
    address = {"url": app.config.html_baseurl} if app.config.html_baseurl else {}
    book = {"@type": "Book", "name": app.config.html_title, **address}
    author = {"@type": "Organization", "name": app.config.author}
    about: dict[str, Any] = {"@context": "https://schema.org", "inLanguage": "en", "author": author, **book}
    if page != app.config.root_doc:
        kind = "Chapter" if page in app.imports else "TechArticle"
        about |= {"@type": kind, "name": TAG.sub("", context["title"]), "isPartOf": book}
        about |= {"url": address["url"] + app.builder.get_target_uri(page)} if address else {}
    text = json.dumps(about, ensure_ascii=False).replace("<", "\\u003c")
    context["metatags"] = context.get("metatags", "") + f'<script type="application/ld+json">{text}</script>\n'
