"""Several processes against one: the same losses, selections and gradients, and the death of a process."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import distributed_worker as worker
import pytest
import torch
from forked import fork_context
from test_kill import small_run

from siamese_triplet import cli
from siamese_triplet.distributed import Share, gather, gather_objects, is_distributed, is_first, process_group
from siamese_triplet.trainer import load_checkpoint

MINUTE = 60
ON_ONE_MACHINE = {"GLOO_SOCKET_IFNAME": "lo"}


def train(folder: Path, n_epochs: int) -> list[str]:
    """Return arguments that train on a few small images, in `folder` / "run"."""
    small_run(folder / "images")
    options = {"--dataset": folder / "images", "--image-size": 16, "--n-classes": 3, "--n-samples": 4}
    options |= {"--epochs": n_epochs, "--out": folder / "run"}
    return ["train", *(str(word) for option in options.items() for word in option)]


@contextmanager
def group(n: int, work: Callable[[], int | None], folder: Path) -> Iterator[list[BaseProcess]]:
    """Start `n` processes that do `work`, as torchrun does; their errors go to `folder` / "RANK.errors"."""
    address = {"WORLD_SIZE": str(n), "MASTER_ADDR": "localhost", "MASTER_PORT": free_port()} | ON_ONE_MACHINE
    started = [
        fork_context().Process(target=worker.run_as_rank, args=(rank, address, folder / f"{rank}.errors", work))
        for rank in range(n)
    ]
    for process in started:
        process.start()
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.join()


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return str(listening.getsockname()[1])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("alone")
    worker.main(folder)
    return torch.load(folder / "0.pt", weights_only=True)


@pytest.fixture(scope="module", params=[2, 4])
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    folder = tmp_path_factory.mktemp(f"processes-{request.param}")
    with group(request.param, partial(worker.main, folder), folder) as processes:
        for rank, process in enumerate(processes):
            process.join(5 * MINUTE)
            assert process.exitcode == 0, (folder / f"{rank}.errors").read_text()
    return folder, [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.parametrize("case", worker.CASES)
def test_losses_selections_and_gradients_are_those_of_one_process(case: str, alone: dict, together: tuple) -> None:
    _, results = together
    expected = alone["passes"][case]
    assert len(expected) >= 2
    for result in results:
        for found, right in zip(result["passes"][case], expected, strict=True):
            torch.testing.assert_close(found["loss"], right["loss"], rtol=1e-5, atol=1e-6)
            for gradient, right_one in zip(found["gradients"], right["gradients"], strict=True):
                torch.testing.assert_close(gradient, right_one, rtol=1e-5, atol=1e-5)
            assert [chosen.tolist() for chosen in found["chosen"]] == [chosen.tolist() for chosen in right["chosen"]]


def test_one_process_stops_all_after_the_same_batch(alone: dict, together: tuple) -> None:
    _, results = together
    for result in (alone, *results):
        assert (result["stopped"]["n_epochs"], result["stopped"]["last"]) == (1, (2, 3))


def test_the_cases_select_something(alone: dict) -> None:
    for case, passes in alone["passes"].items():
        selects = case not in ("softmax", "siamese", "triplet", "batch-all")
        assert all(bool(batch["chosen"]) == selects for batch in passes)
        assert not selects or any(len(chosen) for batch in passes for chosen in batch["chosen"])
        assert any(gradient.abs().max() > 1e-3 for batch in passes for gradient in batch["gradients"])


@pytest.mark.parametrize("what", ["trained", "resumed"])
def test_a_run_of_fit_equals_that_of_one_process(what: str, alone: dict, together: tuple) -> None:
    _, results = together
    expected = alone["trained"]
    for result in results:
        found = result[what]
        assert found["history"].keys() == expected["history"].keys()
        for name, values in expected["history"].items():
            assert found["history"][name] == pytest.approx(values, rel=1e-9)
        torch.testing.assert_close(found["weights"], expected["weights"], rtol=1e-9, atol=1e-9)
    assert results[0][what]["calls"] == ([1, 2, 3] if what == "trained" else [2, 3])


def test_one_process_resumes_a_run_of_several(alone: dict, together: tuple, tmp_path: Path) -> None:
    folder, _ = together
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes((folder / "of_several.pt").read_bytes())
    resumed = worker.train(3, checkpoint)
    assert resumed["calls"] == [3]
    torch.testing.assert_close(resumed["weights"], alone["trained"]["weights"], rtol=1e-9, atol=1e-9)


def test_all_processes_hold_the_same_weights_to_the_last_bit(together: tuple) -> None:
    _, (first, *others) = together
    for other in others:
        for name, values in first["trained"]["weights"].items():
            assert torch.equal(values, other["trained"]["weights"][name])


def test_rows_are_gathered_in_the_order_of_the_ranks_and_each_process_gets_its_own_gradient(together: tuple) -> None:
    _, results = together
    rows = [10.0 * rank + row for rank, n in enumerate([2, 0, 3, 1][: len(results)]) for row in range(n)]
    labels = [int(row) // 10 for row in rows]
    place = 0
    for rank, result in enumerate(results):
        found = result["gathered"]
        assert found["rows"].flatten().tolist() == rows
        assert found["labels"].tolist() == labels
        n = labels.count(rank)
        assert found["gradient"].flatten().tolist() == list(range(place + 1, place + n + 1))
        place += n


def test_the_first_process_shares_values_errors_and_models(together: tuple) -> None:
    _, results = together
    for result in results:
        assert result["shared"]["value"] == "of 0"
        assert result["shared"]["error"] == "'missing'"
        assert result["shared"]["buffer"].tolist() == [0, 0, 0]
        assert result["shared"]["all"] == list(range(len(results)))


# without a group


@pytest.mark.parametrize("n", [0, 1, 2, 7, 30])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_shares_cover_a_batch_in_order_and_evenly(n: int, world_size: int) -> None:
    places = list(range(100))
    shares = [places[Share(rank, world_size).slice(50, 50 + n)] for rank in range(world_size)]
    assert [place for share in shares for place in share] == places[50 : 50 + n]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_an_impossible_share_raises(rank: int, world_size: int) -> None:
    with pytest.raises(ValueError, match="rank must be from 0 to world_size − 1"):
        Share(rank, world_size)


def test_without_a_group_nothing_is_shared() -> None:
    tensors = (torch.ones(2, 3), torch.zeros(2))
    with process_group():
        assert not is_distributed()
        assert is_first()
        assert Share.current() == Share(0, 1)
        assert all(given is back for given, back in zip(tensors, gather(tensors), strict=True))
        assert gather_objects("value") == ["value"]


# a process that dies


def wait_for(path: Path, is_running: Callable[[], bool], errors: Callable[[], str]) -> None:
    end = time.monotonic() + 2 * MINUTE
    while not path.exists():
        assert is_running(), errors()
        assert time.monotonic() < end, f"{path} has not appeared"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes of torchrun through /proc")
def test_a_dead_process_ends_the_job_which_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    n_epochs = 60
    arguments = train(tmp_path, n_epochs)
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **ON_ONE_MACHINE}
    output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*torchrun, "-m", "siamese_triplet", *arguments], env=environment, **output) as job:
        try:
            wait_for(checkpoint, lambda: job.poll() is None, lambda: job.stderr.read())
            os.kill(children(job.pid)[1], signal.SIGKILL)
            _, errors = job.communicate(timeout=MINUTE)
        finally:
            job.kill()
    assert job.returncode not in (0, None)
    assert "-9" in errors
    assert 1 <= load_checkpoint(checkpoint)["epoch"] < n_epochs
    with group(2, partial(cli.main, arguments), tmp_path) as processes:
        for rank, process in enumerate(processes):
            process.join(5 * MINUTE)
            assert process.exitcode == 0, (tmp_path / f"{rank}.errors").read_text()
    assert load_checkpoint(checkpoint)["epoch"] == n_epochs
    assert (tmp_path / "run" / "evaluation.json").exists()


def test_a_process_that_is_left_alone_stops_with_an_error(tmp_path: Path) -> None:
    checkpoint, errors = tmp_path / "run" / "checkpoint.pt", tmp_path / "0.errors"
    with group(2, partial(cli.main, train(tmp_path, 100_000)), tmp_path) as (first, second):
        wait_for(checkpoint, first.is_alive, errors.read_text)
        second.kill()
        first.join(MINUTE)
        assert first.exitcode not in (0, None)
    assert "Error" in errors.read_text()
    load_checkpoint(checkpoint)  # it is complete


def test_a_corrupt_checkpoint_stops_every_process(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    checkpoint.parent.mkdir()
    checkpoint.write_text("no checkpoint")
    with group(2, partial(cli.main, train(tmp_path, 1)), tmp_path) as processes:
        for rank, process in enumerate(processes):
            process.join(MINUTE)
            assert process.exitcode == 1
            assert "holds a checkpoint but no settings.json" in (tmp_path / f"{rank}.errors").read_text()
    assert checkpoint.read_text() == "no checkpoint"
