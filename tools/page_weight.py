"""Measure the weight and the load time of the book's pages: `python tools/page_weight.py`, after building the book.

The weight of a page is its HTML, its pictures, the style sheet, the script of the live figures, and the images to train
on where a figure loads them. The theme does not count, as it is loaded once for all pages. Load times are medians of a
few visits in Chromium, from a server on this machine, without the cache. Prints a table and writes
`book/results/pages.json`.
"""

import functools
import http.server
import json
import re
import shutil
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))
from machine import machine  # noqa: E402

HTML = ROOT / "_build" / "html"
RESULTS = ROOT / "book" / "results" / "pages.json"
SHARED = ("siamese-triplet-figures.js", "book.css")
LOADS_IMAGES = re.compile('kind="(training|drawing)"')
IMAGES = "siamese-triplet-mnist.js"  # those that such a figure begins with
VISITS = 3


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A file server that answers a wrong address with `404.html`, as GitHub Pages does."""

    def log_message(self, *arguments: object) -> None:
        pass

    def copyfile(self, *files: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the browser left the page while it was loading
            super().copyfile(*files)

    def send_error(self, code: int, *arguments: object) -> None:
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.is_file():
            return super().send_error(code, *arguments)
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(page.read_bytes())


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve the files of `folder`, and yield the address."""
    handler = functools.partial(QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def weight(page: Path, site: Path = HTML) -> int:
    """Sum the bytes of a page beyond the theme."""
    source = page.read_text(encoding="utf-8")
    pictures = {(page.parent / picture).resolve() for picture in re.findall(r'src="([^":]*_images/[^"]+)"', source)}
    shared = (*SHARED, IMAGES) if LOADS_IMAGES.search(source) else SHARED
    files = [page, *pictures, *(site / "_static" / name for name in shared)]
    return sum(file.stat().st_size for file in files)


def load_times(pages: list[Path]) -> dict[str, float]:
    """Measure the median seconds until each page is loaded."""
    from playwright.sync_api import sync_playwright

    seconds = {}
    with serve(HTML) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for page in pages:
            name = str(page.relative_to(HTML))
            seconds[name] = statistics.median(visit(browser, f"{address}/{name}") for _ in range(VISITS))
        browser.close()
    return seconds


def visit(browser: object, address: str) -> float:
    with browser.new_context(viewport={"width": 1300, "height": 900}) as context:
        page = context.new_page()
        page.goto(address, wait_until="load")
        return page.evaluate("performance.getEntriesByType('navigation')[0].duration") / 1000


def main() -> None:
    pages = sorted((HTML / "book").rglob("*.html"))
    times = load_times(pages)
    rows = [{"page": name, "bytes": weight(HTML / name), "seconds": round(times[name], 3)} for name in times]
    results = {"machine": machine(("torch", "sphinx", "playwright")), "visits": VISITS, "pages": rows}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    for row in sorted(rows, key=lambda row: -row["bytes"]):
        print(f"{row['page']:<40}{row['bytes'] / 1e6:>8.2f} MB{row['seconds']:>8.2f} s")


if __name__ == "__main__":
    main()
