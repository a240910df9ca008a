import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_data import part

from siamese_triplet.book import reproduction
from siamese_triplet.book.reproduction import DATASETS, ORIGINAL, reproduce, summary
from siamese_triplet.book.results import read_results
from siamese_triplet.datasets import Images
from siamese_triplet.methods import METHODS, Speed
from siamese_triplet.runs import Run, data
from siamese_triplet.trainer import History


@pytest.fixture(autouse=True)
def _little_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load 30 images per class, enough for the batches of the book."""

    def load(name: str, train: bool, root: Any, subset: str | None) -> Images:
        return part(train, 30)

    monkeypatch.setattr(data, "load", load)


def reproduce_quickly(folder: Path, **options: Any) -> list[dict]:
    options = {"datasets": ["mnist"], "seeds": [0], "n_epochs": 1, "device": "cpu"} | options
    return reproduce(folder / "results.json", folder / "runs", **options)


def write_result(
    path: Path,
    dataset: str,
    method: str,
    seed: int,
    speed: Speed | None = None,
    **last_epoch: float,
) -> None:
    result = {
        "dataset": dataset,
        "method": method,
        "seed": seed,
        "n_epochs": 20,
        "subset": None,
        "speed": str(speed or Speed()),
        "made": {"device": "a CPU", "threads": 1, "torch": "2", "python": "3", "date": "2000-01-01"},
        "last_epoch": last_epoch,
        "knn_accuracy": 0.9 + seed / 100,
        "n_train": 60000,
        "seconds": 3600,
    }
    path.write_text(json.dumps([*read_results(path), result]))


def pretend(note: Callable[[Run, str, dict], None]) -> Callable[..., dict]:
    """Return a stand-in for training a run, which notes the run and leaves an empty history."""

    def train_run(run: Run, folder: Path, **where: object) -> dict:
        note(run, folder.name, where)
        folder.mkdir(parents=True)
        (folder / "history.json").write_text("{}")
        return {}

    return train_run


def rows(path: Path) -> list[list[str]]:
    """Split the tables of a summary into rows of cells, without the headers."""
    lines = [line for line in summary(path).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("method", "---")]


def test_every_result_is_stored_with_its_origin(tmp_path: Path) -> None:
    options = {"methods": ["softmax", "online-triplet"], "seeds": [0, 1], "embedded": True}
    results = reproduce_quickly(tmp_path, **options, speed=Speed(bfloat16=True))
    assert read_results(tmp_path / "results.json") == results
    names = [f"mnist-{method}-bfloat16-{seed}" for method in ("online-triplet", "softmax") for seed in (0, 1)]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names
    keys = [(result["dataset"], result["method"], result["seed"]) for result in results]
    assert keys == [("mnist", method, seed) for seed in (0, 1) for method in ("softmax", "online-triplet")]
    result = results[-1]
    assert (result["n_epochs"], result["subset"], result["speed"]) == (1, "embedded", "bfloat16")
    assert (result["run"]["seed"], result["run"]["n_epochs"], result["run"]["data"]["embedded"]) == (1, 1, True)
    assert result["run"]["speed"]["bfloat16"]
    assert result["run"]["experiment"]["method"] == "online-triplet"
    assert result["history"] == History.load(tmp_path / "runs" / "mnist-online-triplet-bfloat16-1" / "history.json")
    assert {"knn_accuracy", "last_epoch", "made", "seconds", "n_train", "n_test"} <= set(result)


def test_a_run_with_a_result_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    ran = []
    monkeypatch.setattr(reproduction, "train_run", pretend(lambda run, name, where: ran.append((name, where))))
    write_result(tmp_path / "results.json", "mnist", "siamese", 0, val_loss=0.1)
    [before] = read_results(tmp_path / "results.json")
    results = reproduce_quickly(tmp_path, methods=["softmax", "siamese"], root="somewhere", n_epochs=20)
    assert ran == [("mnist-softmax-0", {"root": "somewhere", "device": "cpu"})]
    assert results[1] == before
    assert capsys.readouterr().out == "mnist, softmax, 0, 20, None, float32\n"


@pytest.mark.parametrize(
    "options", [{"n_epochs": 1}, {"embedded": True}, {"speed": Speed(channels_last=True)}], ids=str
)
def test_a_result_with_other_settings_does_not_count(
    options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    monkeypatch.setattr(reproduction, "train_run", pretend(lambda run, name, where: ran.append(name)))
    write_result(tmp_path / "results.json", "mnist", "siamese", 0, val_loss=0.1)
    reproduce_quickly(tmp_path, **{"methods": ["siamese"], "n_epochs": 20} | options)
    assert ran == ["mnist-siamese-0"]
    assert len(read_results(tmp_path / "results.json")) == 2


def test_a_folder_of_a_run_with_other_settings_is_left_alone(tmp_path: Path) -> None:
    reproduce_quickly(tmp_path, methods=["softmax"])
    with pytest.raises(ValueError, match="mnist-softmax-0 holds a run with other settings: n_epochs 1, not 2"):
        reproduce_quickly(tmp_path, methods=["softmax"], n_epochs=2)
    assert len(read_results(tmp_path / "results.json")) == 1


def test_a_complete_run_without_a_result_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reproduce_quickly(tmp_path, methods=["softmax"])
    (tmp_path / "results.json").unlink()
    monkeypatch.setattr("siamese_triplet.trainer.epoch.train_epoch", None)
    assert reproduce_quickly(tmp_path, methods=["softmax"]) == before


def test_by_default_all_methods_run_on_all_data_sets_seed_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    monkeypatch.setattr(reproduction, "train_run", pretend(lambda run, name, where: ran.append((name, run.n_epochs))))
    reproduce(tmp_path / "results.json", tmp_path / "runs", methods=iter(METHODS))
    expected = [f"{dataset}-{method}-{seed}" for seed in range(3) for dataset in DATASETS for method in METHODS]
    assert ran == [(name, 20) for name in expected]


def test_torchrun_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="start it without torchrun"):
        reproduce_quickly(tmp_path)


def test_every_experiment_has_an_original() -> None:
    assert set(ORIGINAL) == {(dataset, method) for dataset in DATASETS for method in METHODS}


def test_the_summary_is_a_table_of_means_and_spreads(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for seed, accuracy in enumerate((98.0, 99.0, 100.0)):
        write_result(path, "mnist", "softmax", seed, val_accuracy=accuracy, val_loss=0.1)
    fast = Speed(bfloat16=True, channels_last=True)
    write_result(path, "mnist", "softmax", 0, fast, val_accuracy=99.5, val_loss=0.05)
    for seed, n_triplets in enumerate((1700.0, 1500.0)):
        losses = {"val_loss": 1.5, "val_nonzero_triplets": n_triplets}
        write_result(path, "fashion-mnist", "online-triplet", seed, **losses)
    expected = [
        ["softmax", "accuracy", "99.04", "99.5 (1 of 1)", "99\u00a0±\u00a01 (1 of 3)"],
        ["", "loss", "0.0898", "0.05 (1 of 1)", "0.1\u00a0±\u00a00 (0 of 3)"],
        ["", "kNN accuracy", "–", "90", "91\u00a0±\u00a01"],
        ["online-triplet", "loss", "1.364", "–", "1.5\u00a0±\u00a00 (0 of 2)"],
        ["", "nonzero triplets", "3454", "–", "1600\u00a0±\u00a0141 (2 of 2)"],
        ["", "kNN accuracy", "–", "–", "90.5\u00a0±\u00a00.71"],
    ]
    assert rows(path) == expected
    assert "- seeds: 0, 1, 2" in summary(path)
    assert "- layout: channels last, channels first" in summary(path)
    assert "of 6 runs together: 6.0 hours" in summary(path)


def test_the_summary_has_a_row_for_each_quantity_and_none_without_results(tmp_path: Path) -> None:
    assert rows(tmp_path / "results.json") == []
    reproduce_quickly(tmp_path, methods=METHODS)
    quantities = sum(len(ORIGINAL["mnist", method]) + 1 for method in METHODS)
    assert len(rows(tmp_path / "results.json")) == quantities
