"""The explorer in the classic notebook with the packages of Colab, the nearest to Colab's page that runs anywhere.

Skipped without Chromium, or where SIAMESE_TRIPLET_COLAB names no environment of Colab, unless
SIAMESE_TRIPLET_PAGES=required.
"""

import re
from collections.abc import Iterator

import pytest
from browser import chromium, record_problems
from colab_place import colab_folder
from notebook_server import CODE, PATIENCE, PICK, TOKEN, both_pictures_fit, choose, fill, serving, wait_for_status

expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """Open the notebook in a browser without a network, and run its cells."""
    folder = tmp_path_factory.mktemp("classic")
    options = [f"--NotebookApp.token={TOKEN}", f"--NotebookApp.notebook_dir={folder}"]
    command = [str(colab_folder() / "bin" / "python"), "-m", "notebook", *options]
    with serving(command, folder, (CODE, PICK)) as address, chromium() as browser:
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page = context.new_page()
        page.goto(f"{address}/notebooks/explorer.ipynb?token={TOKEN}")
        page.locator("#kernel_indicator_icon.kernel_idle_icon").wait_for()
        page.get_by_role("link", name="Cell", exact=True).click()
        page.locator("#run_all_cells a").click()
        yield page


def test_a_reader_trains_and_the_form_follows(page) -> None:
    problems = record_problems(page)
    choose(page, "selector", "semihard")
    fill(page, "margin", "0.7")
    page.get_by_role("button", name="Train").click()
    scatter = page.locator("img[alt^='Scatter']")
    scatter.wait_for()
    first = scatter.get_attribute("src")
    wait_for_status(page, "finished in .*kNN accuracy", run=1)
    page.locator("img[alt^='Scatter'][alt*='after epoch 2 of 2']").wait_for()
    assert scatter.get_attribute("src") != first
    row = page.locator("table tbody tr", has_text="semihard")
    expect(row.locator("td").last).to_have_text("finished")
    assert row.locator("td").all_inner_texts()[3:5] == ["semihard", "0.7"]
    assert both_pictures_fit(page, width=1400)
    assert problems == []


def test_stop_ends_a_run_and_another_can_follow(page) -> None:
    fill(page, "epochs", "5000")
    page.get_by_role("button", name="Train").click()
    wait_for_status(page, r"epoch \d+ of 5000", run=2)
    expect(page.get_by_role("button", name="Train")).to_be_disabled()
    page.get_by_role("button", name="Stop").click()
    wait_for_status(page, "stopped in epoch .* after it was asked to", run=2)
    expect(page.locator("table tbody tr", has_text="stopped").first).to_contain_text(" of 5000")
    expect(page.get_by_role("button", name="Train")).to_be_enabled()
    fill(page, "images per class (K)", "99")
    page.get_by_text("99 images of each class: a class has only 20. Lower K.").wait_for()
    page.get_by_role("button", name="Reset").click()
    page.get_by_text("99 images of each class").wait_for(state="detached")
    page.get_by_role("button", name="Train").click()
    wait_for_status(page, "finished in .*kNN accuracy", run=3)


def test_a_reader_picks_triplets(page) -> None:
    page.get_by_text(re.compile(r"^Triplet 1 of ")).wait_for()
    page.get_by_label("selector", exact=True).last.select_option("batch-hard")
    page.get_by_text("80 of the 40,320 triplets of the batch are selected").wait_for()
    page.get_by_role("button", name="Next").click()
    page.get_by_text(re.compile(r"^Triplet 2 of 80: positive at distance")).wait_for()
    expect(page.locator("img[alt^='The images of the chosen triplet: anchor']")).to_be_visible()
