"""What the tests in a browser share: Chromium from the PATH, and why a test is skipped without one."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

NOWHERE_ELSE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # cheaper than to ask at every request
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", NOWHERE_ELSE]


def unavailable(reason: str) -> None:
    """Skip, or fail where SIAMESE_TRIPLET_PAGES=required says that a browser must be there."""
    if os.environ.get("SIAMESE_TRIPLET_PAGES") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium, driven by Playwright, that reaches this machine alone."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        unavailable("there is no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


def watched(page: Any) -> list[str]:
    """The problems that a page will have from now on: console errors, errors of its scripts, requests that failed."""
    problems: list[str] = []
    page.on(
        "console", lambda said: problems.append(f"{said.text} {said.location['url']}") if said.type == "error" else None
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda failed: problems.append(f"failed: {failed.url[:200]}"))
    return problems


def overflow(page: Any) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def violations(page: Any, within: str | None = None, without: Sequence[str] = ()) -> list[str]:
    """The serious and critical findings of axe-core, `within` an element or in the whole page, `without` some of it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    only_violations = {"resultTypes": ["violations"]}  # to describe all that passes takes as long as to check it
    context = {"exclude": [[selector] for selector in without]} if without else within
    found = axe.run(page, context=context, options=only_violations).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
