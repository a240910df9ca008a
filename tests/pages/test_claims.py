"""Every sentence of a chapter that calls one thing better than another has its evidence, or is no claim about results.

`claims.json` lists them; `python tools/claims.py` prints those that are missing, and says how an entry is written.
"""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
import claims  # noqa: E402

LISTED = json.loads(claims.CLAIMS.read_text())
CHAPTERS = {path.stem: path for path in claims.chapters()}


@pytest.mark.parametrize("name", sorted(CHAPTERS))
def test_every_claim_of_a_chapter_is_listed_and_holds(name: str) -> None:
    entries, found = LISTED.get(name, []), claims.claims(CHAPTERS[name])
    known = [entry["sentence"] for entry in entries]
    advice = f"python tools/claims.py {name}"
    assert [sentence for sentence in found if sentence not in known] == [], advice
    assert [sentence for sentence in known if sentence not in found] == [], advice
    assert [problem for entry in entries for problem in claims.problems(entry)] == [], advice


def test_only_chapters_have_claims() -> None:
    assert LISTED.keys() <= CHAPTERS.keys()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of three seeds: `a` is ahead of `b`, and neither of `c`, whose seeds lie far apart."""
    values = {"a": (0.80, 0.81, 0.82), "b": (0.70, 0.71, 0.72), "c": (0.60, 0.75, 0.90), "pixels": (0.75,)}
    results = [
        {"name": name, "seed": seed, "change": {"margin": margin}, "unseen": {"map_at_r": value}}
        for name, group in values.items()
        for margin in (1, 2)
        for seed, value in enumerate(group)
    ]
    (tmp_path / "made.json").write_text(json.dumps(results))
    return tmp_path


def entry(greater: object, less: object) -> dict:
    sides = {side: {"name": name, "change.margin": 1} for side, name in (("greater", greater), ("less", less))}
    return {
        "sentence": "One is better.",
        "evidence": [{"file": "made.json", "metric": "unseen.map_at_r", **sides}],
    }


@pytest.mark.parametrize(("greater", "less"), [("a", "b"), ("a", "pixels"), ("pixels", "b")])
def test_a_claim_that_the_results_show_holds(greater: str, less: str, folder: Path) -> None:
    assert claims.problems(entry(greater, less), folder) == []


@pytest.mark.parametrize(
    ("greater", "less", "problem"),
    [
        ("b", "a", "is not above"),
        ("a", "c", "is not above"),  # the greater mean, and yet not ahead
        ("pixels", "a", "is not above"),
        ("a", "d", "has 0 seeds, not 3"),
        (["a", "c"], "b", "mixes several results of one seed"),
    ],
)
def test_a_false_claim_is_found(greater: str, less: str, problem: str, folder: Path) -> None:
    [found] = claims.problems(entry(greater, less), folder)
    assert problem in found


def test_two_seeds_show_nothing(folder: Path) -> None:
    path = folder / "made.json"
    path.write_text(json.dumps([result for result in json.loads(path.read_text()) if result["seed"] < 2]))
    assert [problem[-17:] for problem in claims.problems(entry("a", "b"), folder)] == ["has 2 seeds, not 3"[-17:]] * 2


def test_an_entry_needs_evidence_or_a_reason() -> None:
    assert claims.problems({"sentence": "It is best.", "evidence": [], "no claim": ""}) == [
        "neither evidence nor a reason"
    ]
    assert claims.problems({"sentence": "It is best.", "no claim": "a rule of thumb"}) == []


def test_claims_are_the_sentences_with_a_comparing_word_that_are_no_questions(tmp_path: Path) -> None:
    text = """# Which is better?

Mining [beats
random](05.ipynb) pairs, by `0.1`. **Is it best?** It asks "better?" and goes on. No claim here.

- Triplets are ahead
- of pairs, and 2 are worse.

```{figure} a.svg
:alt: The best line lies on top.

A caption says what is *best*.
```

```
the_best = max(all)
```
"""
    (tmp_path / "page.md").write_text(text)
    assert claims.claims(tmp_path / "page.md") == [
        "Mining [beats random] pairs, by `0.1`.",
        'It asks "better?" and goes on.',
        "Triplets are ahead",
        "of pairs, and 2 are worse.",
        "A caption says what is *best*.",
    ]
