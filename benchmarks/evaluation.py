"""What retrieval metrics cost, beside pytorch-metric-learning's, and whether both agree; with scikit-learn's too.

    python benchmarks/evaluation.py            # prints the tables, and writes them for the book
    python benchmarks/evaluation.py --quick    # small sizes, to see that it runs; give it another --out

Needs the extra `benchmarks`; faiss is used where it is installed. The contenders of a comparison take turns, and
medians are shown. Memory is measured in processes of their own.
"""

import argparse
import functools
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from evaluation_report import OURS, PACKAGES, PEER, markdown
from machine import machine
from memory import measured
from torch import Tensor

from siamese_triplet.evaluation import knn_predictions, retrieval_metrics, verification_metrics

RESULTS = Path(__file__).parents[1] / "book" / "results"
N_CLASSES = 10
SIZES = (2, 64)  # of the embeddings
BATCHED, SKLEARN, FAISS = f"{PEER}, 1,000 rows at a time", f"{PEER}, scikit-learn's neighbours", f"{PEER}, faiss"
NAMES = {  # of a metric: ours, pytorch-metric-learning's
    "recall_at_1": "precision_at_1",
    "r_precision": "r_precision",
    "map_at_r": "mean_average_precision_at_r",
    "mrr": "mean_reciprocal_rank",
}
SPEED_METRICS = ("precision_at_1", "r_precision", "mean_average_precision_at_r")

Metrics = Callable[[Tensor, Tensor], dict[str, float]]


def clusters(n_images: int, size: int) -> tuple[Tensor, Tensor]:
    """Gaussian clusters of one size that overlap, about as much for any embedding size, in random order."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n_images) % N_CLASSES
    labels = labels[torch.randperm(n_images, generator=generator)]
    centres = torch.randn(N_CLASSES, size, generator=generator) * 3 / (2 * size) ** 0.5
    return centres[labels] + torch.randn(n_images, size, generator=generator), labels


def contenders() -> list[str]:
    return [OURS, PEER, BATCHED, SKLEARN, *([FAISS] if importlib.util.find_spec("faiss") else [])]


def metrics_of(name: str) -> Metrics:
    """Recall@1, R-precision and MAP@R of embeddings and labels by this contender."""
    if name == OURS:
        return functools.partial(retrieval_metrics, ks=(1,))
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.inference import CustomKNN, FaissKNN

    distance = LpDistance(normalize_embeddings=False)
    searches = {
        PEER: lambda: CustomKNN(distance),
        BATCHED: lambda: CustomKNN(distance, batch_size=1000),
        SKLEARN: lambda: sklearn_search,
        FAISS: FaissKNN,
    }
    if name == FAISS:
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
    return peer(searches[name](), SPEED_METRICS)


def peer(search: Callable, metrics: tuple[str, ...], k: str | None = "max_bin_count") -> Metrics:
    """pytorch-metric-learning's `metrics`, on the CPU, with the neighbours that `search` finds."""
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    options = {"knn_func": search, "kmeans_func": search}  # nothing is clustered; without this one it looks for faiss
    return AccuracyCalculator(metrics, k=k, device=torch.device("cpu"), **options).get_accuracy


def sklearn_search(queries: Tensor, k: int, gallery: Tensor, ref_includes_query: bool) -> tuple[Tensor, Tensor]:
    """The neighbours that scikit-learn finds, in the form that pytorch-metric-learning asks for."""
    from pytorch_metric_learning.utils.inference import return_results
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    with threadpool_limits(torch.get_num_threads()):
        search = NearestNeighbors(n_neighbors=k + int(ref_includes_query), algorithm="brute").fit(gallery.numpy())
        distances, indices = search.kneighbors(queries.numpy())
    return return_results(torch.from_numpy(distances), torch.from_numpy(indices), ref_includes_query)


def equality(n_images: int, n_of_pairs: int) -> list[dict]:
    """Our values beside theirs. In float64 both see the distances alike, in float32 each rounds them in its own way."""
    rows = []
    for size in SIZES:
        embeddings, labels = clusters(n_images, size)
        for dtype in (torch.float32, torch.float64):
            precision = {"size": size, "dtype": str(dtype).removeprefix("torch.")}
            rows += [precision | row for row in _retrieval_rows(embeddings.to(dtype), labels)]
            rows.append(precision | _verification_row(embeddings[:n_of_pairs].to(dtype), labels[:n_of_pairs]))
            rows.append(precision | _neighbours_row(embeddings.to(dtype), labels))
    return rows


def _retrieval_rows(embeddings: Tensor, labels: Tensor) -> list[dict]:
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.inference import CustomKNN

    of_dtype = CustomKNN(LpDistance(normalize_embeddings=False))

    def search(queries: Tensor, k: int, gallery: Tensor, ref_includes_query: bool) -> tuple[Tensor, Tensor]:
        rows = queries.to(embeddings.dtype), gallery.to(embeddings.dtype)  # it makes all embeddings float32
        return of_dtype(rows[0], k, rows[1], ref_includes_query)

    ours = retrieval_metrics(embeddings, labels, ks=(1,))
    theirs = peer(search, SPEED_METRICS)(embeddings, labels)
    theirs |= peer(search, ("precision_at_1", NAMES["mrr"]), k=None)(embeddings, labels)  # of itself it seeks none
    return [
        {"metric": name, "peer": PEER, "ours": ours[name], "theirs": theirs[of_peer]} for name, of_peer in NAMES.items()
    ]


