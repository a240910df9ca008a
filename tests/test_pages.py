"""The built book in a browser without a network: every page of `_build/html`, after `jupyter-book build`.

Skipped where there is no built book or no Chromium, unless SIAMESE_TRIPLET_PAGES=required.
"""

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, overflow, unavailable, violations, watched

ROOT = Path(__file__).parents[1]
HTML = ROOT / "_build" / "html"
CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("*.ipynb"))
LIVE = {
    "01_softmax": ["embedding-viewer"],
    "02_siamese": ["pair-playground", "embedding-viewer"],
    "03_triplet": ["triplet-playground", "embedding-viewer"],
    "04_online_pairs": ["embedding-viewer"],
    "05_online_triplets": ["embedding-viewer", "selector-bench"],
    "06_fashion_mnist": ["embedding-viewer"],
    "08_hands_on": ["settings-gallery", "selector-bench"],
}
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
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, browser, site: str) -> Iterator:
    """A loaded page, with `problems`: its console errors, and the requests that failed or left the site."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    page.problems = watched(page)
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
        assert len(images) + page.locator("siamese-triplet-figure").count() >= 2
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


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_and_fits_its_window(name: str, browser, site: str) -> None:
    with browser.new_context(viewport={"width": 360, "height": 900}) as context:
        context.route(lambda url: not url.startswith(site), lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{site}/book/{name}.html", wait_until="networkidle")
        for theme, width in (("light", 360), ("dark", 360), ("dark", 1300), ("light", 1300)):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            page.wait_for_timeout(300)  # transitions of colours
            assert overflow(page) <= 0, (theme, width)
            assert violations(page) == [], (theme, width)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_light(name: str, site: str) -> None:
    page = HTML / "book" / f"{name}.html"
    source = page.read_text()
    pictures = set(re.findall(r'src="(\.\./_images/[^"]+)"', source))
    weight = len(source) + sum((page.parent / picture).stat().st_size for picture in pictures)
    weight += sum((HTML / "_static" / file).stat().st_size for file in ("siamese-triplet-figures.js", "book.css"))
    assert weight < 2.5e6


def test_live_figures_are_drawn(page) -> None:
    figures = page.locator("siamese-triplet-figure")
    assert page.locator("siamese-triplet-figure .figure").count() == figures.count()
    expected = LIVE.get(page.name, [])
    assert figures.evaluate_all("all => all.map(figure => figure.getAttribute('kind'))") == expected
