"""Speed of selection and mining losses, beside the original's algorithm and the fastest public implementations.

    python benchmarks/selection.py                       # prints the tables, about ten minutes
    python benchmarks/selection.py --out book/results    # and writes them, with a figure, for the book

Needs the extra `benchmarks`. One process, one thread; the contenders take turns, and medians are shown. Memory and the
largest batches are measured in separate processes, so that a batch that does not fit ends only its own process.
"""

import argparse
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import selection_report
import torch
from machine import machine
from original import selection as original
from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet import (
    AllPositivePairSelector,
    AllTripletSelector,
    BatchAllTripletLoss,
    EmbeddingNet,
    FunctionNegativeTripletSelector,
    HardestNegativeTripletSelector,
    HardNegativePairSelector,
    OnlineTripletLoss,
    RandomNegativeTripletSelector,
    SemihardNegativeTripletSelector,
)
from siamese_triplet.selectors.by_name import TRIPLET_SELECTORS

PACKAGES = ("torch", "sentence-transformers", "pytorch-metric-learning", "numpy")
MARGIN = 0.2  # for embeddings on the unit sphere
MEMORY_LIMIT = 18  # GiB of address space for a process with a large batch
BATCHES = ((160, 16), (250, 25), (256, 2), (512, 16), (1024, 16))  # images, images per class
GROWTH = (1024, 2048, 4096, 8192, 16384)
BATCH_ALL = ("siamese_triplet", "sentence-transformers", "pytorch-metric-learning")

Call = Callable[[], object]
Loss = Callable[[Tensor, Tensor], Tensor]


