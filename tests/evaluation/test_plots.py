from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch

from siamese_triplet.datasets import Images, SiameseMNIST, TripletMNIST, normalization

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.text import Text

from siamese_triplet import plots
from siamese_triplet._style import SERIES, series_style

POINTS = torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 5]).repeat(10)
HISTORY = {"train_loss": [3.0, 2.0, 1.0], "val_loss": [3.5, 2.5, 2.0], "train_accuracy": [50.0, 60.0, 70.0]}


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def ax() -> Axes:
    return plt.subplots()[1]


def images(n: int = 12) -> Images:
    data = torch.randint(0, 256, (n, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Images(data, torch.arange(n) % 3, ["a", "b", "c"], train=False, transform=normalization(0, 1))


def drawn_points(ax: Axes) -> list:
    return sorted(tuple(point) for collection in ax.collections for point in collection.get_offsets().tolist())


def test_plot_embeddings_draws_every_point_with_a_collection_per_class(ax: Axes) -> None:
    assert plots.plot_embeddings(POINTS, LABELS, ax=ax) is ax
    assert len(ax.collections) == 4
    assert [collection.get_label() for collection in ax.collections] == ["0", "1", "2", "5"]
    assert drawn_points(ax) == sorted(map(tuple, POINTS.double().tolist()))
    for label, collection in zip([0, 1, 2, 5], ax.collections, strict=True):
        torch.testing.assert_close(torch.tensor(collection.get_offsets().tolist()), POINTS[label == LABELS])
    assert len({tuple(collection.get_facecolor()[0]) for collection in ax.collections}) == 4


def test_plot_embeddings_accepts_limits_names_and_arrays(ax: Axes) -> None:
    names = ["zero", "one", "two", "three", "four", "five"]
    plots.plot_embeddings(POINTS.numpy(), LABELS.numpy(), (-1, 2), (-3, 4), classes=names, title="Test", ax=ax)
    assert (ax.get_xlim(), ax.get_ylim(), ax.get_title()) == ((-1, 2), (-3, 4), "Test")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["zero", "one", "two", "five"]
    assert ax.get_aspect() == 1


def test_a_class_keeps_its_colour_when_others_are_missing() -> None:
    colours = []
    for chosen in (LABELS >= 0, LABELS == 5):
        ax = plots.plot_embeddings(POINTS[chosen], LABELS[chosen])
        colours.append(ax.collections[-1].get_facecolor().tolist())
    assert colours[0] == colours[1]


def test_no_more_than_max_points_are_drawn(ax: Axes) -> None:
    plots.plot_embeddings(POINTS, LABELS, max_points=15, ax=ax)
    assert 0 < len(drawn_points(ax)) <= 15


def test_the_legend_can_be_left_out(ax: Axes) -> None:
    plots.plot_embeddings(POINTS, LABELS, legend=False, ax=ax)
    assert ax.get_legend() is None


@pytest.mark.parametrize(
    ("embeddings", "targets", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(4).long(), r"embeddings \(4, 3\) .*two dimensions"),
        (torch.zeros(4, 1), torch.zeros(4).long(), r"embeddings \(4, 1\)"),
        (torch.zeros(4), torch.zeros(4).long(), r"embeddings \(4,\)"),
        (torch.zeros(4, 2), torch.zeros(3).long(), r"\(4, 2\) and targets \(3,\)"),
    ],
)
def test_embeddings_that_are_not_in_the_plane_raise(embeddings: Any, targets: Any, message: str, ax: Axes) -> None:
    with pytest.raises(ValueError, match=message):
        plots.plot_embeddings(embeddings, targets, ax=ax)


def test_side_by_side_panels_share_a_scale_that_shows_every_point() -> None:
    panels = {"small": (POINTS, LABELS), "large": (10 * POINTS - 5, LABELS)}
    figure = plots.plot_side_by_side(panels)
    left, right = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["small", "large"]
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    for ax in figure.axes:
        assert len(ax.collections) == 4
        for x, y in drawn_points(ax):
            assert ax.get_xlim()[0] < x < ax.get_xlim()[1]
            assert ax.get_ylim()[0] < y < ax.get_ylim()[1]
    assert left.get_legend() is right.get_legend() is None
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0", "1", "2", "5"]
    assert {handle.get_alpha() for handle in legend.legend_handles} == {1}


def test_side_by_side_panels_share_a_legend_of_all_classes() -> None:
    figure = plots.plot_side_by_side({"few": (POINTS, LABELS.clamp(max=1)), "all": (POINTS, LABELS)}, list("abcdef"))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c", "f"]


def test_negative_zones_are_hard_semihard_and_easy(ax: Axes) -> None:
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.0], [0.0, 1.2], [1.3, 0.0], [2.0, 0.0], [0.1, 0.1]])
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 0])
    assert plots.plot_negative_zones(points, labels, 0, 1, margin=1.0, ax=ax) is ax
    labels_drawn = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels_drawn[:3] == ["hard negatives (1)", "semi-hard negatives (2)", "easy negatives (1)"]
    assert sorted(patch.radius for patch in ax.patches) == pytest.approx([1, 2**0.5])


