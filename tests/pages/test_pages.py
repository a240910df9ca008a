"""The built book in a browser without a network: every page of `_build/html`, after `jupyter-book build`.

Skipped without a built book or without Chromium, unless SIAMESE_TRIPLET_PAGES=required.
"""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from browser import chromium, overflow, record_problems, skip_or_fail, violations
from PIL import Image, ImageChops

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
from address import PLACEHOLDER, read_address  # noqa: E402
from book_pages.search import EitherSpelling, british  # noqa: E402
from page_weight import serve  # noqa: E402

IS_PLACEHOLDER = read_address()["slug"].startswith(PLACEHOLDER)

HTML = ROOT / "_build" / "html"
CHAPTERS = sorted(f"book/{path.stem}" for path in (ROOT / "book").glob("*.ipynb"))
ARTICLES = sorted(f"book/{path.stem}" for path in (ROOT / "book").glob("*.md"))
REFERENCE = sorted(f"book/api/{path.stem}" for path in (ROOT / "book" / "api").glob("*.md"))
THEME_PAGES = ["genindex", "search", "_modules/siamese_triplet/trainer/loop"]  # one page of source stands for all
LIGHT, DARK = ("light", 1300), ("dark", 360)  # theme and width; a layout breaks on a phone in both themes alike
EVERY_LOOK = LIGHT, DARK, ("dark", 1300), ("light", 360)
ALIKE = ".highlight", ".sig"  # code and signatures, which are checked on one page of each kind only
FOLDED = "book/01_softmax"  # a page with folded cells
UNLISTED: set[str] = set()  # pages that no other leads to
MOST_BYTES = 2.5e6  # beyond the theme
LIVE = {
    "01_softmax": ["embedding-viewer"],
    "02_siamese": ["pair-playground", "embedding-viewer", "training"],
    "03_triplet": ["triplet-playground", "embedding-viewer", "training"],
    "04_online_pairs": ["embedding-viewer", "training"],
    "05_online_triplets": ["embedding-viewer", "drawing", "training", "selector-bench", "embedding-viewer"],
    "06_fashion_mnist": ["embedding-viewer"],
    "08_hands_on": ["settings-gallery", "selector-bench", "training"],
    "12_many_classes": ["search"],
    "19_today": ["loss-family"],
    "index": ["training"],
}


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    if not (HTML / "index.html").is_file():
        skip_or_fail("the book is not built; run jupyter-book build first")
    with serve(HTML) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def context(browser) -> Iterator:
    """A reader who goes from page to page: shared files are loaded once."""
    with browser.new_context(viewport={"width": 1300, "height": 900}) as context:
        yield context


@pytest.fixture(scope="module", params=CHAPTERS + ARTICLES)
def page(request: pytest.FixtureRequest, context, site: str) -> Iterator:
    """A loaded page, with `problems`: console errors, and requests that failed or left the site."""
    with context.new_page() as page:
        page.problems = record_problems(page)
        visit(page, site, request.param)
        page.name = Path(request.param).name
        yield page


def visit(page, site: str, name: str) -> None:
    page.goto(f"{site}/{name}.html", wait_until="networkidle")


def test_a_request_to_another_site_is_a_problem(context, site: str) -> None:
    with context.new_page() as page:
        problems = record_problems(page)
        visit(page, site, "book/glossary")
        page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://example.org/picture.png'}))")
        page.wait_for_event("requestfailed")
        assert any("https://example.org/picture.png" in problem for problem in problems)


def test_page_works_without_a_network_and_without_console_errors(page) -> None:
    assert page.problems == []


def test_images_are_shown_and_described(page) -> None:
    images = page.locator("article img").evaluate_all("all => all.map(image => [image.naturalWidth, image.alt])")
    if page.name[0].isdigit():
        assert len(images) + page.locator("siamese-triplet-figure").count() >= 1
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
    if f"book/{page.name}" in CHAPTERS:
        links = page.locator("a[href*='colab.research.google.com']").evaluate_all("all => all.map(link => link.href)")
        assert bool(links) == (not IS_PLACEHOLDER)
        assert all(link.endswith(f"/blob/main/book/{page.name}.ipynb") for link in links)


def test_live_figures_are_drawn(page) -> None:
    figures = page.locator("siamese-triplet-figure")
    assert page.locator("siamese-triplet-figure .figure").count() == figures.count()
    expected = LIVE.get(page.name, [])
    assert figures.evaluate_all("all => all.map(figure => figure.getAttribute('kind'))") == expected


