"""What all tests share: one thread, as the tensors are small, and a check that global random state is left alone."""

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
    """What is shown is shown as to a reader: `book/conftest.py` has set the variable for the notebooks' kernels."""
    monkeypatch.delenv(IN_BOOK, raising=False)


@pytest.fixture
def global_random_state_untouched() -> Iterator[None]:
    """Fails the test when the code under test draws from, or seeds, the random state of the process."""
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), str(np.random.get_state())) == before[1:]  # noqa: NPY002


@pytest.fixture
def little_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """For runs in a folder: MNIST is 10 images of each class, FashionMNIST the same upside down."""
    from toy_data import part

    from siamese_triplet import runs

    def load(name: str, train: bool, root: object, subset: str | None) -> Images:
        images = part(train, 10)
        images.data = images.data.flip(1) if name == "fashion-mnist" else images.data
        return images

    monkeypatch.setattr(runs, "load", load)
