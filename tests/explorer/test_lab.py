"""The explorer in JupyterLab, in a browser without a network: a reader trains and stops.

Skipped without JupyterLab or Chromium, unless SIAMESE_TRIPLET_PAGES=required.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from browser import chromium, skip_or_fail
from ipykernel import version_info
from notebook_server import CODE, PATIENCE, PICK, TOKEN, both_pictures_fit, choose, fill, serving, wait_for_status

expect = pytest.importorskip("playwright.sync_api").expect  # it waits, as the messages of a kernel arrive one by one
BUSY = """\
import time
from pathlib import Path
while Path("busy").exists():
    time.sleep(0.1)"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of JupyterLab and its kernel; the last cell runs while it holds a file `busy`."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[str]:
    """Start JupyterLab with the notebook `explorer.ipynb` and none of the user's settings; yield its address."""
    if find_spec("jupyterlab") is None:
        skip_or_fail("there is no JupyterLab")
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"checkForUpdates": false, "fetchNews": "false"}')
    options = [
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.extension_manager=readonly",
    ]
    with serving([sys.executable, "-m", "jupyterlab", *options], folder, (CODE, PICK, BUSY)) as address:
        yield address


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
    assert both_pictures_fit(page, width=1400)
    assert both_pictures_fit(page, width=1120)  # as beside the list of files, in a window of 1400
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
