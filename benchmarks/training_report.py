"""Tables of the results of `training.py`."""

import json
from pathlib import Path

from siamese_triplet.book.results import folded, markdown_table


def markdown(results: dict) -> str:
    """Format the tables of the measured parts."""
    parts = {"machine": _machine, "epochs": _epochs, "memory": _memory, "options": _options, "gpu": _gpu}
    return "\n\n".join(format_part(results[part]) for part, format_part in parts.items() if part in results)


def write(results: dict, folder: Path) -> None:
    """Write `training.json` and `training.md` in `folder`; parts that were not measured now keep their results."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "training.json"
    if path.exists():
        results = json.loads(path.read_text()) | results
    path.write_text(json.dumps(results, indent=1) + "\n")
    (folder / "training.md").write_text(markdown(results) + "\n")


def _machine(machine: dict) -> str:
    packages = ", ".join(f"{name} {machine[name]}" for name in ("torch", "torchvision", "numpy", "pillow"))
    return folded(
        "The machine of this run",
        f"Measured on {machine['date']}: {machine['processor']} ({machine['instructions']}), "
        f"threads: {machine['threads']}, Python {machine['python']}, {packages}.",
    )


def _epochs(results: dict) -> str:
    n_train, n_test = results["images"]
    n_rounds, n_original_rounds = results["rounds"]
    beside_bare, beside_original = [], []
    for row in results["rows"]:
        cells, ratios = [], []
        for speed in row["speeds"].values():
            cells += [_seconds(speed["bare"]), _seconds(speed["training"]), _percent(speed["overhead"])]
            ratios += [_seconds(speed["whole"]), f"{speed['ratio']:.2f}"]
        beside_bare.append([row["name"], *cells])
        beside_original.append([row["name"], _seconds(row["original"]), *ratios])
    head = ["experiment", "the original's loop", "ours, as written", "times faster"]
    return "\n\n".join(
        [
            f"**Our `fit` beside a bare loop**, training on {n_train:,} images without validation, seconds an epoch; "
            "bf16 with channels-last:",
            markdown_table(["experiment", "bare", "ours", "longer", "bare, bf16", "ours, bf16", "longer"], beside_bare),
            f"**Our `fit` beside the original's loop**, training on {n_train:,} and validation on {n_test:,} images, "
            f"seconds an epoch. Medians of {_n_epochs(n_rounds)}, of the original {_n_epochs(n_original_rounds)}:",
            markdown_table([*head, "ours, bf16 and channels-last", *head[3:]], beside_original),
        ]
    )


def _memory(results: dict) -> str:
    (early, late), (before, after) = results["epochs"], results["megabytes"]
    return (
        f"**Memory** of the process that trains: {before:,.1f} MB after epoch {early}, {after:,.1f} MB after epoch "
        f"{late}, {results['growth']:+.1f} MB."
    )


def _options(rows: list[dict]) -> str:
    cells = [
        [row["name"], row["note"], "–"]
        if "note" in row
        else [row["name"], f"{row['images_per_second']:,.0f}", f"{row['ratio']:.2f}"]
        for row in rows
    ]
    return "\n\n".join(
        [
            "**Single options**, the network alone, forward, backward and Adam with batches of 256:",
            markdown_table(["network", "images per second", "times faster"], cells),
        ]
    )


def _gpu(results: dict | None) -> str:
    if results is None:
        return "**On a GPU**: no GPU on the machine of this run."
    cells = [[name, f"{seconds:.1f}"] for name, seconds in results["seconds"].items()]
    machine = results["machine"]
    return "\n\n".join(
        [
            f"**On a GPU**, {results['device']}, {machine['date']}, torch {machine['torch']}: {results['images']:,} "
            f"images, {_n_epochs(results['epochs'])} with validation, seconds:",
            markdown_table(["experiment", "seconds"], [*cells, ["all", f"{sum(results['seconds'].values()):.1f}"]]),
        ]
    )


def _n_epochs(n: int) -> str:
    return "1 epoch" if n == 1 else f"{n} epochs"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2f}"


def _percent(share: float) -> str:
    return f"{round(100 * share):+d}%"
