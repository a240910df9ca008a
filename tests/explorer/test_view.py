"""The widget of `explore` without a browser; `test_lab.py` uses one."""

import math
import threading
from collections.abc import Callable
from dataclasses import replace

import ipywidgets as widgets
import pytest
import torch
from explorer_cases import LONG, SMALL, clusters, parts_of, picture, small_explorer, snapshot_of, text_of, until
from toy_data import part

from siamese_triplet.explorer import (
    Settings,
    explore,
    pick_triplets,
)
from siamese_triplet.explorer.panel import Painter
from siamese_triplet.explorer.settings import devices
from siamese_triplet.methods import METHODS, SELECTORS_OF


def test_a_run_fills_the_widget() -> None:
    explorer = small_explorer()
    assert "Press Train" in explorer.status
    assert explorer.train_button.disabled is False
    assert explorer.stop_button.disabled is True
    assert explorer.train() is True
    assert explorer.wait(LONG)
    _, alt = picture(explorer.panel.embedding_html.value)
    assert "50 of 50 test images, after epoch 2 of 2" in alt
    assert "over the epochs" in picture(explorer.panel.curves_html.value)[1]
    [run] = explorer.runs
    assert run.settings == explorer.settings
    assert f"{run.knn_accuracy:.2%}" in text_of(explorer.panel.status_text.value)
    assert "finished" in explorer.panel.table_html.value
    assert explorer.panel.progress.value == 1
    assert explorer.train_button.disabled is False
    assert explorer.stop_button.disabled is True
    assert explorer.train()
    assert explorer.wait(LONG)
    assert [run.number for run in explorer.runs] == [1, 2]
    assert explorer.runs[0].knn_accuracy == explorer.runs[1].knn_accuracy  # the seed decides


def test_a_second_run_is_refused_during_the_first() -> None:
    explorer = small_explorer(n_epochs=10_000)
    assert explorer.train() is True
    assert explorer.train_button.disabled is True
    assert explorer.stop_button.disabled is False
    assert explorer.train() is False
    assert "A run is going on: press Stop" in explorer.message
    assert "A run is going on" in text_of(explorer.message_html.value)
    explorer.stop()
    assert explorer.wait(LONG)
    assert [run.ended for run in explorer.runs] == ["stopped"]
    assert explorer.message == ""
    assert explorer.stop_button.disabled is True


def test_the_buttons_do_what_the_methods_do() -> None:
    explorer = small_explorer(n_epochs=10_000)
    explorer.train_button.click()
    until(lambda: explorer.runs and explorer.runs[0].n_epochs)
    explorer.stop_button.click()
    assert explorer.wait(LONG)
    assert explorer.runs[0].ended == "stopped"
    explorer.controls.seed.value = 5
    explorer.reset_button.click()
    assert explorer.settings.seed == 0


def test_impossible_settings_are_explained_before_training() -> None:
    explorer = small_explorer()
    explorer.controls.soft.value = True
    assert "got online-triplet with 'random': give a number" in text_of(explorer.message_html.value)
    assert explorer.train_button.disabled is True
    assert explorer.train() is False
    assert explorer.runs == []
    explorer.controls.selector.value = "batch-hard"
    assert explorer.message == ""
    assert explorer.train_button.disabled is False
    explorer.controls.n_samples.value = 11
    assert "a class has only 10" in explorer.message


def test_an_error_is_shown_and_the_next_run_can_start() -> None:
    train_set = part(True, 10)
    explorer = explore((train_set, part(False, 5)), settings=replace(SMALL, n_epochs=1))
    transform, train_set.transform = train_set.transform, lambda image: torch.zeros(1, 28, 28)
    explorer.train()
    assert explorer.wait(LONG)
    assert "failed: ValueError: TensorLoader normalises all images" in text_of(explorer.panel.status_text.value)
    assert "normalises all images" in text_of(explorer.panel.warning_html.value)
    assert explorer.runs[0].ended == "failed"
    train_set.transform = transform
    assert explorer.train()
    assert explorer.wait(LONG)
    assert explorer.runs[1].ended == "finished"
    assert explorer.panel.warning_html.value == ""


def test_an_error_in_drawing_is_shown() -> None:
    explorer = small_explorer()
    explorer.panel.snapshot(snapshot_of(embeddings=torch.full((30, 3), math.nan)))
    assert explorer.panel.painter.wait(LONG)
    assert "could not be drawn" in explorer.panel.embedding_html.value


def test_reset_ends_the_run_and_restores_all_but_the_table() -> None:
    explorer = small_explorer()
    explorer.settings = replace(SMALL, method="softmax", n_epochs=10_000, learning_rate=0.5)
    explorer.train()
    until(lambda: explorer.runs and explorer.runs[0].n_epochs)
    explorer.reset()
    assert not explorer.is_running
    assert explorer.settings == SMALL
    assert "Press Train" in explorer.status
    assert explorer.panel.progress.value == 0
    assert "<img" not in explorer.panel.embedding_html.value + explorer.panel.curves_html.value
    assert [run.ended for run in explorer.runs] == ["stopped"]
    assert "softmax" in explorer.panel.table_html.value
    assert explorer.train()
    assert explorer.wait(LONG)
    assert [run.number for run in explorer.runs] == [1, 2]


