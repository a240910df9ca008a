"""Time and memory of a search: one query among many embeddings on one core, and a folder of photographs.

    python benchmarks/search.py           # prints the tables, and writes them for the book
    python benchmarks/search.py --quick   # a trial with small sizes; give it another --out

faiss and scikit-learn are used if they are installed. The contenders take turns in one process, each with one thread;
medians are shown. The two commands run in processes of their own, with as many threads as the machine has cores.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # before the imports

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from machine import machine
from memory import measure_call, resident
from PIL import Image
from search_report import FAISS, OURS, SKLEARN, markdown
from torch import Tensor

from siamese_triplet.search import Index

RESULTS = Path(__file__).parents[1] / "book" / "results"
SIZE, K, QUERIES = 128, 10, 30
EMBEDDINGS = (10_000, 100_000, 1_000_000)
PHOTOS, SIDE, CLASSES = 3_000, 256, 30
PACKAGES = {FAISS: "faiss", SKLEARN: "sklearn"}

Search = Callable[[Tensor], Sequence[int]]


def prepare(name: str, embeddings: Tensor) -> Search:
    """Prepare a contender for `embeddings` (N, D); it returns the indices of the neighbours of a query (1, D)."""
    if name == OURS:
        own = Index()
        own.add(embeddings, paths=[str(row) for row in range(len(embeddings))])
        return lambda query: [int(match.path) for match in own.search(query, K)]
    if name == FAISS:
        import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatL2(embeddings.shape[1])
        index.add(embeddings.numpy())
        return lambda query: index.search(query.numpy(), K)[1][0].tolist()
    from sklearn.neighbors import NearestNeighbors

    neighbours = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(embeddings.numpy())
    return lambda query: neighbours.kneighbors(query.numpy(), return_distance=False)[0].tolist()


def measure_queries(n_embeddings: int) -> list[dict]:
    """Measure one query among `n_embeddings`, again and again, and the memory that each contender takes."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(n_embeddings, SIZE, generator=generator)
    names = [OURS, *(name for name, package in PACKAGES.items() if importlib.util.find_spec(package))]
    contenders: dict[str, Search] = {}
    rows: dict[str, dict[str, Any]] = {}
    query = torch.randn(1, SIZE, generator=generator)
    for name in names:
        before = resident()
        contenders[name] = prepare(name, embeddings)
        contenders[name](query)  # prepares more, the first time
        megabytes = {"held": resident() - before}
        megabytes["query"] = measure_call(lambda name=name: contenders[name](query))["beyond"]
        rows[name] = {"embeddings": n_embeddings, "size": SIZE, "name": name, "megabytes": megabytes}
    milliseconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(QUERIES):
        query = torch.randn(1, SIZE, generator=generator)
        found = {}
        for name, search in contenders.items():
            started = time.perf_counter()
            found[name] = search(query)
            milliseconds[name].append(1000 * (time.perf_counter() - started))
        assert all(indices == found[OURS] for indices in found.values()), found  # all of them are exact
    return [{**rows[name], "milliseconds": milliseconds[name]} for name in names]


def write_photos(folder: Path, n_photos: int) -> Path:
    """Write JPEGs of smooth noise, `CLASSES` kinds of them."""
    generator = torch.Generator().manual_seed(0)
    for number in range(n_photos):
        kind = number % CLASSES
        ground = torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(kind))
        small = (ground + 0.15 * torch.randn(8, 8, 3, generator=generator)).clamp(0, 1)
        image = Image.fromarray((255 * small).byte().numpy()).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        (folder / f"{kind:02}").mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{kind:02}" / f"{number:05}.jpg", quality=90)
    return folder


def measure_commands(n_photos: int) -> dict:
    """Measure `index` on a folder of photographs, `search` as a command, and a search within Python."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}

    def run(*arguments: str | Path) -> float:
        started = time.perf_counter()
        command = [sys.executable, "-m", "siamese_triplet", *map(str, arguments)]
        subprocess.run(command, check=True, env=environment, capture_output=True)
        return time.perf_counter() - started

    with tempfile.TemporaryDirectory() as folder:
        photos, out = write_photos(Path(folder) / "photos", n_photos), Path(folder) / "photos.index"
        files = sorted(photos.rglob("*.jpg"))[:QUERIES]
        index_seconds = run("index", photos, "--out", out)
        again = run("index", photos, "--out", out)
        cold = [run("search", out, file) for file in files[:3]]
        index = Index.load(out)
        index.search(files[0])
        warm = []
        for file in files:
            started = time.perf_counter()
            index.search(file, K)
            warm.append(time.perf_counter() - started)
        facts = {"photos": n_photos, "side": SIDE, "cores": len(os.sched_getaffinity(0))}
        return facts | {"index": index_seconds, "again": again, "cold": statistics.median(cold), "warm": warm}


def measure(divisor: int) -> dict:
    """Measure everything, at sizes divided by `divisor`."""
    installed = [name for name in ("faiss-cpu", "scikit-learn") if importlib.util.find_spec(_module(name))]
    facts = {
        "machine": machine(["torch", "numpy", *installed]),
        "load": os.getloadavg()[0],
        "queries": QUERIES,
        "k": K,
    }
    rows = [row for n in EMBEDDINGS for row in measure_queries(n // divisor)]
    return facts | {"search": rows, "commands": measure_commands(PHOTOS // divisor)}


def _module(package: str) -> str:
    return {"faiss-cpu": "faiss", "scikit-learn": "sklearn"}[package]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results (default: %(default)s)")
    arguments = parser.parse_args()
    results = measure(100 if arguments.quick else 1)
    print(markdown(results))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "search.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.out / "search.md").write_text(markdown(results) + "\n")


if __name__ == "__main__":
    main()
