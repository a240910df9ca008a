"""Every page of the built book with axe-core, light and dark, wide and on a phone. See `test_pages`."""

import pytest
from browser import overflow, violations
from test_pages import ARTICLES, CHAPTERS, ROOT, browser, site, visit  # noqa: F401 - fixtures

REFERENCE = sorted(f"book/api/{path.stem}" for path in (ROOT / "book" / "api").glob("*.md"))
OF_THE_THEME = ["genindex", "search", "_modules/siamese_triplet/trainer"]  # and one page of source for all
LIGHT, DARK = ("light", 1300), ("dark", 360)  # theme and width: what breaks on a phone breaks in both themes
LOOKS = dict.fromkeys(CHAPTERS + ARTICLES, (LIGHT, DARK)) | dict.fromkeys(REFERENCE + OF_THE_THEME, (DARK,))
LOOKS |= dict.fromkeys(("book/08_hands_on", "book/api/selection"), (LIGHT, DARK, ("dark", 1300), ("light", 360)))


@pytest.mark.parametrize("name", LOOKS)
def test_page_is_accessible_and_fits_its_window(name: str, browser, site: str) -> None:  # noqa: F811
    with browser.new_context() as context:
        page = context.new_page()
        page.set_viewport_size({"width": LOOKS[name][0][1], "height": 900})
        visit(page, site, name)
        for theme, width in LOOKS[name]:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            page.wait_for_timeout(300)  # transitions of colours
            assert overflow(page) <= 0, (theme, width)
            assert violations(page) == [], (theme, width)
