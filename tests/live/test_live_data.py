"""The interactive figures as Python makes them: data, HTML, script, recorder and grid of settings."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from toy_data import part

from siamese_triplet import live
from siamese_triplet._style import COLOURS
from siamese_triplet.book import settings_grid
from siamese_triplet.book.comparison import Settings
from siamese_triplet.live import element
from siamese_triplet.live.embeddings import bench_selectors, encode_points
from siamese_triplet.methods import METHODS
from siamese_triplet.networks import EmbeddingNet
from siamese_triplet.selectors.by_name import SELECTORS
from siamese_triplet.trainer import History, fit

LIBRARY = Path(element.__file__).parent / "js"
RESULTS = Path(__file__).parents[2] / "book" / "results"


def data_of(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def decoded(encoded: dict) -> torch.Tensor:
    numbers = torch.frombuffer(bytearray(base64.b64decode(encoded["points"])), dtype=torch.int16)
    return numbers.view(-1, 2).double() * encoded["unit"]


@pytest.fixture
def recorder() -> live.EmbeddingRecorder:
    recorder = live.EmbeddingRecorder(part(False, 4), 20)
    torch.manual_seed(0)
    recorder.record(EmbeddingNet(), "untrained")
    recorder.record(EmbeddingNet(), "1")
    return recorder


# HTML


def test_a_figure_is_an_element_with_its_data_and_its_library() -> None:
    figure = live.triplet_playground(margin=0.5, name="mine")
    html = figure.to_html()
    assert html.startswith('<siamese-triplet-figure kind="triplet-playground" name="mine">')
    assert data_of(html) == {"title": "Triplet playground", "margin": 0.5}
    assert live.script() in html
    assert live.script() not in figure.to_html(with_script=False)
    assert "an anchor, a positive and a negative" in figure.to_html(with_script=False)
    assert repr(figure).startswith("Triplet playground: an anchor")


def test_in_the_book_the_library_is_left_to_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = live.pair_playground()
    monkeypatch.delenv(live.IN_BOOK, raising=False)
    assert figure._repr_html_() == figure.to_html(with_script=True)
    monkeypatch.setenv(live.IN_BOOK, "1")
    assert figure._repr_html_() == figure.to_html(with_script=False)


def test_the_data_cannot_end_its_script_element() -> None:
    text = "</script><b>&"
    figure = live.LiveFigure("pair-playground", "x", text, {"margin": 1}, "alt <text>")
    html = figure.to_html(with_script=False)
    assert data_of(html)["title"] == text
    assert html.count("</script>") == 1
    assert "alt &lt;text&gt;" in html


@pytest.mark.parametrize("name", ["", "Two", "a.b", "a b", "1"])
def test_a_name_that_does_not_fit_an_address_raises(name: str) -> None:
    with pytest.raises(ValueError, match="must be lower-case letters, digits and hyphens, a letter first"):
        live.triplet_playground(name=name).to_html()


@pytest.mark.parametrize("make", [live.triplet_playground, live.pair_playground])
def test_a_negative_margin_raises(make) -> None:
    with pytest.raises(ValueError, match="margin must be a finite number"):
        make(margin=-1)


def test_an_unknown_loss_of_the_family_raises() -> None:
    assert data_of(live.loss_family("arcface").to_html())["loss"] == "arcface"
    with pytest.raises(ValueError, match="unknown loss 'arc'; there are 'pairs', "):
        live.loss_family("arc")


def test_the_script_has_every_module_after_its_imports() -> None:
    assert {path.stem for path in LIBRARY.glob("*.mjs")} == set(element.MODULES)
    for place, name in enumerate(element.MODULES):
        imported = re.findall(r'from "\./(\w+)\.mjs"', (LIBRARY / f"{name}.mjs").read_text())
        assert set(imported) <= set(element.MODULES[:place]), name
    source = live.script()
    assert not re.search(r"^\s*(import|export)\b", source, re.MULTILINE)
    assert "</script" not in source


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("data", "place"),
    [
        (lambda x: {"margin": x}, r"data\['margin'\]"),
        (lambda x: {"runs": [{"curves": {"loss": [1.0, x]}}]}, r"data\['runs'\]\[0\]\['curves'\]\['loss'\]\[1\]"),
        (lambda x: {"a": 1, "b": ("text", None, {"c": x})}, r"data\['b'\]\[2\]\['c'\]"),
    ],
)
def test_a_number_that_no_browser_reads_raises_and_is_named(number: float, data: Callable, place: str) -> None:
    assert json.loads(json.dumps(data(1.5))) is not None
    live.LiveFigure("settings-gallery", "x", "Title", data(1.5), "alt")
    with pytest.raises(ValueError, match=rf"'Title' cannot show {place} = {number}: a page holds finite numbers only"):
        live.LiveFigure("settings-gallery", "x", "Title", data(number), "alt")


@pytest.mark.parametrize("part", ["loss", "unit"])
def test_a_gallery_of_runs_with_nan_raises(part: str) -> None:
    made = {
        **GRID[1], "data": "mnist", "outcome": "apart", "n_epochs": 2, "n_images": 10, "spread": 1.0, "labels": "0 1",
        "figures": {"knn_accuracy": 0.5, "map_at_r": 0.5}, "curves": {"loss": [1.0, 0.5]},
        **encode_points(torch.rand(2, 2)),
    }  # fmt: skip
    settings_grid.settings_gallery([made])
    broken = made | ({"unit": torch.nan} if part == "unit" else {"curves": {"loss": [1.0, torch.nan]}})
    with pytest.raises(ValueError, match=rf"data\['runs'\]\[0\].*{part}.* = nan"):
        settings_grid.settings_gallery([broken])


@pytest.mark.parametrize("make", [live.triplet_playground, live.pair_playground])
@pytest.mark.parametrize("margin", [101, 1e300])
def test_a_margin_beyond_the_plane_of_a_playground_raises(make: Callable, margin: float) -> None:
    make(100)
    with pytest.raises(ValueError, match="too large for a playground"):
        make(margin)


@pytest.mark.parametrize("margin", [float("nan"), float("inf"), -1, "soft", None])
def test_a_margin_that_is_no_finite_number_raises_for_every_figure(
    margin: object, recorder: live.EmbeddingRecorder
) -> None:
    for make in (
        live.triplet_playground,
        live.pair_playground,
        lambda margin: live.selector_bench(recorder, margin=margin),
    ):
        with pytest.raises(ValueError, match="margin must be a finite number"):
            make(margin)


def test_texts_that_are_no_utf8_can_be_written() -> None:
    figure = live.LiveFigure(
        "pair-playground", "x", "caf\udce9", {"margin": 1, "classes": ["\udce9", "$\\frac{"]}, "\udce9"
    )
    figure.to_html().encode("utf-8")
    repr(figure).encode("utf-8")
    assert data_of(figure.to_html())["classes"] == ["\udce9", "$\\frac{"]


# points and images


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_encoded_points_are_as_exact_as_16_bits_allow(scale: float) -> None:
    points = scale * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    encoded = encode_points(points)
    assert torch.log2(torch.tensor(encoded["unit"])) % 1 == 0
    assert (decoded(encoded) - points).abs().max() <= encoded["unit"] / 2
    assert encoded["unit"] <= 2 * float(points.abs().max()) / 2**15
    again = encode_points(decoded(encoded))
    assert torch.equal(decoded(again), decoded(encoded))


def test_points_that_coincide_at_zero_are_encoded() -> None:
    assert torch.equal(decoded(encode_points(torch.zeros(3, 2))), torch.zeros(3, 2).double())


@pytest.mark.parametrize("points", [torch.zeros(3, 3), torch.zeros(3), torch.tensor([[0.0, torch.nan]])])
def test_points_that_are_not_2d_or_not_finite_raise(points: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"finite points \(N, 2\)"):
        encode_points(points)


def test_the_recorder_keeps_the_embeddings_of_every_epoch() -> None:
    train, test = part(True, 6), part(False, 4)
    recorder = live.EmbeddingRecorder(test, 10)
    assert torch.equal(recorder.labels, test.targets[torch.arange(10) * len(test) // 10])
    experiment = METHODS["softmax"]
    model = experiment.network(train)
    recorder.record(model, "untrained")
    before = recorder.embeddings[0]
    seen = []

    def look(epoch: int, history: History, model: nn.Module) -> None:
        seen.append(model.get_embedding(image_batch(recorder)).detach())

    optimizer = torch.optim.Adam(model.parameters())
    loader, loss_fn = experiment.loader(train), experiment.loss()
    fit(loader, None, model, loss_fn, optimizer, None, 2, callbacks=[recorder, look], verbose=False)
    assert recorder.epochs == ["untrained", "1", "2"]
    assert recorder.embeddings.shape == (3, 10, 2)
    assert torch.equal(recorder.embeddings[0], before)
    torch.testing.assert_close(recorder.embeddings[2], seen[1], rtol=1e-4, atol=1e-5)


def image_batch(recorder: live.EmbeddingRecorder) -> torch.Tensor:
    return torch.stack([recorder.images[i][0] for i in range(len(recorder.images))])


def test_the_recorder_takes_indices_and_checks_its_input() -> None:
    test = part(False, 4)
    recorder = live.EmbeddingRecorder(test, [7, 3])
    assert torch.equal(recorder.images.data, test.data[[7, 3]])
    with pytest.raises(ValueError, match="no embeddings were recorded"):
        live.embedding_viewer(recorder)
    with pytest.raises(ValueError, match=r"embeddings of 2 images, got shape \(3, 2\)"):
        recorder.keep(torch.zeros(3, 2), "1")
    with pytest.raises(ValueError, match="must be at least 1"):
        live.EmbeddingRecorder(test, 0)


def test_the_viewer_has_every_epoch_the_images_and_a_picture_for_paper(recorder: live.EmbeddingRecorder) -> None:
    html = live.embedding_viewer(recorder).to_html(with_script=False)
    data = data_of(html)
    assert [epoch["name"] for epoch in data["epochs"]] == ["untrained", "1"]
    for epoch, points in zip(data["epochs"], recorder.embeddings, strict=True):
        torch.testing.assert_close(decoded(epoch).float(), points, rtol=0, atol=epoch["unit"])
    assert data["labels"] == recorder.labels.tolist()
    assert data["sheet"]["source"].startswith("data:image/png;base64,")
    assert '<img alt="scatter plot of the embeddings of 20 test images' in html


def test_images_with_one_channel_look_like_those_without(recorder: live.EmbeddingRecorder) -> None:
    expected = data_of(live.embedding_viewer(recorder).to_html(with_script=False))["sheet"]
    recorder.images.data = recorder.images.data[..., None]
    assert data_of(live.embedding_viewer(recorder).to_html(with_script=False))["sheet"] == expected


def test_the_bench_starts_with_the_given_selector(recorder: live.EmbeddingRecorder) -> None:
    assert data_of(live.selector_bench(recorder).to_html())["selector"] == "triplet:semihard"
    hard = data_of(live.selector_bench(recorder, "hard", margin=0.5, kind="pairs").to_html())
    assert (hard["selector"], hard["margin"]) == ("pair:hard", 0.5)
    with pytest.raises(
        ValueError, match="unknown selector='hard' for kind='triplets'; there are batch-all, random, semihard"
    ):
        live.selector_bench(recorder, "hard")
    with pytest.raises(ValueError, match="for kind='all'; there are triplets and pairs"):
        live.selector_bench(recorder, kind="all")


def test_embeddings_of_more_dimensions_are_not_drawn() -> None:
    recorder = live.EmbeddingRecorder(part(False, 2), 5)
    recorder.record(EmbeddingNet(3), "1")
    with pytest.raises(ValueError, match=r"finite points \(N, 2\) of the plane, got \(5, 3\)"):
        live.embedding_viewer(recorder)


# the grid of settings


def test_the_grid_has_each_method_with_its_selectors_and_margins() -> None:
    grid = list(settings_grid.grid())
    assert len(grid) == 1 + 3 + 3 + 2 * 3 + 4 * 3
    assert list(settings_grid.grid((1.0,), ("siamese",))) == [
        {"method": "siamese", "selector": settings_grid.NONE, "margin": 1.0}
    ]
    assert len(list(settings_grid.grid([1.0]))) == 1 + 1 + 1 + 2 + 4
    for setting in grid:
        experiment = settings_grid.experiment_of(setting)
        assert experiment.method == setting["method"]
        if setting["margin"] != settings_grid.NONE:
            assert experiment.margin == setting["margin"]
        if setting["selector"] != settings_grid.NONE:
            assert experiment.selector == setting["selector"]


def test_runs_of_the_grid_are_kept_and_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings_grid, "grid", lambda margins, methods: iter([*GRID]))
    monkeypatch.setattr(Settings, "load", lambda self, name: (part(True, 25), part(False, 8)))
    path, short = tmp_path / "settings.json", Settings(n_epochs=2, verbose=False)
    runs = settings_grid.train_settings(path, short, ("mnist",))
    assert [run["method"] for run in runs] == ["softmax", "online-triplet"]
    assert all(len(run["curves"]["loss"]) == 2 for run in runs)
    assert len(runs[1]["curves"]["triplets with a loss"]) == 2
    assert all(decoded(run).shape == (80, 2) == (len(run["labels"].split()), 2) for run in runs)
    assert {run["outcome"] for run in runs} <= {"apart", "overlap", "collapse"}
    monkeypatch.setattr(Settings, "fit", None)  # nothing is trained again
    assert settings_grid.train_settings(path, short, ("mnist",)) == runs
    data = data_of(settings_grid.settings_gallery(path).to_html())
    assert [run["settings"]["selector"] for run in data["runs"]] == ["–", "random"]
    assert data["runs"][1]["metrics"]["MAP@R"] == f"{runs[1]['figures']['map_at_r']:.1%}"


GRID = (
    {"method": "softmax", "selector": "–", "margin": "–"},
    {"method": "online-triplet", "selector": "random", "margin": 1.0},
)


def test_the_gallery_begins_with_runs_that_come_apart() -> None:
    data = data_of(settings_grid.settings_gallery(RESULTS / "settings.json").to_html())
    assert len(data["pairs"]) == len(settings_grid.PAIRS)  # all were trained
    answers = []
    for pair in data["pairs"]:
        runs = [next(run for run in data["runs"] if run["settings"] == settings) for settings in pair["runs"]]
        first, second = (run["scores"][pair["ask"]] for run in runs)
        answers.append("neither" if abs(first - second) < data["tie"] else "A" if first > second else "B")
        if pair is data["pairs"][0]:
            assert {run["outcome"] for run in runs} == {"apart", "overlap"}
    assert answers[0] != "neither"
    assert min(answers.count(answer) for answer in ("A", "B", "neither")) >= 2


def test_a_gallery_of_other_runs_begins_with_the_first_and_the_last() -> None:
    results = json.loads((RESULTS / "settings.json").read_text())
    runs = [result for result in results if result["method"] == "online-contrastive" and result["margin"] == 0.1]
    [pair] = data_of(settings_grid.settings_gallery(runs).to_html())["pairs"]
    assert [settings["data"] for settings in pair["runs"]] == ["mnist", "fashion-mnist"]
    [pair] = data_of(settings_grid.settings_gallery(runs[:1]).to_html())["pairs"]
    assert pair["runs"][0] == pair["runs"][1]


def test_a_gallery_without_runs_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no runs to show"):
        settings_grid.settings_gallery(tmp_path / "missing.json")


# constants that the JavaScript repeats


def list_in(module: str, name: str) -> list[str]:
    """Read the list of strings `name` from a JavaScript module."""
    text = (LIBRARY / module).read_text()
    return re.findall(r'"([^"]+)"', re.search(rf"const {name} = \[(.*?)\]", text, re.DOTALL)[1])


def test_the_classes_have_the_colours_of_the_plots() -> None:
    assert list_in("theme.mjs", "LIGHT") == list(COLOURS)
    assert len(list_in("theme.mjs", "DARK")) == len(COLOURS)


@pytest.mark.parametrize("kind", ["triplets", "pairs"])
def test_the_bench_offers_selectors_under_the_names_of_the_package(kind: str) -> None:
    offered = list_in("tuples.mjs", f"{kind[:-1].upper()}_SELECTORS")
    assert list(bench_selectors(kind)) == offered
    assert set(offered) <= set(SELECTORS[kind])


def test_a_recorder_of_images_that_are_not_in_memory_raises() -> None:
    with pytest.raises(ValueError, match="in_memory"):
        live.EmbeddingRecorder(torch.utils.data.Subset(part(False, 4), range(8)))