def test_plot_history_draws_the_training_and_the_validation_curve(ax: Axes) -> None:
    assert plots.plot_history(HISTORY, ax=ax) is ax
    assert {line.get_label(): list(line.get_ydata()) for line in ax.lines} == {
        "training": HISTORY["train_loss"],
        "validation": HISTORY["val_loss"],
    }
    assert [list(line.get_xdata()) for line in ax.lines] == [[1, 2, 3]] * 2
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")


def test_plot_history_draws_another_metric_without_validation() -> None:
    ax = plots.plot_history(HISTORY, "accuracy")
    assert [list(line.get_ydata()) for line in ax.lines] == [HISTORY["train_accuracy"]]


@pytest.mark.parametrize(("make", "n_rows"), [(SiameseMNIST, 2), (TripletMNIST, 3)])
def test_plot_tuples_draws_one_column_per_index(make: type, n_rows: int) -> None:
    dataset = make(images())
    figure = plots.plot_tuples(dataset, [1, 4, 7, 10], titles=["x", "y", "z"][:n_rows])
    assert len(figure.axes) == 4 * n_rows
    for position, ax in enumerate(figure.axes):
        row, column = divmod(position, 4)
        expected = dataset[[1, 4, 7, 10][column]][0][row].squeeze(0)
        torch.testing.assert_close(torch.as_tensor(ax.images[0].get_array().data), expected)
    assert [ax.get_ylabel() for ax in figure.axes[::4]] == ["x", "y", "z"][:n_rows]
    if make is SiameseMNIST:
        assert [ax.get_title() for ax in figure.axes[:4]] == [
            ("positive" if i % 2 == 0 else "negative") for i in (1, 4, 7, 10)
        ]


def test_plot_embeddings_without_limits_makes_matplotlib_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ax = plots.plot_embeddings(POINTS, LABELS)
    ax.figure.canvas.draw()
    assert caplog.records == []


GROUPS = {"one": {"a": [0.1, 0.3, 0.2], "b": [0.5]}, "two": {"b": [0.4, 0.6], "c": [0.7, 0.8]}}


def test_plot_groups_has_one_row_per_name_and_one_mean_per_group(ax: Axes) -> None:
    assert plots.plot_groups(GROUPS, "accuracy, %", ax=ax) is ax
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    assert list(ax.get_yticks()) == [0, 1, 2]
    assert ax.yaxis_inverted()
    assert ax.get_xlabel() == "accuracy, %"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    expected = [(0, [10, 30, 20]), (1, [50]), (1, [40, 60]), (2, [70, 80])]
    assert len(ax.lines) == 3 * len(expected)
    for (row, values), (span, single, middle) in zip(expected, zip(*[iter(ax.lines)] * 3, strict=True), strict=True):
        assert list(span.get_xdata()) == pytest.approx([min(values), max(values)])
        assert list(single.get_xdata()) == pytest.approx(values)
        assert list(middle.get_xdata()) == pytest.approx([sum(values) / len(values)])
        for line in (span, single, middle):
            assert all(round(y) == row for y in line.get_ydata())
    colours = [line.get_color() for line in ax.lines]
    assert len(set(colours[:6])) == len(set(colours[6:])) == 1
    assert colours[0] != colours[6]
    assert ax.lines[1].get_marker() != ax.lines[7].get_marker()
    heights = {line.get_ydata()[0] for line in ax.lines if round(line.get_ydata()[0]) == 1}
    assert len(heights) == 2  # the groups of one name lie side by side


