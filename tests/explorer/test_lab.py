"""The explorer in JupyterLab, in a browser without a network: a reader trains and stops.

Skipped without JupyterLab or Chromium, unless SIAMESE_TRIPLET_PAGES=required.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from browser import chromium, skip_or_fail
from ipykernel import version_info

from siamese_triplet.live import IN_BOOK

expect = pytest.importorskip("playwright.sync_api").expect  # it waits, as the messages of a kernel arrive one by one
ROOT = Path(__file__).parents[2]
TOKEN = "of-this-test"
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
BUSY = """\
import time
from pathlib import Path
while Path("busy").exists():
    time.sleep(0.1)"""
PATIENCE = 30_000  # milliseconds, enough for a loaded machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of JupyterLab and its kernel; the last cell runs while it holds a file `busy`."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[str]:
    """Start JupyterLab with the notebook `explorer.ipynb` and none of the user's settings; yield its address."""
    if find_spec("jupyterlab") is None:
        skip_or_fail("there is no JupyterLab")
    empty = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    sources = {"explore": CODE, "pick": PICK, "busy": BUSY}
    cells = [{**empty, "id": name, "source": source} for name, source in sources.items()]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "explorer.ipynb").write_text(json.dumps(notebook))
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"checkForUpdates": false, "fetchNews": "false"}')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(folder / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    outside = {name: value for name, value in os.environ.items() if name != IN_BOOK}
    environment = {**outside, **places, "HOME": str(folder), "IPYTHONDIR": str(folder), "PYTHONPATH": str(ROOT)}
    options = [
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.extension_manager=readonly",
    ]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=environment, cwd=folder, stdout=log, stderr=log
        )
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


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not answer: {log.read_text()[-3000:]}")


def start_kernel(address: str) -> None:
    """Start the notebook's kernel before the page does: a slow page starts two, and loses the output of one."""
    session = {"path": "explorer.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/sessions", json.dumps(session).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201


@pytest.fixture(scope="module")
def page(lab: str) -> Iterator:
    """Open the notebook in a browser without a network, and run its cells."""
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1500, "height": 1300})
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page = context.new_page()
        answers = []
        page.on("websocket", lambda opened: opened.on("framereceived", lambda _: answers.append(opened.url)))
        page.goto(f"{lab}/doc/tree/explorer.ipynb?token={TOKEN}")
        run_all_cells(page, lambda: any("/channels" in url for url in answers))
        yield page


def run_all_cells(page, kernel_answers: Callable[[], bool]) -> None:
    """Run all cells, again until they start: JupyterLab drops the command while it is still loading."""
    prompt = page.locator(".jp-Notebook .jp-InputPrompt").first
    prompt.wait_for()
    deadline = time.monotonic() + 2 * PATIENCE / 1000
    while not page.get_by_role("button", name="Train").count():
        assert time.monotonic() < deadline, f"the cell did not run: {prompt.inner_text()}"
        if kernel_answers() and prompt.inner_text().startswith("[ ]"):
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_timeout(1000)
    page.get_by_text("[*]").first.wait_for(state="detached")


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


def test_a_reader_trains_and_sees_the_embeddings_change(page) -> None:
    choose(page, "selector", "semihard")
    fill(page, "margin", "0.7")
    page.get_by_role("button", name="Train").click()
    scatter = page.locator("img[alt^='Scatter']")
    scatter.wait_for()
    first = scatter.get_attribute("src")
    wait_for_status(page, "finished in .*kNN accuracy", run=1)
    page.locator("img[alt^='Scatter'][alt*='after epoch 2 of 2']").wait_for()
    assert scatter.get_attribute("src") != first
    assert scatter.evaluate("image => image.naturalWidth") > 300
    assert "100 of 100 test images" in scatter.get_attribute("alt")
    row = page.locator("table tbody tr", has_text="semihard")
    expect(row.locator("td").last).to_have_text("finished")
    cells = row.locator("td").all_inner_texts()
    assert cells[3:5] == ["semihard", "0.7"]
    assert re.fullmatch(r"\d+\.\d\d %", cells[9])
    download = page.get_by_role("link", name="CSV")
    with page.expect_download() as caught:
        download.click()
    assert (
        Path(caught.value.path())
        .read_text()
        .splitlines()[1]
        .startswith("1,own images,True,online-triplet,semihard,0.7")
    )


