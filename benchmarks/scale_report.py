"""Tables of the results of `scale.py`."""

import statistics

from siamese_triplet.book.results import folded, markdown_table

PACKAGES = ("torch", "faiss-cpu")
OURS, PEER = "`Gallery.search`", "`cdist` + `topk`"


def markdown(results: dict) -> str:
    facts = results["machine"]
    packages = ", ".join(f"{name} {facts[name]}" for name in PACKAGES if name in facts)
    sizes = sorted({row["classes"] for row in results["classes"]})
    return "\n\n".join(
        [
            folded(
                "The machine of this run",
                f"Measured on {facts['date']}: {facts['processor']} ({facts['instructions']}), threads: "
                f"{facts['threads']}, Python {facts['python']}, {packages}. Before the run, {results['load']:.1f} "
                "other processes were busy.",
            ),
            f"**Many classes**, {results['per_class']} images each; seconds are medians of {results['rounds']} calls, "
            "memory is the peak of one more call beyond its input:",
            markdown_table(
                [f"{results['per_class']} images per class", *(f"{n:,} classes" for n in sizes)],
                _class_rows(results["classes"]),
            ),
            f"**One query among many embeddings**, the {results['k']} nearest; medians of {results['queries']} "
            "queries, the contenders in turn. All of them compare the query with every embedding:",
            markdown_table(["embeddings", "by", "milliseconds", f"times {PEER}"], _query_rows(results["search"])),
            "**Pairs of wide embeddings**, `verification_metrics`; the memory is the peak beyond the input:",
            markdown_table(["embeddings", "pairs", "seconds", "MB"], _pair_rows(results["pairs"])),
        ]
    )


def _class_rows(rows: list[dict]) -> list[list[str]]:
    cells: dict[str, list[str]] = {}
    for row in rows:
        text = f"{statistics.median(row['seconds']):.3f} s, {row['megabytes']:.0f} MB"
        cells.setdefault(row["task"], [row["task"]]).append(text)
    return list(cells.values())


def _query_rows(rows: list[dict]) -> list[list[str]]:
    table_rows = []
    medians = {(row["embeddings"], row["name"]): statistics.median(row["milliseconds"]) for row in rows}
    for row in rows:
        size = row["embeddings"]
        milliseconds = medians[size, row["name"]]
        ratio = f"{milliseconds / medians[size, PEER]:.2f}"
        table_rows.append([f"{size:,} × {row['size']}", row["name"], f"{milliseconds:.2f}", ratio])
    return table_rows


def _pair_rows(rows: list[dict]) -> list[list[str]]:
    return [
        [
            f"{row['embeddings']:,} × {row['size']:,}",
            f"{row['pairs']:,}",
            f"{row['seconds']:.1f}",
            f"{row['megabytes']:.0f}",
        ]
        for row in rows
    ]
