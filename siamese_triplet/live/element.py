"""A figure as HTML: a custom element with its data, and the JavaScript that draws it."""

import html
import json
import os
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

TAG = "siamese-triplet-figure"
IN_BOOK = "SIAMESE_TRIPLET_IN_BOOK"  # set while the book's notebooks are executed: its pages bring the library along
IMPORT = re.compile(r'^import \{(.*?)\} from "\./(\w+)\.mjs";', re.MULTILINE | re.DOTALL)
EXPORT = re.compile(r"^export (?:function|const) (\w+)", re.MULTILINE)
MODULES = (  # each after those it imports from
    "arithmetic",
    "random",
    "address",
    "controls",
    "theme",
    "data",
    "scatter",
    "epochs",
    "playground",
    "bench",
    "viewer",
    "gallery",
    "main",
)


@dataclass(frozen=True)
class LiveFigure:
    """A figure that a notebook and a page of the book show.

    `kind` says what draws it, `name` stands for it in the page's address, `title` above it; `data` is what it draws,
    numbers and text that JSON can hold. `alt` describes it where it cannot be drawn; `still`, HTML of a picture, takes
    its place on paper.
    """

    kind: str
    name: str
    title: str
    data: dict[str, Any]
    alt: str
    still: str = ""

    def __repr__(self) -> str:
        return f"{self.title}: {self.alt}"

    def to_html(self, with_script: bool = True) -> str:
        """The figure, with the library that draws it or, for a page that has it already, without."""
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.name):
            raise ValueError(
                f"name={self.name!r} stands in an address: small letters, digits and hyphens, a letter first"
            )
        data = json.dumps({"title": self.title, **self.data}, separators=(",", ":")).replace("<", "\\u003c")
        still = self.still or f"<p>{html.escape(self.alt)}</p>"
        own_script = f"<script>{script()}</script>" if with_script else ""
        return (
            f'<{TAG} kind="{self.kind}" name="{self.name}"><script type="application/json">{data}</script>'
            f"{still}</{TAG}>{own_script}"
        )

    def _repr_html_(self) -> str:
        return self.to_html(with_script=IN_BOOK not in os.environ)


def script() -> str:
    """The modules in `js/` as one script: one that works in a page opened from a file, where browsers load no
    modules."""
    folder = resources.files("siamese_triplet.live") / "js"
    parts = [_as_function(name, (folder / f"{name}.mjs").read_text(encoding="utf-8")) for name in MODULES]
    return "(() => {\nconst modules = {};\n" + "\n".join(parts).replace("</script", "<\\/script") + "})();\n"


def _as_function(name: str, source: str) -> str:
    """A module as a function that returns what it exports, called once."""
    exports = ", ".join(EXPORT.findall(source))
    body = EXPORT.sub(lambda found: found[0].removeprefix("export "), source)
    body = IMPORT.sub(r"const {\1} = modules.\2;", body)
    return f"modules.{name} = (() => {{\n{body}return {{ {exports} }};\n}})();\n"
