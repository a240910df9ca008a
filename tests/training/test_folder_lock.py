"""The lock on a folder: one holder at a time, and none after the holder's end."""

import errno
import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest
from forked import fork_context
from test_distributed import group, train

from siamese_triplet import cli
from siamese_triplet.methods import METHODS
from siamese_triplet.runs import Data, Run, folder_lock, train_run
from siamese_triplet.runs.folder_lock import locked

MINUTE = 60


def test_a_second_holder_is_refused_naming_the_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "new" / "run"):
        for _ in range(2):  # the refused one changes nothing
            with (
                pytest.raises(ValueError, match=r"another process is training in .*new/run; wait until"),
                locked(tmp_path / "new" / "run"),
            ):
                pass
    with locked(tmp_path / "new" / "run"), locked(tmp_path / "other"):
        pass


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_lock_ends_with_its_block_and_leaves_no_file(error: type[BaseException] | None, tmp_path: Path) -> None:
    for _ in range(3):
        with nullcontext() if error is None else pytest.raises(error), locked(tmp_path):
            assert [path.name for path in tmp_path.iterdir()] == [".lock"]
            if error is not None:
                raise error
        assert list(tmp_path.iterdir()) == []


def hold(folder: Path, held: Event, end: Event) -> None:
    with locked(folder):
        held.set()
        end.wait(MINUTE)


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    context = fork_context()
    held, end = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path, held, end))
    process.start()
    assert held.wait(MINUTE)
    with pytest.raises(ValueError, match="another process"), locked(tmp_path):
        pass
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / ".lock").exists()
    with locked(tmp_path):
        pass


def compete(folder: Path, start: Barrier, results: Queue) -> None:
    """Take the lock a hundred times; within it, a file that must not exist is created and removed."""
    start.wait(MINUTE)
    taken = 0
    while taken < 100:
        try:
            with locked(folder):
                os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
                os.unlink(folder / "inside")
                taken += 1
        except ValueError:
            pass
    results.put(taken)


def test_processes_that_compete_never_hold_the_lock_together(tmp_path: Path) -> None:
    context = fork_context()
    start, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=compete, args=(tmp_path, start, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=MINUTE) for _ in processes] == [100] * 4
    for process in processes:
        process.join()
        assert process.exitcode == 0


def test_training_in_a_folder_in_use_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with locked(tmp_path):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(ValueError, match=rf"another process is training in {tmp_path}"):
            train_run(Run(Data("mnist", True), METHODS["softmax"], 1), tmp_path, device="cpu", verbose=False)
        assert sorted(tmp_path.iterdir()) == before


def fails_with(number: int) -> Callable:
    def lock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return lock


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_gives_a_warning(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    monkeypatch.setattr(folder_lock.fcntl, "flock", fails_with(number))
    with pytest.warns(UserWarning, match="cannot be locked .* start no second process"), locked(tmp_path):
        pass


def test_of_several_processes_the_first_takes_the_lock_and_all_end_if_it_cannot(tmp_path: Path) -> None:
    arguments = train(tmp_path, 1)
    for is_free in (False, True):
        with (
            nullcontext() if is_free else locked(tmp_path / "run"),
            group(2, partial(cli.main, arguments), tmp_path) as processes,
        ):
            for rank, process in enumerate(processes):
                process.join(MINUTE)
                errors = (tmp_path / f"{rank}.errors").read_text()
                assert process.exitcode == (0 if is_free else 1), errors
                assert is_free or f"another process is training in {tmp_path / 'run'}" in errors
