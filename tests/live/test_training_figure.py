"""The figure that trains in the page, in Chromium, from a file, by mouse and keyboard."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from browser import chromium, overflow, record_problems, violations

from siamese_triplet import ClassificationNet, EmbeddingNet, EmbeddingNetL2, embed, live, load, nearest
from siamese_triplet.live.in_page import data_files
from siamese_triplet.live.training import LEVELS, page_network

ROOT = Path(__file__).parents[2]
STROKES = {  # of each digit, as lines from point to point
    0: [
        [
            (0.5, 0.15),
            (0.36, 0.25),
            (0.3, 0.5),
            (0.36, 0.75),
            (0.5, 0.85),
            (0.64, 0.75),
            (0.7, 0.5),
            (0.64, 0.25),
            (0.5, 0.15),
        ]
    ],
    1: [[(0.53, 0.15), (0.47, 0.85)]],
    2: [[(0.3, 0.32), (0.38, 0.18), (0.55, 0.15), (0.67, 0.27), (0.62, 0.45), (0.3, 0.83), (0.72, 0.82)]],
    3: [
        [
            (0.32, 0.2),
            (0.5, 0.15),
            (0.66, 0.26),
            (0.62, 0.42),
            (0.46, 0.48),
            (0.65, 0.56),
            (0.68, 0.72),
            (0.52, 0.85),
            (0.3, 0.78),
        ]
    ],
    4: [[(0.36, 0.15), (0.3, 0.52), (0.7, 0.5)], [(0.66, 0.15), (0.6, 0.87)]],
    5: [
        [(0.68, 0.17), (0.38, 0.18), (0.34, 0.46), (0.55, 0.43), (0.67, 0.58), (0.62, 0.78), (0.45, 0.85), (0.3, 0.78)]
    ],
    6: [[(0.6, 0.15), (0.42, 0.35), (0.33, 0.62), (0.4, 0.82), (0.58, 0.84), (0.66, 0.68), (0.55, 0.55), (0.36, 0.62)]],
    7: [[(0.3, 0.2), (0.72, 0.2), (0.45, 0.85)]],
    8: [
        [
            (0.62, 0.24),
            (0.48, 0.15),
            (0.36, 0.27),
            (0.44, 0.42),
            (0.6, 0.56),
            (0.65, 0.74),
            (0.5, 0.86),
            (0.35, 0.74),
            (0.42, 0.55),
            (0.6, 0.38),
            (0.62, 0.24),
        ]
    ],
    9: [
        [(0.65, 0.32), (0.52, 0.17), (0.36, 0.26), (0.38, 0.44), (0.54, 0.46), (0.65, 0.32), (0.62, 0.6), (0.56, 0.86)]
    ],
}
MINUTE = 60_000  # ms


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts of a page of the book."""
    folder = tmp_path_factory.mktemp("pages")
    script = 'document.documentElement.setAttribute("data-siamese-triplet-page", "");\n' + live.script()
    for name, text in {"siamese-triplet-figures.js": script, **data_files()}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def show(browser: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Open a page of the book with a figure; at the end it may not have logged a problem."""
    monkeypatch.setenv(live.IN_BOOK, "1")
    contexts = []

    def show(
        make: Callable = live.train_in_page, query: str = "", width: int = 900, theme: str = "light", **given: Any
    ) -> Any:
        options = {key: given.pop(key) for key in ("reduced_motion", "has_touch") if key in given}
        path = folder / f"page{len(contexts)}.html"
        path.write_text(
            f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><title>page</title>'
            '<script defer src="siamese-triplet-figures.js"></script></head><body style="margin:8px">'
            f"<main><h1>Page</h1>{make(**given).to_html(with_script=False)}</main></body></html>",
            encoding="utf-8",
        )
        contexts.append(browser.new_context(viewport={"width": width, "height": 1000}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(MINUTE)
        page.problems = record_problems(page)
        page.goto(f"file://{path}{query}")
        return page

    yield show
    for context in contexts:
        for page in context.pages:
            assert page.problems == []
        context.close()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).select_option(label=option)


def number(page: Any, name: str, run: int = 0) -> float:
    """Read a number of a run; NaN while there is none."""
    text = page.locator(f".panel >> nth={run} >> dl.readout div:has(dt:text-is('{name}')) dd").inner_text()
    found = re.match(r"[\d,.]+", text)
    return float(found[0].replace(",", "")) if found else float("nan")


def wait_for(page: Any, name: str, least: float, run: int = 0, timeout: float = 3 * MINUTE) -> None:
    """Wait until a number of a run is at least `least`."""
    page.wait_for_function(
        """([name, least, run]) => {
          const box = document.querySelector("siamese-triplet-figure").shadowRoot.querySelectorAll(".panel")[run];
          const term = [...box.querySelectorAll("dt")].find(({ textContent }) => textContent === name);
          return parseFloat(term.nextElementSibling.textContent.replaceAll(",", "")) >= least;
        }""",
        arg=[name, least, run],
        timeout=timeout,
    )


def draw(page: Any, strokes: list[list[tuple[float, float]]]) -> None:
    pad = page.locator(".pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for points in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=4)
        page.mouse.up()


def said(page: Any) -> list[str]:
    return page.locator(".says").all_inner_texts()


def losses(page: Any) -> str:
    return page.locator("dl.readout").inner_text().split("loss", 1)[1].split("accuracy")[0]


def steps(page: Any, n: int) -> None:
    """Take single steps, and wait for each."""
    for _ in range(n):
        before = number(page, "step")
        press(page, "One step")
        wait_for(page, "step", 1 if before != before else before + 1)


# training


def test_online_triplets_from_scratch_reach_the_accuracy_that_the_book_states(show: Callable) -> None:
    page = show()
    press(page, "Train")
    wait_for(page, "accuracy of 5 neighbours", 94.0)
    press(page, "Pause")
    page.get_by_role("button", name="Train", exact=True).wait_for()
    assert number(page, "time") > 0
    assert said(page)[0] == ""


def test_fashion_mnist_is_loaded_when_it_is_chosen(show: Callable) -> None:
    page = show()
    press(page, "One step")
    wait_for(page, "step", 1)
    scripts = "[...document.scripts].map(({ src }) => src.split('/').at(-1)).filter((name) => name).sort()"
    assert page.evaluate(scripts) == ["siamese-triplet-figures.js", "siamese-triplet-mnist.js"]
    choose(page, "data", "FashionMNIST")
    press(page, "Train")
    wait_for(page, "accuracy of 5 neighbours", 80.0)
    assert "siamese-triplet-fashion-mnist.js" in page.evaluate(scripts)
    assert "Ankle boot" in page.locator("p.classes").inner_text()


def test_the_hardest_negatives_collapse_beside_random_ones_and_the_collapse_is_named(show: Callable) -> None:
    page = show()
    choose(page, "beside it", "another selector")
    choose(page, "selector of the second run", "hardest")
    press(page, "Train")
    page.locator(".panel .wrong:text('collapsed')").wait_for()
    assert re.match(
        r"The run with selector hardest has collapsed: .* as if all embeddings were one point", said(page)[0]
    )
    wait_for(page, "accuracy of 5 neighbours", 80.0)
    press(page, "Pause")
    page.wait_for_timeout(500)
    assert number(page, "step", 0) == number(page, "step", 1)
    assert number(page, "accuracy of 5 neighbours", 1) < 40


def test_step_pause_and_reset(show: Callable) -> None:
    page = show()
    steps(page, 2)
    assert number(page, "step") == 2
    first = losses(page)
    picture = page.locator(".plane canvas").screenshot()
    steps(page, 3)
    assert page.locator(".plane canvas").screenshot() != picture
    press(page, "Reset")
    page.wait_for_timeout(500)
    assert number(page, "step") == 0
    steps(page, 2)
    assert losses(page) == first  # the same seed, the same run


def test_pause_answers_soon_and_a_hidden_tab_pauses(show: Callable) -> None:
    page = show()
    press(page, "Train")
    wait_for(page, "step", 5)
    press(page, "Pause")
    page.get_by_role("button", name="Train", exact=True).wait_for()
    at = number(page, "step")
    page.wait_for_timeout(700)
    assert number(page, "step") <= at + 1  # the last frame
    press(page, "Train")
    wait_for(page, "step", at + 5)
    page.evaluate(
        """Object.defineProperty(document, "hidden", { get: () => window.isHidden, configurable: true });
        window.isHidden = true; document.dispatchEvent(new Event("visibilitychange"))"""
    )
    page.get_by_role("button", name="Train", exact=True).wait_for()
    page.evaluate("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("button", name="Pause", exact=True).wait_for()


def test_rate_and_margin_change_within_a_run_and_the_selector_begins_another(show: Callable) -> None:
    page = show()
    steps(page, 3)
    page.get_by_text("More settings").click()
    choose(page, "learning rate", "0.01")
    choose(page, "margin", "2")
    steps(page, 1)
    assert number(page, "step") == 4
    choose(page, "selector", "semihard")
    assert said(page)[0] == "These settings begin a new run, at step 0."
    steps(page, 1)
    assert number(page, "step") == 1


@pytest.mark.parametrize("method", ["softmax", "siamese pairs", "triplets", "online pairs", "online triplets"])
def test_every_method_takes_a_step_on_the_circle_too(show: Callable, method: str) -> None:
    page = show(unit_sphere=True)
    choose(page, "method", method)
    steps(page, 1)
    assert number(page, "loss") > 0
    has_selector = page.get_by_label("selector", exact=True).count()
    assert has_selector == method.startswith("online")


def test_images_that_cannot_be_loaded_are_named(show: Callable, folder: Path) -> None:
    hidden = (folder / "siamese-triplet-mnist.js").rename(folder / "elsewhere.js")
    try:
        page = show()
        press(page, "Train")
        page.locator(".says:has-text('could not be loaded')").wait_for()
    finally:
        hidden.rename(folder / "siamese-triplet-mnist.js")
    press(page, "Train")
    wait_for(page, "step", 1)
    assert all("ERR_FILE_NOT_FOUND" in problem or "failed: " in problem for problem in page.problems)
    page.problems.clear()


# the address


def test_the_address_is_clean_until_something_is_touched_and_then_leads_back(show: Callable) -> None:
    page = show()
    page.wait_for_timeout(400)
    assert page.evaluate("location.search") == ""
    choose(page, "selector", "hardest")
    choose(page, "beside it", "another margin")
    choose(page, "margin of the second run", "10")
    page.wait_for_timeout(400)
    query = page.evaluate("location.search")
    again = show(query=query)
    assert again.get_by_label("selector", exact=True).input_value() == "hardest"
    assert again.get_by_label("margin of the second run", exact=True).input_value().strip() == "10"
    assert again.locator(".panel").count() == 2


@pytest.mark.parametrize(
    "query",
    [
        "?training.selector=constructor&training.margin=1e9&training.seed=-1",
        "?training.method=toString&training.batch=999 × 999&training.rate=5",
        "?training.beside=data&training.value=fashion-mnist",
        "?training.beside=__proto__&training.value=x&training.data=__proto__",
    ],
)
def test_an_address_that_makes_no_sense_changes_nothing(show: Callable, query: str) -> None:
    page = show(query=query)
    assert page.get_by_label("method", exact=True).input_value() == "online-triplet"
    assert page.get_by_label("selector", exact=True).input_value() == "random"
    assert page.get_by_label("margin", exact=True).input_value().strip() == "1"
    assert page.locator(".panel").count() == 1


# drawing


def test_a_drawn_digit_lands_among_its_class(show: Callable) -> None:
    page = show()
    press(page, "Train")
    wait_for(page, "accuracy of 5 neighbours", 97.0)
    press(page, "Pause")
    page.get_by_text("Draw a digit, and see where it lands").click()
    found = {}
    for digit, strokes in STROKES.items():
        draw(page, strokes)
        page.wait_for_timeout(300)
        names = page.locator(".draw .thumbs li").all_inner_texts()
        found[digit] = sum(name.startswith(str(digit)) for name in names)
        press(page, "Clear")
    assert page.locator(".draw .thumbs li").count() == 0
    assert all(among > 4 for among in found.values()), found


def test_the_keyboard_brings_a_test_image_and_changes_it(show: Callable) -> None:
    page = show()
    page.get_by_text("Draw a digit, and see where it lands").click()
    pad, seen = page.locator(".pad"), page.locator(".seen")
    pad.press("n")
    page.locator(".draw .thumbs li").first.wait_for()
    looks = [seen.screenshot()]
    for key in ("r", "ArrowLeft", "ArrowUp", "+", "+"):
        pad.press(key)
        page.wait_for_timeout(50)
        looks.append(seen.screenshot())
    assert len(set(looks)) == len(looks)
    pad.press("Escape")
    assert page.locator(".draw .thumbs li").count() == 0


# looks


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_figure_is_accessible_and_fits(show: Callable, theme: str, width: int) -> None:
    page = show(theme=theme, width=width)
    choose(page, "beside it", "another margin")
    page.get_by_text("More settings").click()
    page.get_by_text("Draw a digit, and see where it lands").click()
    page.locator(".pad").wait_for()
    steps(page, 2)
    assert overflow(page) <= 0
    assert violations(page) == []


def test_readers_who_prefer_reduced_motion_get_a_picture_a_second(show: Callable) -> None:
    page = show(reduced_motion="reduce")
    press(page, "Train")
    wait_for(page, "step", 5)
    page.evaluate(
        """() => {
          window.pictures = 0;
          const { scale } = CanvasRenderingContext2D.prototype;
          CanvasRenderingContext2D.prototype.scale = function (...given) {
            window.pictures += 1; // the picture is drawn anew
            return scale.apply(this, given);
          };
        }"""
    )
    page.wait_for_timeout(2500)
    assert 1 <= page.evaluate("window.pictures") <= 3


def test_no_task_of_the_page_takes_long_while_it_trains(show: Callable) -> None:
    page = show()
    press(page, "Train")
    wait_for(page, "step", 20)
    page.evaluate(
        """window.long = [];
        const keep = (list) => window.long.push(...list.getEntries().map(({ duration }) => duration));
        new PerformanceObserver(keep).observe({ entryTypes: ["longtask"] })"""
    )
    wait_for(page, "step", 200)
    assert sum(duration > 100 for duration in page.evaluate("window.long")) <= 2  # a busy machine may delay one


def test_a_notebook_holds_the_images_and_the_script(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "notebook.html"
    figure = live.train_in_page(data_sets=["mnist"])
    path.write_text(f'<!doctype html><meta charset="utf-8"><body>{figure.to_html()}', encoding="utf-8")
    page = browser.new_page()
    problems = record_problems(page)
    page.goto(f"file://{path}")
    steps(page, 1)
    assert page.evaluate("location.search") == ""
    assert problems == []
    page.close()


# Python


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "quadruplet"}, "unknown method='quadruplet'"),
        ({"method": "siamese", "selector": "hard"}, "uses no selector"),
        ({"selector": "softest"}, "unknown selector='softest'"),
        ({"margin": -1.0}, "margin must be a finite number"),
        ({"margin": 1e9}, "too large"),
        ({"data": "omniglot"}, "must be among"),
        ({"data": "mnist", "data_sets": ["fashion-mnist"]}, "must be among"),
        ({"n_samples": 1}, "n_samples=1"),
        ({"n_classes": 11}, "n_classes=11"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"seed": 1000}, "seed=1000"),
        ({"network": "ResNet"}, "unknown network='ResNet'"),
        ({"beside": {"seed": 1}}, "must have one of method, selector"),
        ({"beside": {"selector": "soft"}}, "unknown selector='soft'"),
        ({"beside": {"margin": float("nan")}}, "margin must be a finite number"),
    ],
)
def test_settings_that_a_page_cannot_have_raise(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        live.train_in_page(**given)


def test_a_page_of_the_book_loads_the_images_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(live.IN_BOOK, "1")
    assert len(live.train_in_page().to_html(with_script=False)) < 5_000
    assert len(live.script()) + sum(map(len, data_files().values())) < 2_500_000


def test_the_first_page_has_the_figure_that_its_tool_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(live.IN_BOOK, "1")
    stored = (ROOT / "book" / "images" / "train_here.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', stored)[1])
    poster = data.pop("poster")
    figure = live.train_in_page()
    assert data == json.loads(json.dumps({"title": figure.title, **figure.data}))
    assert len(poster["labels"]) == 500
    assert re.match(r"After \d+ steps: \d\d\.\d % of other test images", poster["says"])


def test_a_poster_is_shown_until_the_training_begins(show: Callable) -> None:
    stored = (ROOT / "book" / "images" / "train_here.html").read_text(encoding="utf-8")
    page = show(lambda: SimpleNamespace(to_html=lambda with_script: stored))
    assert said(page)[0].startswith("After 400 steps: ")
    assert page.evaluate("document.scripts.length") == 2  # no images were loaded yet
    poster = page.locator(".plane canvas").screenshot()
    steps(page, 1)
    assert said(page)[0] == ""
    assert page.locator(".plane canvas").screenshot() != poster


NETWORKS = [EmbeddingNet, EmbeddingNetL2, page_network, lambda: ClassificationNet(page_network(), 10)]


@pytest.mark.parametrize(
    ("beside", "label", "value"),
    [
        ({"selector": "hardest"}, "selector", "hardest"),
        ({"margin": 7}, "margin", "7"),
        ({"learning_rate": 0.002}, "learning rate", "0.002"),
        ({"unit_sphere": True}, "embeddings", "circle"),
        ({"method": "triplet"}, "method", "triplet"),
    ],
)
def test_a_second_run_can_be_given(show: Callable, beside: dict, label: str, value: str) -> None:
    page = show(beside=beside)
    assert page.locator(".panel").count() == 2
    assert page.get_by_label(f"{label} of the second run").input_value().strip() == value


@pytest.mark.parametrize("make", NETWORKS)
def test_a_trained_network_places_an_image_as_the_package_does(show: Callable, make: Callable) -> None:
    torch.manual_seed(0)
    model = make()
    page = show(lambda: live.digit_pad(model))
    page.locator(".pad").press("n")
    page.locator(".thumbs li").first.wait_for()
    test_set = load("mnist", train=False, subset="embedded")
    shown = [index for label in range(10) for index in (test_set.targets == label).nonzero()[:50, 0].tolist()]
    images, steps = test_set.subset(sorted(shown)), LEVELS["mnist"] - 1
    images.data = ((images.data * (steps / 255)).round() * (255 / steps)).round().to(torch.uint8)  # as in the page
    embeddings, labels = embed(model.half().float(), images)
    expected = [images.classes[labels[index]] for index in nearest(embeddings[36:37], embeddings, 8).indices[0]]
    assert page.locator(".thumbs li").all_inner_texts() == expected
