"""Turn the package's docstrings, plain text with `code` in single backticks, into reStructuredText."""

import re
from typing import Any

CODE = re.compile(r"(`[^`\n]+`)")
SPECIAL = re.compile(r"([\\*|])|(?<=\w)_(?!\w)")  # starts emphasis, a substitution or a link
DOCTEST = (">>> ", "... ")
ALIAS = "Alias for field number"  # the docstring that Python gives the fields of a named tuple


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-skip-member", skip)


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = mark_up(lines)


def process_signature(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """Replace the `<factory>` defaults of data classes, which are not Python and would leave a signature unparsed."""
    return signature and signature.replace("<factory>", "..."), result


def skip(app: Any, what: str, name: str, thing: Any, is_skipped: bool, options: Any) -> bool | None:
    return True if (getattr(thing, "__doc__", None) or "").startswith(ALIAS) else None


def mark_up(lines: list[str]) -> list[str]:
    """Convert the lines of a docstring; examples, from `>>>` to an empty line, stay unchanged."""
    result: list[str] = []
    is_example = False
    before = ""
    for line in _join_code(lines):
        is_example = line.lstrip().startswith(DOCTEST) or (is_example and bool(line.strip()))
        if _begins_block(line, before):
            result.append("")
        result.append(line if is_example else _mark_up_line(line))
        before = line
    return result


def _join_code(lines: list[str]) -> list[str]:
    """Move code that is broken over two lines to the first of them."""
    return re.sub("`[^`]+`", _join_lines, "\n".join(lines)).split("\n")


def _join_lines(code: re.Match) -> str:
    return re.sub(r"\n *", " ", code[0])


def _begins_block(line: str, before: str) -> bool:
    """Tell whether a list or an example begins right after a line of text."""
    starts = line.lstrip().startswith(("- ", ">>> "))
    is_within = before.lstrip().startswith(("- ", *DOCTEST)) or before.startswith(" ")
    return starts and bool(before.strip()) and not is_within


def _mark_up_line(line: str) -> str:
    parts = CODE.split(line)
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = rf"\ `{part}`\ " if _touches(parts, number) else f"`{part}`"
        else:
            parts[number] = SPECIAL.sub(lambda match: "\\" + match[0], part)
    return "".join(parts)


def _touches(parts: list[str], number: int) -> bool:
    """Tell whether a letter or a sign touches this piece of code, which reStructuredText does not allow."""
    return bool(re.search(r"[^\s(\[{\-\"]$", parts[number - 1]) or re.match(r"[^\s).,:;!?\]}\-\"]", parts[number + 1]))
