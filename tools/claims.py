"""List the sentences that claim one thing to be better than another: `python tools/claims.py [chapter ...]`.

It prints those that `tests/pages/claims.json` does not have yet, as entries to fill in, and then the entries whose
sentence is gone from its chapter or whose evidence does not hold. An entry has its evidence, or the reason why the
sentence is no claim about results:

    {"sentence": "With ten classes the search is worse than with the pixels.",
     "evidence": [{"file": "emoji.json", "metric": "recall_at_1",
                   "greater": {"name": "pixels"}, "less": {"name": "10 classes"}}]}
    {"sentence": "Find one that beats all of them.", "no claim": "an exercise"}

`greater` and `less` select results of the file in `book/results`: each name, with dots for names within names, has the
value, or one of the values in a list. The 95 % intervals of the two groups must not overlap; each needs three seeds,
unless nothing was trained in it.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prose import read_blocks

from siamese_triplet.book.results import interval, read_results

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "book" / "results"
CLAIMS = ROOT / "tests" / "pages" / "claims.json"
WORDS = "better|best|ahead|behind|beats?|beaten|worse|worst|sooner|faster|outperforms?|superior"
WORD = re.compile(rf"\b(?:{WORDS})\b", re.IGNORECASE)
END = re.compile(r"(?<=[.!?])[*_)\"”]*\s+(?=[\"“(*_`$]*[A-Z0-9`$])")
NOT_TRAINED = ("pixels", "frozen features")  # the same from every seed
AT_LEAST = 3  # seeds

Group = Mapping[str, Any]


def chapters() -> list[Path]:
    """List the pages whose claims are listed: the numbered chapters, and those of the appendix that are notebooks."""
    book = ROOT / "book"
    return sorted([*book.glob("[0-9]*.md"), *(path for path in book.glob("*.ipynb") if path.stem != "solutions")])


def claims(path: Path) -> list[str]:
    """List the sentences of a page that have a comparing word and are no questions."""
    sentences = (sentence.strip() for block in read_blocks(path) for sentence in END.split(block))
    return [sentence for sentence in sentences if WORD.search(sentence) and not sentence.rstrip('*_)"').endswith("?")]


def problems(entry: Mapping[str, Any], folder: Path = RESULTS) -> list[str]:
    """List what is wrong with an entry: no reason and no evidence, or evidence that does not hold."""
    if not entry.get("evidence"):
        return [] if entry.get("no claim") else ["neither evidence nor a reason"]
    return [problem for evidence in entry["evidence"] for problem in _weaknesses(evidence, folder)]


def _weaknesses(evidence: Mapping[str, Any], folder: Path) -> Iterator[str]:
    results = read_results(folder / evidence["file"])
    bounds = {}
    for side in ("greater", "less"):
        chosen = [result for result in results if _is_in(result, evidence[side])]
        seeds = {result["seed"] for result in chosen}
        if len(chosen) != len(seeds):
            yield f"{evidence[side]} mixes several results of one seed"
        elif len(seeds) < AT_LEAST and not (seeds and all(result.get("name") in NOT_TRAINED for result in chosen)):
            yield f"{evidence[side]} has {len(seeds)} seeds, not {AT_LEAST}"
        else:
            values = [_find(result, evidence["metric"]) for result in chosen]
            bounds[side] = interval(values) if len(values) > 1 else (values[0], values[0])
    if len(bounds) == 2 and bounds["greater"][0] <= bounds["less"][1]:
        (low, high), (other_low, other_high) = bounds["greater"], bounds["less"]
        shown = f"{low:.3f} to {high:.3f} is not above {other_low:.3f} to {other_high:.3f}"
        yield f"{evidence['metric']}: {shown}, for {evidence['greater']} and {evidence['less']}"


def _is_in(result: Mapping[str, Any], group: Group) -> bool:
    for name, value in group.items():
        found = _find(result, name, None)
        if found not in value if isinstance(value, list) else found != value:
            return False
    return True


def _find(result: Any, name: str, *default: Any) -> Any:
    """Look up a name with dots in a result; without a default a missing one raises KeyError."""
    for part in name.split("."):
        if default and part not in result:
            return default[0]
        result = result[part]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", help="names of chapters, such as 12_many_classes; by default all")
    names = parser.parse_args().chapters
    listed = json.loads(CLAIMS.read_text())
    for path in chapters():
        if names and path.stem not in names:
            continue
        found, entries = claims(path), listed.get(path.stem, [])
        known = [entry["sentence"] for entry in entries]
        new = [{"sentence": sentence, "evidence": [], "no claim": ""} for sentence in found if sentence not in known]
        print(f"{path.stem}: {json.dumps(new, indent=1, ensure_ascii=False)}")
        for entry in entries:
            gone = [] if entry["sentence"] in found else ["is not in the chapter any more"]
            for problem in [*gone, *problems(entry)]:
                print(f"  {entry['sentence']!r}: {problem}")


if __name__ == "__main__":
    main()
