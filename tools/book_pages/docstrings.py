"""The package's docstrings, which are plain text with `code` in single backticks, as reStructuredText."""

import re
from typing import Any

CODE = re.compile(r"(`[^`\n]+`)")
SPECIAL = re.compile(r"([\\*|])|(?<=\w)_(?!\w)")  # what would begin emphasis, a substitution or a link
DOCTEST = (">>> ", "... ")
ALIAS = "Alias for field number"  # the docstring that Python gives the fields of a named tuple


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-skip-member", skip)


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = marked_up(lines)


def process_signature(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """A default that a data class makes anew each time is no Python, and would leave the whole signature unread."""
    return signature and signature.replace("<factory>", "..."), result


def skip(app: Any, what: str, name: str, thing: Any, is_skipped: bool, options: Any) -> bool | None:
    return True if (getattr(thing, "__doc__", None) or "").startswith(ALIAS) else None


def marked_up(lines: list[str]) -> list[str]:
    """Lines of a docstring as lines of reStructuredText; examples, from `>>>` to an empty line, stay as they are."""
    marked: list[str] = []
    is_example = False
    before = ""
    for line in _joined_code(lines):
        is_example = line.lstrip().startswith(DOCTEST) or (is_example and bool(line.strip()))
        if _begins_block(line, before):
            marked.append("")
        marked.append(line if is_example else _in_line(line))
        before = line
    return marked


def _joined_code(lines: list[str]) -> list[str]:
    """`lines`, where code that is broken over two of them moves to the first as a whole."""
    return re.sub("`[^`]+`", _one_line, "\n".join(lines)).split("\n")


def _one_line(code: re.Match) -> str:
    return re.sub(r"\n *", " ", code[0])


def _begins_block(line: str, before: str) -> bool:
    """Whether a list or an example begins right after a line of text."""
    starts = line.lstrip().startswith(("- ", ">>> "))
    is_within = before.lstrip().startswith(("- ", *DOCTEST)) or before.startswith(" ")
    return starts and bool(before.strip()) and not is_within


def _in_line(line: str) -> str:
    parts = CODE.split(line)
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = rf"\ `{part}`\ " if _touches(parts, number) else f"`{part}`"
        else:
            parts[number] = SPECIAL.sub(lambda found: "\\" + found[0], part)
    return "".join(parts)


def _touches(parts: list[str], number: int) -> bool:
    """Whether a letter or a sign stands right beside this piece of code, which reStructuredText does not allow."""
    return bool(re.search(r"[^\s(\[{\-\"]$", parts[number - 1]) or re.match(r"[^\s).,:;!?\]}\-\"]", parts[number + 1]))