def medians(calls: dict[str, Call], seconds: float = 3.0, n_rounds: int = 5) -> dict[str, float]:
    """Measure the median milliseconds of each call. They take turns of several runs, `seconds` each in all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(n_rounds):
        for name, call in calls.items():
            call()  # not timed: it finds memory and caches as another call has left them
            end = time.perf_counter() + seconds / n_rounds
            while True:
                started = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - started)
                if time.perf_counter() > end:
                    break
    return {name: 1000 * statistics.median(seconds) for name, seconds in times.items()}


def batch(n_images: int, n_per_class: int, embedding_size: int = 64) -> tuple[Tensor, Tensor]:
    """Draw embeddings on the unit sphere in random order, loosely clustered by class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n_images // n_per_class).repeat_interleave(n_per_class)
    labels = labels[torch.randperm(len(labels), generator=generator)]
    centres = torch.randn(n_images // n_per_class, embedding_size, generator=generator)
    points = 0.5 * centres[labels] + torch.randn(len(labels), embedding_size, generator=generator)
    return F.normalize(points).requires_grad_(), labels


def forward_and_backward(loss: Loss, embeddings: Tensor, labels: Tensor) -> None:
    embeddings.grad = None
    loss(embeddings, labels).backward()


def selection() -> list[dict]:
    """Measure selection alone at 10 × 25, 2-D; the first image of a positive pair is the anchor, as in the original."""
    generator = torch.Generator().manual_seed(0)
    embeddings, labels = torch.randn(250, 2, generator=generator), torch.arange(10).repeat_interleave(25)

    def greatest(losses: Tensor) -> Tensor:
        value, column = losses.max(dim=1)
        return torch.where(value > 0, column, -1)

    loops = functools.partial(original.triplets_with, margin=1.0, embeddings=embeddings, labels=labels)
    hardest = functools.partial(loops, original.hardest)
    contenders = [
        (AllPositivePairSelector(), lambda: original.all_pairs(embeddings, labels)),
        (HardNegativePairSelector(), lambda: original.hard_negative_pairs(embeddings, labels)),
        (AllTripletSelector(both_anchors=False), lambda: original.all_triplets(embeddings, labels)),
        (HardestNegativeTripletSelector(1.0, both_anchors=False), hardest),
        (RandomNegativeTripletSelector(1.0, both_anchors=False), lambda: loops(original.random_violating)),
        (SemihardNegativeTripletSelector(1.0, both_anchors=False), lambda: loops(original.random_semihard)),
        (FunctionNegativeTripletSelector(1.0, greatest, both_anchors=False), hardest),
    ]
    rows = []
    for selector, loop in contenders:
        select = getattr(selector, "get_pairs", None) or selector.get_triplets
        times = medians({"original": loop, "ours": functools.partial(select, embeddings, labels)})
        rows.append({"name": type(selector).__name__, **times, "ratio": times["original"] / times["ours"]})
    return rows


def peers(name: str) -> dict[str, Loss]:
    """Make the losses of a peer that correspond to ours, by the kind of their triplets."""
    if name == "sentence-transformers":
        from sentence_transformers import losses as theirs

        distance = theirs.BatchHardTripletLossDistanceFunction.eucledian_distance
        model = nn.Identity()
        options = {"distance_metric": distance, "margin": MARGIN}
        semihard = theirs.BatchSemiHardTripletLoss(model, **options)
        hard = theirs.BatchHardTripletLoss(model, **options)
        every = theirs.BatchAllTripletLoss(model, **options)
        return {
            "semi-hard": lambda embeddings, labels: semihard.batch_semi_hard_triplet_loss(labels, embeddings),
            "batch-hard": lambda embeddings, labels: hard.batch_hard_triplet_loss(labels, embeddings),
            "batch-all": lambda embeddings, labels: every.batch_all_triplet_loss(labels, embeddings),
        }
    from pytorch_metric_learning import distances, losses, miners

    squared = distances.LpDistance(normalize_embeddings=False, power=2)
    triplet_loss = losses.TripletMarginLoss(margin=MARGIN, distance=squared)
    miner = miners.BatchHardMiner(distance=squared)
    return {
        "batch-hard": lambda embeddings, labels: triplet_loss(embeddings, labels, miner(embeddings, labels)),
        "batch-all": triplet_loss,
    }


def ours() -> dict[str, Loss]:
    """Make our losses, one per triplet selector by its name, and batch-all."""
    losses: dict[str, Loss] = {}
    for name, make in TRIPLET_SELECTORS.items():
        loss = OnlineTripletLoss(MARGIN, make(MARGIN, torch.Generator().manual_seed(0)))
        losses[name] = lambda embeddings, labels, loss=loss: loss(embeddings, labels)[0]
    batch_all = BatchAllTripletLoss(MARGIN)
    return losses | {"batch-all": lambda embeddings, labels: batch_all(embeddings, labels)[0]}


def every_selector() -> list[dict]:
    """Measure forward and backward of the loss with every named selector at 10 × 25, 64-D, beside batch-all."""
    embeddings, labels = batch(250, 25)
    times = medians(
        {name: functools.partial(forward_and_backward, loss, embeddings, labels) for name, loss in ours().items()}
    )
    return [{"selector": name, "time": taken, "ratio": taken / times["batch-all"]} for name, taken in times.items()]


def mining_losses() -> list[dict]:
    """Measure forward and backward of the online losses, 64-D."""
    theirs = {name: peers(name) for name in BATCH_ALL[1:]}
    rows = []
    for n_images, n_per_class in BATCHES:
        embeddings, labels = batch(n_images, n_per_class)
        for mined, rivals in (
            ("semi-hard", {"sentence-transformers": "semi-hard"}),
            ("random", {"sentence-transformers": "semi-hard"}),
            ("batch-hard", {"sentence-transformers": "batch-hard", "pytorch-metric-learning": "batch-hard"}),
        ):
            contenders = {"siamese_triplet": ours()[mined.replace("semi-hard", "semihard")]}
            contenders |= {name: theirs[name][method] for name, method in rivals.items()}
            row = compare(contenders, embeddings, labels)
            rows.append({"mined": mined, "batch": n_images, "per_class": n_per_class, **row})
    return rows


def batch_all_losses() -> list[dict]:
    """Measure forward and backward of the loss of all triplets, 64-D."""
    rows = []
    for n_images, n_per_class in BATCHES:
        embeddings, labels = batch(n_images, n_per_class)
        _, n_active = BatchAllTripletLoss(MARGIN)(embeddings, labels)
        n_triplets = n_images * (n_per_class - 1) * (n_images - n_per_class)
        contenders = {"siamese_triplet": ours()["batch-all"]} | {
            name: peers(name)["batch-all"] for name in BATCH_ALL[1:]
        }
        rows.append(
            {
                "batch": n_images,
                "per_class": n_per_class,
                "active": int(n_active) / n_triplets,
                **compare(contenders, embeddings, labels),
            }
        )
    return rows


def compare(contenders: dict[str, Loss], embeddings: Tensor, labels: Tensor) -> dict:
    calls = {
        name: functools.partial(forward_and_backward, loss, embeddings, labels) for name, loss in contenders.items()
    }
    times = medians(calls)
    fastest_peer = min(milliseconds for name, milliseconds in times.items() if name != "siamese_triplet")
    return {"times": times, "ratio": fastest_peer / times["siamese_triplet"]}


def growth() -> list[dict]:
    """Measure the loss of all triplets in large batches, K = 16: seconds and peak memory, in separate processes."""
    rows = []
    for n_images in GROWTH:
        for name in BATCH_ALL:
            command = [sys.executable, __file__, "--alone", name, str(n_images)]
            finished = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = [line for line in finished.stdout.splitlines() if line.startswith("{")]
            failed = {"error": "out of memory" if "memory" in finished.stderr else finished.stderr[-200:] or "killed"}
            rows.append({"batch": n_images, "name": name, **(json.loads(lines[-1]) if lines else failed)})
    return rows


def run_alone(name: str, n_images: int) -> None:
    """Print the seconds and the peak memory (MB, beyond the embeddings) of one forward and backward pass, as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT * 2**30,) * 2)
    loss = (ours() if name == "siamese_triplet" else peers(name))["batch-all"]
    forward_and_backward(loss, *batch(64, 16))
    embeddings, labels = batch(n_images, 16)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    started = time.perf_counter()
    forward_and_backward(loss, embeddings, labels)
    seconds = [time.perf_counter() - started]
    memory = _memory("VmHWM") - before
    while len(seconds) < 5 and sum(seconds) < 20:
        started = time.perf_counter()
        forward_and_backward(loss, embeddings, labels)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": statistics.median(seconds), "megabytes": memory}))


def _memory(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def training_share() -> dict:
    """Measure mining and loss in a training step: 10 × 25 images, EmbeddingNet in 2-D, random negatives, Adam."""
    torch.manual_seed(0)
    images, labels = torch.randn(250, 1, 28, 28), torch.arange(10).repeat_interleave(25)
    model = EmbeddingNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    loss_fn = OnlineTripletLoss(1.0, RandomNegativeTripletSelector(1.0))

    def step() -> None:
        optimizer.zero_grad()
        loss_fn(model(images), labels)[0].backward()
        optimizer.step()

    embeddings = model(images).detach().requires_grad_()
    mine = functools.partial(forward_and_backward, lambda *batch: loss_fn(*batch)[0], embeddings, labels)
    times = medians({"step": step, "mining and loss": mine}, seconds=10)
    return {**times, "share": times["mining and loss"] / times["step"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for selection.json, selection.md and selection.svg")
    parser.add_argument("--alone", nargs=2, metavar=("NAME", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.alone:
        run_alone(options.alone[0], int(options.alone[1]))
        return
    results: dict = {"machine": machine(PACKAGES)}
    for part in (selection, mining_losses, every_selector, batch_all_losses, growth, training_share):
        print(f"{part.__name__} …", file=sys.stderr)
        results[part.__name__] = part()
    print(selection_report.markdown(results))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "selection.json").write_text(json.dumps(results, indent=1) + "\n")
        (options.out / "selection.md").write_text(selection_report.markdown(results) + "\n")
        selection_report.plot(results, options.out / "selection.svg")
        selection_report.plot(results, options.out / "selection-narrow.svg", is_narrow=True)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.simplefilter("ignore", DeprecationWarning)
    main()
