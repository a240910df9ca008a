"""Tables and figure of the results of `selection.py`."""

from pathlib import Path

from siamese_triplet.book.results import folded, markdown_table

NAMES = {
    "siamese_triplet": "ours",
    "sentence-transformers": "sentence-transformers",
    "pytorch-metric-learning": "pytorch-metric-learning",
}
COLOURS = {"siamese_triplet": "#0072B2", "sentence-transformers": "#D55E00", "pytorch-metric-learning": "#009E73"}
MARKERS = {"siamese_triplet": "o", "sentence-transformers": "s", "pytorch-metric-learning": "^"}


def markdown(results: dict) -> str:
    machine = results["machine"]
    packages = ", ".join(
        f"{name} {machine[name]}" for name in ("torch", "sentence-transformers", "pytorch-metric-learning", "numpy")
    )
    parts = [
        folded(
            "The machine of this run",
            f"Measured on {machine['date']}: {machine['processor']} ({machine['instructions']}), "
            f"{machine['threads']} thread, Python {machine['python']}, {packages}.",
        ),
        "**Selection alone**, 10 × 25 images, 2-D, milliseconds:",
        markdown_table(
            ["selector", "the original's loops", "ours", "times faster"],
            [
                [f"`{row['name']}`", _ms(row["original"]), _ms(row["ours"]), f"{row['ratio']:.0f}"]
                for row in results["selection"]
            ],
        ),
        "**Mining and loss**, forward and backward, 64-D, milliseconds. Random negatives are set beside the semi-hard "
        "ones of sentence-transformers:",
        markdown_table(
            ["mined", "images / of a class", *NAMES.values(), "times faster than the faster peer"],
            [
                [row["mined"], _batch(row), *_times(row), f"{row['ratio']:.1f}"]
                for row in sorted(results["mining_losses"], key=lambda row: row["mined"])
            ],
        ),
        *_every_selector(results.get("every_selector", [])),
        "**The loss of all triplets**, forward and backward, 64-D, milliseconds:",
        markdown_table(
            ["images / of a class", "active", *NAMES.values(), "times faster than the faster peer"],
            [
                [_batch(row), f"{row['active']:.0%}", *_times(row), f"{row['ratio']:.1f}"]
                for row in results["batch_all_losses"]
            ],
        ),
        "**The loss of all triplets in large batches**, 16 images of a class, 64-D: seconds, and MB of memory beyond "
        "the embeddings:",
        markdown_table(["images", *NAMES.values(), "ours, against half the batch"], _growth_rows(results["growth"])),
        "**Mining and loss in a training step** (10 × 25 images, `EmbeddingNet`, random negatives, Adam): "
        "{mining and loss:.1f} of {step:.0f} ms, {share:.1%}.".format(**results["training_share"]),
    ]
    return "\n\n".join(parts)


def plot(results: dict, path: Path, is_narrow: bool = False) -> None:
    """Plot the milliseconds of the loss of all triplets, and of mined triplets, over the batch size.

    A narrow figure, for a phone, has one panel below the other.
    """
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "selection"
    shape, size = ((2, 1), (3.6, 7.2)) if is_narrow else ((1, 2), (8.5, 4))
    figure, (left, right) = plt.subplots(*shape, figsize=size, sharey=True, layout="constrained")
    for name, label in NAMES.items():
        style = {"color": COLOURS[name], "marker": MARKERS[name]}
        points = {row["batch"]: row["times"][name] for row in results["batch_all_losses"] if row["per_class"] == 16}
        large = [row for row in results["growth"] if row["name"] == name and "seconds" in row]
        points |= {row["batch"]: 1000 * row["seconds"] for row in large}
        left.plot(*zip(*sorted(points.items()), strict=True), label=label, **style)
        for mined, line in (("semi-hard", "-"), ("batch-hard", "--")):
            rows = [row for row in results["mining_losses"] if row["mined"] == mined and row["per_class"] == 16]
            points = {row["batch"]: row["times"][name] for row in rows if name in row["times"]}
            if points:
                right.plot(*zip(*sorted(points.items()), strict=True), line, label=f"{mined}, {label}", **style)
    for axes, title in ((left, "All triplets"), (right, "Mined triplets")):
        axes.set(xscale="log", yscale="log", xlabel="images in the batch, 16 of a class", title=title)
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.xaxis.set_minor_formatter("")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize="small" if is_narrow else None)
    left.set(xticks=[160, 512, 1024, 4096, 16384], ylabel="forward and backward, milliseconds")
    right.set(xticks=[160, 512, 1024])
    left.yaxis.set_major_formatter("{x:,.0f}")
    figure.savefig(path, metadata={"Date": None})


def _every_selector(rows: list[dict]) -> list[str]:
    """Format the times of all named selectors; nothing for results that lack them."""
    if not rows:
        return []
    cells = [[f"`{row['selector']}`", _ms(row["time"]), f"{row['ratio']:.1f}"] for row in rows]
    title = "**Every selector**, ours, forward and backward, 10 × 25 images, 64-D, milliseconds:"
    return [title, markdown_table(["selector", "ours", "times batch-all"], cells)]


def _growth_rows(rows: list[dict]) -> list[list[str]]:
    by_key = {(row["batch"], row["name"]): row for row in rows}
    table_rows, before = [], None
    for size in sorted({row["batch"] for row in rows}):
        cells = []
        for name in NAMES:
            row = by_key[size, name]
            cells.append(f"{row['seconds']:.2f} s, {row['megabytes']:,.0f} MB" if "seconds" in row else row["error"])
        seconds = by_key[size, "siamese_triplet"]["seconds"]
        table_rows.append([f"{size:,}", *cells, f"× {seconds / before:.1f}" if before else "–"])
        before = seconds
    return table_rows


def _times(row: dict) -> list[str]:
    return [_ms(row["times"][name]) if name in row["times"] else "–" for name in NAMES]


def _batch(row: dict) -> str:
    return f"{row['batch']:,} / {row['per_class']}"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:,.0f}"