def test_plot_groups_of_one_group_has_no_legend_and_can_leave_values_unscaled() -> None:
    ax = plots.plot_groups({"": {"x": [1.5], "y": [2.5]}}, "seconds", percent=False)
    assert ax.get_legend() is None
    assert [list(line.get_xdata()) for line in ax.lines[2::3]] == [[1.5], [2.5]]
    assert [list(line.get_ydata()) for line in ax.lines[2::3]] == [[0], [1]]


def test_plot_groups_names_a_group_that_lacks_the_first_name(ax: Axes) -> None:
    groups = {"one": {"a": [0.1]}, "two": {"b": [0.4], "a": [0.2]}}
    plots.plot_groups(groups, "", ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


def test_plot_neighbours_draws_each_query_beside_its_neighbours_and_marks_errors() -> None:
    queries, gallery = images(12), images(9)
    gallery.classes = ["A", "B", "C"]
    found = torch.tensor([[2, 3, 4], [8, 0, 1]])
    figure = plots.plot_neighbours(queries, gallery, [5, 1], found)
    assert len(figure.axes) == 2 * 4
    expected = [queries[5], *(gallery[i] for i in (2, 3, 4)), queries[1], *(gallery[i] for i in (8, 0, 1))]
    for ax, (image, _) in zip(figure.axes, expected, strict=True):
        torch.testing.assert_close(torch.as_tensor(ax.images[0].get_array().data), image.squeeze(0))
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["c", "C", "✗ A", "✗ B", "b", "✗ C", "✗ A", "B"]
    colours = [ax.title.get_color() for ax in figure.axes]
    assert [colour == "#AA2222" for colour in colours] == [title.startswith("✗") for title in titles]
    figure.canvas.draw()


def test_plot_neighbours_shows_the_distances_given() -> None:
    found, distances = torch.tensor([[0, 1]]), torch.tensor([[0.0, 1.234]])
    figure = plots.plot_neighbours(images(), images(), [0], found, distances)
    assert [ax.get_title() for ax in figure.axes] == ["a", "a\n0.00", "✗ b\n1.23"]


def test_plot_neighbours_with_a_wrong_number_of_queries_raises() -> None:
    with pytest.raises(ValueError, match="zip"):
        plots.plot_neighbours(images(), images(), [0, 1], torch.tensor([[0, 1]]))


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plots.plot_groups(GROUPS, "", ax=ax),
        lambda ax: plots.plot_embeddings(POINTS, LABELS, ax=ax),
        lambda ax: plots.plot_history(HISTORY, ax=ax),
        lambda ax: plots.plot_negative_zones(POINTS, LABELS, 0, 4, 1.0, ax=ax),
    ],
)
def test_plots_draw_into_a_given_ax_and_otherwise_into_a_new_figure(draw: Any, ax: Axes) -> None:
    assert draw(ax) is ax
    assert len(plt.get_fignums()) == 1
    assert draw(None) is not ax
    assert len(plt.get_fignums()) == 2
    plt.gcf().canvas.draw()


