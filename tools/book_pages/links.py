"""Links that the pages have beyond those in their sources: the first use of a term, and the names of chapters.

In each page of the book, the first use of a term of the glossary links to it, unless the page has a link to it. Bold
text and tables come last, folded answers get no links. A link that says only "chapter 5" shows the title of the chapter
on hover.
"""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from book_pages.folds import within_code

PAGES = re.compile(r"book/(?!glossary$|references$)[^/]+$")
NO_LINKS_IN = (
    nodes.reference, nodes.title, nodes.caption, nodes.rubric, nodes.term, nodes.literal, nodes.math,
)  # fmt: skip
ONLY_ELSE_IN = (nodes.strong, nodes.table)  # if no other sentence has the term
QUESTION = "The question:"  # of a chapter, in bold: no links
FOLD = re.compile(r"<(/?)details\b")
OTHER_SENSES = ("head", "index", "support", "gallery", "recipe", "query", "positive", "negative")  # and not in this one
OTHER_ON = {  # and on one page
    "book/12_many_classes": {"held-out classes"},
    "book/13_choosing": {"collapse"},
    "book/15_pretrained": {"contrastive loss"},
    "book/19_today": {"margin", "threshold"},
}
PART_OF_A_NAME = r"(?!\s+(?:pairs?|nets?|networks?)\b)"
CHAPTER = re.compile(r"chapters? \d+", re.IGNORECASE)


def setup(app: Any) -> None:
    app.add_post_transform(LinkTerms)
    app.add_post_transform(NameChapters)


class LinkTerms(SphinxPostTransform):
    """Link the first use of each term; before the folds are named, which moves paragraphs into cells."""

    default_priority = 200
    formats = ("html",)

    def run(self, **options: Any) -> None:
        page = self.env.docname
        if not PAGES.match(page):
            return
        for home, metadata in self.env.metadata.items():
            if "definitions" in metadata:
                terms = {term: at for term, at in terms_of(metadata).items() if term not in OTHER_ON.get(page, ())}
                link_terms(self.document, terms, self.app.builder.get_relative_uri(page, home))


class NameChapters(SphinxPostTransform):
    """Give a link to a chapter by its number the title of the chapter."""

    default_priority = 200
    formats = ("html",)

    def run(self, **options: Any) -> None:
        page = self.env.docname
        titles = {
            self.app.builder.get_relative_uri(page, other): title.astext() for other, title in self.env.titles.items()
        }
        for link in self.document.findall(nodes.reference):
            title = titles.get(link.get("refuri", "").partition("#")[0])
            if title and CHAPTER.fullmatch(link.astext()):
                link["reftitle"] = title


def terms_of(metadata: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the anchor and the definition of each term, by its text."""
    slugs, definitions = metadata["myst_slugs"], metadata["definitions"]
    return {slugs[anchor][2]: (anchor, text) for anchor, text in definitions.items()}


def link_terms(document: nodes.document, terms: dict[str, tuple[str, str]], glossary: str) -> None:
    """Link the first use of each term in the sentences of `document`; synonyms are one term."""
    open_terms = {term: found for term, found in terms.items() if term not in OTHER_SENSES}
    definition_of = dict(terms.values())
    for link in document.findall(nodes.reference):
        _close(open_terms, definition_of.get(link.get("refuri", "").partition("#")[2]))
    for late in (False, True):
        is_folded = False
        for node in list(document.findall()):
            if isinstance(node, nodes.raw) and (folds := FOLD.findall(node.astext())):
                is_folded = not folds[-1]
            if isinstance(node, nodes.Text) and not is_folded and _is_sentence(node, late):
                parts = list(_split(node.astext(), open_terms, glossary))
                if len(parts) > 1:
                    node.parent.replace(node, parts)


def _close(open_terms: dict[str, tuple[str, str]], definition: str | None) -> None:
    for term in [term for term, (_, text) in open_terms.items() if text == definition]:
        del open_terms[term]


def _is_sentence(node: nodes.Text, late: bool) -> bool:
    """Tell whether a text is part of a sentence that may have links; with `late` in bold or in a table, too."""
    parents, parent = [], node.parent
    while parent is not None:
        parents.append(parent)
        parent = parent.parent
    is_title = isinstance(node.parent, nodes.emphasis) and len(node.astext().split()) > 2  # of a book or a paper
    without = NO_LINKS_IN if late else (*NO_LINKS_IN, *ONLY_ELSE_IN)
    is_elsewhere = any(isinstance(parent, without) for parent in parents) or within_code(node)
    in_paragraph = any(isinstance(parent, nodes.paragraph) for parent in parents)
    return in_paragraph and not (is_title or is_elsewhere or node.astext().startswith(QUESTION))


def _split(text: str, open_terms: dict[str, tuple[str, str]], glossary: str) -> Iterator[nodes.Node]:
    """Split `text` at the open terms in it, and close them."""
    while found := _first(text, open_terms):
        term, match = found
        anchor, definition = open_terms[term]
        _close(open_terms, definition)
        before, text = text[: match.start()], text[match.end() :]
        if before:
            yield nodes.Text(before)
        yield nodes.reference("", match[0], internal=True, refuri=f"{glossary}#{anchor}")
    yield nodes.Text(text)


def _first(text: str, open_terms: dict[str, tuple[str, str]]) -> tuple[str, re.Match] | None:
    """Find the first open term in `text`, of several at one place the longest."""
    matches = [(term, match) for term in open_terms if (match := _pattern(term).search(text))]
    return min(matches, key=lambda found: (found[1].start(), -len(found[0])), default=None)


def _pattern(term: str) -> re.Pattern:
    """Match the term as a word, or its plural; an abbreviation in its capitals only."""
    words = r"\s+".join(map(re.escape, term.split()))
    flags = 0 if term[1:] != term[1:].lower() else re.IGNORECASE
    return re.compile(rf"(?<![\w-]){words}s?(?![\w-]){PART_OF_A_NAME}", flags)