def test_the_form_disables_controls_that_do_not_apply() -> None:
    controls = small_explorer().controls
    on = {"selector", "margin", "n_classes", "n_samples"}
    for method, expected in {
        "softmax": {"batch_size"},
        "siamese": {"batch_size", "margin"},
        "triplet": {"batch_size", "margin", "soft"},
        "online-contrastive": on,
        "online-triplet": on,
    }.items():
        controls.method.value = method
        names = {"selector", "margin", "soft", "n_classes", "n_samples", "batch_size"}
        assert {name for name in names if not getattr(controls, name).disabled} == expected
        assert controls.selector.options == SELECTORS_OF.get(method, ("–",))
        assert controls.learning_rate.value == METHODS[method].learning_rate
        assert controls.batch_size.value == METHODS[method].batch_size
        assert controls.settings.selector == METHODS[method].selector
    controls.selector.value = "easy-positive"
    assert controls.soft.disabled is False
    controls.soft.value = True
    assert controls.margin.disabled is True
    controls.selector.value = "random"
    assert controls.soft.disabled is False  # so that it can be unticked
    controls.soft.value = False
    assert controls.soft.disabled is True
    assert controls.embedded.disabled is True  # own images have no subset
    controls.dataset.value = "mnist"
    assert controls.embedded.disabled is False


def test_every_control_has_a_label() -> None:
    explorer = small_explorer()
    for control in [*explorer.controls.inputs, explorer.train_button, explorer.stop_button, explorer.reset_button]:
        assert control.description


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (small_explorer, lambda explorer: explorer.controls.margin.set_state({"value": 0.5})),
        (small_explorer, lambda explorer: explorer.train() and explorer.wait()),
        (lambda: pick_triplets(*clusters()), lambda picker: picker.margin.set_state({"value": 0.5})),
        (lambda: pick_triplets(*clusters()), lambda picker: picker.next_button.click()),
    ],
)
def test_after_each_change_all_controls_are_handled_in_one_thread(
    monkeypatch, make: Callable, change: Callable
) -> None:
    widget = make()
    sent = []
    monkeypatch.setattr(widgets.DOMWidget, "send_state", lambda control, key=None: sent.append((control, key)))
    change(widget)
    controls = [part for part in parts_of(widget.widget) if isinstance(getattr(part, "disabled", None), bool)]
    assert len(controls) > 4
    assert all((control, "disabled") in sent for control in controls)


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, method="triplet", selector=None, margin="soft", seed=3)])
def test_the_form_returns_the_settings_it_is_given(settings: Settings) -> None:
    explorer = small_explorer()
    explorer.settings = settings
    assert explorer.settings == settings
    changed = replace(
        SMALL,
        selector="batch-hard",
        margin=0.3,
        embedding_size=8,
        unit_sphere=True,
        n_classes=4,
        n_samples=3,
        learning_rate=0.02,
        n_epochs=7,
        batch_size=9,
    )
    explorer.settings = changed
    assert explorer.settings == changed


def test_values_that_the_form_does_not_offer_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"dataset cannot be 'omniglot'; there are \['mnist', 'fashion-mnist'\]"):
        explore("omniglot")
    with pytest.raises(ValueError, match="method cannot be 'quadruplet'"):
        small_explorer(method="quadruplet")
    with pytest.raises(ValueError, match="selector cannot be 'hard'"):
        small_explorer(selector="hard")
    for changed in ({"embedding_size": 1}, {"margin": 5000.0}, {"n_epochs": 20_000}, {"seed": -1}, {"n_classes": 0}):
        [name] = changed
        with pytest.raises(ValueError, match=f"{name} cannot be .*; the form has"):
            small_explorer(**changed)


def test_the_first_settings_follow_the_machine_and_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert explore("fashion-mnist").settings.dataset == "fashion-mnist"
    if devices() == ["cpu"]:
        assert explore().settings == Settings()
    assert explore(embedded=False).settings.embedded is False
    assert explore(embedded=True, settings=Settings(embedded=False)).settings.embedded is True
    assert explore(settings=Settings(embedded=False)).settings.embedded is False


def test_an_error_in_loading_the_data_is_shown(tmp_path) -> None:
    explorer = explore(root=tmp_path / "nowhere", embedded=True)
    explorer.datasets.load = lambda settings: (_ for _ in ()).throw(FileNotFoundError("no data there"))
    explorer.settings = replace(explorer.settings, dataset="fashion-mnist")
    assert explorer.message == "FileNotFoundError: no data there"
    assert explorer.train() is False


def test_the_widgets_display_themselves_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr("siamese_triplet.explorer.output.display", lambda bundle, raw: shown.append(bundle))
    explorer = small_explorer()
    explorer._ipython_display_()
    picker = pick_triplets(*clusters())
    picker._ipython_display_()
    for bundle, widget in zip(shown, (explorer.widget, picker.widget), strict=True):
        assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
        assert "need a running kernel" in bundle["text/plain"]


def test_a_painter_skips_overtaken_items() -> None:
    painted: list[int] = []
    may_paint = threading.Event()

    def paint(number: int) -> None:
        may_paint.wait(LONG)
        painted.append(number)

    painter: Painter[int] = Painter(paint, lambda error: None)
    painter.show(0)
    until(lambda: not painter.waiting)
    for number in range(1, 9):
        painter.show(number)
    may_paint.set()
    assert painter.wait(LONG)
    assert painted == [0, 8]
    painter.show(9)
    assert painter.wait(LONG)
    assert painted == [0, 8, 9]


def test_a_painter_reports_an_error_and_paints_the_next_item() -> None:
    failures: list[Exception] = []
    painted: list[float] = []
    painter: Painter[int] = Painter(lambda number: painted.append(1 / number), failures.append)
    for number in (0, 2):
        painter.show(number)
        assert painter.wait(LONG)
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    assert painted == [0.5]