FIGURES = {
    "embeddings": lambda: plots.plot_embeddings(POINTS, LABELS, classes=["a name of some length"] * 6).figure,
    "two panels": lambda: plots.plot_side_by_side({"one": (POINTS, LABELS), "other": (POINTS, LABELS)}, ["name"] * 6),
    "zones": lambda: plots.plot_negative_zones(POINTS, LABELS, 0, 4, 1.0).figure,
    "choices": lambda: plots.plot_negative_choices({"a": [1.2], "b": [1.7]}, [0.6, 1.2, 1.7], 1.0, 1.0).figure,
    "history": lambda: plots.plot_history(HISTORY).figure,
    "groups": lambda: plots.plot_groups({"FashionMNIST": GROUPS["one"], "MNIST": GROUPS["two"]}, "accuracy, %").figure,
    "images": lambda: plots.plot_images(images(), torch.arange(10)[None].expand(2, 10)),
    "pairs": lambda: plots.plot_tuples(SiameseMNIST(images()), range(8)),
    "neighbours": lambda: plots.plot_neighbours(images(), images(), [0], torch.arange(9)[None], torch.rand(1, 9)),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_figures_are_no_wider_than_a_page_and_their_text_is_large_enough_to_read(draw: Any) -> None:
    figure = draw()
    figure.canvas.draw()
    assert figure.get_figwidth() <= plots.PAGE_WIDTH
    assert figure.get_tightbbox().width <= plots.PAGE_WIDTH + 0.05
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 8


@pytest.mark.parametrize("n_columns", [4, 7, 10])
def test_titles_of_images_do_not_touch(n_columns: int) -> None:
    grid = images()
    grid.classes = ["T-shirt/top", "Ankle boot", "Sneaker"]
    figure = plots.plot_images(grid, torch.arange(n_columns)[None])
    figure.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


def test_a_data_set_or_method_has_the_same_colour_and_marker_in_every_figure() -> None:
    seen: dict[str, set] = {}
    for names in (["mnist", "fashion-mnist"], ["Fashion-MNIST", "MNIST"], ["x", "online-triplet"], ["online-triplet"]):
        ax = plots.plot_groups({name: {"a": [0.1, 0.2]} for name in names}, "")
        for name, line in zip(names, ax.lines[2::3], strict=True):
            seen.setdefault(name.lower(), set()).add((line.get_color(), line.get_marker()))
    styles = [seen[name] for name in ("mnist", "fashion-mnist", "online-triplet")]
    assert [len(variants) for variants in styles] == [1, 1, 1]
    assert len(set.union(*styles)) == 3


def test_the_named_series_differ_in_colour_or_marker() -> None:
    styles = [series_style(name, 0) for name in SERIES]
    assert len(set(styles)) == len(styles)
    assert {colour for colour, _ in styles} <= set(plots.COLOURS)
    assert {marker for _, marker in styles} <= set(plots.MARKERS)


def test_a_figure_leaves_the_matplotlib_settings_unchanged() -> None:
    before = dict(mpl.rcParams)
    plots.plot_history(HISTORY)
    assert dict(mpl.rcParams) == before


def test_a_notebook_shows_every_figure_without_being_asked() -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cells = ["from siamese_triplet.plots import new_axes", "ax = new_axes(2)", "ax = new_axes(2)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbclient.NotebookClient(notebook).execute()
    assert [["image/png" in output.data for output in cell.outputs] for cell in notebook.cells] == [[], [True], [True]]


# many classes, and tensors straight from a network


def looks(ax: Axes) -> list[tuple]:
    """List colour and marker of each collection."""
    return [
        (tuple(drawn.get_facecolor()[0][:3]), tuple(map(tuple, drawn.get_paths()[0].vertices.round(3))))
        for drawn in ax.collections
    ]


@pytest.mark.parametrize("n_classes", [11, 20, 100])
def test_each_of_a_hundred_classes_has_a_look_of_its_own(n_classes: int) -> None:
    ax = plots.plot_embeddings(torch.rand(n_classes, 2), torch.arange(n_classes))
    assert len(set(looks(ax))) == len(ax.collections) == n_classes
    assert looks(ax)[:10] == looks(plots.plot_embeddings(torch.rand(10, 2), torch.arange(10)))


def test_more_classes_than_looks_are_drawn_in_as_many_collections_as_there_are_looks() -> None:
    points = torch.rand(2500, 2)
    ax = plots.plot_embeddings(points, torch.arange(2500))
    assert len(ax.collections) == len(set(looks(ax))) == 100
    assert drawn_points(ax) == sorted(map(tuple, points.double().tolist()))


@pytest.mark.parametrize(("n_classes", "has_legend"), [(20, True), (21, False), (200, False)])
def test_a_legend_has_room_for_twenty_classes(n_classes: int, has_legend: bool) -> None:
    points, targets = torch.rand(n_classes, 2), torch.arange(n_classes)
    assert (plots.plot_embeddings(points, targets).get_legend() is not None) == has_legend
    halves = {"one": (points[::2], targets[::2]), "other": (points[1::2], targets[1::2])}
    figure = plots.plot_side_by_side(halves)
    assert len(figure.legends) == has_legend
    for legend in figure.legends:
        assert [text.get_text() for text in legend.get_texts()] == [str(2 * i) for i in range(10)] + [
            str(2 * i + 1) for i in range(10)
        ]


def test_a_legend_of_some_of_many_classes_names_those_drawn() -> None:
    targets = torch.tensor([3, 50, 150, 999])
    ax = plots.plot_embeddings(torch.rand(4, 2), targets)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["3", "50", "150", "999"]


EXACT = (POINTS * 64).round() / 64  # in half precision too
STRAIGHT = {
    "grad": EXACT.clone().requires_grad_(),
    "bfloat16": EXACT.bfloat16(),
    "half": EXACT.half().requires_grad_(),
    "float64": EXACT.double(),
    "list": EXACT.tolist(),
}
DRAW = {
    "embeddings": lambda points, labels: plots.plot_embeddings(points, labels),
    "side by side": lambda points, labels: plots.plot_side_by_side({"one": (points, labels)}).axes[0],
    "zones": lambda points, labels: plots.plot_negative_zones(points, labels, 0, 4, 1.0),
}


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
@pytest.mark.parametrize("points", STRAIGHT.values(), ids=STRAIGHT)
def test_embeddings_of_any_kind_are_drawn(draw: Any, points: Any) -> None:
    assert drawn_points(draw(points, LABELS)) == drawn_points(draw(EXACT, LABELS))
    assert drawn_points(draw(points, LABELS.tolist())) == drawn_points(draw(points, LABELS.to(torch.uint8)))


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat", "dog"] * 20, r"number them"),
        (np.array(["cat", "dog"] * 20), r"number them"),
        (LABELS.float(), r"float32 of shape \(40,\); .*\.long\(\)"),
        (LABELS.double().numpy(), r"float64 of shape \(40,\)"),
        (LABELS[:, None], r"squeeze\(1\)"),
        (torch.eye(40).long(), r"argmax\(dim=1\)"),
    ],
)
def test_labels_that_are_no_integers_raise(draw: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(POINTS, labels)


def test_images_without_a_class_are_drawn_as_such() -> None:
    ax = plots.plot_embeddings(torch.rand(3, 2), torch.tensor([0, 1, -1]), classes=["a", "b"])
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"a", "b", "no class"}


