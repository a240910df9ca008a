"""Say at the head of each chapter what its full recipe cost, by the chapter's own last output.

`python tools/costs.py` rewrites the sentence in all chapters, after `tools/execute.py`. With `--check` it only lists
the chapters whose sentence differs, and fails if there are any.
"""

import argparse
import json
import re
import sys
from pathlib import Path

BOOK = Path(__file__).parents[1] / "book"
QUICK = re.compile(r"In the quick recipe the chapter [^.]*\.")  # the sentence before
COST = re.compile(r" The full recipe took [\d.]+ (?:minutes|hours) on [^.]*\.")
NUMBERS = {1: "one CPU core", 2: "two CPU cores"}


def cost(report: str) -> str:
    """Make the sentence from the text that a chapter prints last; "" if that is not of the full recipe.

    The time is that of the chapter, with that of the runs whose results it read instead of training.
    """
    if not report.startswith("recipe     full"):
        return ""
    minutes = _number(r"^wall time +([\d.]+) min", report) + _number(r"^training +([\d.]+) min, then kept", report)
    minutes += 60 * _number(r"time to train, of \d+ runs together: ([\d.]+) hours", report)
    [(device, threads)] = re.findall(r"^device +(.+), (\d+) threads?$", report, re.MULTILINE)
    where = NUMBERS.get(int(threads), f"{threads} CPU cores") if device == "cpu" else f"one {device}"
    runs = re.findall(r"time to train, of (\d+) runs together", report)
    trained = f", and trained {runs[0]} networks" if runs else ""
    return f" The full recipe took {_spoken(minutes)} on {where}{trained}."


def _number(pattern: str, text: str) -> float:
    return sum(map(float, re.findall(pattern, text, re.MULTILINE)))


def _spoken(minutes: float) -> str:
    if minutes < 10:
        return f"{minutes:.1f} minutes"
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


def with_cost(text: str) -> str:
    """Put the sentence into the opening of a notebook, given as its file's text. A page without recipes has none."""
    notebook = json.loads(text)
    opening = COST.sub("", "".join(notebook["cells"][0]["source"]))
    report = "".join("".join(output.get("text", "")) for output in notebook["cells"][-1].get("outputs", []))
    opening = QUICK.sub(lambda quick: quick.group() + cost(report), opening, count=1)
    notebook["cells"][0]["source"] = opening.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if a chapter is out of step")
    check = parser.parse_args().check
    changed = []
    for path in sorted(BOOK.glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        if (new := with_cost(text)) != text:
            changed.append(path.name)
            if not check:
                path.write_text(new, encoding="utf-8")
    print("out of step: " + ", ".join(changed) if changed else "all chapters in step")
    if changed and check:
        sys.exit("run python tools/costs.py")


if __name__ == "__main__":
    main()
