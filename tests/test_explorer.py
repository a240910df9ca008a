"""The live widgets, without a browser: `tests/test_lab.py` has one."""

import base64
import csv
import html
import io
import itertools
import json
import logging
import math
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import ipywidgets as widgets
import numpy as np
import pytest
import reference
import torch
from PIL import Image
from test_experiments import part
from torch import Tensor

from siamese_triplet import Images, knn_accuracy, load, retrieval_metrics
from siamese_triplet.evaluation import embed
from siamese_triplet.explorer import (
    Explorer,
    Outcome,
    Settings,
    explore,
    pick_triplets,
    pictures,
    records,
    selection,
    session,
    settings,
    watching,
)
from siamese_triplet.explorer.panel import Painter
from siamese_triplet.explorer.pictures import counted_by, curves_image, embedding_image, moment_of, plane
from siamese_triplet.explorer.records import as_csv, as_html, as_json, time_left
from siamese_triplet.explorer.selection import Batch, batch_of, describe, select
from siamese_triplet.explorer.session import Session, collapse_message, collapsed_loss
from siamese_triplet.explorer.settings import OWN, SMALLEST_CLASS, DataSets, devices, problems, unused
from siamese_triplet.explorer.watching import Snapshot, Watcher, watched_fit
from siamese_triplet.live import IN_BOOK
from siamese_triplet.methods import METHODS, SELECTORS_OF, Method, fit_method
from siamese_triplet.selectors import BatchHardTripletSelector, HardestNegativeTripletSelector
from siamese_triplet.selectors.by_name import (
    BATCH_ALL,
    PAIR_SELECTORS,
    SOFT,
    TRIPLET_SELECTORS,
)
from siamese_triplet.trainer import History

SMALL = Settings(dataset=OWN, n_samples=5, n_epochs=2)
LONG = 120  # seconds, more than any of these takes
EVERY_METHOD = [(method, selector) for method in METHODS for selector in SELECTORS_OF.get(method, (None,))]


