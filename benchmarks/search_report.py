"""Tables of the results of `search.py`."""

import statistics

from siamese_triplet.book.results import folded, markdown_table

PACKAGES = ("torch", "numpy", "faiss-cpu", "scikit-learn")
OURS, FAISS, SKLEARN = "`Index.search`", "faiss, `IndexFlatL2`", "scikit-learn, `NearestNeighbors`"


def markdown(results: dict) -> str:
    facts, commands = results["machine"], results["commands"]
    packages = ", ".join(f"{name} {facts[name]}" for name in PACKAGES if name in facts)
    return "\n\n".join(
        [
            folded(
                "The machine of this run",
                f"Measured on {facts['date']}: {facts['processor']} ({facts['instructions']}), Python "
                f"{facts['python']}, {packages}. Before the run, {results['load']:.1f} other processes were busy.",
            ),
            f"**One query among many embeddings**, its {results['k']} nearest, on one thread: medians of "
            f"{results['queries']} queries, the contenders in turn. All are exact, and found the same. The memory is "
            "what a contender holds beside the embeddings, and what a query takes for a moment:",
            markdown_table(
                ["embeddings", "by", "milliseconds", "times faiss", "MB held", "MB for a query"],
                _query_rows(results["search"]),
            ),
            f"**A folder of {commands['photos']:,} photographs** of {commands['side']} × {commands['side']} pixels, by "
            f"the default network, on {commands['cores']} cores:",
            markdown_table(["", "seconds"], _command_rows(commands)),
        ]
    )


def _query_rows(rows: list[dict]) -> list[list[str]]:
    medians = {(row["embeddings"], row["name"]): statistics.median(row["milliseconds"]) for row in rows}
    table_rows = []
    for row in rows:
        size, name = row["embeddings"], row["name"]
        peer = medians.get((size, FAISS))
        ratio = "–" if peer is None else f"{medians[size, name] / peer:.2f}"
        memory = [f"{row['megabytes'][kind]:.0f}" for kind in ("held", "query")]
        table_rows.append([f"{size:,} × {row['size']}", name, f"{medians[size, name]:.2f}", ratio, *memory])
    return table_rows


def _command_rows(commands: dict) -> list[list[str]]:
    return [
        ["`index`, the first time", f"{commands['index']:.0f}"],
        ["`index` again, nothing has changed", f"{commands['again']:.1f}"],
        ["`search`, the whole command", f"{commands['cold']:.1f}"],
        ["`Index.search`, within Python", f"{statistics.median(commands['warm']):.2f}"],
    ]
