"""Sessions: a run in a thread, Stop, metrics and collapse."""

import math
import re
import threading
import warnings
from dataclasses import replace

import pytest
import torch
from explorer_cases import EVERY_METHOD, LONG, SMALL, Listening, session_of, small_explorer, text_of, until
from toy_data import part

from siamese_triplet import Images, knn_accuracy, retrieval_metrics
from siamese_triplet.evaluation import embed
from siamese_triplet.explorer import (
    Settings,
    session,
)
from siamese_triplet.explorer.session import collapse_message, collapsed_loss
from siamese_triplet.explorer.watching import Watcher
from siamese_triplet.methods import fit_method
from siamese_triplet.selectors.by_name import (
    SOFT,
)
from siamese_triplet.trainer import History


def test_a_session_trains_and_computes_the_metrics() -> None:
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


def test_stop_ends_a_run_early_and_keeps_its_network() -> None:
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


def test_stop_is_reported_during_a_long_batch(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_stop_does_not_wait_for_loading_or_metrics(monkeypatch, stopped_while: str) -> None:
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


def test_a_run_keeps_the_number_of_threads_it_was_created_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search, for example, limits other threads to one thread each, including those that start during it."""
    found = []

    def watched_fit(*_: object) -> None:
        found.append(torch.get_num_threads())
        raise ValueError("no more")

    monkeypatch.setattr(session, "watched_fit", watched_fit)
    torch.set_num_threads(2)
    try:
        run = session_of(Listening())
        torch.set_num_threads(1)
        run.start()
        assert run.wait(LONG)
    finally:
        torch.set_num_threads(1)
    assert found == [2]


def test_cancel_leaves_the_metrics_out() -> None:
    run = session_of(Listening(), n_epochs=10_000)
    run.start()
    until(lambda: run.outcome.n_epochs)
    run.cancel()
    assert run.wait(LONG)
    assert (run.outcome.ended, run.outcome.knn_accuracy) == ("stopped", None)


def test_an_error_in_loading_is_reported() -> None:
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


def test_a_run_that_diverges_fails_with_a_remedy() -> None:
    run = session_of(Listening(), method="siamese", learning_rate=1e30, n_epochs=5)
    run.start()
    assert run.wait(LONG)
    assert run.outcome.ended == "failed"
    assert re.search(r"FloatingPointError: epoch \d.* lower\s+learning rate", run.outcome.message)


def test_map_at_r_is_nan_for_one_test_image_per_class() -> None:
    run = session_of(Listening(), n_epochs=1)
    run.load = lambda: (part(True, 10), part(False, 1))
    run.start()
    assert run.wait(LONG)
    assert run.outcome.ended == "finished", run.outcome.message
    assert math.isnan(run.outcome.map_at_r)


@pytest.mark.parametrize(("method", "selector"), EVERY_METHOD)
def test_the_collapsed_loss_is_the_loss_of_coinciding_embeddings(method: str, selector: str | None) -> None:
    settings = replace(SMALL, method=method, selector=selector, margin=0.6)
    if method == "softmax":
        assert collapsed_loss(settings) is None
    elif method in ("siamese", "triplet"):
        assert collapsed_loss(settings) == pytest.approx({"siamese": 0.5 * 0.6**2 / 2, "triplet": 0.6}[method])
    elif selector not in ("semihard", "hardest-semihard", "all-semihard", "nearest-beyond-positive", "easy-positive"):
        # the others select nothing from coinciding embeddings
        labels = torch.arange(10).repeat_interleave(5)
        loss = settings.to_method().loss()(torch.zeros(50, 2), labels)
        assert collapsed_loss(settings) == pytest.approx(float(loss[0] if method == "online-triplet" else loss))
    if selector in SOFT and method == "online-triplet":
        assert collapsed_loss(replace(settings, margin="soft")) == math.log(2)


@pytest.mark.parametrize(
    ("loss", "first", "now", "is_reported"),
    [(1.0, 2.0, 0.9, True), (1.015, 2.0, 0.9, True), (1.0, 2.0, 1.1, False), (0.97, 2.0, 0.0, False)],
)
def test_a_collapse_is_reported_with_its_remedy(loss: float, first: float, now: float, is_reported: bool) -> None:
    message = collapse_message(SMALL, loss, first, now)
    assert bool(message) == is_reported
    if is_reported:
        assert f"stays at {loss:.3g}" in message
        assert "from 2 to 0.9" in message
        assert "random, semihard or batch-all" in message
        assert "unit sphere" in message
    assert collapse_message(replace(SMALL, method="softmax"), loss, first, now) == ""


def test_a_collapse_is_reported_in_the_widget_only() -> None:
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
