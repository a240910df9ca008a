"""Tables of the results of `page.py`."""

import json
from pathlib import Path

from siamese_triplet.book.results import folded, markdown_table, spread

KERNELS = {"relaxed": "relaxed SIMD", "simd": "SIMD", "plain": "plain JavaScript"}


def markdown(results: dict) -> str:
    """Format the tables of the measured parts."""
    parts = {"machine": _machine, "steps": _steps, "accuracy": _accuracy, "chapters": _chapters}
    return "\n\n".join(format_part(results[part]) for part, format_part in parts.items() if part in results)


def write(results: dict, folder: Path) -> None:
    """Write `page.json` and `page.md` in `folder`; parts that were not measured now keep their results."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "page.json"
    if path.exists():
        results = json.loads(path.read_text()) | results
    path.write_text(json.dumps(results, indent=1) + "\n")
    (folder / "page.md").write_text(markdown(results) + "\n")


def _machine(machine: dict) -> str:
    return folded(
        "The machine of this run",
        f"Measured on {machine['date']}: {machine['processor']} ({machine['instructions']}), one thread, Chromium "
        f"{machine['chromium']}, torch {machine['torch']}.",
    )


def _steps(rows: list[dict]) -> str:
    cells = []
    for row in rows:
        times = row["milliseconds"]
        fastest = next(name for name in KERNELS if name in times)
        cells.append(
            [
                row["network"],
                *(f"{times[name]:.1f}" if name in times else "–" for name in KERNELS),
                f"{times['PyTorch']:.1f}",
                f"{times['plain'] / times[fastest]:.1f}",
                f"{times[fastest] / times['PyTorch']:.2f}",
            ]
        )
    head = ["network", *KERNELS.values(), "PyTorch", "plain ÷ fastest", "fastest ÷ PyTorch"]
    return "\n\n".join(["**One step of 160 images**, milliseconds, medians:", markdown_table(head, cells)])


def _accuracy(rows: list[dict]) -> str:
    cells = []
    for row in rows:
        reached = row["reached"]
        step, seconds = (f"{reached[0]}", f"{reached[1]:.1f}") if reached else ("–", "–")
        last_step, last_seconds, last = row["last"]
        cells.append(
            [
                row["data"],
                str(row["seed"]),
                f"{row['wanted']:.0%}",
                step,
                seconds,
                f"{last:.1%}",
                f"{last_step:,}",
                f"{last_seconds:.0f}",
            ]
        )
    head = ["data", "seed", "accuracy", "reached at step", "after s", "at the end", "step", "s"]
    text = (
        "**Accuracy of 5 neighbours in the plane**, online triplets from scratch in the page, 500 test images among "
        "1,000 training images:"
    )
    return "\n\n".join([text, markdown_table(head, cells)])


def _chapters(rows: list[dict]) -> str:
    """Average over the seeds what was measured after about 100 and 400 steps."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["chapter"], ", ".join(map(str, row["run"].values()))), []).append(row)
    cells = []
    for (chapter, run), group in groups.items():
        collapses = [str(row["collapse"]) for row in group if row["collapse"] is not None]
        shown = (("active", 101), ("accuracy", 101), ("accuracy", 401))
        numbers = [spread([100 * dict(row[name])[step] for row in group]) for name, step in shown]
        cells.append([chapter.partition("_")[0].lstrip("0"), run, *numbers, ", ".join(collapses) or "none"])
    head = ["chapter", "run", "with a loss, step 101", "accuracy, step 101", "accuracy, step 401", "collapse at step"]
    n_seeds = len({row["seed"] for row in rows})
    text = f"**The runs with which the figures of chapters 2 to 5 begin**, MNIST, in per cent, {n_seeds} seeds:"
    return "\n\n".join([text, markdown_table(head, cells)])
