import re
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from matplotlib.font_manager import FontProperties
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from siamese_triplet import plots
from siamese_triplet._style import PULL, PUSH, ZONES
from siamese_triplet.book import diagrams
from siamese_triplet.book.diagrams import Diagram, drawing, plane
from siamese_triplet.selectors import HardestNegativeTripletSelector, TripletSelector

SVG = "{http://www.w3.org/2000/svg}"
ALL = {name: getattr(diagrams, name) for name in diagrams.__all__ if name != "Diagram"}
SHAPES = [(4, 3), (1, 1), (2, 1), (1, 5), (3, 8), (10, 6)]
DRAWN = {
    **{name: draw() for name, draw in ALL.items()},
    **{f"{n_classes} x {n_samples}": diagrams.balanced_batch(n_classes, n_samples) for n_classes, n_samples in SHAPES},
}
every_diagram = pytest.mark.parametrize("diagram", DRAWN.values(), ids=DRAWN)


def elements(diagram: Diagram, tag: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(diagram._repr_svg_()).findall(f"{SVG}{tag}")


def numbers(element: ElementTree.Element, *names: str) -> list[float]:
    return [float(element.get(name)) for name in names]


@cache
def text_width(words: str, weight: str) -> float:
    font = FontProperties(family="DejaVu Sans", weight=weight)
    return TextPath((0, 0), words, size=drawing.FONT, prop=font).get_extents().width


def texts(diagram: Diagram) -> dict[tuple[float, float, float, float], str]:
    """Map the boxes of a diagram's lines of text (left, top, right, bottom) to the lines."""
    lines = {}
    for element in elements(diagram, "text"):
        x, y = numbers(element, "x", "y")
        width = text_width(element.text, element.get("font-weight", "normal"))
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
        lines[left, y - 0.8 * drawing.FONT, left + width, y + 0.2 * drawing.FONT] = element.text
    return lines


@every_diagram
def test_a_diagram_is_an_svg_with_a_title_a_description_and_a_white_background(diagram: Diagram) -> None:
    root = ElementTree.fromstring(diagram._repr_svg_())
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.get("viewBox") == " ".join(root[2].get(name) for name in ("x", "y", "width", "height"))
    assert [float(root.get(name)) for name in ("width", "height")] == [drawing.WIDTH + 16, diagram.height + 16]
    assert [child.tag.removeprefix(SVG) for child in root[:3]] == ["title", "desc", "rect"]
    assert (root[0].text, root[1].text, root[2].get("fill")) == (diagram.title, diagram.alt, "white")
    assert len(diagram.alt.split()) >= 20
    assert repr(diagram) == f"{diagram.title}: {diagram.alt}"


@every_diagram
def test_texts_lie_in_the_picture_and_do_not_overlap(diagram: Diagram) -> None:
    boxes = texts(diagram)
    assert len(boxes) == len(elements(diagram, "text"))
    for (left, top, right, bottom), words in boxes.items():
        assert 2 <= left < right <= drawing.WIDTH - 2, words
        assert 0 <= top < bottom <= diagram.height, words
    for (one, words), (other, others) in combinations(boxes.items(), 2):
        apart = one[2] + 4 < other[0] or other[2] + 4 < one[0] or one[3] < other[1] or other[3] < one[1]
        assert apart, (words, others)


@every_diagram
def test_texts_fit_their_boxes_and_are_large_enough_for_a_phone(diagram: Diagram) -> None:
    rectangles = [numbers(element, "x", "y", "width", "height") for element in elements(diagram, "rect")[1:]]
    for (left, top, right, bottom), words in texts(diagram).items():
        for x, y, width, height in rectangles:
            if x < (left + right) / 2 < x + width and y < (top + bottom) / 2 < y + height:
                assert x + 4 <= left < right <= x + width - 4, words
                assert y <= top < bottom <= y + height, words
    assert "font-size" not in "".join(diagram.parts)
    assert drawing.FONT * 328 / (drawing.WIDTH + 16) >= 9


@every_diagram
def test_shapes_lie_in_the_picture(diagram: Diagram) -> None:
    for element in (*elements(diagram, "polygon"), *elements(diagram, "polyline")):
        for x, y in (place.split(",") for place in element.get("points").split()):
            assert 0 <= float(x) <= drawing.WIDTH
            assert 0 <= float(y) <= diagram.height
    for element in elements(diagram, "circle"):
        x, y, radius = numbers(element, "cx", "cy", "r")
        assert radius <= x <= drawing.WIDTH - radius
        assert radius <= y <= diagram.height - radius
    for element in elements(diagram, "rect")[1:]:
        x, y, width, height = numbers(element, "x", "y", "width", "height")
        assert 0 <= x <= drawing.WIDTH - width
        assert 0 <= y <= diagram.height - height


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_diagram_is_the_same_each_time_and_leaves_the_random_state_alone(draw: type) -> None:
    state = torch.random.get_rng_state()
    one = draw()._repr_svg_()
    assert draw()._repr_svg_() == one
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not re.search(r"\d\.\d\d", one)  # no more digits, which could differ between machines


def test_the_saved_diagram_is_the_one_shown_and_its_text_is_escaped(tmp_path: Path) -> None:
    diagram = Diagram("a < b", 'c & "d"', 40, [drawing.text(9, 9, "e < f & g")])
    diagram.save(tmp_path / "picture.svg")
    saved = (tmp_path / "picture.svg").read_text(encoding="utf-8")
    assert saved == diagram._repr_svg_() + "\n"
    root = ElementTree.fromstring(saved)
    assert [root[0].text, root[1].text, root[3].text] == ["a < b", 'c & "d"', "e < f & g"]


def test_classes_have_the_colours_and_markers_of_the_plots() -> None:
    assert [drawing.style_of(label) for label in range(10)] == list(zip(plots.COLOURS, plots.MARKERS, strict=True))
    assert {*drawing.OUTLINES, "o"} == {*plots.MARKERS}
    drawn = "".join(diagrams.balanced_batch(10, 1).parts)
    assert [colour in drawn for colour in plots.COLOURS] == [True] * 10


@pytest.mark.parametrize("marker", drawing.OUTLINES)
def test_markers_have_the_shapes_of_matplotlib(marker: str) -> None:
    style = MarkerStyle(marker)
    theirs = style.get_path().transformed(style.get_transform()).vertices
    ours = torch.tensor(drawing.OUTLINES[marker]).numpy() * [1, -1]  # in SVG, y points down
    axis = torch.linspace(0, 1, 41)
    grid = torch.cartesian_prod(axis, axis).numpy()
    one, other = (
        Outline((corners - corners.min(0)) / (corners.max(0) - corners.min(0))).contains_points(grid)
        for corners in (theirs, ours)
    )
    assert (one & other).sum() > 0.75 * (one | other).sum()


@pytest.mark.parametrize(("n_classes", "n_samples"), SHAPES)
def test_a_balanced_batch_shows_all_its_pairs(n_classes: int, n_samples: int) -> None:
    diagram = diagrams.balanced_batch(n_classes, n_samples)
    labels = [label for label in range(n_classes) for _ in range(n_samples)]
    n_positive = sum(one == other for one, other in combinations(labels, 2))
    n_negative = sum(one != other for one, other in combinations(labels, 2))
    words = list(texts(diagram).values())
    assert {f"positive pairs: {n_positive:,}", f"negative pairs: {n_negative:,}"} <= {*words}
    size = len(labels)
    shapes = [(element.get("fill"), numbers(element, "x", "y", "width")) for element in elements(diagram, "rect")[1:]]
    left, top, width = max((place for _, place in shapes), key=lambda place: place[2])
    cells = {
        (round((y - top) / width * size), round((x - left) / width * size)): colour
        for colour, (x, y, side) in shapes
        if x >= left and side < width + (size == 1) and colour.startswith(("#", "white")) and colour != drawing.PALE
    }
    expected = {
        (row, column): "white" if row == column else plots.COLOURS[one]
        for row, one in enumerate(labels)
        for column, other in enumerate(labels)
        if one == other
    }
    assert cells == expected


@pytest.mark.parametrize(("n_classes", "n_samples"), [(0, 3), (4, 0), (-1, -3), (11, 1), (10, 7)])
def test_a_balanced_batch_of_invalid_size_raises(n_classes: int, n_samples: int) -> None:
    with pytest.raises(ValueError, match=rf"n_classes={n_classes} .*n_samples={n_samples} .*at most 60"):
        diagrams.balanced_batch(n_classes, n_samples)


def taken_negatives(diagram: Diagram) -> list[set[int]]:
    """Find the indices of the negatives that are linked to the anchor, for each strategy."""
    lines: dict[str, list[list[complex]]] = {PULL: [], PUSH: []}
    for element in elements(diagram, "polyline"):
        if element.get("stroke") in lines:
            places = [place.split(",") for place in element.get("points").split()]
            lines[element.get("stroke")].append([complex(float(x), -float(y)) for x, y in places])
    points = [complex(*place) for place in plane.POINTS.tolist()]
    chosen = []
    for anchor, positive in lines[PULL]:
        scale = abs(positive - anchor) / abs(points[1] - points[0])
        ends = [(end - start) / scale for start, end in lines[PUSH] if start == anchor]
        chosen.append({index for index, place in enumerate(points) for end in ends if abs(place - end) < 0.1})
    return chosen


def test_the_strategies_take_the_negatives_of_their_definitions() -> None:
    squared = plane.POINTS.square().sum(dim=1)
    losses = {index: float(squared[1] - squared[index] + plane.MARGIN) for index in range(2, len(squared))}
    assert taken_negatives(diagrams.selection_strategies()) == [
        {max(losses, key=losses.get)},
        {index for index, loss in losses.items() if loss > 0},
        {index for index, loss in losses.items() if 0 < loss < plane.MARGIN},
    ]


def test_negatives_are_marked_hard_semihard_or_easy_by_their_loss() -> None:
    diagram = diagrams.selection_strategies()
    x, y, radius = numbers(elements(diagram, "circle")[0], "cx", "cy", "r")  # the loss is 0 beyond it
    scale = radius / float(plane.POINTS[1].square().sum() + plane.MARGIN) ** 0.5
    marks = [(*numbers(mark, "cx", "cy"), mark.get("fill")) for mark in elements(diagram, "circle")]
    for mark in elements(diagram, "polygon"):
        corners = torch.tensor([[float(part) for part in place.split(",")] for place in mark.get("points").split()])
        marks.append((*corners.mean(dim=0).tolist(), mark.get("fill")))
    for right, up in plane.POINTS[2:].tolist():
        loss = float(plane.POINTS[1].square().sum()) - right**2 - up**2 + plane.MARGIN
        zone = "hard" if loss >= plane.MARGIN else "semi-hard" if loss > 0 else "easy"
        near = {fill for left, top, fill in marks if abs(left - x - scale * right) + abs(top - y + scale * up) < 3}
        assert near == {ZONES[zone][0]}


def test_the_selectors_decide_the_negatives_of_the_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    class Farthest(TripletSelector):
        def __init__(self, margin: float) -> None: ...

        def select(self, distances: torch.Tensor, is_positive: torch.Tensor, is_negative: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[0, 1, int((distances[0] * is_negative[0]).argmax())]])

    monkeypatch.setitem(plane.STRATEGIES, "random", HardestNegativeTripletSelector)
    monkeypatch.setitem(plane.STRATEGIES, "semi-hard", Farthest)
    diagram = diagrams.selection_strategies()
    hardest, also_hardest, farthest = taken_negatives(diagram)
    assert hardest == also_hardest
    assert farthest == {int(plane.POINTS.square().sum(dim=1).argmax())}
    assert list(texts(diagram).values()).count("always this one") == 3
