"""Time and memory with many classes, many embeddings and wide ones, beside faiss and `cdist` + `topk`.

    python benchmarks/scale.py            # prints the tables, and writes them for the book
    python benchmarks/scale.py --quick    # a trial with small sizes; give it another --out

faiss is used if it is installed. Memory is that of a call beyond its input. The contenders of the search take turns,
and medians are shown.
"""

import argparse
import importlib.util
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from machine import machine
from memory import measure_call
from scale_report import OURS, PEER, markdown
from torch import Tensor

from siamese_triplet import BalancedBatchSampler, Gallery
from siamese_triplet.datasets import FolderImages
from siamese_triplet.datasets.folders import _draw_test_images
from siamese_triplet.evaluation import verification_metrics

RESULTS = Path(__file__).parents[1] / "book" / "results"
PER_CLASS = 3
SIZE = 128
K = 5
CLASSES, EMBEDDINGS = (1_000, 10_000, 100_000), (60_000, 100_000, 1_000_000)
WIDE = ((10_000, 1024, 1_000_000), (10_000, 2048, 250_000))  # embeddings, their size, pairs
ROUNDS, QUERIES = 3, 30

Search = Callable[[Tensor], object]


def tasks(n_classes: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each task with its name; all share one set of labels in random order."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n_classes).repeat(PER_CLASS)[torch.randperm(n_classes * PER_CLASS, generator=generator)]
    names = [f"class {number}" for number in range(n_classes)]
    images = list_images(labels, names)
    gallery = Gallery(torch.zeros(len(labels), 8), labels)
    yield "`BalancedBatchSampler`", lambda: BalancedBatchSampler(labels, n_classes=10, n_samples=2)
    yield "`FolderImages.split_by_class`", images.split_by_class
    yield "test images drawn by `load_folder`", lambda: _draw_test_images(labels, 0)
    yield "`FolderImages.of_classes`, half of them", lambda: images.of_classes(names[::2])
    yield "`Gallery.few_labels(1)`", lambda: gallery.few_labels(1)
    yield "`Gallery.prototypes`", gallery.prototypes


def list_images(labels: Tensor, names: list[str]) -> FolderImages:
    """Make a `FolderImages` of files that are listed but do not exist."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "0").mkdir()
        (Path(folder) / "0" / "0.png").touch()
        images = FolderImages(folder)
    images.paths, images.targets, images.classes = [Path(f"{index}.png") for index in range(len(labels))], labels, names
    return images


def measure_classes(sizes: Sequence[int]) -> list[dict]:
    """Measure every task at each number of classes."""
    rows = []
    for n_classes in sizes:
        for name, task in tasks(n_classes):
            seconds = [measure_call(task)["seconds"] for _ in range(ROUNDS)]
            megabytes = measure_call(task)["beyond"]
            rows.append({"task": name, "classes": n_classes, "seconds": seconds, "megabytes": megabytes})
    return rows


def searches(embeddings: Tensor) -> dict[str, Search]:
    """Prepare each contender for `embeddings`, shape (N, D)."""
    gallery = Gallery(embeddings, torch.zeros(len(embeddings), dtype=torch.long))
    found: dict[str, Search] = {
        OURS: lambda query: gallery.search(query, K),
        PEER: lambda query: torch.cdist(query, embeddings).topk(K, largest=False),
    }
    if importlib.util.find_spec("faiss"):
        index = gallery.to_faiss()
        found["faiss, `IndexFlatL2`"] = lambda query: index.search(query.numpy(), K)
    return found


def measure_queries(n_embeddings: int) -> list[dict]:
    """Measure one query among `n_embeddings`, again and again."""
    generator = torch.Generator().manual_seed(0)
    contenders = searches(torch.randn(n_embeddings, SIZE, generator=generator))
    milliseconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(QUERIES + 1):
        query = torch.randn(1, SIZE, generator=generator)
        for name, search in contenders.items():
            started = time.perf_counter()
            search(query)
            if turn:  # the first query warms up
                milliseconds[name].append(1000 * (time.perf_counter() - started))
    return [
        {"embeddings": n_embeddings, "size": SIZE, "name": name, "milliseconds": values}
        for name, values in milliseconds.items()
    ]


def measure_pairs(n_embeddings: int, size: int, n_pairs: int) -> dict:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(n_embeddings, size, generator=generator)
    labels = torch.arange(n_embeddings) % 10
    found: dict = {}
    measured = measure_call(lambda: found.update(verification_metrics(embeddings, labels, max_pairs=n_pairs)))
    facts = {"embeddings": n_embeddings, "size": size, "pairs": found["n_pairs"]}
    return facts | {"seconds": measured["seconds"], "megabytes": measured["beyond"]}


def measure(divisor: int) -> dict:
    """Measure everything, at sizes divided by `divisor`."""
    facts = {
        "machine": machine(["torch", *(["faiss-cpu"] if importlib.util.find_spec("faiss") else [])]),
        "load": os.getloadavg()[0],
        "per_class": PER_CLASS,
        "rounds": ROUNDS,
        "queries": QUERIES,
        "k": K,
    }
    return facts | {
        "classes": measure_classes([n // divisor for n in CLASSES]),
        "search": [row for n in EMBEDDINGS for row in measure_queries(n // divisor)],
        "pairs": [measure_pairs(n // divisor, size, n_pairs // divisor) for n, size, n_pairs in WIDE],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    arguments = parser.parse_args()
    results = measure(100 if arguments.quick else 1)
    print(markdown(results))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "scale.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.out / "scale.md").write_text(markdown(results) + "\n")


if __name__ == "__main__":
    main()
