"""A Jupyter server for the tests of the explorer in a browser: its notebook, and what a reader does there."""

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from siamese_triplet.live import IN_BOOK

ROOT = Path(__file__).parents[2]
TOKEN = "of-this-test"
PATIENCE = 30_000  # milliseconds, enough for a loaded machine
CODE = """\
import torch
torch.set_num_threads(1)
from siamese_triplet import Images, load
from siamese_triplet.explorer import Settings, explore
def part(train, n):
    images = load("mnist", train, subset="embedded")
    chosen = images.targets.argsort(stable=True).view(10, -1)[:, :n].flatten()
    return Images(images.data[chosen], images.targets[chosen], images.classes, train, images.transform)
settings = Settings(n_classes=10, n_samples=5, n_epochs=2, device="cpu")
explorer = explore((part(True, 20), part(False, 10)), settings=settings)
explorer"""
PICK = """\
from siamese_triplet.explorer import pick_triplets
images = part(False, 10)
embeddings = torch.randn(100, 2, generator=torch.Generator().manual_seed(0)) + images.targets[:, None] / 3
pick_triplets(embeddings, images.targets, images, n_samples=8)"""


@contextmanager
def serving(command: Sequence[str], folder: Path, sources: Sequence[str]) -> Iterator[str]:
    """Start a server with the notebook `explorer.ipynb`, whose cells have these sources, and its kernel.

    It has none of the user's settings, and this checkout of the package. Yields its address.
    """
    write_notebook(folder / "explorer.ipynb", sources)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(folder / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    outside = {name: value for name, value in os.environ.items() if name != IN_BOOK}
    environment = {**outside, **places, "HOME": str(folder), "IPYTHONDIR": str(folder), "PYTHONPATH": str(ROOT)}
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen([*command, *options], env=environment, cwd=folder, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", server, folder / "log")
        start_kernel(address)
        yield address
    finally:
        server.terminate()  # also ends its kernels
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def write_notebook(path: Path, sources: Sequence[str]) -> None:
    empty = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**empty, "id": f"cell-{number}", "source": source} for number, source in enumerate(sources)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"Jupyter did not answer: {log.read_text()[-3000:]}")


def start_kernel(address: str) -> None:
    """Start the notebook's kernel before the page does: a slow page starts two, and loses the output of one."""
    session = {"path": "explorer.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/sessions", json.dumps(session).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201


def wait_for_status(page, words: str, run: int) -> str:
    """Wait until the status of that run matches `words`, a regular expression, and return it."""
    status = page.get_by_text(re.compile(rf"^Run {run}: .*{words}")).first
    status.wait_for()
    return status.inner_text()


def choose(page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).first.select_option(value)


def fill(page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).first.fill(value)
    page.keyboard.press("Tab")


def both_pictures_fit(page, width: int) -> bool:
    """Tell whether a window of that width and height 1000 shows scatter and curves side by side, below all controls."""
    before = page.viewport_size
    page.set_viewport_size({"width": width, "height": 1000})
    page.get_by_label("data set", exact=True).first.evaluate(
        """control => {
            const all = [...document.querySelectorAll(".widget-vbox")].filter(box => box.contains(control));
            all[0].scrollIntoView();  // the outermost, which is the whole form
        }"""
    )
    page.wait_for_timeout(500)
    names = ("img[alt^='Scatter']", "img[alt^='Curves']")
    scatter, curves = (page.locator(name).bounding_box() for name in names)
    top = page.get_by_label("data set", exact=True).first.bounding_box()["y"]
    page.set_viewport_size(before)
    beside = abs(scatter["y"] - curves["y"]) < 3 and scatter["x"] + scatter["width"] <= curves["x"]
    within = top > 0 and curves["x"] + curves["width"] <= width and scatter["y"] + scatter["height"] <= 1000
    legible = scatter["width"] > 450 and curves["width"] > 320
    return beside and within and legible
