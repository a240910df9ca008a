"""Rewrite the tables in `book/results` from the results beside them: `python tools/tables.py [--check]`.

Nothing is measured or trained: the numbers come from the JSON files. With `--check` it only lists the tables that
differ, and fails if there are any.
"""

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType

from siamese_triplet.book.report import reports
from siamese_triplet.book.reproduction import REPRODUCTION, summary

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "book" / "results"
sys.path.append(str(ROOT / "benchmarks"))
import evaluation_report  # noqa: E402
import page_report  # noqa: E402
import scale_report  # noqa: E402
import search_report  # noqa: E402
import selection_report  # noqa: E402
import training_report  # noqa: E402

REPORTS: dict[str, ModuleType] = {
    "selection": selection_report,
    "training": training_report,
    "evaluation": evaluation_report,
    "scale": scale_report,
    "search": search_report,
    "page": page_report,
}


def tables(folder: Path = RESULTS) -> dict[str, str]:
    """Format the results in `folder` as tables, by the names of their `.md` files."""
    benchmarks = {
        f"{name}.md": module.markdown(json.loads((folder / f"{name}.json").read_text())) + "\n"
        for name, module in REPORTS.items()
    }
    return {
        **reports(folder),
        "reproduction.md": summary(folder / REPRODUCTION) + "\n",
        **benchmarks,
    }


def out_of_step(folder: Path = RESULTS) -> list[str]:
    """List the `.md` files of `folder` that differ from its results, or that no results give."""
    expected = tables(folder)
    stored = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    return sorted(name for name in expected.keys() | stored.keys() if expected.get(name) != stored.get(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if a table is out of step")
    arguments = parser.parse_args()
    changed = out_of_step()
    print(f"out of step: {', '.join(changed)}" if changed else "all tables are what the results give")
    if changed and arguments.check:
        sys.exit("run python tools/tables.py")
    for name, text in tables().items():
        (RESULTS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
