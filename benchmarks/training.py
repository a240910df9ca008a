"""Speed of training: an epoch beside a bare loop and the original tutorial's loop, memory, and single options.

    python benchmarks/training.py                       # prints the tables, about a quarter of an hour
    python benchmarks/training.py --out book/results    # and writes them for the book
    python benchmarks/training.py --quick               # a few minutes, on the subset inside the package

One process on the CPU; the contenders take turns, and medians are shown. Memory is measured in a separate process. With
a GPU the five experiments are trained there too, with the full recipe.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import training_report
from machine import machine
from torch import nn
from torch.optim import Adam
from training_epochs import epochs
from training_options import options

from siamese_triplet import BalancedBatchSampler, Images, fit, load
from siamese_triplet.methods import FULL_EPOCHS, METHODS, fit_method
from siamese_triplet.trainer import History

PACKAGES = ("torch", "torchvision", "numpy", "pillow")
PARTS = ("epochs", "memory", "options", "gpu")


def memory(n_epochs: int, early: int) -> dict:
    """Measure the resident memory (MB) after `early` epochs and after `n_epochs`, in a separate process."""
    command = [
        sys.executable,
        __file__,
        "--alone",
        str(n_epochs),
        str(early),
        "--threads",
        str(torch.get_num_threads()),
    ]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    sizes = json.loads(finished.stdout.splitlines()[-1])
    return {"epochs": [early, n_epochs], "megabytes": sizes, "growth": sizes[1] - sizes[0]}


def run_alone(n_epochs: int, early: int) -> None:
    """Print the resident memory of an online triplet run on 300 images, with a checkpoint after every epoch."""
    experiment, sizes = METHODS["online-triplet"], []
    train_set, test_set = (_balance(load("mnist", train, subset="embedded"), 30) for train in (True, False))

    def watch(epoch: int, history: History, model: nn.Module) -> None:
        if epoch in (early, n_epochs):
            sizes.append(_resident_memory())

    torch.manual_seed(0)
    model = experiment.network(train_set)
    optimizer = Adam(model.parameters(), lr=1e-3, fused=True)
    loaders = [experiment.loader(images, device="cpu") for images in (train_set, test_set)]
    with tempfile.TemporaryDirectory() as folder:
        fit(
            *loaders,
            model,
            experiment.loss(),
            optimizer,
            None,
            n_epochs,
            metrics=experiment.metrics(),
            device="cpu",
            verbose=False,
            checkpoint=Path(folder) / "checkpoint.pt",
            callbacks=[watch],
        )
    print(json.dumps(sizes))


def gpu(images: tuple[Images, Images], n_epochs: int) -> dict | None:
    """Measure the seconds to train each experiment on a GPU, one after the other; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    seconds = {}
    for name, experiment in METHODS.items():
        started = time.perf_counter()
        fit_method(experiment, *images, n_epochs, device="cuda", verbose=False)
        seconds[name] = time.perf_counter() - started
        print(f"{name}, on the GPU: {seconds[name]:.1f} s", file=sys.stderr, flush=True)
    return {
        "device": torch.cuda.get_device_name(),
        "machine": machine(PACKAGES),
        "epochs": n_epochs,
        "images": len(images[0]),
        "seconds": seconds,
    }


def _balance(images: Images, n_per_class: int) -> Images:
    chosen = next(iter(BalancedBatchSampler(images.targets, len(images.classes), n_per_class)))
    return images.subset(chosen)


def _resident_memory() -> float:
    """Read this process's resident memory in MB, as counted by Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(parts: list[str], quick: bool, n_rounds: int, n_original_rounds: int) -> dict:
    """Run `parts`, and return the results by name."""
    images = tuple(load("mnist", train, subset="embedded" if quick else None) for train in (True, False))
    results: dict = {} if parts == ["gpu"] else {"machine": machine(PACKAGES)}
    measurements = {
        "epochs": lambda: epochs(*images, n_rounds, n_original_rounds),
        "memory": lambda: memory(*((40, 10) if quick else (200, 20))),
        "options": lambda: options(2 if quick else 10),
        "gpu": lambda: gpu(images, 1 if quick else FULL_EPOCHS),
    }
    for part in parts:
        print(f"{part} …", file=sys.stderr, flush=True)
        results[part] = measurements[part]()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the embedded subset, and shorter measurements")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="timed epochs of our loop and the bare loop")
    parser.add_argument("--original-rounds", type=int, default=1, help="timed epochs of the original, at most --rounds")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="parts to measure, by default all; --out keeps the stored results of the others",
    )
    parser.add_argument("--out", type=Path, help="folder for training.json and training.md")
    parser.add_argument("--alone", nargs=2, type=int, metavar=("EPOCHS", "EARLY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.alone:
        run_alone(*arguments.alone)
        return
    results = measure(arguments.parts, arguments.quick, arguments.rounds, arguments.original_rounds)
    print(training_report.markdown(results))
    if arguments.out:
        training_report.write(results, arguments.out)


if __name__ == "__main__":
    main()
