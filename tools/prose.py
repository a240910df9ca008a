"""The numbers that a page states in its prose, for the test that no run's result is typed in.

Prose is what a reader reads as sentences: Markdown, captions and alternative texts. Code, link targets, citations and
the single digits of formulas are not.
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
    r"|(?<=\])\([^)\s]*\)"  # where a link leads
    r"|https?://\S+"
    r"|<[^>\n]+>",
    re.MULTILINE,
)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
SINGLE_DIGIT = re.compile(r"(?<![\d.,])\d(?![\d.,]*\d)")


def prose(path: Path) -> str:
    """The prose of a page, a notebook or Markdown, on one line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        markdown = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        alts = [cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "") for cell in cells]
        text = "\n\n".join([*markdown, *alts])
    text = NOT_PROSE.sub(" ", _without_fenced_code(text))
    text = FORMULA.sub(lambda formula: SINGLE_DIGIT.sub("", formula.group()), text)
    return " ".join(text.split())


def _without_fenced_code(text: str) -> str:
    """What stands in a directive is prose, what stands between plain fences is code."""
    lines, opened = [], None
    for line in text.splitlines():
        if fence := FENCE.match(line):
            opened = fence[1] if opened is None else None
        elif opened != "":
            lines.append(line)
    return "\n".join(lines)


def unexplained(text: str, patterns: list[str], phrases: list[str]) -> list[str]:
    """Each number in `text` that is in none of the phrases and matched by no pattern, with some words around it."""
    whole = [rf"(?<![\d.,]){re.escape(phrase)}(?![.,]?\d)" for phrase in sorted(phrases, key=len, reverse=True)]
    for known in [*whole, *patterns]:
        text = re.sub(known, "·", text)
    return [text[max(0, found.start() - 40) : found.end() + 40] for found in NUMBER.finditer(text)]
