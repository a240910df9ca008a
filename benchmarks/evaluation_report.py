"""Tables of the results of `evaluation.py`."""

import statistics

from siamese_triplet.book.results import folded, markdown_table

PACKAGES = ("torch", "numpy", "pytorch-metric-learning", "scikit-learn")
OURS, PEER = "ours", "pytorch-metric-learning"


def markdown(results: dict) -> str:
    facts = results["machine"]
    packages = ", ".join(f"{name} {facts[name]}" for name in (*PACKAGES, "faiss-cpu") if name in facts)
    n_images, n_large = (results[part][0]["images"] for part in ("speed", "large"))
    faiss = "" if "faiss-cpu" in facts else " faiss is not installed here, so that it is not among them."
    return "\n\n".join(
        [
            folded(
                "The machine of this run",
                f"Measured on {facts['date']}: {facts['processor']} ({facts['instructions']}), "
                f"threads: {facts['threads']}, Python {facts['python']}, {packages}. "
                f"Before the run, {results['load']:.1f} other processes were busy; "
                f"waiting threads: {results['wait_policy']}.",
            ),
            "**The same values?** The greatest difference between ours and a peer's, over embeddings in "
            f"{' and '.join(f'{size}-D' for size in (2, 64))}, {n_images:,} images of 10 classes, and over all "
            "pairs of a part of them for the area under the curve. pytorch-metric-learning looks at as many neighbours "
            "as a class has images; for the mean reciprocal rank it looks at all of them, as otherwise some queries "
            "find none of their class:",
            markdown_table(["metric", "peer", "ours, 64-D", "float32", "float64"], _equality_rows(results)),
            f"**{n_images:,} queries among {n_images:,} images**, recall@1, R-precision and MAP@R; medians of "
            f"{results['rounds']} rounds in turn, and peak memory beyond the inputs:{faiss}",
            markdown_table(
                ["embeddings", "by", "seconds", "ours, times faster", "MB", "ours, times less"],
                _speed_rows(results["speed"]),
            ),
            f"**{n_large:,} queries among {n_large:,} images**, ours, in a process of its own:",
            markdown_table(
                [
                    "embeddings",
                    "seconds",
                    "peak of the process, GB",
                    "recall@1",
                    "R-precision",
                    "MAP@R",
                ],
                _large_rows(results["large"]),
            ),
        ]
    )


def _equality_rows(results: dict) -> list[list[str]]:
    table_rows = []
    for metric in dict.fromkeys(row["metric"] for row in results["equality"]):
        rows = [row for row in results["equality"] if row["metric"] == metric]
        differences = [
            max(abs(row["ours"] - row["theirs"]) for row in rows if row["dtype"] == dtype)
            for dtype in ("float32", "float64")
        ]
        cells = [f"{difference:.1e}" if difference else "0" for difference in differences]
        table_rows.append([f"`{metric}`", rows[0]["peer"], f"{rows[-1]['ours']:.4f}", *cells])
    return table_rows


def _speed_rows(rows: list[dict]) -> list[list[str]]:
    our_rows = {row["size"]: row for row in rows if row["name"] == OURS}
    table_rows = []
    for row in rows:
        ours = our_rows[row["size"]]
        seconds, our_seconds = (statistics.median(times) for times in (row["seconds"], ours["seconds"]))
        ratios = [seconds / our_seconds, row["megabytes"] / ours["megabytes"]]
        faster, less = ("–", "–") if row["name"] == OURS else (f"{ratio:.1f}" for ratio in ratios)
        memory = f"{row['megabytes']:,.0f}"
        table_rows.append([f"{row['size']}-D", row["name"], f"{seconds:.2f}", faster, memory, less])
    return table_rows


def _large_rows(rows: list[dict]) -> list[list[str]]:
    table_rows = []
    for row in rows:
        values = [f"{row[name]:.4f}" for name in ("recall_at_1", "r_precision", "map_at_r")]
        cells = [f"{statistics.median(row['seconds']):.0f}", f"{row['peak'] / 1024:.2f}"]
        table_rows.append([f"{row['size']}-D", *cells, *values])
    return table_rows
