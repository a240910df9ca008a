"""Training in the page: a step in Chromium beside PyTorch's, accuracy over time, and what chapters say of such runs.

    python benchmarks/page.py                           # prints the tables, some minutes
    python benchmarks/page.py --out book/results        # and writes them for the book
    python benchmarks/page.py --parts steps --rounds 5

A step is forward, loss of all triplets, backward and Adam for 160 images of the embedded MNIST. One core: the page
trains in one thread, and PyTorch is given one; they take turns, and medians are shown. Needs Chromium and Playwright.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import page_report
import torch
from machine import machine
from torch.optim import Adam

from siamese_triplet import BatchAllTripletLoss, load
from siamese_triplet.live import script
from siamese_triplet.live.training import NETWORKS, page_images, page_network

PARTS = ("steps", "accuracy", "chapters")
TIMED = ("steps", "accuracy")
N_CLASSES, N_SAMPLES = 10, 16
SETTINGS = {"method": "online-triplet", "selector": "batch-all", "learningRate": 3e-3, "network": NETWORKS[0]}
WANTED = {"mnist": (0.94, 30), "fashion-mnist": (0.80, 60)}  # accuracy, and the seconds that it may take
CHAPTERS = {  # the runs that begin side by side in the page of a chapter
    "02_siamese": [{"method": "siamese"}, {"method": "siamese", "margin": 10}],
    "03_triplet": [{"method": "triplet"}],
    "04_online_pairs": [{"method": "online-contrastive", "selector": name} for name in ("hard", "all")],
    "05_online_triplets": [{"method": "online-triplet", "selector": name} for name in ("random", "hardest")],
}
N_STEPS = 401
KEPT = (1, 101, 201, 301, 401)  # of the steps at which accuracy is measured
ELEMENT = "class SiameseTripletFigure"
MAKE_TRAINER = """async ([name, network, kernel]) => {
  const data = await modules.training_data.decodeImages(images[name]);
  const settings = { method: "online-triplet", selector: "batch-all", network, margin: 1, seed: 0 };
  window.trainers ??= {};
  trainers[network + kernel] = new modules.trainer.Trainer(settings, data, kernel);
}"""
STEPS = """([network, kernel, n]) => {
  const trainer = trainers[network + kernel];
  return Array.from({ length: n }, () => {
    const batch = trainer.nextBatch();
    const started = performance.now();
    trainer.step(batch);
    return performance.now() - started;
  });
}"""
TRAIN = """async ([name, settings, wanted, limit]) => {
  const worker = modules.training_client.trainingWorker();
  const found = { points: [], frames: 0, reached: null };
  return new Promise((done, fail) => {
    worker.onmessage = ({ data: message }) => {
      if (message.type === "error") fail(new Error(message.message));
      if (message.type !== "frame") return;
      found.frames += 1;
      const { accuracy } = message.runs[0];
      if (accuracy && message.step) {
        found.points.push([accuracy[0], message.seconds, accuracy[1]]);
        if (accuracy[1] >= wanted) found.reached ??= found.points.at(-1);
      }
      if (message.seconds < limit) return;
      worker.terminate();
      done(found);
    };
    worker.postMessage({ type: "create", runs: [settings], data: images[name] });
    worker.postMessage({ type: "start" });
  });
}"""
TRAIN_STEPS = """async ([runs, n]) => {
  const worker = modules.training_client.trainingWorker();
  const found = runs.map(() => ({ points: [], accuracy: [], collapse: null }));
  return new Promise((done, fail) => {
    worker.onmessage = ({ data: message }) => {
      if (message.type === "error") fail(new Error(message.message));
      if (message.type === "collapse") found[message.run].collapse = message.step;
      if (message.type !== "frame") return;
      message.runs.forEach(({ points, accuracy }, run) => {
        found[run].points.push(...points);
        if (accuracy) found[run].accuracy.push(accuracy);
      });
      if (message.step < n) return;
      worker.terminate();
      done(found);
    };
    worker.postMessage({ type: "create", runs, data: images.mnist });
    worker.postMessage({ type: "step", n });
  });
}"""


@contextmanager
def browser_page() -> Iterator[Any]:
    """Open a page, from a file, that has the figures' script and the images of both data sets."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    images = json.dumps({name: page_images(name) for name in WANTED})
    source = script().replace(ELEMENT, f"window.modules = modules; {ELEMENT}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        path.write_text(f'<!doctype html><meta charset="utf-8"><script>const images = {images};{source}</script>')
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(path.as_uri())
        yield page
        browser.close()


class PyTorchSteps:
    """PyTorch's steps of a network, one thread."""

    def __init__(self, network: str) -> None:
        torch.manual_seed(0)
        images = load("mnist", subset="embedded:400")
        by_class = torch.cat([(images.targets == label).nonzero()[:N_SAMPLES, 0] for label in range(N_CLASSES)])
        self.images = torch.stack([images[index][0] for index in by_class.tolist()])
        self.labels = images.targets[by_class]
        self.model = page_network(network)
        self.optimizer = Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.loss = BatchAllTripletLoss(1.0)

    def measure(self, n: int) -> list[float]:
        """Measure the milliseconds of `n` steps."""
        times = []
        for _ in range(n):
            started = time.perf_counter()
            loss, _ = self.loss(self.model(self.images), self.labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            times.append(1000 * (time.perf_counter() - started))
        return times


def steps(page: Any, n_rounds: int) -> list[dict]:
    """Measure one step of both networks with each kernel and with PyTorch: medians of interleaved rounds."""
    kernels = page.evaluate("modules.kernels.kernelsHere()")
    rows = []
    for network in NETWORKS:
        contenders: dict[str, Any] = {"PyTorch": PyTorchSteps(network).measure}
        for kernel in kernels:
            page.evaluate(MAKE_TRAINER, ["mnist", network, kernel])
            contenders[kernel] = lambda n, kernel=kernel: page.evaluate(STEPS, [network, kernel, n])  # noqa: B023
        for measure in contenders.values():
            measure(2)  # warm up
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for round_number in range(n_rounds):
            print(f"{network}, round {round_number + 1} of {n_rounds} …", file=sys.stderr, flush=True)
            for name, measure in contenders.items():
                times[name] += measure(1 if name == "plain" else 5)
        rows.append({"network": network, "milliseconds": {name: statistics.median(t) for name, t in times.items()}})
    return rows


def accuracy(page: Any, n_seeds: int) -> list[dict]:
    """Train from scratch in a Web Worker, and note when the accuracy of 5 neighbours reaches what is wanted."""
    rows = []
    for name, (wanted, limit) in WANTED.items():
        for seed in range(n_seeds):
            print(f"{name}, seed {seed} …", file=sys.stderr, flush=True)
            found = page.evaluate(TRAIN, [name, {**SETTINGS, "seed": seed}, wanted, limit])
            last = found["points"][-1]
            rows.append({"data": name, "seed": seed, "wanted": wanted, "limit": limit, "last": last, **found})
    return rows


def chapters(page: Any, n_seeds: int) -> list[dict]:
    """Train the runs of each chapter side by side: accuracy, share of tuples with a loss, and the step of a collapse.

    `accuracy` and `active` have a pair of step and share at every measurement.
    """
    rows = []
    for chapter, runs in CHAPTERS.items():
        for seed in range(n_seeds):
            print(f"{chapter}, seed {seed} …", file=sys.stderr, flush=True)
            found = page.evaluate(TRAIN_STEPS, [[{**run, "seed": seed} for run in runs], N_STEPS])
            for run, of_run in zip(runs, found, strict=True):
                tuples = {step: (selected, active) for step, _, selected, active, _ in of_run["points"]}
                shares = [[step, _share(*tuples[step])] for step, _ in of_run["accuracy"] if step in KEPT]
                accuracies = [[step, accuracy] for step, accuracy in of_run["accuracy"] if step in KEPT]
                measured = {"accuracy": accuracies, "active": shares, "collapse": of_run["collapse"]}
                rows.append({"chapter": chapter, "run": run, "seed": seed, **measured})
    return rows


def _share(selected: int, active: int) -> float:
    return active / selected if selected else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of the steps")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each data set and chapter")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="parts to measure, by default all")
    parser.add_argument("--out", type=Path, help="folder for page.json and page.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict = {}
    with browser_page() as page:
        if set(TIMED) & set(arguments.parts):
            results["machine"] = machine(("torch", "playwright")) | {"chromium": page.context.browser.version}
        if "steps" in arguments.parts:
            results["steps"] = steps(page, arguments.rounds)
        if "accuracy" in arguments.parts:
            results["accuracy"] = accuracy(page, arguments.seeds)
        if "chapters" in arguments.parts:
            results["chapters"] = chapters(page, arguments.seeds)
    print(page_report.markdown(results))
    if arguments.out:
        page_report.write(results, arguments.out)


if __name__ == "__main__":
    main()
