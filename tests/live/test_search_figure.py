"""The search figure: what Python finds for it, and how a reader searches in Chromium."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import chromium, overflow, record_problems, violations
from PIL import Image
from torch import Tensor

from siamese_triplet import Images, live, load
from siamese_triplet.live import search as module

NAMES = ["sea-lion", "sea-horse", "lion", "alone"]


def animals(n_each: int = 6) -> Images:
    """Make grey images of four classes in two groups, by two sources; the last class has one image."""
    targets = torch.cat([torch.arange(3).repeat(n_each), torch.tensor([3])])
    data = torch.randint(0, 256, (len(targets), 12, 12), generator=torch.Generator().manual_seed(0))
    sources = torch.arange(len(targets)) // 3 % 2
    return Images(
        data.to(torch.uint8), targets, NAMES, groups=targets // 2, group_names=["sea", "land & air"], sources=sources,
        source_names=["left", "right"]
    )  # fmt: skip


def both(images: Images) -> dict[str, Tensor]:
    """Make one embedding of noise, and one in which the classes are apart."""
    noise = torch.randn(len(images), 5, generator=torch.Generator().manual_seed(1))
    return {"noise": noise, "trained": 20 * torch.eye(4, 5)[images.targets % 4] + noise}


def found_of(figure: live.LiveFigure) -> list[Tensor]:
    """Decode the neighbours (Q, k) of each row, as places among the images of the page."""
    rows = [base64.b64decode(row["found"]) for row in figure.data["rows"]]
    return [torch.frombuffer(bytearray(row), dtype=torch.int16).long().view(-1, figure.data["k"]) for row in rows]


def brute_force(embeddings: Tensor, query: int, k: int) -> list[int]:
    distances = [(float((row - embeddings[query]).double().square().sum()), i) for i, row in enumerate(embeddings)]
    return [i for _, i in sorted(distances) if i != query][:k]


# the data


def test_the_neighbours_are_the_nearest_and_never_the_query() -> None:
    images = animals()
    embeddings, queries = both(images), [4, 0, 18, 7]
    figure = live.search_figure(images, embeddings, queries, k=3)
    expected = {row: [brute_force(vectors, query, 3) for query in queries] for row, vectors in embeddings.items()}
    shown = sorted({*queries, *(i for rows in expected.values() for hits in rows for i in hits)})
    assert len(shown) < len(images)
    assert [shown[place] for place in figure.data["queries"]] == queries
    for rows, (row, hits) in zip(found_of(figure), expected.items(), strict=True):
        assert [[shown[place] for place in places] for places in rows.tolist()] == hits, row
    names = [figure.data["classes"][label] for label in figure.data["labels"]]
    assert names == [NAMES[label] for label in images.targets[shown].tolist()]
    assert figure.data["sources"] == images.sources[shown].tolist()
    assert figure.data["groups"] == images.groups[shown].tolist()
    assert figure.data["toFind"] == [3, 3, 0, 3]
    assert live.search_figure(images, embeddings, queries, k=8).data["toFind"] == [5, 5, 0, 5]


def test_images_that_coincide_are_no_reason_to_find_the_query_itself() -> None:
    images = animals()
    [rows] = found_of(live.search_figure(images, {"collapsed": torch.zeros(len(images), 2)}, k=2))
    assert rows[:4].tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_the_sheet_has_every_image_at_its_place() -> None:
    colours = torch.randint(0, 256, (12, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    data = colours[:, None, None].expand(12, 16, 16, 3)
    images = Images(data, torch.arange(12) % 3, ["a", "b", "c"])
    queries = torch.arange(12) >= 6
    figure = live.search_figure(images, {"colours": data[:, 0, 0].float()}, queries, k=2)
    places = sorted({*range(6, 12), *(i for query in range(6, 12) for i in brute_force(colours.float(), query, 2))})
    sheet = figure.data["sheet"]
    picture = Image.open(BytesIO(base64.b64decode(sheet["source"].removeprefix("data:image/webp;base64,"))))
    for number, place in enumerate(places):
        x, y = number % sheet["columns"] * 16 + 8, number // sheet["columns"] * 16 + 8
        got = torch.tensor(picture.convert("RGB").getpixel((x, y)))
        assert (got - colours[place]).abs().max() < 16  # lossy
    assert figure.data["groups"] == figure.data["sources"] == []


def test_all_400_classes_of_emoji_weigh_less_than_half_a_page() -> None:
    images = load("emoji", train=False)
    torch.manual_seed(0)
    rows = {name: torch.randn(len(images), 8) for name in ("pixels", "before", "after")}
    figure = live.search_figure(images, rows)
    assert len(figure.data["queries"]) == len(images)
    assert len(figure.to_html(with_script=False)) < 1.2e6


def test_the_alternative_text_says_what_the_first_search_finds() -> None:
    images = animals()
    figure = live.search_figure(images, both(images), [3, 1], k=5, first=1)
    right = [sum(images.targets[brute_force(vectors, 1, 5)] == 1) for vectors in both(images).values()]
    assert right[0] < right[1] == 5
    assert figure.alt == (
        f"search among 19 images of 4 classes for the 5 nearest to a query. For sea-horse: noise finds {right[0]} of "
        "5, trained finds 5 of 5."
    )
    assert f'<img alt="{figure.alt}" src="data:image/png' in figure.to_html(with_script=False)
    assert figure.data["first"] == 1


def test_names_with_quotes_and_dollars_can_be_shown_and_classes_may_have_none() -> None:
    images = animals()
    images.classes = ['"><b>', "$\\frac{", "c", "d"]
    html = live.search_figure(images, {"$x_": both(images)["noise"]}, k=2).to_html(with_script=False)
    assert re.search("<img alt=[^>]*For &quot;&gt;&lt;b&gt;: [^>]*>", html)
    unnamed = Images(images.data, images.targets + 7, [])
    assert live.search_figure(unnamed, both(images), [0, 1], k=2).data["classes"][0] == "7"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"queries": []}, "queries must be indices of the 19 images, got none"),
        ({"queries": [3, 19]}, "queries must be indices of the 19 images, got from 3 to 19"),
        ({"queries": [-1]}, "got from -1 to -1"),
        ({"queries": torch.tensor([True])}, r"a mask of shape \(1,\) for 19 images"),
        ({"k": 19}, "k=19 must be between 1 and the 18 images"),
        ({"k": 0}, "k=0 must be between 1"),
        ({"embeddings": {}}, "embeddings are empty"),
        ({"embeddings": {"new": torch.zeros(18, 2)}}, r"'new': expected embeddings \(19, D\), got shape \(18, 2\)"),
        ({"embeddings": {"pixels": torch.full((19, 2), torch.nan)}}, "'pixels': 19 of 19 rows hold NaN"),
        ({"queries": [1, 2], "first": 3}, "first=3 is not one of the 2 queries"),
        ({"images": Images(torch.zeros(19, 3, 3), torch.zeros(19, dtype=torch.int64), ["a"])}, "uint8"),
        ({"images": [1, 2]}, "in memory; list lacks data"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_raises(changed: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"images": animals(), "embeddings": both(animals()), "k": 3}
    with pytest.raises(ValueError, match=message):
        live.search_figure(**given | changed)


def test_more_images_than_a_page_has_room_for_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IMAGES", 18)
    with pytest.raises(ValueError, match="19 queries and their neighbours are 19 images, and a page has room for 18"):
        live.search_figure(animals(), both(animals()))


# in the page


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with chromium() as browser:
        yield browser


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable]:
    """Open a page of the book with a search; at the end none may have logged a problem."""
    pages = []

    def show(
        queries: Any = None, query: str = "", theme: str = "light", width: int = 760, images: Images | None = None
    ) -> Any:
        images = images or animals()
        html = live.search_figure(images, both(images), queries, k=4).to_html(with_script=False)
        path = tmp_path / "page.html"
        path.write_text(
            f'<!doctype html><html lang="en" data-siamese-triplet-page data-theme="{theme}"><head>'
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>page</title></head>'
            f'<body style="margin:8px"><main>{html}</main><script>{live.script()}</script></body></html>',
            encoding="utf-8",
        )
        pages.append(page := browser.new_page(viewport={"width": width, "height": 900}))
        page.problems = record_problems(page)
        page.goto(f"file://{path}{query}")
        return page

    yield show
    for page in pages:
        assert page.problems == []
        page.close()


def names(page: Any, row: str) -> list[str]:
    """Read the names below the neighbours of a row, "✓ " before the right ones."""
    return page.get_by_role("list", name=row).locator(".hit span").all_inner_texts()


def expected_names(row: str, query: int) -> list[str]:
    images = animals()
    hits = brute_force(both(images)[row], query, 4)
    labels = images.targets[hits].tolist()
    return [("✓ " if label == images.targets[query] else "") + NAMES[label] for label in labels]


def chosen(page: Any) -> str:
    return page.locator(".query p").inner_text()


def pictures(page: Any) -> list[str]:
    """List the names in the list of queries that are not filtered out."""
    return [each.get_attribute("title") for each in page.locator(".picker li").all() if each.is_visible()]


def address_of(page: Any) -> dict[str, str]:
    page.wait_for_timeout(350)
    return page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")


def test_a_query_is_picked_and_its_neighbours_are_marked_and_counted(show: Callable) -> None:
    page = show()
    assert chosen(page) == "sea-lion\nleft"
    for option, (name, query) in enumerate((("sea-horse", 1), ("lion", 2), ("alone", 18), ("sea-lion", 0))):
        page.get_by_role("option", name=name, exact=True).click()
        assert chosen(page).startswith(name)
        for row in ("noise", "trained"):
            expected = expected_names(row, query)
            assert names(page, row) == expected, option
            n_right = sum(text.startswith("✓") for text in expected)
            to_find = 0 if name == "alone" else 4
            heading = page.locator(".found", has_text=row).inner_text()
            assert f"right among the first 4: {n_right} of {to_find}" in heading
            assert page.get_by_role("list", name=row).locator(".hit.right").count() == n_right
    marked = page.get_by_role("list", name="trained").locator(".hit.right canvas").first
    assert marked.evaluate("canvas => getComputedStyle(canvas).outlineStyle") == "solid"
    assert page.locator("[aria-selected=true]").get_attribute("title") == "sea-lion"


def test_the_share_over_all_queries_is_that_of_the_data(show: Callable) -> None:
    images = animals()
    page = show()
    for row, vectors in both(images).items():
        right = [images.targets[brute_force(vectors, query, 4)] == images.targets[query] for query in range(19)]
        share = sum(int(hits.sum()) for hits in right) / (18 * 4)
        assert f"over all queries {100 * share:.0f}%" in page.locator(".found", has_text=row).inner_text()


def test_the_list_is_filtered_by_name_and_by_group(show: Callable) -> None:
    page = show()
    assert pictures(page) == NAMES
    box = page.get_by_role("searchbox")
    for typed, left in (("LION", ["sea-lion", "lion"]), ("sea l", ["sea-lion"]), ("", NAMES)):
        box.fill(typed)
        assert pictures(page) == left
    page.get_by_role("combobox").select_option("land & air")
    assert pictures(page) == ["lion", "alone"]
    assert page.get_by_text("2 of 4 classes").is_visible()
    box.fill("horse")
    assert page.get_by_text("no class has that name").is_visible()
    assert not page.get_by_role("listbox").is_visible()
    box.press("Enter")
    assert chosen(page).startswith("sea-lion")
    box.fill("li")
    box.press("Enter")
    assert chosen(page).startswith("lion")
    assert address_of(page) == {"search.query": "2", "search.group": "land & air"}


def test_the_keyboard_searches(show: Callable) -> None:
    page = show()
    page.get_by_role("combobox").focus()
    page.keyboard.press("Tab")
    focused = "document.querySelector('siamese-triplet-figure').shadowRoot.activeElement"
    for key, name in (
        ("ArrowRight", "sea-horse"), ("ArrowRight", "lion"), ("ArrowLeft", "sea-horse"), ("End", "alone"),
        ("ArrowRight", "alone"), ("Home", "sea-lion"), ("ArrowLeft", "sea-lion"), ("ArrowDown", "sea-lion"),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert chosen(page).startswith(f"{name}\n"), key
        assert page.evaluate(f"{focused}.title") == name
    page.keyboard.press("Tab")  # to the images of this class
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert chosen(page) == "sea-lion\nright"
    assert page.evaluate(f"{focused}.ariaPressed") == "true"


def test_arrow_keys_go_up_and_down_by_rows(show: Callable) -> None:
    many = Images(animals(4).data.repeat(8, 1, 1)[:90], torch.arange(90) // 3, [f"class {i}" for i in range(30)])
    page = show(width=360, images=many)
    columns = page.get_by_role("listbox").evaluate(
        "list => [...list.children].filter(each => each.offsetTop === list.children[0].offsetTop).length"
    )
    assert 3 <= columns <= 10
    page.locator(".picker li").first.click()
    for key, name in (
        ("ArrowDown", columns),
        ("ArrowDown", 2 * columns),
        ("ArrowUp", columns),
        ("ArrowRight", columns + 1),
    ):
        page.keyboard.press(key)
        assert chosen(page).strip() == f"class {name}"
    page.keyboard.press("End")
    seen = page.locator("[aria-selected=true]")
    assert seen.get_attribute("title") == "class 29"
    box, around = seen.bounding_box(), page.get_by_role("listbox").bounding_box()
    assert around["y"] <= box["y"] <= around["y"] + around["height"] - box["height"] + 1


def test_a_neighbour_becomes_the_query_if_it_is_one(show: Callable) -> None:
    images = animals()
    hits = brute_force(both(images)["noise"], 0, 4)
    page = show(queries=[0, hits[1]])
    hit = page.get_by_role("list", name="noise").get_by_role("button")
    hit.nth(0).click(force=True)
    assert chosen(page) == "sea-lion\nleft"
    assert [each.get_attribute("aria-disabled") for each in hit.all()] == ["true", "false", "true", "true"]
    hit.nth(1).focus()
    hit.nth(1).press("Enter")
    assert chosen(page).startswith(NAMES[int(images.targets[hits[1]])])
    assert names(page, "trained") == expected_names("trained", hits[1])
    assert hit.nth(1).evaluate("each => each.getRootNode().activeElement === each")


def test_a_surprise_is_another_query_among_those_left(show: Callable) -> None:
    page = show(query="?search.group=land+%26+air")
    seen = set()
    for _ in range(12):
        before = page.evaluate("location.search"), chosen(page), names(page, "noise")
        page.get_by_role("button", name="Surprise me").click()
        assert before[1:] != (chosen(page), names(page, "noise"))
        seen.add(chosen(page).split("\n")[0])
    assert seen <= {"lion", "alone"}
    assert "lion" in seen


def test_the_address_keeps_the_search_and_is_clean_before(show: Callable) -> None:
    page = show()
    assert address_of(page) == {}
    page.get_by_role("option", name="lion", exact=True).click()
    assert address_of(page) == {"search.query": "2", "search.group": ""}
    linked = show(query="?search.query=3&search.group=sea")
    assert names(linked, "noise") == expected_names("noise", 3)
    assert pictures(linked) == ["sea-lion", "sea-horse"]
    for bad in ("?search.query=19&search.group=fire", "?search.query=x", "?search.query=-1&search.group="):
        page = show(query=bad)
        assert (chosen(page), pictures(page)) == ("sea-lion\nleft", NAMES)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_search_is_accessible_and_fits(show: Callable, theme: str, width: int) -> None:
    page = show(theme=theme, width=width)
    assert overflow(page) <= 0
    assert violations(page) == []


def test_images_without_groups_and_sources_are_searched(show: Callable) -> None:
    page = show(images=Images(animals().data, animals().targets, NAMES))
    assert chosen(page).strip() == "sea-lion"
    assert not page.get_by_role("combobox").is_visible()
    assert page.get_by_role("list", name="noise").get_by_role("button").first.get_attribute("title") in NAMES


def test_each_picture_is_the_image_it_stands_for(show: Callable) -> None:
    shades = torch.tensor([20, 220, 120, 30, 210, 130], dtype=torch.uint8)
    images = Images(shades[:, None, None].expand(6, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2]), ["a", "b", "c"])
    page = show(images=images)
    page.wait_for_timeout(100)
    read = "all => all.map(canvas => canvas.getContext('2d').getImageData(8, 8, 1, 1).data[0])"
    expected = [255 - int(shades[i]) for i in brute_force(both(images)["noise"], 0, 4)]  # dark on light
    assert page.get_by_role("list", name="noise").locator("canvas").evaluate_all(read) == pytest.approx(expected, abs=9)
    assert page.locator(".query > canvas").evaluate_all(read) == pytest.approx([235], abs=9)


def test_the_data_of_the_page_are_json() -> None:
    html = live.search_figure(animals(), both(animals()), k=2).to_html(with_script=False)
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])
    assert data["title"] == "Search by example"