@pytest.mark.skipif(version_info < (7, 4), reason="an older kernel does one thing at a time")
def test_the_form_works_while_a_cell_runs(page, folder: Path) -> None:
    """The kernel may handle a click in one thread, and an earlier change of a value in another, busy one.

    Nor may the end of a run bind the form to the cell that was started meanwhile.
    """
    fill(page, "epochs", "10")
    page.get_by_role("button", name="Train").click()
    wait_for_status(page, "epoch", run=2)
    busy = folder / "busy"
    busy.touch()
    try:
        page.locator(".jp-Notebook .jp-Cell").nth(2).locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        page.get_by_text("[*]").wait_for()
        wait_for_status(page, "finished in .*kNN accuracy", run=2)
        fill(page, "epochs", "2")
        for run, size in ((3, "3"), (4, "4")):
            fill(page, "embedding size", size)
            page.get_by_role("button", name="Train").click()
            wait_for_status(page, "finished in .*kNN accuracy", run)
        assert page.get_by_text("[*]").is_visible()
    finally:
        busy.unlink()
    page.get_by_text("[*]").wait_for(state="detached")
    expect(page.locator("table tbody td:nth-child(6)")).to_have_text(["2", "2", "3", "4"])


def test_stop_answers_within_half_a_second(page) -> None:
    """The only duration that a test asserts. A loaded machine gets three attempts."""
    fill(page, "epochs", "5000")
    seconds = []
    for run in (5, 6, 7):
        page.get_by_role("button", name="Train").click()
        wait_for_status(page, r"epoch \d+ of 5000", run)
        expect(page.get_by_role("button", name="Train")).to_be_disabled()
        page.get_by_role("button", name="Stop").click()
        status = wait_for_status(page, "stopped in epoch .* after it was asked to", run)
        seconds.append(float(re.search(r"([\d.]+) s after it was asked to", status)[1]))
        wait_for_status(page, "kNN accuracy", run)
        if seconds[-1] < 0.5:
            break
    assert min(seconds) < 0.5, seconds
    expect(page.locator("table tbody tr", has_text="stopped").first).to_contain_text(" of 5000")


def test_an_impossible_setting_is_explained_before_training(page) -> None:
    fill(page, "images per class (K)", "99")
    page.get_by_text("99 images of each class: a class has only 20. Lower K.").wait_for()
    expect(page.get_by_role("button", name="Train")).to_be_disabled()
    page.get_by_role("button", name="Reset").click()
    page.get_by_text("99 images of each class").wait_for(state="detached")
    expect(page.get_by_role("button", name="Train")).to_be_enabled()


def test_a_reader_picks_triplets(page) -> None:
    page.get_by_text(re.compile(r"^Triplet 1 of ")).wait_for()
    picture = page.locator("img[alt*='anchor and negative']")
    first = picture.get_attribute("src")
    page.get_by_label("selector", exact=True).last.select_option("batch-hard")
    page.get_by_text("80 of the 40,320 triplets of the batch are selected").wait_for()
    hardest = wait_for_change(picture, first)
    page.get_by_role("button", name="Next").click()
    page.get_by_text(re.compile(r"^Triplet 2 of 80: positive at distance")).wait_for()
    wait_for_change(picture, hardest)
    expect(page.locator("img[alt^='The images of the chosen triplet: anchor']")).to_be_visible()


def wait_for_change(picture, before: str) -> str:
    """Wait until the picture, which comes after its text, has changed."""
    deadline = time.monotonic() + PATIENCE / 1000
    while (now := picture.get_attribute("src")) == before:
        assert time.monotonic() < deadline, "the picture did not change"
        picture.page.wait_for_timeout(50)
    return now


def test_the_controls_can_be_reached_with_the_keyboard(page) -> None:
    page.get_by_label("data set", exact=True).first.focus()
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''").strip()
        )
    assert {"Train", "Reset"} <= set(reached)


def test_nothing_is_cut_off_in_a_narrow_window(page) -> None:
    page.set_viewport_size({"width": 700, "height": 1300})
    page.wait_for_timeout(500)
    cut_off = page.locator(".jp-OutputArea-output .widget-label").evaluate_all(
        "all => all.filter(label => label.scrollWidth > label.clientWidth + 1).map(label => label.innerText)"
    )
    assert cut_off == []
    wide = page.locator(".jp-OutputArea-output .widget-box, .jp-OutputArea-output img").evaluate_all(
        "all => all.filter(part => part.getBoundingClientRect().right > innerWidth).length"
    )
    assert wide == 0
