"""Time and memory with many classes, and one query among many embeddings beside faiss and `cdist` + `topk`.

    python benchmarks/scale.py            # 1,000, 10,000 and 100,000 classes; 100,000 and 1,000,000 embeddings
    python benchmarks/scale.py --quick    # a trial with small sizes

faiss is used if it is installed. Each row of the first table is the median of several calls in one process, the memory
that of one more call. In the second table the contenders take turns, and the medians of many queries are shown.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from machine import machine
from memory import measure_call
from torch import Tensor

from siamese_triplet import BalancedBatchSampler, Gallery
from siamese_triplet.book.results import markdown_table
from siamese_triplet.datasets import FolderImages

PER_CLASS = 3
SIZE = 128
CLASSES, EMBEDDINGS = (1_000, 10_000, 100_000), (100_000, 1_000_000)
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


def measure_classes(sizes: Sequence[int]) -> list[list[str]]:
    """Measure every task at each number of classes: the task, then seconds and MB beyond the input."""
    rows: dict[str, list[str]] = {}
    for n_classes in sizes:
        for name, task in tasks(n_classes):
            seconds = statistics.median(measure_call(task)["seconds"] for _ in range(ROUNDS))
            memory = measure_call(task)["beyond"]
            rows.setdefault(name, [name]).append(f"{seconds:.3f} s, {memory:.0f} MB")
    return list(rows.values())


def searches(embeddings: Tensor, k: int = 5) -> dict[str, Search]:
    """Prepare each contender for `embeddings`, shape (N, D)."""
    gallery = Gallery(embeddings, torch.zeros(len(embeddings), dtype=torch.long))
    found: dict[str, Search] = {
        "`Gallery.search`": lambda query: gallery.search(query, k),
        "`cdist` + `topk`": lambda query: torch.cdist(query, embeddings).topk(k, largest=False),
    }
    if importlib.util.find_spec("faiss"):
        index = gallery.to_faiss()
        found["faiss, `IndexFlatL2`"] = lambda query: index.search(query.numpy(), k)
    return found


def measure_queries(n_embeddings: int) -> dict[str, float]:
    """Measure one query among `n_embeddings`: median milliseconds by contender."""
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
    return {name: statistics.median(values) for name, values in milliseconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    divisor = 100 if parser.parse_args().quick else 1
    classes, sizes = [n // divisor for n in CLASSES], [n // divisor for n in EMBEDDINGS]
    print(machine(["torch", "siamese-triplet"]), "\n")
    print(
        markdown_table(
            [f"{PER_CLASS} images per class", *(f"{n:,} classes" for n in classes)], measure_classes(classes)
        )
    )
    by_size = [measure_queries(n) for n in sizes]
    rows = [[name, *(f"{found[name]:.2f} ms" for found in by_size)] for name in by_size[0]]
    print("\n" + markdown_table(["one query among", *(f"{n:,} × {SIZE}" for n in sizes)], rows))


if __name__ == "__main__":
    main()