def small_explorer(**changes) -> Explorer:
    """On 100 training and 50 test images."""
    return explore((part(True, 10), part(False, 5)), settings=replace(SMALL, **changes))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def parts_of(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    """The widget, and all that is in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts_of(child)


def text_of(markup: str) -> str:
    return html.unescape(re.sub("<[^>]*>", " ", markup))


def picture(markup: str) -> tuple[np.ndarray, str]:
    """The pixels of an HTML image and its alternative text."""
    [(alt, source)] = re.findall('<img alt="([^"]*)".* src="data:image/png;base64,([^"]*)">', markup)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGB")), html.unescape(alt)


class Listening:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.parts: list[float] = []
        self.snapshots: list[Snapshot] = []
        self.outcomes: list[Outcome] = []
        self.n_ended = 0

    def status(self, text: str, done: float) -> None:
        self.texts.append(text)
        self.parts.append(done)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def ended(self) -> None:
        self.n_ended += 1


def session_of(listener: object, **changes) -> Session:
    return Session(3, replace(SMALL, **changes), lambda: (part(True, 10), part(False, 5)), listener)


def snapshot_of(n: int = 30, size: int = 2, **changes) -> Snapshot:
    generator = torch.Generator().manual_seed(0)
    made = Snapshot(
        method=METHODS["online-triplet"],
        n_epochs=3,
        epochs=1.5,
        embeddings=torch.randn(n, size, generator=generator),
        labels=torch.arange(n) % 10,
        n_test_images=n,
        classes=[f"class {label}" for label in range(10)],
        batches_per_epoch=2,
        losses=[1.0, 0.5, 0.25],
        counts=[30.0, 20.0, 10.0],
        history=History(train_loss=[0.75], val_loss=[0.5], train_nonzero_triplets=[25.0], val_nonzero_triplets=[9.0]),
    )
    return replace(made, **changes)


# Settings


@pytest.mark.parametrize(("method", "selector"), EVERY_METHOD)
def test_what_the_form_offers_can_be_trained(method: str, selector: str | None) -> None:
    settings = replace(SMALL, method=method, selector=selector)
    assert problems(settings, [10] * 10) == []
    assert settings.to_method() == replace(
        METHODS[method], selector=selector, n_samples=5, batch_size=128, learning_rate=1e-3
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"margin": "soft"},
            "soft margin is for triplets: .*'batch-hard'.*; got online-triplet with 'random': give a number",
        ),
        (
            {"method": "siamese", "margin": "soft"},
            "soft margin is for triplets: .*; got siamese with None: give a number",
        ),
        ({"method": "online-contrastive", "selector": "hard", "margin": "soft"}, "soft margin is for triplets"),
        ({"margin": 0.0}, "margin must be a number above 0, or soft, not 0"),
        ({"margin": math.nan}, "margin must be a number above 0"),
        ({"margin": "hard"}, "margin must be a number above 0, or soft, not hard"),
        ({"selector": "hard"}, "nknown selector 'hard' for online-triplet; there are 'random', .*'batch-all'"),
        ({"method": "online-contrastive"}, "nknown selector 'random' for online-contrastive; there are 'hard', 'all'"),
        ({"method": "quadruplet"}, "nknown method 'quadruplet'; there are 'softmax', 'siamese'"),
        ({"n_classes": 11}, "batch of 11 classes: the data has only 10. Lower P"),
        ({"n_classes": 1}, "batch of 1 class has no negatives. P must be at least 2"),
        ({"n_samples": 9}, "9 images of each class: a class has only 8. Lower K"),
        ({"n_samples": 1}, "With 1 image of each class there are no positive pairs. K must be at least 2"),
        ({"method": "softmax", "batch_size": 5000}, "1 to 4,096 images, pairs or triplets, not 5,000"),
        ({"learning_rate": 0.0}, "learning rate must be above 0, not 0"),
        ({"n_epochs": 0}, "At least one epoch"),
        ({"embedding_size": 1}, "at least 2, to be drawn in the plane, not 1"),
        ({"device": "cuda:99"}, "no device 'cuda:99' here; there is .*cpu"),
    ],
)
def test_settings_that_make_no_sense_are_explained(changes: dict, said: str) -> None:
    [found] = problems(replace(SMALL, **changes), [8, 20, *[100] * 8])
    assert re.search(said, found), found


def test_a_batch_whose_distances_do_not_fit_into_memory_is_refused() -> None:
    sizes = [6000] * 10
    assert problems(replace(SMALL, n_samples=409), sizes) == []
    [found] = problems(replace(SMALL, n_samples=410), sizes)
    assert "10 × 410 = 4,100 images" in found


def test_settings_that_do_not_apply_are_no_problem_and_named() -> None:
    odd = {"margin": "soft", "selector": "random", "n_classes": 99, "n_samples": 1}
    softmax = replace(SMALL, method="softmax", **odd)
    assert problems(softmax, [10] * 10) == []
    assert "no margin, no selector and no P × K" in unused(softmax)
    assert softmax.to_method().selector is None
    triplet = replace(SMALL, method="triplet", **odd)
    assert problems(triplet, [10] * 10) == []
    assert triplet.to_method().margin == "soft"
    assert "triplet takes random triplets: it has no selector" in unused(triplet)
    assert unused(SMALL) == ""


@pytest.mark.parametrize("selector", SELECTORS_OF["online-triplet"])
def test_the_soft_margin_goes_with_the_selectors_that_the_experiments_allow(selector: str) -> None:
    settings = replace(SMALL, selector=selector, margin="soft")
    assert bool(problems(settings, [10] * 10)) == (selector not in SOFT)
    if selector in SOFT:
        settings.to_method().loss()
    else:
        with pytest.raises(ValueError, match="soft margin"):
            settings.to_method()


def test_the_datasets_loads_a_data_set_once_and_only_when_it_must() -> None:
    datasets = DataSets()
    full, embedded = (Settings(dataset="fashion-mnist", embedded=value) for value in (False, True))
    assert datasets.class_sizes(full) == [6000] * 10
    assert not datasets.loaded
    assert datasets.class_sizes(embedded) == [600] * 10
    train_set, test_set = datasets.load(embedded)
    assert (len(train_set), len(test_set), train_set.classes[0]) == (6000, 1000, "T-shirt/top")
    assert datasets.load(embedded)[0] is train_set
    assert datasets.names() == ["mnist", "fashion-mnist"]


def test_the_datasets_has_the_readers_images() -> None:
    own = part(True, 7), part(False, 5)
    datasets = DataSets(own=own)
    assert datasets.names() == [OWN, "mnist", "fashion-mnist"]
    assert datasets.load(SMALL) is own
    assert datasets.class_sizes(SMALL) == [7] * 10


@pytest.mark.parametrize("name", SMALLEST_CLASS)
def test_the_smallest_classes_are_known(name: str) -> None:
    try:
        images = load(name, root=None, download=False)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    if len(images) != 60_000:
        pytest.skip("there is no full data")
    assert int(images.targets.bincount().min()) == SMALLEST_CLASS[name]


# Watching


@pytest.mark.parametrize("method", METHODS)
def test_watching_a_run_does_not_change_it(method: str) -> None:
    train_set, test_set = part(True, 10), part(False, 5)
    settings = replace(SMALL, method=method, selector=METHODS[method].selector, batch_size=20, seed=4)
    seen: list[Snapshot] = []
    watcher = Watcher(lambda: False, lambda *_: None, seen.append)
    model, history = watched_fit(settings, train_set, test_set, watcher)
    plain, expected = fit_method(settings.to_method(), train_set, test_set, 2, seed=4, device="cpu", verbose=False)
    for mine, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, other)
    for name in set(expected) - {"seconds", "train_spread", "val_spread"}:
        assert history[name] == expected[name], name
    torch.testing.assert_close(seen[-1].embeddings, embed(model, test_set)[0])
    assert seen[-1].labels.tolist() == test_set.targets.tolist()


def test_there_are_pictures_before_training_and_after_every_epoch() -> None:
    seen: list[Snapshot] = []
    reports: list[tuple[int, int, int]] = []
    watcher = Watcher(lambda: False, lambda *numbers: reports.append(numbers), seen.append)
    _, history = watched_fit(SMALL, part(True, 10), part(False, 5), watcher)
    untrained = SMALL.to_method()
    torch.manual_seed(0)
    first = embed(untrained.network(part(True, 10)), part(False, 5))[0]
    torch.testing.assert_close(seen[0].embeddings, first)
    assert (seen[0].epochs, seen[0].losses) == (0, [])
    assert {0.0, 1.0, 2.0} <= {snapshot.epochs for snapshot in seen}
    assert not torch.allclose(seen[-1].embeddings, first)
    last = seen[-1]
    assert last.history == history
    assert (len(last.losses), len(last.counts), last.batches_per_epoch) == (4, 4, 2)
    assert sum(last.losses[2:]) / 2 == pytest.approx(history["train_loss"][1])
    assert sum(last.counts[2:]) / 2 == history["train_nonzero_triplets"][1]
    assert reports[0] == (1, 2, 2)


def test_pictures_within_an_epoch_are_taken_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamese_triplet.explorer.watching.PAUSES", (0.0, 0.0))
    seen: list[Snapshot] = []
    watched_fit(SMALL, part(True, 10), part(False, 5), Watcher(lambda: False, lambda *_: None, seen.append))
    assert {0.0, 0.5, 1.0, 1.5, 2.0} == {snapshot.epochs for snapshot in seen}


def test_a_picture_shows_a_thousand_test_images_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamese_triplet.explorer.watching.SHOWN", 20)
    seen: list[Snapshot] = []
    watched_fit(SMALL, part(True, 10), part(False, 5), Watcher(lambda: False, lambda *_: None, seen.append))
    assert seen[0].labels.bincount().tolist() == [2] * 10
    assert seen[0].n_test_images == 50


def test_a_watched_run_stops_before_the_next_batch() -> None:
    seen: list[Snapshot] = []
    stop_after = [6]

    def should_stop() -> bool:
        stop_after[0] -= 1
        return stop_after[0] < 0

    watcher = Watcher(should_stop, lambda *_: None, seen.append)
    _, history = watched_fit(replace(SMALL, n_epochs=50), part(True, 10), part(False, 5), watcher)
    assert history.n_epochs == 1  # asked at the start, twice in the first epoch, once in its validation, and twice more
    assert (seen[-1].epochs, stop_after) == (1, [-1])
    model, history = watched_fit(SMALL, part(True, 10), part(False, 5), Watcher(lambda: True, print, seen.append))
    assert history.n_epochs == 0
    torch.testing.assert_close(embed(model, part(False, 5))[0], seen[-1].embeddings)


def test_numbers_are_read_once_and_the_losses_of_training_only_are_kept() -> None:
    values = [1.0, torch.tensor(2.0), torch.tensor(3)]
    assert watching.read_numbers(values) == [1.0, 2.0, 3.0]
    assert values == [1.0, 2.0, 3.0]
    assert watching.read_numbers(values) is not values
    seen: list[Snapshot] = []
    watched_fit(SMALL, part(True, 10), part(False, 5), Watcher(lambda: False, lambda *_: None, seen.append))
    assert len(seen[-1].losses) == 4  # of two epochs with two training batches each, one of validation


# Sessions


def test_a_session_trains_and_computes_the_figures() -> None:
    listener = Listening()
    run = session_of(listener, embedding_size=4)
    assert run.is_running
    run.start()
    assert run.wait(LONG)
    assert not run.is_running
    outcome = listener.outcomes[-1]
    assert (outcome.number, outcome.ended, outcome.n_epochs, outcome.n_images) == (3, "finished", 2, 100)
    model, history = fit_method(run.settings.to_method(), part(True, 10), part(False, 5), 2, verbose=False)
    train, test = embed(model, part(True, 10)), embed(model, part(False, 5))
    assert outcome.knn_accuracy == knn_accuracy(*train, *test, k=5)
    assert outcome.map_at_r == retrieval_metrics(*test)["map_at_r"]
    assert outcome.history["val_loss"] == history["val_loss"]
    assert outcome.seconds > 0
    assert outcome.seconds_to_stop is None
    assert listener.n_ended == 1
    assert listener.parts[0] == 0
    assert listener.parts[-1] == 1
    assert any(re.match(r"Run 3: epoch 1 of 2, batch 1 of 2", text) for text in listener.texts)
    assert re.search(r"finished in .* s; kNN accuracy \d+\.\d\d%, MAP@R \d+\.\d\d%$", listener.texts[-1])


def test_stop_ends_a_run_before_its_epochs_are_done_and_keeps_what_was_learned() -> None:
    listener = Listening()
    run = session_of(listener, n_epochs=10_000)
    run.start()
    until(lambda: run.outcome.n_epochs)
    run.stop()
    assert run.wait(LONG)
    outcome = run.outcome
    assert outcome.ended == "stopped"
    assert 1 <= outcome.n_epochs < 10_000
    assert outcome.history.n_epochs == outcome.n_epochs
    assert outcome.seconds_to_stop >= 0
    assert 0 < outcome.knn_accuracy <= 1
    assert re.search(r"stopped in epoch \d+ of 10000, .* s after it was asked to; kNN", listener.texts[-1])


def test_stop_is_told_while_a_long_batch_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    batch_is_over = threading.Event()

    def one_batch(settings: Settings, train_set: Images, test_set: Images, watcher: Watcher) -> tuple:
        assert batch_is_over.wait(LONG)
        assert watcher.should_stop()
        return torch.nn.Identity(), History()

    monkeypatch.setattr(session, "watched_fit", one_batch)
    listener = Listening()
    run = session_of(listener)
    run.start()
    until(lambda: run.outcome.n_images)
    run.stop()
    until(lambda: run.outcome.ended == "stopped")
    assert "stopped in epoch 1 of 2" in listener.texts[-1]
    assert run.is_running
    batch_is_over.set()
    assert run.wait(LONG)
    assert (run.outcome.ended, run.outcome.knn_accuracy) == ("stopped", None)


@pytest.mark.parametrize("stopped_while", ["loading", "computing"])
def test_stop_does_not_wait_for_what_cannot_be_interrupted(monkeypatch, stopped_while: str) -> None:
    never = threading.Event()
    reached = threading.Event()

    def endless(*_: object) -> None:
        reached.set()
        never.wait()

    listener = Listening()
    run = session_of(listener)
    if stopped_while == "loading":
        run.load = endless
    else:
        monkeypatch.setattr(session, "run_metrics", endless)
    run.start()
    assert reached.wait(LONG)
    run.stop()
    assert run.wait(LONG)
    assert not run.is_running
    never.set()
    if stopped_while == "loading":
        assert (run.outcome.ended, run.outcome.n_epochs) == ("stopped", 0)
        assert "stopped before its first epoch" in listener.texts[-1]
    else:
        assert (run.outcome.ended, run.outcome.n_epochs, run.outcome.knn_accuracy) == ("finished", 2, None)
        assert "its metrics were left out" in listener.texts[-1]


def test_a_run_has_the_threads_of_its_beginning_whatever_goes_on_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search, for one, has other threads compute with one thread each, also those that start meanwhile."""
    found = []

    def watched_fit(*_: object) -> None:
        found.append(torch.get_num_threads())
        raise ValueError("that was all")

    monkeypatch.setattr(session, "watched_fit", watched_fit)
    torch.set_num_threads(2)
    try:
        of_two = session_of(Listening())
        torch.set_num_threads(1)
        of_two.start()
        assert of_two.wait(LONG)
    finally:
        torch.set_num_threads(1)
    assert found == [2]


def test_cancel_leaves_the_figures_out() -> None:
    run = session_of(Listening(), n_epochs=10_000)
    run.start()
    until(lambda: run.outcome.n_epochs)
    run.cancel()
    assert run.wait(LONG)
    assert (run.outcome.ended, run.outcome.knn_accuracy) == ("stopped", None)


def test_an_error_in_training_is_told() -> None:
    def load_nothing() -> None:
        raise FileNotFoundError("no such folder")

    listener = Listening()
    run = session_of(listener)
    run.load = load_nothing
    run.start()
    assert run.wait(LONG)
    assert (run.outcome.ended, run.outcome.message) == ("failed", "FileNotFoundError: no such folder")
    assert listener.texts[-1] == "Run 3: failed: FileNotFoundError: no such folder"
    assert listener.n_ended == 1


def test_a_run_that_diverges_fails_with_what_to_do() -> None:
    run = session_of(Listening(), method="siamese", learning_rate=1e30, n_epochs=5)
    run.start()
    assert run.wait(LONG)
    assert run.outcome.ended == "failed"
    assert re.search(r"FloatingPointError: epoch \d.* lower\s+learning rate", run.outcome.message)


def test_test_images_of_classes_of_one_image_have_no_map_at_r() -> None:
    run = session_of(Listening(), n_epochs=1)
    run.load = lambda: (part(True, 10), part(False, 1))
    run.start()
    assert run.wait(LONG)
    assert run.outcome.ended == "finished", run.outcome.message
    assert math.isnan(run.outcome.map_at_r)


# Collapse


@pytest.mark.parametrize(("method", "selector"), EVERY_METHOD)
def test_the_loss_of_a_point_is_what_the_loss_says_of_coinciding_embeddings(method: str, selector: str | None) -> None:
    settings = replace(SMALL, method=method, selector=selector, margin=0.6)
    if method == "softmax":
        assert collapsed_loss(settings) is None
    elif method in ("siamese", "triplet"):
        assert collapsed_loss(settings) == pytest.approx({"siamese": 0.5 * 0.6**2 / 2, "triplet": 0.6}[method])
    elif selector not in ("semihard", "hardest-semihard", "all-semihard", "nearest-beyond-positive", "easy-positive"):
        # those select nothing of a point, but of nearly one
        labels = torch.arange(10).repeat_interleave(5)
        loss = settings.to_method().loss()(torch.zeros(50, 2), labels)
        assert collapsed_loss(settings) == pytest.approx(float(loss[0] if method == "online-triplet" else loss))
    if selector in SOFT and method == "online-triplet":
        assert collapsed_loss(replace(settings, margin="soft")) == math.log(2)


@pytest.mark.parametrize(
    ("loss", "first", "now", "is_said"),
    [(1.0, 2.0, 0.9, True), (1.015, 2.0, 0.9, True), (1.0, 2.0, 1.1, False), (0.97, 2.0, 0.0, False)],
)
def test_a_collapse_is_said_with_its_remedy(loss: float, first: float, now: float, is_said: bool) -> None:
    said = collapse_message(SMALL, loss, first, now)
    assert bool(said) == is_said
    if is_said:
        assert f"stays at {loss:.3g}" in said
        assert "from 2 to 0.9" in said
        assert "random, semihard or batch-all" in said
        assert "unit sphere" in said
    assert collapse_message(replace(SMALL, method="softmax"), loss, first, now) == ""


def test_a_run_that_collapses_says_so_in_the_widget_and_nowhere_else() -> None:
    explorer = small_explorer(selector="batch-hard", n_epochs=10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        explorer.train()
        assert explorer.wait(LONG)
    [run] = explorer.runs
    assert run.message.startswith("The embeddings collapse: the loss stays at"), run
    assert "embeddings collapse" in text_of(explorer.panel.warning_html.value)
    assert "embeddings collapse" in text_of(explorer.panel.table_html.value)
    assert [str(warning.message) for warning in caught if "collapse" in str(warning.message)] == []


# Tables and files


def finished(number: int = 1, **changes) -> Outcome:
    made = Outcome(number, SMALL, "finished", 100, 2, 1.25, 0.5, 0.25, history=History(train_loss=[1.0, math.nan]))
    return replace(made, **changes)


def test_the_csv_has_a_line_for_each_run() -> None:
    softmax = finished(2, settings=replace(SMALL, method="softmax"), knn_accuracy=None, message='a "quoted", thing')
    first, second = csv.DictReader(io.StringIO(as_csv([finished(), softmax])))
    assert (first["run"], first["method"], first["selector"], first["margin"]) == (
        "1",
        "online-triplet",
        "random",
        "1.0",
    )
    assert (first["n_classes"], first["n_samples"], first["batch_size"]) == ("10", "5", "")
    assert (first["n_epochs"], first["asked_epochs"], first["knn_accuracy"]) == ("2", "2", "0.5")
    assert (second["selector"], second["margin"], second["n_classes"], second["batch_size"]) == ("", "", "", "128")
    assert (second["knn_accuracy"], second["message"]) == ("", 'a "quoted", thing')
    assert as_csv([]).startswith("run,dataset,")


def test_the_json_has_the_histories_and_no_nan() -> None:
    [run] = json.loads(as_json([finished(map_at_r=math.nan)]))
    assert (run["run"], run["map_at_r"], run["ended"]) == (1, None, "finished")
    assert run["history"] == {"train_loss": [1.0, None]}


def test_the_table_shows_what_applies_and_marks_the_best() -> None:
    runs = [
        finished(1, knn_accuracy=0.5),
        finished(2, knn_accuracy=0.75, settings=replace(SMALL, method="softmax", batch_size=77)),
        finished(3, ended="failed", knn_accuracy=None, map_at_r=None, seconds=0.0, message="a < b"),
    ]
    table = as_html(runs)
    assert table.count("<tr>") == 4
    assert re.findall("<b>(.*?)</b>", table) == ["75.00 %"]
    lines = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    expected = ["own images, 100", "online-triplet", "random", "1", "2", "10 × 5", "0.001", "2 of 2"]
    assert lines[0][1:9] == expected
    assert lines[1][3:7] == ["–", "–", "2", "77"]
    assert lines[2][9:] == ["–", "–", "–", "failed: a &lt; b"]
    assert as_html([]) == ""


@pytest.mark.parametrize(
    ("seconds", "done", "said"),
    [
        (5, 0, ""),
        (5, 0.5, "about 5 s left"),
        (10, 0.95, "less than a second left"),
        (10, 0.1, "about 2 min left"),
        (100, 0.1, "about 15 min left"),
        (1000, 0.1, "about 2.5 h left"),
        (5, 1, "less than a second left"),
    ],
)
def test_the_time_left_is_told_in_words(seconds: float, done: float, said: str) -> None:
    assert time_left(seconds, done) == said


def test_the_runs_are_exported_by_the_ending(tmp_path) -> None:
    explorer = small_explorer(n_epochs=1)
    explorer.train()
    assert explorer.wait(LONG)
    explorer.export(tmp_path / "new" / "runs.csv")
    explorer.export(str(tmp_path / "runs.JSON"))
    assert (tmp_path / "new" / "runs.csv").read_text() == as_csv(explorer.runs)
    assert json.loads((tmp_path / "runs.JSON").read_text())[0]["ended"] == "finished"
    with pytest.raises(ValueError, match=r"runs.txt ends in '.txt'; .* a .csv or a .json file"):
        explorer.export(tmp_path / "runs.txt")
    found = re.findall(r'download="([^"]*)".*?base64,([^"]*)"', explorer.panel.links_html.value)
    decoded = {name: base64.b64decode(contents).decode() for name, contents in found}
    assert decoded == {"runs.csv": as_csv(explorer.runs), "runs.json": as_json(explorer.runs)}


# Pictures


def test_the_plane_of_larger_embeddings_is_their_principal_components() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(50, 5, generator=generator) * torch.tensor([1.0, 9.0, 2.0, 5.0, 0.5]) + 100
    points, share = plane(embeddings)
    centred = (embeddings - embeddings.mean(dim=0)).double()
    values = torch.linalg.svdvals(centred)
    assert share == pytest.approx(float(values[:2].square().sum() / values.square().sum()))
    torch.testing.assert_close(points.double().norm(dim=0), values[:2], rtol=1e-5, atol=0)
    assert abs(float(points[:, 0] @ points[:, 1])) < 1e-2
    assert torch.corrcoef(torch.stack([points[:, 0], embeddings[:, 1]]))[0, 1] > 0.9
    assert torch.corrcoef(torch.stack([points[:, 1], embeddings[:, 3]]))[0, 1] > 0.9


def test_embeddings_of_one_dimension_lie_on_a_line_and_any_arithmetic_is_drawn() -> None:
    points, share = plane(torch.tensor([[1.0], [3.0]], dtype=torch.bfloat16))
    assert points.tolist() == [[1, 0], [3, 0]]
    assert (points.dtype, share) == (torch.float32, 1)
    assert plane(torch.ones(2, 2, dtype=torch.bfloat16))[0].dtype == torch.float32


def test_embeddings_of_the_plane_stay_and_a_single_point_is_one() -> None:
    embeddings = torch.randn(9, 2)
    points, share = plane(embeddings)
    assert points is embeddings
    assert share is None
    points, share = plane(torch.ones(9, 3))
    assert (points.abs().max(), share) == (0, 1)


def test_pictures_say_what_they_show() -> None:
    shown, alt = picture(embedding_image(snapshot_of()))
    assert "30 of 30 test images, within epoch 2 of 3" in alt
    assert "10 classes" in alt
    assert shown.std() > 0
    _, alt = picture(embedding_image(snapshot_of(size=7, epochs=3.0, n_test_images=1000)))
    assert re.search("30 of 1,000 test images, after epoch 3 of 3, .* principal components 1 and 2 of 7-D", alt)
    assert moment_of(snapshot_of(epochs=0.0)) == "before training"
    _, alt = picture(curves_image(snapshot_of()))
    assert alt.startswith("Curves of the loss and of active triplets a batch over the epochs, within epoch 2 of 3; ")
    assert alt.endswith("the loss of the last batch is 0.25")


def test_pictures_show_every_class_in_a_colour_of_its_own() -> None:
    shown, _ = picture(embedding_image(snapshot_of(n=400)))
    colours = {tuple(colour) for colour in shown.reshape(-1, 3)}
    for colour in ("332288", "88CCEE", "117733", "DDCC77", "CC6677", "AA4499", "44AA99", "999933", "882255", "777777"):
        assert tuple(bytes.fromhex(colour)) in colours


def test_the_curves_follow_the_batches_and_the_epochs() -> None:
    empty = snapshot_of(losses=[], counts=[], history=History())
    some = snapshot_of(history=History())
    pictures = [picture(curves_image(each))[0] for each in (empty, some, snapshot_of())]
    for one, other in itertools.combinations(pictures, 2):
        assert (one != other).any()


@pytest.mark.parametrize(
    ("method", "counted"),
    [
        (METHODS["softmax"], ("accuracy", "accuracy (%)")),
        (METHODS["siamese"], None),
        (METHODS["online-triplet"], ("nonzero_triplets", "active triplets a batch")),
        (Method("online-triplet", selector=BATCH_ALL), ("nonzero_triplets", "active triplets a batch")),
        (Method("online-triplet", selector="batch-hard"), ("nonzero_triplets", "selected triplets a batch")),
    ],
)
def test_the_second_curve_is_called_what_it_is(method: Method, counted: tuple[str, str] | None) -> None:
    assert counted_by(snapshot_of(method=method)) == counted


def test_drawing_logs_nothing_and_leaves_pyplot_alone(caplog: pytest.LogCaptureFixture) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    with caplog.at_level(logging.INFO, "matplotlib"):
        for stretched in ([1.0, 1.0], [9.0, 1.0], [1.0, 9.0]):
            embedding_image(snapshot_of(embeddings=torch.randn(30, 2) * torch.tensor(stretched)))
        curves_image(snapshot_of())
    assert caplog.records == []
    assert plt.get_fignums() == before


def test_a_painter_leaves_out_what_was_overtaken() -> None:
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


def test_a_painter_that_fails_says_so_and_paints_the_next() -> None:
    failures: list[Exception] = []
    painted: list[float] = []
    painter: Painter[int] = Painter(lambda number: painted.append(1 / number), failures.append)
    for number in (0, 2):
        painter.show(number)
        assert painter.wait(LONG)
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    assert painted == [0.5]


# The widget


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


def test_a_second_run_is_refused_while_one_goes_on() -> None:
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


def test_a_picture_that_cannot_be_drawn_says_so() -> None:
    explorer = small_explorer()
    explorer.panel.snapshot(snapshot_of(embeddings=torch.full((30, 3), math.nan)))
    assert explorer.panel.painter.wait(LONG)
    assert "could not be drawn" in explorer.panel.embedding_html.value


def test_reset_ends_the_run_and_puts_all_back_but_the_table() -> None:
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


def test_the_form_switches_off_what_does_not_apply() -> None:
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
    assert controls.soft.disabled is False  # it has to be switched off
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
    shown = make()
    told = []
    monkeypatch.setattr(widgets.DOMWidget, "send_state", lambda control, key=None: told.append((control, key)))
    change(shown)
    controls = [part for part in parts_of(shown.widget) if isinstance(getattr(part, "disabled", None), bool)]
    assert len(controls) > 4
    assert all((control, "disabled") in told for control in controls)


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, method="triplet", selector=None, margin="soft", seed=3)])
def test_the_form_gives_back_the_settings_it_is_given(settings: Settings) -> None:
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


