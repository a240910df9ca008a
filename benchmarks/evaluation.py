"""Speed and memory of the retrieval metrics beside pytorch-metric-learning's, and agreement with it and scikit-learn.

    python benchmarks/evaluation.py            # prints the tables, and writes them for the book
    python benchmarks/evaluation.py --quick    # a trial with small sizes; give it another --out

Needs the extra `benchmarks`; faiss is used if it is installed. The contenders take turns, and medians are shown.
Memory is measured in separate processes.
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
from memory import measure_call
from torch import Tensor

from siamese_triplet.evaluation import knn_predictions, retrieval_metrics, verification_metrics

RESULTS = Path(__file__).parents[1] / "book" / "results"
N_CLASSES = 10
SIZES = (2, 64)  # dimensions of the embeddings
BATCHED, SKLEARN, FAISS = f"{PEER}, 1,000 rows at a time", f"{PEER}, scikit-learn's neighbours", f"{PEER}, faiss"
NAMES = {  # a metric's name here, and in pytorch-metric-learning
    "recall_at_1": "precision_at_1",
    "r_precision": "r_precision",
    "map_at_r": "mean_average_precision_at_r",
    "mrr": "mean_reciprocal_rank",
}
SPEED_METRICS = ("precision_at_1", "r_precision", "mean_average_precision_at_r")

Metrics = Callable[[Tensor, Tensor], dict[str, float]]


def clusters(n_images: int, size: int) -> tuple[Tensor, Tensor]:
    """Draw Gaussian clusters of equal size in random order; they overlap about as much in any dimension."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n_images) % N_CLASSES
    labels = labels[torch.randperm(n_images, generator=generator)]
    centres = torch.randn(N_CLASSES, size, generator=generator) * 3 / (2 * size) ** 0.5
    return centres[labels] + torch.randn(n_images, size, generator=generator), labels


def contenders() -> list[str]:
    return [OURS, PEER, BATCHED, SKLEARN, *([FAISS] if importlib.util.find_spec("faiss") else [])]


def make_metrics(name: str) -> Metrics:
    """Make the function by which this contender computes recall@1, R-precision and MAP@R."""
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
    return peer_metrics(searches[name](), SPEED_METRICS)


def peer_metrics(search: Callable, metrics: tuple[str, ...], k: str | None = "max_bin_count") -> Metrics:
    """Make the function that computes pytorch-metric-learning's `metrics` on the CPU, with `search` for neighbours."""
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    options = {"knn_func": search, "kmeans_func": search}  # nothing is clustered, but the default needs faiss
    return AccuracyCalculator(metrics, k=k, device=torch.device("cpu"), **options).get_accuracy


def sklearn_search(queries: Tensor, k: int, gallery: Tensor, ref_includes_query: bool) -> tuple[Tensor, Tensor]:
    """Find neighbours by scikit-learn, in the form that pytorch-metric-learning expects."""
    from pytorch_metric_learning.utils.inference import return_results
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    with threadpool_limits(torch.get_num_threads()):
        search = NearestNeighbors(n_neighbors=k + int(ref_includes_query), algorithm="brute").fit(gallery.numpy())
        distances, indices = search.kneighbors(queries.numpy())
    return return_results(torch.from_numpy(distances), torch.from_numpy(indices), ref_includes_query)


def equality(n_images: int, n_verified: int) -> list[dict]:
    """Compare our values with the peers'. In float64 the distances agree, in float32 each rounds them in its own way.

    Verification takes all pairs of `n_verified` images.
    """
    rows = []
    for size in SIZES:
        embeddings, labels = clusters(n_images, size)
        for dtype in (torch.float32, torch.float64):
            precision = {"size": size, "dtype": str(dtype).removeprefix("torch.")}
            rows += [precision | row for row in _retrieval_rows(embeddings.to(dtype), labels)]
            rows.append(precision | _verification_row(embeddings[:n_verified].to(dtype), labels[:n_verified]))
            rows.append(precision | _neighbours_row(embeddings.to(dtype), labels))
    return rows


