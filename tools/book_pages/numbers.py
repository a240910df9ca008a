"""Numbers of a page as text.

In the sources a number may stand in the style of code, which says that it is a setting or a measurement. In the pages
of the book it looks like any other number.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from book_pages.links import PAGES

NUMBER = re.compile(r"\d[\d.,]*(?: ?%| [×/] \d[\d.,]*|…\d[\d.,]*)?")


def setup(app: Any) -> None:
    app.add_post_transform(PlainNumbers)


class PlainNumbers(SphinxPostTransform):
    """Take the style of code from numbers."""

    default_priority = 190
    formats = ("html",)

    def run(self, **options: Any) -> None:
        if not PAGES.match(self.env.docname):
            return
        for literal in list(self.document.findall(nodes.literal)):
            if NUMBER.fullmatch(literal.astext()):
                literal.parent.replace(literal, nodes.Text(literal.astext()))