def test_page_is_accessible_and_fits_its_window(page) -> None:
    """The pages alternate between light and wide, and dark on a phone; one page is checked in every look."""
    for theme, width in (LIGHT, DARK):
        look_at(page, theme, width)
    turn = (CHAPTERS + ARTICLES).index(f"book/{page.name}") % 2
    assert_accessible(page, EVERY_LOOK if page.name == "08_hands_on" else ((LIGHT, DARK)[turn],), is_like_others=True)


@pytest.mark.parametrize("name", REFERENCE + THEME_PAGES)
def test_page_of_the_reference_is_accessible_and_fits_its_window(name: str, context, site: str) -> None:
    with context.new_page() as page:
        visit(page, site, name)
        looks = EVERY_LOOK if name == "book/api/networks" else (DARK,)
        assert_accessible(page, looks, is_like_others=name in REFERENCE)


def assert_accessible(page, looks: tuple[tuple[str, int], ...], is_like_others: bool) -> None:
    """Assert that axe-core finds nothing and the page fits the window in each of `looks`; the last look remains."""
    without = ALIKE if is_like_others and looks is not EVERY_LOOK else ()
    for theme, width in looks:
        look_at(page, theme, width)
        assert violations(page, without=without) == [], (theme, width)


def look_at(page, theme: str, width: int) -> None:
    """Give the page a theme and a width, and assert that it fits."""
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.wait_for_timeout(300)  # for colour transitions, and until scrolling parts can be focused
    assert overflow(page) <= 0, (theme, width)


@pytest.mark.parametrize("name", ["book/09_comparison", "book/speed"])
def test_a_wide_chart_has_a_narrow_version_on_a_phone(name: str, context, site: str) -> None:
    with context.new_page() as page:
        visit(page, site, name)
        charts = page.locator("article img[src$='.svg']")
        shown = "all => all.map(image => image.currentSrc.split('/').pop())"
        look_at(page, *LIGHT)
        wide = charts.evaluate_all(shown)
        look_at(page, *DARK)
        page.wait_for_function("[...document.querySelectorAll('picture img')].every(image => image.complete)")
        assert wide
        assert charts.evaluate_all(shown) == [file.replace(".svg", "-narrow.svg") for file in wide]
        scales = charts.evaluate_all("all => all.map(image => image.clientWidth / image.naturalWidth)")
        assert all(scale > 0.85 for scale in scales)  # of letters that are 13 pixels high


def test_a_wide_picture_scrolls_on_a_phone(context, site: str) -> None:
    with context.new_page() as page:
        visit(page, site, "book/13_choosing")
        pictures = page.locator("a.wide")
        scrolls = "all => all.map(link => [link.scrollWidth > link.clientWidth + 100, link.firstChild.clientWidth])"
        look_at(page, *LIGHT)
        assert not any(is_scrolled for is_scrolled, _ in pictures.evaluate_all(scrolls))
        look_at(page, *DARK)
        assert all(is_scrolled and width > 550 for is_scrolled, width in pictures.evaluate_all(scrolls))
        assert pictures.count() >= 5


def test_search_finds_chapters_and_names_of_the_package(context, site: str) -> None:
    for words, expected in (("collapse", "05_online_triplets.html"), ("pairwise_distances", "api/selection.html")):
        with context.new_page() as page:
            page.goto(f"{site}/search.html?q={words}")
            page.wait_for_selector(f"#search-results a[href*='{expected}']")


@pytest.mark.parametrize("words", ["semi-hard", "margin", "collapse", "constructor", "__proto__", "tostring"])
def test_a_search_throws_no_error(words: str, context, site: str) -> None:
    for address in (site, HTML.as_uri()):
        with context.new_page() as page:
            problems = record_problems(page)
            found = pages_found(page, address, words)
            page.wait_for_load_state("networkidle")  # for the summaries of the pages
            assert problems == [], address
            assert bool(found) == (words in ("semi-hard", "margin", "collapse"))
            if address == site:  # a page is summed up, an entry of the reference described
                assert page.locator("#search-results li:not(:has(> .context, > span))").count() == 0


