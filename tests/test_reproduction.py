import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from test_experiments import part

from siamese_triplet import runs
from siamese_triplet.book import reproduction
from siamese_triplet.book.reproduction import DATASETS, ORIGINAL, reproduce, run_name, summary
from siamese_triplet.datasets import Images
from siamese_triplet.methods import METHODS, Speed
from siamese_triplet.runs import Data, Run
from siamese_triplet.trainer import History


@pytest.fixture(autouse=True)
def _little_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 images of each class: enough for the batches of the book."""

    def load(name: str, train: bool, root: Any, subset: str | None) -> Images:
        return part(train, 30)

    monkeypatch.setattr(runs, "load", load)


def reproduced(folder: Path, **options: Any) -> None:
    options = {"datasets": ["mnist"], "seeds": [0], "n_epochs": 1, "device": "cpu"} | options
    reproduce(folder / "results", folder / "runs", **options)


def write_result(
    folder: Path, dataset: str, method: str, seed: int, bfloat16: bool = False, **last_epoch: float
) -> None:
    folder.mkdir(exist_ok=True)
    result = {
        "run": asdict(Run(Data(dataset), METHODS[method], seed=seed, speed=Speed(bfloat16))),
        "made": {"device": "a CPU", "threads": 1, "torch": "2", "python": "3", "date": "2000-01-01"},
        "last_epoch": last_epoch,
        "knn_accuracy": 0.9 + seed / 100,
        "k": 5,
        "n_train": 60000,
        "n_epochs": 20,
        "seconds": 3600,
    }
    (folder / f"{run_name(dataset, method, seed, bfloat16)}.json").write_text(json.dumps(result))


def pretended(note: Callable[[Run, str, dict], None]) -> Callable[..., dict]:
    """What stands in for training a run: it is noted, and leaves an empty history."""

    def train_run(run: Run, folder: Path, **where: object) -> dict:
        note(run, folder.name, where)
        folder.mkdir(parents=True)
        (folder / "history.json").write_text("{}")
        return {}

    return train_run


def rows(results: Path) -> list[list[str]]:
    """The cells of the tables of a summary, below their heads."""
    lines = [line for line in summary(results).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("method", "---")]


def test_every_result_is_a_file_with_all_that_it_came_from(tmp_path: Path) -> None:
    reproduced(tmp_path, methods=["softmax", "online-triplet"], seeds=[0, 1], embedded=True, speed=Speed(bfloat16=True))
    names = [f"mnist-{method}-bfloat16-{seed}" for method in ("online-triplet", "softmax") for seed in (0, 1)]
    assert sorted(path.stem for path in (tmp_path / "results").iterdir()) == names
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names
    result = json.loads((tmp_path / "results" / "mnist-online-triplet-bfloat16-1.json").read_text())
    assert (result["run"]["seed"], result["run"]["n_epochs"]) == (1, 1)
    assert result["run"]["data"]["embedded"]
    assert result["run"]["speed"]["bfloat16"]
    assert result["run"]["experiment"]["method"] == "online-triplet"
    assert result["history"] == History.load(tmp_path / "runs" / "mnist-online-triplet-bfloat16-1" / "history.json")
    assert {"knn_accuracy", "last_epoch", "made", "seconds", "n_train", "n_test"} <= set(result)


def test_what_has_a_result_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    ran = []
    monkeypatch.setattr(reproduction, "train_run", pretended(lambda run, name, where: ran.append((name, where))))
    write_result(tmp_path / "results", "mnist", "siamese", 0, val_loss=0.1)
    before = (tmp_path / "results" / "mnist-siamese-0.json").read_bytes()
    reproduced(tmp_path, methods=["softmax", "siamese"], root="somewhere", n_epochs=20)
    assert ran == [("mnist-softmax-0", {"root": "somewhere", "device": "cpu"})]
    assert (tmp_path / "results" / "mnist-siamese-0.json").read_bytes() == before
    assert capsys.readouterr().out == "mnist-softmax-0\nmnist-siamese-0: has a result already\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_epochs": 1}, "n_epochs 20, not 1"),
        ({"embedded": True}, "embedded False, not True"),
        ({"speed": Speed(channels_last=True)}, "channels_last False, not True"),
    ],
)
def test_the_result_of_a_run_with_other_settings_is_not_taken_for_this_one(
    options: dict, said: str, tmp_path: Path
) -> None:
    write_result(tmp_path / "results", "mnist", "siamese", 0, val_loss=0.1)
    with pytest.raises(ValueError, match=rf"mnist-siamese-0\.json is the result of .* other settings: .*{said}"):
        reproduced(tmp_path, **{"methods": ["siamese"], "n_epochs": 20} | options)


def test_a_run_that_is_complete_but_has_no_result_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reproduced(tmp_path, methods=["softmax"])
    path = tmp_path / "results" / "mnist-softmax-0.json"
    before = path.read_bytes()
    path.unlink()
    monkeypatch.setattr("siamese_triplet.trainer.loop._train_epoch", None)
    reproduced(tmp_path, methods=["softmax"])
    assert path.read_bytes() == before


def test_without_being_told_all_of_the_book_is_run_seed_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    monkeypatch.setattr(reproduction, "train_run", pretended(lambda run, name, where: ran.append((name, run.n_epochs))))
    reproduce(tmp_path / "results", tmp_path / "runs", methods=iter(METHODS))
    expected = [f"{dataset}-{method}-{seed}" for seed in range(3) for dataset in DATASETS for method in METHODS]
    assert ran == [(name, 20) for name in expected]


def test_it_is_not_for_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="start it without torchrun"):
        reproduced(tmp_path)


def test_there_is_an_original_for_every_experiment() -> None:
    assert set(ORIGINAL) == {(dataset, method) for dataset in DATASETS for method in METHODS}


def test_the_summary_is_a_table_with_mean_and_spread(tmp_path: Path) -> None:
    for seed, accuracy in enumerate((98.0, 99.0, 100.0)):
        write_result(tmp_path, "mnist", "softmax", seed, val_accuracy=accuracy, val_loss=0.1)
    write_result(tmp_path, "mnist", "softmax", 0, bfloat16=True, val_accuracy=99.5, val_loss=0.05)
    write_result(tmp_path, "fashion-mnist", "online-triplet", 0, val_loss=1.5, val_nonzero_triplets=1700.0)
    (tmp_path / "selection.json").write_text("[]")
    (tmp_path / "notes.md").write_text("nothing")
    expected = [
        ["softmax", "accuracy", "99.04", "99.5 (1 of 1)", "99 ± 1 (1 of 3)"],
        ["", "loss", "0.0898", "0.05 (1 of 1)", "0.1 ± 0 (0 of 3)"],
        ["", "kNN accuracy", "–", "90", "91 ± 1"],
        ["online-triplet", "loss", "1.364", "–", "1.5 (0 of 1)"],
        ["", "nonzero triplets", "3454", "–", "1700 (1 of 1)"],
        ["", "kNN accuracy", "–", "–", "90"],
    ]
    assert rows(tmp_path) == expected
    assert "- seeds: 0, 1, 2" in summary(tmp_path)
    assert "of 5 runs together: 5.0 hours" in summary(tmp_path)


def test_the_summary_of_real_results_and_of_none(tmp_path: Path) -> None:
    assert rows(tmp_path) == []
    reproduced(tmp_path, methods=METHODS)
    quantities = sum(len(ORIGINAL["mnist", method]) + 1 for method in METHODS)
    assert len(rows(tmp_path / "results")) == quantities
