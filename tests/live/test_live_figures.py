"""The interactive figures in a real browser, by mouse and keyboard, against the package."""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import chromium, overflow, record_problems, violations
from torch import Tensor
from toy_data import part

from siamese_triplet import (
    ContrastiveLoss,
    HardestNegativeTripletSelector,
    OnlineContrastiveLoss,
    OnlineTripletLoss,
    TripletLoss,
    live,
    nearest,
)
from siamese_triplet import selectors as package
from siamese_triplet.book import settings_grid
from siamese_triplet.book.settings_grid import settings_gallery
from siamese_triplet.live.embeddings import encode_points


class ActiveTripletSelector(package.AllTripletSelector):
    """All triplets with a loss."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def select(self, distances: Tensor, *masks: Tensor) -> Tensor:
        anchor, positive, negative = (triplets := super().select(distances, *masks)).T
        return triplets[distances[anchor, positive] + self.margin > distances[anchor, negative]]


SELECTORS = {
    "triplet:hardest": HardestNegativeTripletSelector,
    "triplet:hardest-semihard": package.HardestSemihardTripletSelector,
    "triplet:all-semihard": package.AllSemihardTripletSelector,
    "triplet:batch-hard": lambda margin: package.BatchHardTripletSelector(),
    "triplet:batch-all": lambda margin: ActiveTripletSelector(margin),
    "pair:hard": lambda margin: package.HardNegativePairSelector(),
}
ROOT = "document.querySelector('siamese-triplet-figure').shadowRoot"


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def recorder() -> live.EmbeddingRecorder:
    """Record three epochs in which ten clusters form, in numbers that 16 bits hold exactly."""
    generator = torch.Generator().manual_seed(0)
    recorder = live.EmbeddingRecorder(part(False, 16), 160)
    centres = torch.randn(10, 2, generator=generator)
    noise = torch.randn(160, 2, generator=generator)
    for name, apart in (("untrained", 0.3), ("1", 1.5), ("2", 4.0)):
        recorder.keep(((apart * centres[recorder.labels] + 0.5 * noise) * 256).round() / 256, name)
    return recorder


@pytest.fixture(scope="module")
def every_figure(recorder: live.EmbeddingRecorder) -> Iterator[dict[str, live.LiveFigure]]:
    with pytest.MonkeyPatch.context() as patch:
        random = "mnist online-triplet random 1.0"
        pairs = [(random, "knn_accuracy", "hardest"), (random, "map_at_r", "semihard")]
        patch.setattr(
            settings_grid, "PAIRS", [(ask, run, run.replace("random", selector)) for run, ask, selector in pairs]
        )
        yield make_figures(recorder)


def make_figures(recorder: live.EmbeddingRecorder) -> dict[str, live.LiveFigure]:
    runs = [
        run("random", "apart", recorder.embeddings[2], 0.9, 0.25),
        run("hardest", "collapse", torch.zeros(160, 2), 0.5, 0.25),
        run("semihard", "apart", recorder.embeddings[1], 0.896, 0.35),
    ]
    made = [
        live.triplet_playground(),
        live.pair_playground(),
        live.selector_bench(recorder, "hardest"),
        live.embedding_viewer(recorder),
        settings_gallery(runs),
        live.search_figure(recorder.images, {"after the last epoch": recorder.embeddings[2]}),
        live.loss_family(),
    ]
    return {figure.name: figure for figure in made}


def run(selector: str, outcome: str, points: Tensor, accuracy: float, map_at_r: float) -> dict[str, Any]:
    return {
        "data": "mnist", "method": "online-triplet", "selector": selector, "margin": 1.0, "outcome": outcome,
        "n_epochs": 3, "n_images": 60_000, "spread": float(points.norm(dim=1).mean()),
        "curves": {"loss": [1.0, 0.5, 0.25]},
        "labels": " ".join(str(i % 10) for i in range(160)),
        "figures": {"knn_accuracy": accuracy, "map_at_r": map_at_r, "auc": 0.75},
        **encode_points(points),
    }  # fmt: skip


@pytest.fixture
def show(browser: Any, every_figure: dict, tmp_path: Path) -> Iterator[Callable]:
    """Open pages of the book with the named figures, or all; at the end none may have logged a problem."""
    contexts = []

    def show(*names: str, theme: str = "light", width: int = 900, query: str = "", **options: Any) -> Any:
        shown = [every_figure[name].to_html(with_script=False) for name in names or every_figure]
        path = tmp_path / "page.html"
        path.write_text(
            f'<!doctype html><html lang="en" data-siamese-triplet-page data-theme="{theme}">'
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            '<title>page</title></head><body style="margin:8px">'
            f"<main><h1>Page</h1>{''.join(shown)}</main><script>{live.script()}</script></body></html>",
            encoding="utf-8",
        )
        contexts.append(browser.new_context(viewport={"width": width, "height": 1000}, **options))
        page = contexts[-1].new_page()
        page.problems = record_problems(page)
        page.goto(f"file://{path}{query}")
        return page

    yield show
    for context in contexts:
        for page in context.pages:
            assert page.problems == []
        context.close()


def value(page: Any, name: str) -> str:
    """Read a number from the readout."""
    return page.locator(f"dl.readout div:has(dt:text-is('{name}')) dd").inner_text()


def state(page: Any, figure: str) -> dict[str, str]:
    """Read the state of a figure from the address, after its delay."""
    page.wait_for_function(f"location.search.includes('{figure}.')")
    page.wait_for_timeout(300)
    query = page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")
    return {key.removeprefix(f"{figure}."): value for key, value in query.items() if key.startswith(f"{figure}.")}


def slide(page: Any, label: str, to: float) -> None:
    page.get_by_role("slider", name=label, exact=True).fill(str(to))


def drag(page: Any, point: str, dx: float, dy: float) -> None:
    box = page.get_by_role("slider", name=point, exact=True).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def place(page: Any, point: str) -> Tensor:
    """Read where a point of a playground is."""
    text = page.get_by_role("slider", name=point, exact=True).get_attribute("aria-valuetext")
    return torch.tensor([[float(x) for x in re.findall(r"-?\d\.\d+", text)]])


def places(fields: dict[str, str], *names: str) -> list[Tensor]:
    return [torch.tensor([[float(x) for x in fields[name].split(",")]]) for name in names]


# the playgrounds


def test_a_dragged_negative_has_the_loss_of_the_package(show: Callable) -> None:
    page = show("triplet")
    before = place(page, "negative")
    seen = set()
    for dx, dy, margin in ((-40, 20, 1), (-90, -60, 1), (420, 0, 0.5), (-160, 30, 2.5)):
        drag(page, "negative", dx, dy)
        slide(page, "margin", margin)
        fields = state(page, "triplet")
        anchor, positive, negative = places(fields, "anchor", "positive", "negative")
        assert not torch.equal(negative, before)
        loss = TripletLoss(float(fields["margin"]))(anchor, positive, negative).item()
        assert float(fields["margin"]) == margin
        assert float(value(page, "loss")) == pytest.approx(loss, abs=0.006)
        assert float(value(page, "d²(a, n)")) == pytest.approx(float((anchor - negative).square().sum()), abs=0.006)
        zone = "easy" if loss <= 0 else "hard" if loss >= margin else "semi-hard"
        assert value(page, "the negative is") == zone
        seen.add(zone)
    assert len(seen) >= 2


def test_the_keyboard_moves_a_point_and_a_step_of_descent_lowers_the_loss(show: Callable) -> None:
    page = show("triplet")
    positive = page.get_by_role("slider", name="positive", exact=True)
    positive.focus()
    before = place(page, "positive")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "ArrowDown"):
        positive.press(key)
    after = places(state(page, "triplet"), "positive")[0]
    torch.testing.assert_close(after - before, torch.tensor([[0.1, -0.1]]))
    slide(page, "margin", 2)
    loss = float(value(page, "loss"))
    points = [p.requires_grad_() for p in places(state(page, "triplet"), "anchor", "positive", "negative")]
    TripletLoss(2.0)(*points).backward()
    page.get_by_role("button", name="One step of descent").click()
    assert float(value(page, "loss")) < loss
    for point, moved in zip(points, places(state(page, "triplet"), "anchor", "positive", "negative"), strict=True):
        torch.testing.assert_close(moved, point.detach() - 0.015 * point.grad, rtol=0, atol=0.011)


@pytest.mark.parametrize("name", ["triplet", "pair"])
def test_the_descent_to_no_loss_takes_steps_enough_to_watch(show: Callable, name: str) -> None:
    page = show(name)
    losses = [float(value(page, "loss"))]
    while losses[-1] > 0 and len(losses) < 50:
        page.get_by_role("button", name="One step of descent").click()
        losses.append(float(value(page, "loss")))
    assert 8 <= len(losses) <= 30
    assert losses == sorted(losses, reverse=True)
    if name == "triplet":
        assert losses[0] > 1.5  # it begins hard, and is semi-hard on the way
        assert sum(0 < loss < 1 for loss in losses) >= 3


@pytest.mark.parametrize(("name", "point"), [("triplet", "negative"), ("pair", "second")])
def test_reset_restores_all_of_a_playground(show: Callable, name: str, point: str) -> None:
    page = show(name, query="?pair.pair=same&pair.first=1,1&triplet.anchor=1,1&triplet.margin=2&pair.margin=2")
    as_it_is = f"{ROOT}.querySelector('.plane').innerHTML + {ROOT}.querySelector('.readout').innerText"
    linked = page.evaluate(as_it_is)
    drag(page, point, -60, 30)
    slide(page, "margin", 0.5)
    page.get_by_role("button", name="One step of descent").click()
    page.get_by_role("button", name="Reset").click()
    assert page.get_by_role("slider", name="margin").input_value() == "1"
    assert page.get_by_role("slider", name="margin").get_attribute("aria-valuetext") == "1.00"
    if name == "pair":
        assert page.get_by_label("The two are of").input_value() == "different"
    reset = page.evaluate(as_it_is)
    assert reset != linked
    assert reset == show(name).evaluate(as_it_is)


# the family of losses


def turned(page: Any) -> dict[str, float]:
    """Read the angles of the points, in degrees."""
    return {name: float(angle) for name, angle in state(page, "family").items() if re.fullmatch(r"[pn]\d", name)}


def test_dragged_points_have_the_weights_of_the_softmax(show: Callable) -> None:
    page = show("family")
    drag(page, "negative 3", 160, 30)
    slide(page, "temperature", -0.5)
    angles = turned(page)
    assert angles["n3"] < 80
    cosines = torch.tensor([math.cos(math.radians(angle)) for angle in angles.values()], requires_grad=True)
    temperature = float(state(page, "family")["temperature"])
    assert temperature == pytest.approx(10**-0.5, rel=1e-3)
    scores = [torch.cat([cosines[i : i + 1], cosines[2:]]) / temperature for i in (0, 1)]
    torch.stack([-row.log_softmax(0)[0] for row in scores]).mean().backward()
    for name, slope in zip(angles, cosines.grad.tolist(), strict=True):
        assert float(value(page, name).replace("−", "-")) == pytest.approx(-slope, rel=0.06, abs=0.01), name


def test_a_tile_chooses_a_loss_and_the_address_keeps_it(show: Callable) -> None:
    page = show("family")
    page.get_by_role("button", name="ArcFace").click()
    assert page.get_by_role("button", name="ArcFace").get_attribute("aria-pressed") == "true"
    assert page.locator(".tile[aria-pressed=true]").count() == 1
    assert page.get_by_role("slider", name="margin").input_value() == "0.5"
    assert value(page, "p2") == "0"  # a class has one vector
    page.get_by_role("slider", name="negative 1").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowRight")
    slide(page, "margin", 0.2)
    kept = state(page, "family")
    assert (kept["loss"], kept["margin"], kept["n1"]) == ("arcface", "0.2", "51")
    again = show("family", query=page.evaluate("location.search"))
    seen = f"{ROOT}.querySelector('.readout').innerText + {ROOT}.querySelector('.tiles').innerHTML"
    assert again.evaluate(seen) == page.evaluate(seen)
    assert show("family", query="?family.loss=cosface&family.margin=1.5").evaluate(seen) == show(
        "family", query="?family.loss=cosface"
    ).evaluate(seen)  # a margin that the slider does not offer


def test_steps_of_descent_end_where_a_loss_is_content(show: Callable) -> None:
    page = show("family")
    page.get_by_role("button", name="Triplets, all").click()
    for _ in range(30):
        page.get_by_role("button", name="One step of descent").click()
    angles = turned(page)
    assert max(angles["p1"], angles["p2"]) < min(angle for name, angle in angles.items() if name[0] == "n")
    assert "no pair has a weight" in page.locator(".says").inner_text()
    page.get_by_role("button", name="Reset").click()
    assert value(page, "p2") != "0"


@pytest.mark.parametrize("same", [0, 1])
def test_a_dragged_pair_has_the_loss_of_the_package(show: Callable, same: int) -> None:
    page = show("pair")
    page.get_by_label("The two are of").select_option("same" if same else "different")
    losses = []
    for dx, margin in ((-30, 1.5), (120, 1.5), (300, 1)):
        drag(page, "second", dx, 10)
        slide(page, "margin", margin)
        fields = state(page, "pair")
        loss = ContrastiveLoss(margin)(*places(fields, "first", "second"), torch.tensor([same])).item()
        assert float(value(page, "loss")) == pytest.approx(loss, abs=0.006)
        losses.append(loss)
    assert (losses[-1] == 0) == (not same)


# the bench


@pytest.mark.parametrize(("margin", "epoch"), [(1.0, 0), (0.3, 1), (2.0, 2)])
def test_the_bench_selects_as_the_package_does(
    show: Callable, recorder: live.EmbeddingRecorder, margin: float, epoch: int
) -> None:
    page = show("selectors")
    slide(page, "margin", margin)
    slide(page, "epoch", epoch)
    embeddings, labels = recorder.embeddings[epoch], recorder.labels
    for name, selector in SELECTORS.items():
        page.get_by_role("combobox", name="selector").select_option(name)
        chosen = selector(margin)
        if name.startswith("pair"):
            pairs = chosen.get_pairs(embeddings, labels)
            count, loss = sum(map(len, pairs)), OnlineContrastiveLoss(margin, chosen)(embeddings, labels)
        else:
            loss, count = OnlineTripletLoss(margin, chosen)(embeddings, labels)
            anchor, positive, negative = embeddings[chosen.get_triplets(embeddings, labels).T]
            cost = (anchor - positive).square().sum(1) - (anchor - negative).square().sum(1) + margin
            assert int(value(page, "with a loss").replace(",", "")) == int((cost > 0).sum()), name
        assert int(value(page, "selected").replace(",", "")) == count, name
        assert float(value(page, "mean loss")) == pytest.approx(loss.item(), abs=6e-4), name


def test_the_active_triplets_of_the_bench_vanish_and_an_image_shows_its_own(show: Callable) -> None:
    page = show("selectors")
    counts = [int(text.replace(",", "")) for text in page.locator(".bars b").all_inner_texts()]
    assert counts[0] > counts[1] > counts[2]
    canvas = page.locator(".plane canvas")
    before = canvas.screenshot()
    canvas.focus()
    canvas.press("ArrowRight")
    canvas.press("Enter")
    assert "image 0 of the batch" in page.locator(".shown").inner_text()
    assert canvas.screenshot() != before


def test_a_bench_of_a_single_epoch_has_no_epoch_slider(browser: Any, tmp_path: Path) -> None:
    recorder = live.EmbeddingRecorder(part(False, 4), 40)
    recorder.keep(torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), "as it is")
    path = tmp_path / "bench.html"
    path.write_text(f'<meta charset="utf-8">{live.selector_bench(recorder).to_html()}', encoding="utf-8")
    page = browser.new_page()
    problems = record_problems(page)
    page.goto(f"file://{path}")
    assert page.get_by_role("status").inner_text().startswith("semihard selects")
    assert page.get_by_role("slider").count() == 1
    assert page.locator(".bars").inner_text() == ""
    assert problems == []
    page.close()


def test_the_bench_opens_at_the_first_trained_epoch(show: Callable, recorder: live.EmbeddingRecorder) -> None:
    page = show("selectors")
    assert page.get_by_role("slider", name="epoch").get_attribute("aria-valuetext") == recorder.epochs[1] == "1"
    assert page.get_by_role("status").inner_text().startswith("Epoch 1: ")
    page = show("selectors", query="?selectors.epoch=0")
    assert page.get_by_role("slider", name="epoch").get_attribute("aria-valuetext") == "untrained"
    assert page.get_by_role("status").inner_text().startswith("untrained: ")


def test_epochs_without_a_triplet_are_one_row_of_the_bench(browser: Any, tmp_path: Path) -> None:
    recorder = live.EmbeddingRecorder(part(False, 4), 40)
    apart = torch.stack([recorder.labels * 50.0, recorder.labels * 50.0], dim=1)
    noise = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    for name, points in (("1", noise), ("2", apart), ("3", apart), ("4", noise), ("5", apart)):
        recorder.keep(points, name)
    page = opened(browser, tmp_path, live.selector_bench(recorder).to_html())
    assert page.locator(".bars div span:first-child").all_inner_texts() == ["1", "2 … 3", "4", "5"]
    assert page.locator(".bars b").all_inner_texts()[1::2] == ["0", "0"]
    slide(page, "epoch", 2)
    assert page.locator(".bars [aria-current]").inner_text().startswith("2 … 3")
    page.close()


def opened(browser: Any, folder: Path, html: str) -> Any:
    """Open a page with one figure, which records the labels of the ticks that it draws."""
    path = folder / "figure.html"
    path.write_text(f'<meta charset="utf-8">{html}', encoding="utf-8")
    page = browser.new_page()
    page.add_init_script("""
        window.ticks = [];
        const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
          window.ticks.push(text);
          return write.call(this, text, ...place);
        };
    """)
    page.goto(f"file://{path}")
    return page


# the viewer


@pytest.mark.parametrize("one_scale", [True, False])
def test_steps_that_shrink_are_drawn_on_one_scale(browser: Any, tmp_path: Path, one_scale: bool) -> None:
    recorder = live.EmbeddingRecorder(part(False, 4), 40)
    points = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    for name, size in (("1", 1.0), ("10", 0.01)):
        recorder.keep(size * points, name)
    page = opened(browser, tmp_path, live.embedding_viewer(recorder, step="step", one_scale=one_scale).to_html())
    ticks = []
    for number in (0, 1):
        page.evaluate("window.ticks = []")
        slide(page, "step", number)
        ticks.append(set(page.evaluate("window.ticks")))
    assert (ticks[0] == ticks[1]) == one_scale
    page.close()


def test_the_viewer_shows_an_image_and_the_neighbours_of_the_picked_one(
    show: Callable, recorder: live.EmbeddingRecorder
) -> None:
    page = show("embeddings")
    canvas = page.locator(".plane canvas")
    assert "Point at an image" in page.locator(".shown").inner_text()
    canvas.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        canvas.press(key)
    label = page.locator(".shown strong").inner_text()
    assert label in recorder.images.classes
    canvas.press("Enter")
    image = int(state(page, "embeddings")["image"])
    assert label == recorder.images.classes[recorder.labels[image]]
    found = nearest(recorder.embeddings[2][[image]], recorder.embeddings[2], k=9).indices[0].tolist()
    expected = [recorder.images.classes[recorder.labels[other]] for other in found if other != image][:8]
    assert [text.removeprefix("✗ ") for text in page.locator(".thumbs li").all_inner_texts()] == expected
    painted = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
    page.wait_for_function(f"({painted})({ROOT}.querySelector('.shown canvas')) > 2")


def test_the_viewer_plays_the_epochs_and_hides_classes(show: Callable) -> None:
    page = show("embeddings")
    canvas = page.locator(".plane canvas")
    last = canvas.screenshot()
    slide(page, "epoch", 0)
    assert state(page, "embeddings")["epoch"] == "0"
    first = canvas.screenshot()
    assert first != last
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(500)
    moving = canvas.screenshot()
    assert moving != first
    page.get_by_role("button", name="Play").wait_for()  # it reads Pause until the end
    assert state(page, "embeddings")["epoch"] == "2"
    assert canvas.screenshot() == last
    page.get_by_label("3 - three").uncheck()
    assert state(page, "embeddings")["off"] == "3"
    assert canvas.screenshot() != last


def test_readers_who_prefer_reduced_motion_get_whole_epochs(show: Callable) -> None:
    page = show("embeddings", reduced_motion="reduce", query="?embeddings.epoch=0")
    canvas = page.locator(".plane canvas")
    pictures = []
    for epoch in range(3):
        slide(page, "epoch", epoch)
        pictures.append(canvas.screenshot())
    page.get_by_role("button", name="Play").click()
    seen = [canvas.screenshot() for _ in range(12)]
    assert all(picture in pictures for picture in seen)


# the settings


def test_a_prediction_is_judged_and_a_collapse_is_named(show: Callable) -> None:
    page = show("settings")
    sides = page.locator(".run")
    assert [side.locator(".plane").is_visible() for side in sides.all()] == [False, False]
    assert "MAP@R" not in page.locator(".pair").inner_text()
    page.get_by_role("button", name="A", exact=True).click()
    says = page.get_by_role("status").inner_text()
    assert says.startswith(
        "Right: A. kNN accuracy: A 90.0%, B 50.0%. B collapsed onto one point. The network has collapsed"
    )
    assert [value(side, "kNN accuracy") for side in sides.all()] == ["90.0%", "50.0%"]
    assert [side.locator(".plane").is_visible() for side in sides.all()] == [True, True]
    assert not page.get_by_role("button", name="just show it").is_visible()
    page.get_by_role("combobox", name="B: selector").select_option("semihard", timeout=5000)
    assert not page.locator(".plane").first.is_visible()
    page.get_by_role("button", name="B", exact=True).click()
    assert page.get_by_role("status").inner_text() == (
        "Not so: less than 1 point apart. kNN accuracy: A 90.0%, B 89.6%."
    )
    page.get_by_role("combobox", name="ask about").select_option("MAP@R")
    assert not page.locator(".plane").first.is_visible()
    page.get_by_role("button", name="less than 1 point apart").click()
    assert page.get_by_role("status").inner_text() == "Not so: B. MAP@R: A 25.0%, B 35.0%."


def test_the_curves_of_two_runs_have_a_dot_for_each_value(show: Callable) -> None:
    page = show("settings", query="?settings.B.selector=semihard&settings.shown=yes")
    charts = page.locator(".run").nth(1).locator(".curves svg")
    assert charts.count() == 1
    assert charts.get_attribute("aria-label") == "loss: 1, 0.5, 0.25"
    dots = charts.locator("circle").evaluate_all("all => all.map(dot => [dot.cx.baseVal.value, dot.cy.baseVal.value])")
    [(x1, y1), (x2, y2), (x3, y3)] = dots
    assert x3 - x2 == pytest.approx(x2 - x1)
    assert (y2 - y1) == pytest.approx(2 * (y3 - y2))
    assert charts.locator("text").all_text_contents() == ["1", "0", "0", "1", "2", "3"]
    ticks = charts.locator("text").evaluate_all("all => all.map(text => text.x.baseVal[0].value)")
    assert [x1, x2, x3] == pytest.approx(ticks[3:])  # after the epochs 1, 2 and 3


def test_another_pair_is_asked_about_and_can_be_linked_to(show: Callable) -> None:
    page = show("settings")
    assert page.get_by_role("combobox", name="B: selector").input_value().strip() == "hardest"
    for expected in ("semihard", "hardest"):
        page.get_by_role("button", name="Another pair").click()
        assert page.get_by_role("combobox", name="B: selector").input_value().strip() == expected
        assert not page.locator(".plane").first.is_visible()
    page.get_by_role("button", name="Another pair").click()
    page.get_by_role("button", name="just show it").click()
    assert page.get_by_role("status").inner_text() == "It is B. MAP@R: A 25.0%, B 35.0%."
    fields = state(page, "settings")
    assert (fields["A.selector"], fields["B.selector"], fields["ask"], fields["shown"]) == (
        "random", "semihard", "map_at_r", "yes"
    )  # fmt: skip
    again = show("settings", query=page.evaluate("location.search"))
    assert again.get_by_role("status").inner_text() == "It is B. MAP@R: A 25.0%, B 35.0%."


# all of them


def test_a_setting_can_be_linked_to(show: Callable) -> None:
    query = (
        "?triplet.margin=2.5&triplet.negative=1,1&selectors.selector=pair:hard&selectors.epoch=1"
        "&embeddings.epoch=1&embeddings.off=1.2&settings.B.selector=hardest&settings.shown=yes"
    )
    page = show(query=query)
    figure = {
        name: page.locator(f"siamese-triplet-figure[name={name}]")
        for name in ("triplet", "selectors", "embeddings", "settings")
    }
    assert figure["triplet"].get_by_role("slider", name="margin").input_value() == "2.5"
    assert "x 1.00, y 1.00" in figure["triplet"].get_by_role("slider", name="negative").get_attribute("aria-valuetext")
    assert figure["selectors"].get_by_role("combobox", name="selector").input_value() == "pair:hard"
    assert figure["embeddings"].get_by_role("slider", name="epoch").input_value() == "1"
    assert not figure["embeddings"].get_by_label("2 - two").is_checked()
    assert "B collapsed onto one point" in figure["settings"].get_by_role("status").inner_text()


def test_the_address_is_clean_until_the_reader_changes_something(show: Callable) -> None:
    page = show()
    page.wait_for_timeout(500)
    assert page.evaluate("location.search") == ""
    page.evaluate("document.documentElement.dataset.theme = 'dark'")  # draws all figures anew
    page.wait_for_timeout(500)
    assert page.evaluate("location.search") == ""
    page.locator("siamese-triplet-figure[name=pair]").get_by_role("slider", name="margin").fill("2")
    assert state(page, "pair")["margin"] == "2"
    fields = page.evaluate("[...new URLSearchParams(location.search).keys()]")
    assert {field.partition(".")[0] for field in fields} == {"pair"}


@pytest.mark.parametrize(
    "query",
    [
        "?triplet.margin=x&triplet.anchor=1&selectors.epoch=99&selectors.selector=no&settings.A.method=no&embeddings.image=999"
    ],
)
def test_a_bad_address_is_ignored(show: Callable, query: str) -> None:
    page = show(query=query)
    assert page.locator(".figure").count() == 7
    assert (
        page.locator("siamese-triplet-figure[name=triplet]").get_by_role("slider", name="margin").input_value() == "1"
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_figures_are_accessible_and_fit(show: Callable, theme: str, width: int) -> None:
    page = show(theme=theme, width=width)
    page.get_by_role("button", name="just show it").click()
    page.wait_for_timeout(200)
    assert overflow(page) <= 0
    assert violations(page) == []


def test_every_figure_has_a_description_for_screen_readers(show: Callable, every_figure: dict) -> None:
    page = show()
    for name, figure in every_figure.items():
        group = page.locator(f"siamese-triplet-figure[name={name}] .figure")
        assert group.get_attribute("aria-describedby") == "about"
        assert group.locator("#about").inner_text() == figure.alt


def test_the_theme_can_change_while_the_page_is_open(show: Callable) -> None:
    page = show("embeddings")
    surface = f"getComputedStyle({ROOT}.querySelector('.figure')).backgroundColor"
    light, picture = page.evaluate(surface), page.locator(".plane canvas").screenshot()
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(100)
    assert page.evaluate(surface) != light
    assert page.locator(".plane canvas").screenshot() != picture


def test_a_picture_replaces_the_figure_on_paper(show: Callable) -> None:
    page = show("embeddings")
    picture = page.locator("siamese-triplet-figure > img")
    assert not picture.is_visible()
    page.emulate_media(media="print")
    assert picture.is_visible()
    assert not page.locator(".figure").is_visible()


def test_a_notebook_keeps_its_address_and_may_hold_the_script_twice(
    browser: Any, every_figure: dict, tmp_path: Path
) -> None:
    path = tmp_path / "notebook.html"
    both = every_figure["triplet"].to_html() + every_figure["pair"].to_html()
    path.write_text(f'<!doctype html><meta charset="utf-8"><body data-jp-theme-light="false">{both}', encoding="utf-8")
    page = browser.new_page()
    problems = record_problems(page)
    page.goto(f"file://{path}")
    page.get_by_role("button", name="Reset").first.click()
    page.wait_for_timeout(400)
    assert re.search(r"\?", page.url) is None
    assert page.locator("siamese-triplet-figure[data-theme=dark] .figure").count() == 2
    assert problems == []
    page.close()


# what cannot be


STRANGE = ["constructor", "__proto__", "toString", "-100", "1e300", "Infinity", "-Infinity", "NaN", "", "x"]
FIELDS = {
    "triplet": ("margin", "anchor", "positive", "negative"),
    "pair": ("margin", "pair", "first", "second"),
    "selectors": ("selector", "margin", "epoch"),
    "embeddings": ("epoch", "image", "off"),
    "search": ("query", "group"),
    "settings": ("A.data", "A.method", "B.selector", "B.margin", "ask", "shown"),
}


@pytest.mark.parametrize("value", STRANGE)
def test_an_address_that_makes_no_sense_changes_nothing(show: Callable, value: str) -> None:
    as_it_is = "document.querySelectorAll('siamese-triplet-figure').values().map(f => f.shadowRoot.innerHTML).toArray()"
    expected = show().evaluate(as_it_is)
    fields = [f"{figure}.{field}" for figure, fields in FIELDS.items() for field in fields]
    page = show(query="?" + "&".join(f"{field}={value}" for field in fields))
    assert page.evaluate(as_it_is) == expected
    points = [f"{figure}.{point}=0,{value}" for figure in ("triplet", "pair") for point in FIELDS[figure][1:]]
    assert show(query="?" + "&".join(points)).evaluate(as_it_is) == expected


@pytest.mark.parametrize("margin", [0, 0.333, 5, 100])
@pytest.mark.parametrize("make", [live.triplet_playground, live.pair_playground])
def test_a_playground_shows_the_margin_it_computes_with(
    browser: Any, tmp_path: Path, make: Callable, margin: float
) -> None:
    path = tmp_path / "figure.html"
    path.write_text(f'<meta charset="utf-8">{make(margin).to_html()}', encoding="utf-8")
    page = browser.new_page()
    problems = record_problems(page)
    page.goto(f"file://{path}")
    slider = page.get_by_role("slider", name="margin")
    assert float(slider.input_value()) == margin
    assert float(slider.get_attribute("aria-valuetext")) == pytest.approx(margin, rel=1e-3)
    for _ in range(3):
        page.get_by_role("button", name="One step of descent").click()
    assert float(slider.input_value()) == margin
    assert "NaN" not in page.evaluate(f"{ROOT}.innerHTML")
    places = page.locator(".point").evaluate_all("points => points.map(p => Number(p.getAttribute('aria-valuenow')))")
    assert all(abs(x) <= 2.41 for x in places)
    assert problems == []
    page.close()


def test_a_bench_shows_the_margin_it_computes_with(
    browser: Any, recorder: live.EmbeddingRecorder, tmp_path: Path
) -> None:
    path = tmp_path / "figure.html"
    for margin in (0, 0.01, 12.5):
        figure = live.selector_bench(recorder, "batch-hard", margin)
        path.write_text(f'<meta charset="utf-8">{figure.to_html()}', encoding="utf-8")
        page = browser.new_page()
        page.goto(f"file://{path}")
        assert float(page.get_by_role("slider", name="margin").input_value()) == margin
        loss = OnlineTripletLoss(margin, package.BatchHardTripletSelector())(recorder.embeddings[1], recorder.labels)[0]
        assert float(value(page, "mean loss")) == pytest.approx(loss.item(), abs=6e-4)
        page.close()


@pytest.mark.parametrize(
    "broken",
    [
        lambda html: html.replace('"margin":1.0', '"margin":NaN'),
        lambda html: html.replace('kind="triplet-playground"', 'kind="constructor"'),
        lambda html: html.replace('kind="triplet-playground"', 'kind="settings-gallery"'),
        lambda html: html.replace('{"title"', "{"),
    ],
)
def test_a_figure_that_cannot_be_drawn_says_so(browser: Any, tmp_path: Path, broken: Callable) -> None:
    figure = live.triplet_playground()
    path = tmp_path / "figure.html"
    path.write_text(f'<meta charset="utf-8">{broken(figure.to_html())}', encoding="utf-8")
    page = browser.new_page()
    problems = record_problems(page)
    page.goto(f"file://{path}")
    assert page.get_by_role("alert").inner_text().startswith("This figure cannot be drawn: ")
    assert page.get_by_text(figure.alt[:40]).is_visible()
    assert problems == []
    page.close()