@pytest.mark.parametrize(
    ("american", "expected"),
    [("normalize", "normalised"), ("neighbor", "neighbour"), ("color", "colour"), ("optimizers", "optimiser")],
)
def test_both_spellings_of_a_word_find_the_same_pages(american: str, expected: str, context, site: str) -> None:
    with context.new_page() as page:
        found = pages_found(page, site, american)
        assert found == pages_found(page, site, expected)
        assert len(found) >= 2


@pytest.mark.skipif("book/19_today" not in CHAPTERS, reason="the chapter on these words is not there")
@pytest.mark.parametrize("words", ["arcface", "infonce", "temperature", "fine-tune"])
def test_the_words_of_today_are_found(words: str, context, site: str) -> None:
    with context.new_page() as page:
        assert pages_found(page, site, words)


def pages_found(page, address: str, words: str) -> set[str]:
    page.goto(f"{address}/search.html?q={words}")
    page.wait_for_function("document.querySelector('.search-summary')?.innerText")  # written when all are listed
    links = page.locator("#search-results li > a").evaluate_all("all => all.map(link => link.getAttribute('href'))")
    return {link.partition("#")[0] for link in links}


def test_the_search_cuts_words_in_the_page_as_in_the_index(context, site: str) -> None:
    pairs = [("normalization", "normalisation"), ("centers", "centres"), ("centered", "centred"), ("gray", "grey")]
    pairs += [("behavior", "behaviour"), ("analyze", "analyse"), ("catalog", "catalogue"), ("size", "size")]
    pairs += [("resizing", "resising"), ("prize", "prize"), ("optimizers", "optimisers"), ("honor", "honour")]
    assert [british(american) for american, _ in pairs] == [expected for _, expected in pairs]
    english = EitherSpelling({})
    words = sorted({word for pair in pairs for word in pair} | {"collapses", "selectors", "semihard", "embedding"})
    with context.new_page() as page:
        page.goto(f"{site}/search.html")
        stems = page.evaluate("words => words.map((word) => new Stemmer().stemWord(word))", words)
    assert stems == [english.stem(word) for word in words]


@pytest.mark.parametrize("wrong", ["no_such_page.html", "book/12_using_embeddings.html", "book/api/no/such/page"])
def test_a_wrong_address_at_any_depth_leads_back_to_the_book(wrong: str, browser, site: str) -> None:
    with browser.new_context(viewport={"width": 360, "height": 700}, color_scheme="dark") as context:
        page = context.new_page()
        assert page.goto(f"{site}/{wrong}").status == 404
        assert violations(page) == []
        assert overflow(page) <= 0
        page.get_by_role("button", name="Search").click()
        page.wait_for_url(f"{site}/search.html?q=*")
        page.goto(f"{site}/{wrong}")
        page.get_by_role("link", name="start of the book").click()
        page.wait_for_url(f"{site}/book/index.html")


def test_a_printed_page_is_only_its_article(context, site: str) -> None:
    with context.new_page() as page:
        page.set_viewport_size({"width": 720, "height": 1000})
        visit(page, site, "book/05_online_triplets")
        page.emulate_media(media="print")
        for beside in (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".prev-next-footer"):
            assert not page.locator(beside).first.is_visible(), beside
        assert page.locator("article.bd-article").bounding_box()["width"] > 0.9 * 720
        assert overflow(page) <= 0
        cut = "all => all.filter(code => code.scrollWidth > code.clientWidth + 1).map(code => code.innerText)"
        assert page.locator("article pre").evaluate_all(cut) == []


def test_each_page_leads_to_the_next_and_the_last_one_is_the_index(context, site: str) -> None:
    seen, name = [], "book/index"
    with context.new_page() as page:
        while name:
            seen.append(name)
            page.goto(f"{site}/{name}.html", wait_until="domcontentloaded")
            after = page.locator(".prev-next-area a.right-next")
            name = after.evaluate("link => link.href")[len(site) + 1 : -len(".html")] if after.count() else None
        assert page.locator(".prev-next-area a.left-prev").count() == 1
    assert seen[-1] == "genindex"
    assert set(CHAPTERS + ARTICLES + REFERENCE) - set(seen) == UNLISTED


def test_a_fold_opens_by_the_keyboard_and_says_what_it_hides(context, site: str) -> None:
    with context.new_page() as page:
        visit(page, site, FOLDED)
        fold = page.locator("article details.hide").first
        button = fold.locator("summary")
        name = button.inner_text().strip()
        assert name.startswith("Show the ")
        assert not fold.locator("pre").first.is_visible()
        button.focus()
        page.keyboard.press("Enter")
        assert fold.locator("pre").first.is_visible()
        assert button.inner_text().strip() == name.replace("Show", "Hide")