def _retrieval_rows(embeddings: Tensor, labels: Tensor) -> list[dict]:
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.inference import CustomKNN

    knn = CustomKNN(LpDistance(normalize_embeddings=False))

    def search(queries: Tensor, k: int, gallery: Tensor, ref_includes_query: bool) -> tuple[Tensor, Tensor]:
        # AccuracyCalculator makes all embeddings float32
        return knn(queries.to(embeddings.dtype), k, gallery.to(embeddings.dtype), ref_includes_query)

    ours = retrieval_metrics(embeddings, labels, ks=(1,))
    theirs = peer_metrics(search, SPEED_METRICS)(embeddings, labels)
    # the mean reciprocal rank alone would search no neighbours
    theirs |= peer_metrics(search, ("precision_at_1", NAMES["mrr"]), k=None)(embeddings, labels)
    return [
        {"metric": name, "peer": PEER, "ours": ours[name], "theirs": theirs[peer_name]}
        for name, peer_name in NAMES.items()
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
    """Compare the accuracy of five nearest neighbours; every fifth image is a query."""
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
    """Measure self-retrieval: the seconds of each contender in each round, and its peak memory beyond the inputs."""
    rows = []
    for size in SIZES:
        embeddings, labels = clusters(n_images, size)
        calls = {name: functools.partial(make_metrics(name), embeddings, labels) for name in contenders()}
        for name, seconds in time_rounds(calls, n_rounds).items():
            row = {"images": n_images, "size": size, "name": name, "seconds": seconds}
            rows.append(row | {"megabytes": run_in_own_process(name, n_images, size)["beyond"]})
    return rows


def time_rounds(calls: dict[str, Callable[[], object]], n_rounds: int) -> dict[str, list[float]]:
    """Time each call in each round, in seconds, after an untimed round. The calls take turns in going first."""
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, n_rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - started)
    return {name: times[1:] for name, times in seconds.items()}


def large(n_images: int, n_rounds: int) -> list[dict]:
    """Measure ours alone on as many images as MNIST has: seconds, and the peak memory of the whole process."""
    rows = []
    for size in SIZES:
        runs = [run_in_own_process(OURS, n_images, size) for _ in range(n_rounds)]
        values = {name: runs[0][name] for name in ("recall_at_1", "r_precision", "map_at_r")}
        seconds, peaks = ([run[name] for run in runs] for name in ("seconds", "peak"))
        rows.append({"images": n_images, "size": size, "seconds": seconds, "peak": max(peaks), **values})
    return rows


def run_in_own_process(name: str, n_images: int, size: int) -> dict:
    command = [sys.executable, __file__, "--threads", str(torch.get_num_threads()), "--alone", name]
    command += [str(n_images), str(size)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def run_alone(name: str, n_images: int, size: int) -> None:
    """Print the seconds, the memory and the values of one call of this contender, as JSON."""
    metrics = make_metrics(name)
    metrics(*clusters(64, size))
    embeddings, labels = clusters(n_images, size)
    values: dict[str, float] = {}
    cost = measure_call(lambda: values.update(metrics(embeddings, labels)))
    print(json.dumps(cost | values))


def measure(is_quick: bool, n_rounds: int) -> dict:
    """Run all parts, and return the results by name."""
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
    parser.add_argument("--quick", action="store_true", help="a trial with few images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds; at most three for the large sets")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for evaluation.json and evaluation.md")
    parser.add_argument("--alone", nargs=3, metavar=("NAME", "IMAGES", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.alone:
        name, n_images, size = arguments.alone
        run_alone(name, int(n_images), int(size))
        return
    results = measure(arguments.quick, arguments.rounds)
    print(markdown(results))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "evaluation.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.out / "evaluation.md").write_text(markdown(results) + "\n")


if __name__ == "__main__":
    main()
