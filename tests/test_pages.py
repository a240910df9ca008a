"""The built book in a browser without a network: every page of `_build/html`, after `jupyter-book build`.

Skipped where there is no built book or no Chromium, unless SIAMESE_TRIPLET_PAGES=required.
"""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HTML = ROOT / "_build" / "html"
CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("*.ipynb"))
PAGES = [*CHAPTERS, *sorted(path.stem for path in (ROOT / "book").glob("*.md"))]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    if not (HTML / "index.html").is_file():
        unavailable("the book is not built; run jupyter-book build first")
    handler = functools.partial(QuietHandler, directory=HTML)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        unavailable("there is no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


def unavailable(reason: str) -> None:
    if os.environ.get("SIAMESE_TRIPLET_PAGES") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, browser, site: str) -> Iterator:
    """A loaded page, with `problems`: its console errors, and the requests that failed or left the site."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("requestfailed", lambda failed: page.problems.append(f"failed: {failed.url}"))
    context.route(lambda url: not url.startswith(site), lambda route: route.abort())
    page.goto(f"{site}/book/{request.param}.html", wait_until="networkidle")
    page.name = request.param
    yield page
    context.close()


def test_page_works_without_a_network_and_without_console_errors(page) -> None:
    assert page.problems == []


def test_images_are_shown_and_described(page) -> None:
    images = page.locator("article img").evaluate_all("all => all.map(image => [image.naturalWidth, image.alt])")
    if page.name in CHAPTERS:
        assert len(images) >= 2
    for width, alt in images:
        assert width > 0
        assert len(alt.split()) >= 5, alt


def test_formulas_are_rendered(page) -> None:
    source = ROOT / "book" / f"{page.name}.ipynb"
    if source.exists() and "$$" in source.read_text():
        page.wait_for_selector("mjx-container")
        assert page.locator("mjx-merror").count() == 0
    article = page.locator("article").inner_text()
    assert "$$" not in article
    assert "\\frac" not in article


def test_colab_button_leads_to_the_notebook(page) -> None:
    if page.name in CHAPTERS:
        links = page.locator("a[href*='colab.research.google.com']").evaluate_all("all => all.map(link => link.href)")
        assert links
        assert all(link.endswith(f"/blob/main/book/{page.name}.ipynb") for link in links)
