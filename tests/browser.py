"""Helpers of the tests in a browser: Chromium from the PATH, a page's problems, axe-core."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # cheaper than intercepting every request
REQUIRED = "SIAMESE_TRIPLET_PAGES"  # where it is "required", a test fails that would be skipped for what is missing
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", NO_NETWORK]


def skip_or_fail(reason: str) -> None:
    """Skip the test, or fail it with SIAMESE_TRIPLET_PAGES=required."""
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a headless Chromium, driven by Playwright, that reaches only this machine."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        skip_or_fail("there is no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


def record_problems(page: Any) -> list[str]:
    """Return a list that collects a page's problems from now on: console and script errors, and failed requests."""
    problems: list[str] = []

    def record_error(message: Any) -> None:
        if message.type == "error":
            problems.append(f"{message.text} {message.location['url']}")

    page.on("console", record_error)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(f"failed: {request.url[:200]}"))
    return problems


def overflow(page: Any) -> int:
    """Measure by how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def violations(page: Any, within: str | None = None, without: Sequence[str] = ()) -> list[str]:
    """List axe-core's serious and critical findings, in the page or `within` one element, `without` some elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    only_violations = {"resultTypes": ["violations"]}  # describing the passes would take as long as the check
    context = {"exclude": [[selector] for selector in without]} if without else within
    findings = axe.run(page, context=context, options=only_violations).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for violation in findings
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