def _verification_row(embeddings: Tensor, labels: Tensor) -> dict:
    from sklearn.metrics import roc_auc_score
    from sklearn.metrics.pairwise import euclidean_distances

    n_images = len(labels)
    left, right = torch.triu_indices(n_images, n_images, offset=1)
    distances = torch.from_numpy(euclidean_distances(embeddings.double().numpy()))[left, right]
    ours = verification_metrics(embeddings, labels, max_pairs=len(left))["auc"]
    theirs = roc_auc_score((labels[left] == labels[right]).numpy(), -distances.numpy())
    return {"metric": "auc", "peer": "scikit-learn", "ours": ours, "theirs": float(theirs)}


def _neighbours_row(embeddings: Tensor, labels: Tensor) -> dict:
    """The accuracy of the five nearest neighbours; every fifth image is a query."""
    from sklearn.neighbors import KNeighborsClassifier

    is_query = torch.arange(len(labels)) % 5 == 0
    gallery, queries = embeddings[~is_query], embeddings[is_query]
    ours = knn_predictions(gallery, labels[~is_query], queries)
    classifier = KNeighborsClassifier(5, algorithm="brute").fit(gallery.numpy(), labels[~is_query].numpy())
    theirs = torch.from_numpy(classifier.predict(queries.numpy()))
    accuracies = {
        name: (predictions == labels[is_query]).double().mean().item()
        for name, predictions in (("ours", ours), ("theirs", theirs))
    }
    return {"metric": "knn_accuracy", "peer": "scikit-learn", **accuracies, "unlike": int((ours != theirs).sum())}


def speed(n_images: int, n_rounds: int) -> list[dict]:
    """Self-retrieval: the median seconds of each contender, and its peak memory beyond the inputs."""
    rows = []
    for size in SIZES:
        embeddings, labels = clusters(n_images, size)
        calls = {name: functools.partial(metrics_of(name), embeddings, labels) for name in contenders()}
        seconds = alternating(calls, n_rounds)
        for name, taken in seconds.items():
            row = {"images": n_images, "size": size, "name": name, "seconds": taken}
            rows.append(row | {"megabytes": in_own_process(name, n_images, size)["beyond"]})
    return rows


def alternating(calls: dict[str, Callable[[], object]], n_rounds: int) -> dict[str, list[float]]:
    """The seconds of each call in each round; a call begins each round in turn. A first round is not counted."""
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, n_rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - started)
    return {name: taken[1:] for name, taken in seconds.items()}


def large(n_images: int, n_rounds: int) -> list[dict]:
    """Ours alone, with as many images as MNIST has: seconds, and the peak memory of the whole process."""
    rows = []
    for size in SIZES:
        runs = [in_own_process(OURS, n_images, size) for _ in range(n_rounds)]
        values = {name: runs[0][name] for name in ("recall_at_1", "r_precision", "map_at_r")}
        seconds, peaks = ([run[name] for run in runs] for name in ("seconds", "peak"))
        rows.append({"images": n_images, "size": size, "seconds": seconds, "peak": max(peaks), **values})
    return rows


def in_own_process(name: str, n_images: int, size: int) -> dict:
    command = [sys.executable, __file__, "--threads", str(torch.get_num_threads()), "--alone", name]
    command += [str(n_images), str(size)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def alone(name: str, n_images: int, size: int) -> None:
    """Print what one call of this contender takes, and its values."""
    metrics = metrics_of(name)
    metrics(*clusters(64, size))
    embeddings, labels = clusters(n_images, size)
    values: dict[str, float] = {}
    taken = measured(lambda: values.update(metrics(embeddings, labels)))
    print(json.dumps(taken | values))


def measure(is_quick: bool, n_rounds: int) -> dict:
    """All results, by name."""
    n_images, n_large = (2_000, 4_000) if is_quick else (10_000, 60_000)
    parts = {
        "equality": lambda: equality(n_images, 400 if is_quick else 2_000),
        "speed": lambda: speed(n_images, n_rounds),
        "large": lambda: large(n_large, min(n_rounds, 3)),
    }
    packages = [*PACKAGES, *(["faiss-cpu"] if FAISS in contenders() else [])]
    results: dict = {"machine": machine(packages), "load": os.getloadavg()[0], "rounds": n_rounds}
    results["wait_policy"] = os.environ.get("OMP_WAIT_POLICY", "default")
    for name, part in parts.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        results[name] = part()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few images, to see that it runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds; of the large sets three at most")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for evaluation.json and evaluation.md")
    parser.add_argument("--alone", nargs=3, metavar=("NAME", "IMAGES", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.alone:
        name, n_images, size = arguments.alone
        alone(name, int(n_images), int(size))
        return
    results = measure(arguments.quick, arguments.rounds)
    print(markdown(results))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "evaluation.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.out / "evaluation.md").write_text(markdown(results) + "\n")


if __name__ == "__main__":
    main()
