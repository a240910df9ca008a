import io
import sys
from typing import Any

import pytest
import torch
from tqdm import tqdm

from siamese_triplet.trainer import progress
from siamese_triplet.trainer.progress import Progress, epoch_line

RESULTS = {
    "train_loss": 0.123456,
    "train_accuracy": 96.0,
    "val_loss": 0.15,
    "val_nonzero_triplets": 12345.6,
    "learning_rate": 0.001,
    "seconds": 12.34,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(show: Progress) -> None:
    losses = []
    for epoch in range(2):
        show.start(epoch)
        for _ in range(3):
            losses.append(torch.tensor(0.5))
            show.step(losses)
        show.finish(epoch, RESULTS)
    show.close()


def use_tqdm(monkeypatch: pytest.MonkeyPatch, **fixed: float) -> None:
    """Fix options of tqdm, whatever the environment variables, which it reads when it is imported."""

    class Tqdm(tqdm):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options, **fixed)

    monkeypatch.setattr(progress, "tqdm", Tqdm)


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard error a terminal that keeps its text, with a bar that shows every step."""
    stderr = Terminal()
    monkeypatch.delenv("TQDM_DISABLE", raising=False)  # as for the chapters
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(progress, "REFRESH", 0)
    use_tqdm(monkeypatch, disable=False, mininterval=0)
    return stderr


def test_a_line_has_the_results_of_an_epoch() -> None:
    expected = "Epoch  3/20  train loss 0.1235, accuracy 96  val loss 0.15, nonzero triplets 1.235e+04  (12.3 s)"
    assert epoch_line(2, 20, RESULTS) == expected
    assert (
        epoch_line(0, 1, {"train_loss": 1.0, "learning_rate": 1.0, "seconds": 0}) == "Epoch 1/1  train loss 1  (0.0 s)"
    )


def test_without_a_terminal_there_is_a_line_per_epoch_and_no_bar(capsys: pytest.CaptureFixture) -> None:
    run(Progress(2, 3, verbose=True))
    out, err = capsys.readouterr()
    assert out.splitlines() == [epoch_line(0, 2, RESULTS), epoch_line(1, 2, RESULTS)]
    assert err == ""


def test_a_terminal_gets_a_bar_with_the_loss_which_disappears(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    stderr = terminal(monkeypatch)
    run(Progress(2, 3, verbose=True))
    shown = stderr.getvalue()
    assert "Epoch 2/2" in shown
    assert "loss=0.5" in shown
    assert "3/3" in shown
    assert shown.endswith("\r")
    assert capsys.readouterr().out.splitlines() == [epoch_line(0, 2, RESULTS), epoch_line(1, 2, RESULTS)]


def test_quiet_is_silent_in_a_terminal_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    stderr = terminal(monkeypatch)
    show = Progress(2, 3, verbose=False)
    run(show)
    show.say("never shown")
    assert stderr.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_a_disabled_bar_leaves_the_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    stderr = terminal(monkeypatch)
    use_tqdm(monkeypatch, disable=True)
    run(Progress(2, 3, verbose=True))
    assert stderr.getvalue() == ""
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_loader_of_unknown_length_and_no_epochs_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal(monkeypatch)
    run(Progress(2, None, verbose=True))
    assert "3it" in stderr.getvalue()
    assert Progress(0, 3, verbose=True).bar is None


def test_between_two_refreshes_nothing_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal(monkeypatch)
    monkeypatch.setattr(progress, "REFRESH", 1000)
    show = Progress(1, 3, verbose=True)
    show.start(0)
    unreadable = [torch.zeros((), device="meta")]
    for _ in range(3):
        show.step(unreadable)
    monkeypatch.setattr(progress, "REFRESH", -1)
    show.step([torch.tensor(0.25)])
    assert "loss=0.25" in stderr.getvalue()
    assert show.bar.n == 4
    show.close()