@pytest.mark.parametrize("label", [-2, 3, 40])
def test_a_label_without_a_name_raises(label: int) -> None:
    targets = torch.tensor([0, 1, label])
    for draw in (
        lambda: plots.plot_embeddings(torch.rand(3, 2), targets, classes=["a", "b", "c"]),
        lambda: plots.plot_side_by_side({"": (torch.rand(3, 2), targets)}, classes=["a", "b", "c"]),
    ):
        with pytest.raises(ValueError, match=r"classes names 0 … 2 only"):
            draw()


def test_nothing_to_draw_is_said() -> None:
    assert plots.plot_embeddings(POINTS[:0], LABELS[:0]).collections[:] == []
    with pytest.raises(ValueError, match="no points to draw"):
        plots.plot_side_by_side({"": (POINTS[:0], LABELS[:0])})
    with pytest.raises(ValueError, match="no images to draw"):
        plots.plot_images(images(), torch.zeros(0, 4).long())
    with pytest.raises(ValueError, match="no images to draw"):
        plots.plot_tuples(SiameseMNIST(images()), [])
    with pytest.raises(ValueError, match="no images to draw"):
        plots.plot_neighbours(images(), images(), [], torch.zeros(0, 4))


def test_images_without_a_transform_are_drawn() -> None:
    grid = images()
    expected = plots.plot_images(grid, torch.arange(4)[None])
    grid.transform = None
    raw = [ax.images[0].get_array() for ax in plots.plot_images(grid, torch.arange(4)[None]).axes]
    for ax, pixels in zip(expected.axes, raw, strict=True):
        assert np.asarray(pixels) / 255 == pytest.approx(np.asarray(ax.images[0].get_array()), abs=1e-6)