def test_what_the_form_does_not_offer_is_an_error() -> None:
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


def test_data_that_cannot_be_loaded_is_told(tmp_path) -> None:
    explorer = explore(root=tmp_path / "nowhere", embedded=True)
    explorer.datasets.load = lambda settings: (_ for _ in ()).throw(FileNotFoundError("no data there"))
    explorer.settings = replace(explorer.settings, dataset="fashion-mnist")
    assert explorer.message == "FileNotFoundError: no data there"
    assert explorer.train() is False


def test_it_shows_itself_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    for module in ("view", "picker"):
        monkeypatch.setattr(f"siamese_triplet.explorer.{module}.display", lambda bundle, raw: shown.append(bundle))
    explorer = small_explorer()
    explorer._ipython_display_()
    picker = pick_triplets(*clusters())
    picker._ipython_display_()
    for bundle, widget in zip(shown, (explorer.widget, picker.widget), strict=True):
        assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
        assert "need a running kernel" in bundle["text/plain"]


# Picking triplets


def clusters(n_classes: int = 5, n_samples: int = 4, size: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(n_classes).repeat_interleave(n_samples)
    return torch.randn(len(labels), size, generator=generator) + labels[:, None] / 2, labels


@pytest.mark.parametrize("selector", [*TRIPLET_SELECTORS, BATCH_ALL])
def test_the_selected_triplets_are_the_selectors_with_their_losses(selector: str) -> None:
    embeddings, labels = clusters()
    found = select(Batch(embeddings, labels), "triplets", selector, 0.7)
    rows = embeddings.double().tolist()
    assert len(found) > 0
    costs = [max(0.0, reference.triplet_cost(rows, triplet, 0.7)) for triplet in found.indices.tolist()]
    assert found.losses.tolist() == pytest.approx(costs, abs=1e-5)
    assert found.losses.tolist() == sorted(found.losses.tolist(), reverse=True)
    everything = {tuple(triplet) for triplet in reference.all_triplets(labels.tolist())}
    assert found.n_possible == len(everything)
    chosen = {tuple(triplet) for triplet in found.indices.tolist()}
    assert chosen <= everything
    if selector == BATCH_ALL:
        assert chosen == {triplet for triplet in everything if reference.triplet_cost(rows, triplet, 0.7) > 0}
    same = {"hardest": HardestNegativeTripletSelector(0.7), "batch-hard": BatchHardTripletSelector()}.get(selector)
    if same:
        assert chosen == {tuple(triplet) for triplet in same.get_triplets(embeddings, labels).tolist()}
    assert str(found).startswith(f"{len(found):,} of the {len(everything):,} triplets of the batch are selected; ")
    assert f"{sum(costs) / len(costs):.4g}" in str(found)


@pytest.mark.parametrize("selector", PAIR_SELECTORS)
def test_the_selected_pairs_are_the_selectors_with_their_losses(selector: str) -> None:
    embeddings, labels = clusters()
    found = select(Batch(embeddings, labels), "pairs", selector, 0.7)
    pairs = found.indices.tolist()
    expected = PAIR_SELECTORS[selector](torch.Generator().manual_seed(0)).get_pairs(embeddings, labels)
    assert sorted(pairs) == sorted(torch.cat(expected).tolist())
    assert found.n_possible == 20 * 19 / 2
    for (left, right), loss in zip(pairs, found.losses.tolist(), strict=True):
        distance = math.dist(embeddings[left].tolist(), embeddings[right].tolist())
        is_positive = labels[left] == labels[right]
        assert loss == pytest.approx(0.5 * (distance**2 if is_positive else max(0, 0.7 - distance) ** 2), abs=1e-5)


def test_an_unknown_selector_or_margin_is_an_error() -> None:
    batch = Batch(*clusters())
    with pytest.raises(ValueError, match="unknown selector 'hard' for 'triplets'; there are, for triplets: 'random'"):
        select(batch, "triplets", "hard", 1.0)
    with pytest.raises(ValueError, match="for 'quadruplets'"):
        select(batch, "quadruplets", "hard", 1.0)
    with pytest.raises(ValueError, match="margin must be a finite number"):
        select(batch, "triplets", "hardest", -1.0)


@pytest.mark.usefixtures("global_random_state_untouched")
def test_a_batch_is_balanced_and_keeps_embeddings_labels_and_images_together() -> None:
    images = part(True, 20)
    embeddings = torch.arange(200.0)[:, None].expand(-1, 3)
    batch = batch_of(embeddings, images.targets, images, n_classes=4, n_samples=6, seed=2)
    assert sorted(batch.labels.bincount()[batch.labels.unique()].tolist()) == [6] * 4
    assert batch.labels.tolist() == sorted(batch.labels.tolist())
    for row, label, pixels in zip(batch.embeddings, batch.labels, batch.images, strict=True):
        assert torch.equal(pixels, images[int(row[0])][0])
        assert label == images.targets[int(row[0])]
    again = batch_of(embeddings, images.targets, images, n_classes=4, n_samples=6, seed=2)
    assert torch.equal(again.embeddings, batch.embeddings)
    other = batch_of(embeddings, images.targets, images, n_classes=4, n_samples=6, seed=3)
    assert not torch.equal(other.embeddings, batch.embeddings)
    few = batch_of(*clusters(), n_classes=10, n_samples=16)
    assert (few.embeddings.shape, few.images) == ((20, 2), None)
    assert few.class_of(0) == "0"


def test_a_model_embeds_a_batch_of_images() -> None:
    images = part(False, 20)
    torch.manual_seed(0)
    net = METHODS["online-triplet"].network(images)
    batch = batch_of(images=images, model=net, n_samples=16)
    assert batch.labels.bincount().tolist() == [16] * 10
    with torch.no_grad():
        torch.testing.assert_close(net(batch.images), batch.embeddings)
    assert batch.class_of(0) == images.classes[0]


def test_without_arguments_a_network_is_trained_on_the_embedded_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_part(name: str, train: bool = True, subset: str | None = None) -> Images:
        asked.append((name, train, subset))
        return part(train, 25)

    monkeypatch.setattr(selection, "load", load_part)
    picker = pick_triplets()
    assert set(asked) == {("mnist", True, "embedded"), ("mnist", False, "embedded")}
    assert picker.batch.embeddings.shape == (160, 2)
    assert picker.selection.n_possible == 345_600


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"embeddings": torch.zeros(3, 2)}, "got no labels for 3 embeddings"),
        ({"embeddings": torch.zeros(3, 2), "labels": torch.tensor([0, 1])}, "3 embeddings but 2 labels"),
        ({"embeddings": torch.zeros(3, 2), "labels": torch.arange(3), "images": part(True, 1)}, "got 10 images for 3"),
    ],
)
def test_what_does_not_fit_together_is_an_error(given: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pick_triplets(**given)


def test_the_picker_shows_a_selection_and_steps_through_it() -> None:
    images = part(True, 8)
    embeddings = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    picker = pick_triplets(embeddings, images.targets, images, selector="hardest", n_classes=4, n_samples=5)
    n = len(picker.selection)
    assert str(picker.selection) in text_of(picker.count_html.value)
    assert f"Triplet 1 of {n}: positive at distance" in text_of(picker.chosen_html.value)
    first = picture(picker.picture_html.value)[0]
    assert "a line between anchor and negative" in picture(picker.picture_html.value)[1]
    names = [picker.batch.class_of(index) for index in picker.selection.indices[0].tolist()]
    alt = picture(picker.examples_html.value)[1]
    assert f"anchor: {names[0]}, positive: {names[1]}, negative: {names[2]}" in alt
    picker.next_button.click()
    assert (picker.place, f"Triplet 2 of {n}" in text_of(picker.chosen_html.value)) == (1, True)
    assert (picture(picker.picture_html.value)[0] != first).any()
    picker.previous_button.click()
    picker.previous()
    assert picker.place == n - 1
    picker.next()
    assert picker.place == 0
    picker.next()
    picker.kind.value = "pairs"
    assert picker.selector.options == tuple(PAIR_SELECTORS)
    assert (picker.place, picker.selection.indices.shape[1]) == (0, 2)
    assert re.search(r"Pair 1 of \d+: (positive|negative) at distance", text_of(picker.chosen_html.value))
    picker.selector.value = "all"
    picker.margin.value = 50.0
    assert len(picker.selection) == len(select(picker.batch, "pairs", "all", 50.0))
    assert float(picker.selection.losses[0]) > 100


def test_in_the_book_nothing_is_shown_that_needs_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    images = part(True, 8)
    embeddings = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    options = {"kind": "pairs", "selector": "batch-hard", "margin": 0.5, "n_samples": 5}
    picker = pick_triplets(embeddings, images.targets, images, **options)
    figure = picker.to_figure()
    assert (figure.kind, figure.data["selector"], figure.data["margin"]) == ("selector-bench", "pair:batch-hard", 0.5)
    assert figure.data["labels"] == picker.batch.labels.tolist()
    assert figure.data["classes"] == images.classes
    shown = []
    for module in ("view", "picker"):
        monkeypatch.setattr(f"siamese_triplet.explorer.{module}.display", lambda what, **_: shown.append(what))
    monkeypatch.setenv(IN_BOOK, "1")
    picker._ipython_display_()
    small_explorer()._ipython_display_()
    assert shown[0] == figure
    assert list(shown[1]) == ["text/plain"]


def test_without_images_the_picker_is_a_figure_too() -> None:
    batch_all = pick_triplets(*clusters(size=2), selector="batch-all").to_figure()
    assert batch_all.data["selector"] == "triplet:batch-all"
    with pytest.raises(ValueError, match="of the plane"):
        pick_triplets(*clusters(size=6)).to_figure()


def test_larger_embeddings_are_picked_from_too_and_without_images() -> None:
    picker = pick_triplets(*clusters(size=6), kind="pairs", selector="batch-hard")
    assert picture(picker.picture_html.value)[0].std() > 0
    assert picker.examples_html.value == ""


def test_an_empty_selection_is_said() -> None:
    embeddings, labels = clusters()
    far_apart = embeddings * 0 + labels[:, None] * 100.0
    picker = pick_triplets(far_apart, labels, selector="hardest")
    assert len(picker.selection) == 0
    assert "0 of the" in text_of(picker.count_html.value)
    assert "No triplets of this batch are selected" in text_of(picker.chosen_html.value)
    assert picker.next_button.disabled is True
    picker.next()
    assert picker.place == 0
    assert describe(picker.batch, picker.selection, 0).startswith("No triplets")


def test_the_modules_of_the_logic_know_no_widgets() -> None:
    for module in (settings, watching, session, records, selection, pictures):
        assert "widgets" not in vars(module)
