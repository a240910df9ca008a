"""Check the links of the built book: `python tools/links.py` lists the external ones.

Nothing is fetched. It fails if a link inside the book leads to no file, or to no anchor in it.
"""

import sys
from collections import defaultdict
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

HTML = Path(__file__).parents[1] / "_build" / "html"
OUTSIDE = ("http", "https", "mailto")


class Page(HTMLParser):
    """The links and pictures of a page, and its anchors."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value and (tag, name) != ("link", "href"):
                self.links.add(value)
            if name == "id" and value:
                self.anchors.add(value)


@cache
def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def pages(site: Path) -> list[Path]:
    """List all pages but `404.html`, whose links are set in the browser."""
    return sorted(path for path in site.rglob("*.html") if path.name != "404.html" and "_static" not in path.parts)


def external(site: Path = HTML) -> dict[str, list[str]]:
    """Map each link out of the book to the pages that have it."""
    places = defaultdict(list)
    for path in pages(site):
        for link in read(path).links:
            if urlsplit(link).scheme in OUTSIDE and "/issues/new?" not in link:  # every page has its own issue link
                places[link].append(str(path.relative_to(site)))
    return dict(sorted(places.items()))


def broken(site: Path = HTML) -> list[str]:
    """List the links inside the book that lead to no file or to no anchor in it, as `page: link`."""
    return [
        f"{path.relative_to(site)}: {link}"
        for path in pages(site)
        for link in sorted(read(path).links)
        if not urlsplit(link).scheme and not leads_somewhere(path, link)
    ]


def leads_somewhere(page: Path, link: str) -> bool:
    parts = urlsplit(link)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return False
    is_anchor = parts.fragment and target.suffix == ".html" and not parts.query
    return not is_anchor or unquote(parts.fragment) in read(target).anchors


if __name__ == "__main__":
    for link, places in external().items():
        print(f"{link}  ({len(places)} pages, {places[0]})" if len(places) > 1 else f"{link}  ({places[0]})")
    if problems := broken():
        sys.exit("lead nowhere:\n" + "\n".join(problems))
