"""The search of the site: American spellings find British ones, and Sphinx's search page throws no errors.

The book has British spelling, and PyTorch American. `SPELLINGS` turn a word into the British one, in the index and, by
`search.js`, in what the reader types; then Porter's stemmer cuts its ending off.
"""

import json
import re
from pathlib import Path
from typing import Any

from sphinx.search.en import SearchEnglish

SCRIPT = "search.js"
SPELLINGS = (  # regular expressions in the syntax that Python and JavaScript share
    (r"^(\w{3,})iz(e|ed|es|er|ers|ing|able|ation|ations)$", r"\1is\2"),
    (r"yz(e|ed|es|er|ers|ing)$", r"ys\1"),
    (r"^(behavi|col|fav|flav|harb|hon|hum|neighb)or", r"\1our"),
    (r"^(cent|fib|met)er(s?)$", r"\1re\2"),
    (r"^(cent)er(ed|ing)$", r"\1r\2"),
    (r"^(anal|catal|dial)og(s?)$", r"\1ogue\2"),
    (r"^gray", "grey"),
    (r"^artifact", "artefact"),
)


class EitherSpelling(SearchEnglish):
    """English for the search, with one stem for both spellings of a word."""

    def stem(self, word: str) -> str:
        return super().stem(british(word.lower()))


def setup(app: Any) -> None:
    app.add_search_language(EitherSpelling)
    app.connect("builder-inited", write_script)
    app.connect("html-page-context", add_script)


def british(word: str) -> str:
    """Return the British spelling of a word in lower case; any other word stays as it is."""
    for pattern, replacement in SPELLINGS:
        word = re.sub(pattern, replacement, word)
    return word


def write_script(app: Any) -> None:
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    spellings = [(pattern, replacement.replace("\\", "$")) for pattern, replacement in SPELLINGS]
    source = (Path(__file__).parent / SCRIPT).read_text(encoding="utf-8")
    (static / SCRIPT).write_text(f"const SPELLINGS = {json.dumps(spellings)};\n{source}", encoding="utf-8")


def add_script(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if page == "search":
        app.add_js_file(SCRIPT, loading_method="defer")  # after Sphinx's scripts, and before they start to search
