"""The prose of a page: its numbers, for the test that no result of a run is typed in, and its words.

Prose is Markdown text, captions and alternative texts. Code, link targets, citations and the single digits of formulas
are not prose.
"""

import json
import re
from pathlib import Path

COUNT = "two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|fifty|a hundred|several"
UNIT = "times|per cent|percent|percentage points|milliseconds|seconds|minutes|hours|megabytes|gigabytes|MB|GB"
NUMBER = re.compile(rf"\d(?:[\d.,]*\d)?|\b(?:{COUNT}) (?:{UNIT})\b", re.IGNORECASE)
FENCE = re.compile(r"[ \t>]*`{3,}(\{?)")
NOT_PROSE = re.compile(
    r"^:(?!alt:)[\w-]+:.*$"  # an option of a directive
    r"|`[^`]*`"  # code and citations in a sentence
    r"|(?<=\])\([^)\s]*\)"  # the target of a link
    r"|https?://\S+"
    r"|<[^>\n]+>",
    re.MULTILINE,
)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
ALT = re.compile(r"^:alt:.*$|(?<=!)\[[^\]]*\]|\{[\w:]+\}(?=`)", re.MULTILINE)  # and the names of roles
SINGLE_DIGIT = re.compile(r"(?<![\d.,])\d(?![\d.,]*\d)")


def prose(path: Path) -> str:
    """Return the prose of a page, a notebook or Markdown, on one line."""
    text = _markdown(path, with_alts=True)
    text = NOT_PROSE.sub(" ", _without_fenced_code(text))
    text = FORMULA.sub(lambda formula: SINGLE_DIGIT.sub("", formula.group()), text)
    return " ".join(text.split())


def words(path: Path) -> int:
    """Count the words that a reader of a page has before the eyes, a notebook or Markdown.

    A word is a piece of the text between spaces that has a letter. Headings, tables, captions and folded answers count;
    code, formulas, citations, the targets of links, alternative texts, outputs and included tables do not.
    """
    text = NOT_PROSE.sub(" ", ALT.sub(" ", _without_fenced_code(_markdown(path, with_alts=False))))
    return sum(any(letter.isalpha() for letter in piece) for piece in FORMULA.sub(" ", text).split())


def read_blocks(path: Path) -> list[str]:
    """Return the paragraphs, list items, headings and rows of a page, each on one line, with code and formulas."""
    text = re.sub(r"^:[\w-]+:.*$", "", _without_fenced_code(_markdown(path, with_alts=False)), flags=re.MULTILINE)
    text = re.sub(r"(?<=\])\([^)\s]*\)|</?\w[^>\n]*>|\{[\w:]+\}(?=`)", "", text)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.)\s)", text)
    return [block for block in (" ".join(part.split()).lstrip("-# ") for part in blocks) if block]


def _markdown(path: Path, with_alts: bool) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    parts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    alts = [cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "") for cell in cells]
    return "\n\n".join([*parts, *(alts if with_alts else [])])


def _without_fenced_code(text: str) -> str:
    """Remove the text between plain fences, which is code; the text in a directive is prose."""
    lines, open_fence = [], None
    for line in text.splitlines():
        if fence := FENCE.match(line):
            open_fence = fence[1] if open_fence is None else None
        elif open_fence != "":
            lines.append(line)
    return "\n".join(lines)


def find_unexplained(text: str, patterns: list[str], phrases: list[str]) -> list[str]:
    """Find the numbers in `text` that no phrase contains and no pattern matches, each with some words around it."""
    whole = [rf"(?<![\d.,]){re.escape(phrase)}(?![.,]?\d)" for phrase in sorted(phrases, key=len, reverse=True)]
    for known in [*whole, *patterns]:
        text = re.sub(known, "·", text)
    return [text[max(0, match.start() - 40) : match.end() + 40] for match in NUMBER.finditer(text)]