# names are drawn as they are


NAMES = {
    "dollars": "$5 to $6",
    "broken formula": r"$\frac{",
    "formula": "$x^2$",
    "escaped": r"\$a\$",
    "underscore": "_hidden",
    "backslash": "a\\b_c^d",
    "lines": "two\nlines",
    "not UTF-8": "caf\udce9",
    "right to left": "שלום עולם",
    "mixed": "قطة $a$ _b\\",
    "braces": "{0} %s",
    "nothing": "",
}


def texts(figure: Any) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_are_drawn_as_they_are_in_every_plot(name: str) -> None:
    named, other = images(), images()
    named.classes = [name, f"b{name}", f"c{name}"]
    few = torch.tensor([0, 1, 2, 2]).repeat(10)
    drawn = {
        "embeddings": plots.plot_embeddings(POINTS, few, classes=named.classes, title=name).figure,
        "side by side": plots.plot_side_by_side({name: (POINTS, few), "": (POINTS, few)}, named.classes),
        "images": plots.plot_images(named, torch.arange(2)[None]),
        "tuples": plots.plot_tuples(SiameseMNIST(other), [0], [name, name]),
        "neighbours": plots.plot_neighbours(named, named, [0], torch.tensor([[3, 1]]), torch.rand(1, 2)),
        "groups": plots.plot_groups({name: {name: [1.0]}, f"b{name}": {name: [2.0]}}, "").figure,
        "history": plots.plot_history({f"train_{name}": [1.0, 2.0]}, name).figure,
        "choices": plots.plot_negative_choices({name: [1.2]}, [0.6, 1.2, 1.7], 1.0, 1.0).figure,
    }
    expected = name.replace("\udce9", "\\udce9")
    for kind, figure in drawn.items():
        found = texts(figure)
        assert (expected.replace("_", " ") if kind == "history" else expected) in found, kind
        for text in figure.findobj(Text):
            if name and expected in text.get_text():
                assert not text.get_parse_math(), (kind, text)


@pytest.mark.parametrize("name", [r"$\frac{", "_hidden", "a$b$c"])
def test_a_legend_names_every_class(name: str) -> None:
    ax = plots.plot_embeddings(POINTS, LABELS.clamp(max=1), classes=[name, "other"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [name, "other"]
    figure = plots.plot_side_by_side({"": (POINTS, LABELS.clamp(max=1))}, [name, name])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [name, name]


def test_colours_are_drawn_as_they_were_before_their_normalisation() -> None:
    data = torch.full((3, 8, 8, 3), 255, dtype=torch.uint8)
    data[:, 2:6, 2:6] = torch.tensor([200, 30, 10], dtype=torch.uint8)
    images = Images(data, [0, 0, 1], ["a", "b"], transform=normalization((0.8, 0.7, 0.6), (0.2, 0.3, 0.4)))
    grid = plots.plot_images(images, torch.tensor([[0, 2]]))
    for figure in (grid, plots.plot_neighbours(images, images, [0], torch.tensor([[1]]))):
        assert [np.array_equal(ax.images[0].get_array(), data[0].numpy()) for ax in figure.axes] == [True, True]
