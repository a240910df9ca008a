"""Watching a run between its batches."""

from dataclasses import replace

import pytest
import torch
from explorer_cases import SMALL
from toy_data import part

from siamese_triplet.evaluation import embed
from siamese_triplet.explorer import (
    watching,
)
from siamese_triplet.explorer.watching import Snapshot, Watcher, watched_fit
from siamese_triplet.methods import METHODS, fit_method


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


def test_numbers_are_read_once_and_only_training_losses_are_kept() -> None:
    values = [1.0, torch.tensor(2.0), torch.tensor(3)]
    assert watching.read_numbers(values) == [1.0, 2.0, 3.0]
    assert values == [1.0, 2.0, 3.0]
    assert watching.read_numbers(values) is not values
    seen: list[Snapshot] = []
    watched_fit(SMALL, part(True, 10), part(False, 5), Watcher(lambda: False, lambda *_: None, seen.append))
    assert len(seen[-1].losses) == 4  # of two epochs with two training batches each, one of validation
