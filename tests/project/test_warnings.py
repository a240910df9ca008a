"""Every warning points at the line of the caller, however deep in the package it is issued."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from siamese_triplet import BatchAllTripletLoss, evaluate, fit, load_folder
from siamese_triplet.evaluation import pair_metrics

ONE_CLASS = [(torch.rand(4, 2), torch.zeros(4, dtype=torch.long))] * 2
TWO_CLASSES = [(torch.rand(4, 2), torch.tensor([0, 0, 1, 1]))] * 2


def train(loader: list, left_out: bool = False, total_steps: int | None = None) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = SGD((model[0] if left_out else model).parameters(), lr=1e-3)
    scheduler = OneCycleLR(optimizer, 0.1, total_steps) if total_steps else None
    fit(loader, None, model, BatchAllTripletLoss(1.0), optimizer, scheduler, 3, device="cpu", verbose=False)


def read_other_files(folder: Path) -> None:
    for name in "ab":
        (folder / name).mkdir()
        for kind in ("x.png", "y.gif"):
            torch.save(0, folder / name / kind)
    with suppress(ValueError):  # the files are no images
        load_folder(folder)


CASES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "empty batches in fit": ("have no pair", lambda folder: train(ONE_CLASS)),
    "empty batches in evaluate": (
        "have no pair",
        lambda folder: evaluate(ONE_CLASS, nn.Linear(2, 2), BatchAllTripletLoss(1.0)),
    ),
    "parameters left out": ("does not hold", lambda folder: train(TWO_CLASSES, left_out=True)),
    "a scheduler per batch": ("steps once per epoch", lambda folder: train(TWO_CLASSES, total_steps=6)),
    "similarities": (
        "similarities",
        lambda folder: pair_metrics(torch.arange(8.0), torch.arange(8) > 3),
    ),
    "other files": ("left out", read_other_files),
}


@pytest.mark.parametrize("case", CASES)
def test_a_warning_points_at_the_caller(case: str, tmp_path: Path) -> None:
    text, act = CASES[case]
    with pytest.warns(UserWarning, match=text) as caught:
        act(tmp_path)
    assert {Path(warning.filename).name for warning in caught if text in str(warning.message)} == {Path(__file__).name}


def test_a_folder_whose_name_only_begins_like_the_package_is_outside() -> None:
    from siamese_triplet import _validation

    assert _validation.PACKAGE.endswith(f"siamese_triplet{os.sep}")
