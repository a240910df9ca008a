"""Figures as HTML: a custom element with its data, and the JavaScript that draws it."""

import html
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

from siamese_triplet._style import plain

TAG = "siamese-triplet-figure"
IN_BOOK = "SIAMESE_TRIPLET_IN_BOOK"  # set while the book's notebooks run: its pages load the script themselves
IMPORT = re.compile(r'^import \{(.*?)\} from "\./(\w+)\.mjs";', re.MULTILINE | re.DOTALL)
EXPORT = re.compile(r"^export (?:function|const|class) (\w+)", re.MULTILINE)
MODULES = (  # in the order of their imports
    "bundle",
    "tuples",
    "arithmetic",
    "random",
    "address",
    "controls",
    "theme",
    "data",
    "scatter",
    "epochs",
    "curve",
    "playground",
    "bench",
    "viewer",
    "gallery",
    "picker",
    "search",
    "kernel_bytes",
    "plain",
    "kernels",
    "layers",
    "network",
    "adam",
    "losses",
    "settings",
    "batches",
    "diagnostics",
    "trainer",
    "training_session",
    "training_data",
    "training_worker",
    "training_client",
    "charts",
    "digits",
    "pad",
    "panel",
    "choices",
    "session",
    "datasets",
    "training",
    "drawing",
    "weights",
    "family",
    "main",
)


@dataclass(frozen=True)
class LiveFigure:
    """An interactive figure, for a notebook or a page of the book.

    - `kind`: selects the JavaScript that draws it.
    - `name`: identifies it in the page's address.
    - `title`: stands above it.
    - `data`: its content, as JSON can hold it, with finite numbers only.
    - `alt`: describes it where it cannot be drawn.
    - `still`: HTML of a picture that replaces it on paper.

    Raises ValueError for a number in `data` that is not finite: no browser reads it.
    """

    kind: str
    name: str
    title: str
    data: dict[str, Any]
    alt: str
    still: str = ""

    def __post_init__(self) -> None:
        for place, number in _numbers(self.data):
            if not math.isfinite(number):
                raise ValueError(
                    f"the figure {self.title!r} cannot show data{place} = {number}: a page holds finite numbers only; "
                    "leave it out, or look for where it comes from, such as a network that has diverged"
                )

    def __repr__(self) -> str:
        return plain(f"{self.title}: {self.alt}")

    def to_html(self, with_script: bool = True) -> str:
        """Return the figure as HTML, with the script that draws it unless the page has that already."""
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.name):
            raise ValueError(
                f"name={self.name!r} must be lower-case letters, digits and hyphens, a letter first: it is part of the "
                "page's address"
            )
        data = json.dumps({"title": self.title, **self.data}, separators=(",", ":"), allow_nan=False).replace(
            "<", "\\u003c"
        )
        still = self.still or f"<p>{html.escape(plain(self.alt))}</p>"
        own_script = f"<script>{script()}</script>" if with_script else ""
        return (
            f'<{TAG} kind="{self.kind}" name="{self.name}"><script type="application/json">{data}</script>'
            f"{still}</{TAG}>{own_script}"
        )

    def _repr_html_(self) -> str:
        return self.to_html(with_script=IN_BOOK not in os.environ)


def script() -> str:
    """Bundle the modules in `js/` into one script, since browsers load no modules in a page opened from a file.

    The functions that make the modules are kept in the first module, for the Web Worker that trains: its script is put
    together from those that it needs.
    """
    folder = resources.files("siamese_triplet.live") / "js"
    parts = [_as_function(name, (folder / f"{name}.mjs").read_text(encoding="utf-8")) for name in MODULES]
    define = "(name, make) => { modules[name] = make(); modules.bundle.sources[name] = make; }"
    body = "\n".join(parts).replace("</script", "<\\/script")
    return f"(() => {{\nconst modules = {{}};\nconst define = {define};\n{body}}})();\n"


def _numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield the floating-point numbers within `value`, each after its place."""
    if isinstance(value, float):
        yield place, value
    elif isinstance(value, (dict, list, tuple)):
        for key, held in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(held, f"{place}[{key!r}]")


def _as_function(name: str, source: str) -> str:
    """Wrap a module in a function that makes it and returns the exports."""
    exports = ", ".join(EXPORT.findall(source))
    body = EXPORT.sub(lambda match: match[0].removeprefix("export "), source)
    body = IMPORT.sub(r"const {\1} = modules.\2;", body)
    return f'define("{name}", () => {{\n{body}return {{ {exports} }};\n}});\n'
