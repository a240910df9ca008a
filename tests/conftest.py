"""Settings and fixtures of all tests: one thread, as tensors are small, and a check of the global random state."""

import os
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from siamese_triplet import Images
from siamese_triplet.live import IN_BOOK

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start


@pytest.fixture(autouse=True)
def outside_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show outputs as to a reader: `book/conftest.py` sets the variable for the kernels of the notebooks."""
    monkeypatch.delenv(IN_BOOK, raising=False)


@pytest.fixture
def global_random_state_untouched() -> Iterator[None]:
    """Fail a test whose code draws from the random state of the process, or seeds it."""
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), str(np.random.get_state())) == before[1:]  # noqa: NPY002


@pytest.fixture
def little_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the data of runs: MNIST has 10 images per class, FashionMNIST the same ones upside down."""
    from toy_data import part

    from siamese_triplet.runs import data

    def load(name: str, train: bool, root: object, subset: str | None) -> Images:
        images = part(train, 10)
        images.data = images.data.flip(1) if name == "fashion-mnist" else images.data
        return images

    monkeypatch.setattr(data, "load", load)
