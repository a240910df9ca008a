"""Tests for faults that were planted in training and in atomic writes, and that no other test had found."""

import gc
import os
import stat
import weakref
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from siamese_triplet import fit
from siamese_triplet._atomic_files import write_atomically
from siamese_triplet.trainer import BatchInfo

N_BATCHES = 12


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder cannot be synced")
def test_the_folder_of_an_atomic_write_is_synced_after_the_renaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sync, synced = tmp_path / "file", os.fsync, []

    def record(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((kind, path.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_atomically(path, b"contents")
    assert synced == [("file", False), ("folder", True)]


class Graph:
    """What a graph holds: it lives as long as the graph."""


class Witness(torch.autograd.Function):
    """The identity, whose node holds a `Graph`."""

    alive: ClassVar["weakref.WeakSet[Graph]"] = weakref.WeakSet()

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.graph = Graph()
        Witness.alive.add(ctx.graph)
        return rows.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def batches() -> list[tuple[Tensor, Tensor]]:
    rows = torch.randn(N_BATCHES, 4, 3, generator=torch.Generator().manual_seed(0))
    return [(batch, torch.tensor([0, 0, 1, 1])) for batch in rows]


def fit_linear(loss_fn: Any, **options: Any) -> None:
    net = nn.Linear(3, 2)
    fit(batches(), None, net, loss_fn, torch.optim.SGD(net.parameters(), 0.01), None, 1, verbose=False, **options)


@pytest.mark.parametrize("is_tuple", [False, True])
def test_no_graph_outlives_its_batch(is_tuple: bool) -> None:
    counts = []

    def loss_fn(rows: Tensor, target: Tensor) -> Any:
        loss = Witness.apply(rows).square().mean()
        return (loss, 3) if is_tuple else loss

    def count(info: BatchInfo) -> bool:
        gc.collect()
        counts.append(len(Witness.alive))
        return False

    fit_linear(loss_fn, on_batch=count)
    assert len(counts) == N_BATCHES
    assert max(counts) <= 2  # that of the batch, perhaps that of the one before


@pytest.mark.parametrize("bad", [1, 3, N_BATCHES])
def test_on_a_cpu_training_stops_at_the_very_step_of_a_loss_that_is_not_finite(bad: int) -> None:
    n_calls = 0

    def loss_fn(rows: Tensor, target: Tensor) -> Tensor:
        nonlocal n_calls
        n_calls += 1
        return rows.square().mean() * (torch.nan if n_calls == bad else 1)

    with pytest.raises(FloatingPointError, match=f"step {bad},"):
        fit_linear(loss_fn, device="cpu")
    assert n_calls == bad