def test_a_printed_page_shows_what_is_folded_and_folds_it_again(context, site: str) -> None:
    count = "document.querySelectorAll('article details:not([open])').length"
    with context.new_page() as page:
        visit(page, site, FOLDED)
        folded = page.evaluate(count)
        assert folded > 0
        page.emulate_media(media="print")
        page.wait_for_function(f"{count} === 0")
        assert not page.locator("article details.hide > summary").first.is_visible()
        page.emulate_media(media="screen")
        page.wait_for_function(f"{count} === {folded}")


def test_no_page_is_heavier_than_is_promised(site: str) -> None:
    sys.path.append(str(ROOT / "tools"))
    from page_weight import weight

    weights = {str(page.relative_to(HTML / "book")): weight(page) for page in (HTML / "book").rglob("*.html")}
    assert {name: size for name, size in weights.items() if size > MOST_BYTES} == {}
    assert weights["05_online_triplets.html"] > 1e6  # the images to train on count


@pytest.mark.parametrize("name", ["book/05_online_triplets", "book/api/networks"])
def test_a_dark_page_prints_like_a_light_one(name: str, context, site: str) -> None:
    printed = []
    with context.new_page() as page:
        page.set_viewport_size({"width": 720, "height": 1000})
        visit(page, site, name)
        page.evaluate("window.MathJax?.startup?.promise")
        if "drawing" in LIVE.get(name.removeprefix("book/"), []):  # it is drawn once it has been seen
            page.locator("siamese-triplet-figure[kind=drawing]").scroll_into_view_if_needed()
            page.locator(".pad").wait_for()
            page.wait_for_timeout(1000)
        for theme in ("light", "dark"):
            page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            page.wait_for_timeout(300)  # for colour transitions
            before = [canvas.screenshot() for canvas in page.locator(".plane canvas:visible").all()]
            page.emulate_media(media="print")
            sheet = Image.open(BytesIO(page.screenshot(full_page=True))).convert("RGB")
            printed.append(sheet.crop((0, 0, sheet.width - 16, sheet.height)))  # without the scroll bar, which may fade
            page.emulate_media(media="screen")
            page.wait_for_function(f"document.documentElement.dataset.theme == '{theme}'")
            page.wait_for_timeout(300)
            is_as_before = [canvas.screenshot() for canvas in page.locator(".plane canvas:visible").all()] == before
            assert is_as_before  # pytest would compare the bytes for minutes
    assert printed[0].size == printed[1].size
    assert ImageChops.difference(*printed).getbbox() is None
    pixels = printed[1].convert("L")
    assert pixels.getpixel((2, 2)) == 255  # white paper
    assert pixels.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)) > 200


def test_a_dark_page_is_light_while_it_is_printed(context, site: str) -> None:
    with context.new_page() as page:
        visit(page, site, "book/03_triplet")
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        paper = "getComputedStyle(document.querySelector('siamese-triplet-figure')).color"
        page.evaluate(
            f"addEventListener('beforeprint', () => window.seen = [document.documentElement.dataset.theme, {paper}])"
        )
        page.pdf()
        assert page.evaluate("seen") == ["light", "rgb(31, 36, 48)"]
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_charts_are_dark_in_the_dark_and_photographs_keep_their_colours(browser, site: str) -> None:
    corners = {}
    for scheme in ("light", "dark"):
        with browser.new_context(viewport={"width": 1300, "height": 900}, color_scheme=scheme) as context:
            page = context.new_page()
            page.goto(f"{site}/book/12_many_classes.html")
            assert page.evaluate("document.documentElement.dataset.theme") == scheme
            page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
            for kind, where in (("photos", ".cell.photos img"), ("chart", ".cell:not(.photos) .cell_output img")):
                picture = Image.open(BytesIO(page.locator(where).first.screenshot())).convert("L")
                corners[kind, scheme] = picture.getpixel((picture.width // 2, 8)), picture.getextrema()[1]
    assert corners["photos", "light"] == corners["photos", "dark"] == (255, 255)
    assert corners["chart", "light"][0] == 255
    ground, brightest = corners["chart", "dark"]
    assert ground < 50
    assert brightest > 200
