"""How long training takes: an epoch beside a bare loop and beside the original tutorial's, memory, and single options.

    python benchmarks/training.py                       # prints the tables, about a quarter of an hour
    python benchmarks/training.py --out book/results    # and writes them for the book
    python benchmarks/training.py --quick               # a few minutes, on the subset inside the package

One process on the CPU; the contenders take turns, and medians are shown. Memory is measured in a process of its own.
With a GPU the five experiments are trained there too, at the full recipe.
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
FLAT = 5  # MB that memory may grow


def memory(n_epochs: int, early: int) -> dict:
    """Resident memory (MB) after `early` epochs and after `n_epochs`, in a process of its own."""
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
    return {"epochs": [early, n_epochs], "megabytes": sizes, "growth": sizes[1] - sizes[0], "most_growth": FLAT}


def alone(n_epochs: int, early: int) -> None:
    """Print the resident memory of an online triplet run on 300 images, with a checkpoint after every epoch."""
    experiment, sizes = METHODS["online-triplet"], []
    train_set, test_set = (_balanced(load("mnist", train, subset="embedded"), 30) for train in (True, False))

    def watch(epoch: int, history: History, model: nn.Module) -> None:
        if epoch in (early, n_epochs):
            sizes.append(_resident())

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
    """Seconds to train each experiment on a GPU, one after the other; None without one."""
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


def _balanced(images: Images, n_of_class: int) -> Images:
    chosen = next(iter(BalancedBatchSampler(images.targets, len(images.classes), n_of_class)))
    return images.subset(chosen)


def _resident() -> float:
    """MB of this process in memory, as Linux counts them."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(parts: list[str], quick: bool, n_rounds: int, n_original_rounds: int) -> dict:
    """The results of `parts`, by name."""
    images = tuple(load("mnist", train, subset="embedded" if quick else None) for train in (True, False))
    results: dict = {} if parts == ["gpu"] else {"machine": machine(PACKAGES)}
    measured = {
        "epochs": lambda: epochs(*images, n_rounds, n_original_rounds),
        "memory": lambda: memory(*((40, 10) if quick else (200, 20))),
        "options": lambda: options(2 if quick else 10),
        "gpu": lambda: gpu(images, 1 if quick else FULL_EPOCHS),
    }
    for part in parts:
        print(f"{part} …", file=sys.stderr, flush=True)
        results[part] = measured[part]()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the embedded subset, and shorter measurements")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="timed epochs of ours and of the bare loop")
    parser.add_argument("--original-rounds", type=int, default=1, help="of the original, in the first of these rounds")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="what to measure, all by default; with --out the other results there are kept",
    )
    parser.add_argument("--out", type=Path, help="folder for training.json and training.md")
    parser.add_argument("--alone", nargs=2, type=int, metavar=("EPOCHS", "EARLY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.alone:
        alone(*arguments.alone)
        return
    results = measure(arguments.parts, arguments.quick, arguments.rounds, arguments.original_rounds)
    print(training_report.markdown(results))
    if arguments.out:
        training_report.write(results, arguments.out)


if __name__ == "__main__":
    main()
