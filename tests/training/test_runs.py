"""Training runs in a folder: writing, resuming, refusing and evaluating them."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from siamese_triplet import runs
from siamese_triplet.evaluation import embed, knn_accuracy
from siamese_triplet.methods import METHODS, Speed
from siamese_triplet.runs import Data, Run, evaluate_run, read_run, train_run
from siamese_triplet.trainer import CheckpointError, History, load_checkpoint

FILES = ["checkpoint.pt", "evaluation.json", "history.json", "settings.json"]
RUN = Run(Data("mnist", True), replace(METHODS["online-triplet"], n_samples=5), 2)


pytestmark = pytest.mark.usefixtures("little_data")


def trained(folder: Path, run: Run = RUN, **options: Any) -> dict:
    return train_run(run, folder, device="cpu", verbose=False, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def without_times(evaluation: dict) -> dict:
    return {**evaluation, "seconds": None, "last_epoch": {**evaluation["last_epoch"], "seconds": None}}


def test_a_run_writes_settings_checkpoint_history_and_evaluation(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    evaluation = trained(folder)
    assert sorted(contents(folder)) == FILES
    assert read_run(folder) == RUN
    checkpoint, history = load_checkpoint(folder / "checkpoint.pt"), History.load(folder / "history.json")
    assert checkpoint["epoch"] == 2
    assert checkpoint["history"] == history
    assert json.loads((folder / "evaluation.json").read_text()) == evaluation
    assert evaluation["last_epoch"] == history.epochs()[-1]
    assert evaluation["run"] == asdict(RUN)
    assert (evaluation["n_epochs"], evaluation["n_train"], evaluation["n_test"], evaluation["k"]) == (2, 100, 100, 5)
    assert evaluation["seconds"] == pytest.approx(sum(history["seconds"]))
    assert {"date", "device", "threads", "python", "torch", "torchvision", "siamese_triplet"} == set(evaluation["made"])


def test_the_accuracy_is_that_of_the_model_in_the_checkpoint(tmp_path: Path) -> None:
    evaluation = trained(tmp_path)
    sets = RUN.data.load()
    model = RUN.experiment.network(sets[0])
    model.load_state_dict(load_checkpoint(tmp_path / "checkpoint.pt")["model"])
    (gallery, labels), queries = (embed(model, images) for images in sets)
    assert evaluation["knn_accuracy"] == knn_accuracy(gallery, labels, *queries, k=5)


def test_a_complete_run_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = trained(tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr("siamese_triplet.trainer.loop._train_epoch", None)
    assert trained(tmp_path) == evaluation
    assert contents(tmp_path) == before


def stop_after(n_epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in the epoch after the first `n_epochs`."""
    from siamese_triplet.trainer import loop

    train_epoch, done = loop._train_epoch, []

    def interrupted(*given: Any) -> dict:
        if len(done) == n_epochs:
            raise KeyboardInterrupt
        done.append(1)
        return train_epoch(*given)

    monkeypatch.setattr(loop, "_train_epoch", interrupted)


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_run_resumes_and_ends_like_an_uninterrupted_one(method: str, tmp_path: Path) -> None:
    experiment = replace(METHODS[method], n_samples=5, batch_size=25)
    run = replace(RUN, experiment=experiment, n_epochs=3)
    whole = trained(tmp_path / "whole", run)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "run", run)
    assert sorted(contents(tmp_path / "run")) == ["checkpoint.pt", "history.json", "settings.json"]
    assert History.load(tmp_path / "run" / "history.json").n_epochs == 1
    assert without_times(trained(tmp_path / "run", run)) == without_times(whole)
    ours, theirs = (load_checkpoint(tmp_path / name / "checkpoint.pt")["model"] for name in ("run", "whole"))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_run_interrupted_in_its_first_epoch_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(0, patch)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path)
    assert trained(tmp_path)["n_epochs"] == 2


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (replace(RUN, seed=1), "seed 0, not 1"),
        (replace(RUN, n_epochs=3), "n_epochs 2, not 3"),
        (replace(RUN, data=Data("fashion-mnist", True)), "name 'mnist', not 'fashion-mnist'"),
        (replace(RUN, speed=Speed(bfloat16=True)), "bfloat16 False, not True"),
        (
            replace(RUN, experiment=replace(RUN.experiment, margin="soft", selector="batch-hard")),
            "margin 1.0, not 'soft'; selector 'random', not 'batch-hard'",
        ),
        (replace(RUN, experiment=METHODS["softmax"]), "method 'online-triplet', not 'softmax'"),
    ],
    ids=["seed", "epochs", "data", "speed", "experiment", "method"],
)
def test_a_run_with_other_settings_is_refused_naming_the_difference(
    other: Run, difference: str, tmp_path: Path
) -> None:
    trained(tmp_path, replace(RUN))
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=f"holds a run with other settings: .*{difference}") as caught:
        trained(tmp_path, other)
    assert "embedding_size" not in str(caught.value)
    assert contents(tmp_path) == before


def test_settings_that_trained_no_epoch_may_be_corrected(tmp_path: Path) -> None:
    wrong = replace(RUN, experiment=replace(RUN.experiment, n_classes=11))
    with pytest.raises(ValueError, match="there are only 10 classes"):
        trained(tmp_path, wrong)
    with pytest.raises(ValueError, match="unknown data set 'mnits'; expected 'mnist', 'fashion-mnist' or the path"):
        trained(tmp_path, replace(RUN, data=Data("mnits")))
    trained(tmp_path)
    assert read_run(tmp_path) == RUN


def test_a_checkpoint_without_settings_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    trained(tmp_path)
    (tmp_path / "settings.json").unlink()
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"holds a checkpoint but no settings\.json; name another folder"):
        trained(tmp_path)
    assert contents(tmp_path) == before
    for text in ("{", "[]", "null", '{"colour": "red"}', '{"data": {}, "experiment": {}, "speed": {}}'):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(ValueError, match=r"settings\.json does not hold the settings of a run"):
            trained(tmp_path)
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / "settings.json").write_text(text)
        with pytest.raises(ValueError, match=r"settings\.json does not hold the settings of a run"):
            trained(tmp_path / "other")
        assert (tmp_path / "other" / "settings.json").read_text() == text


def test_a_damaged_checkpoint_is_refused_and_left_alone(tmp_path: Path) -> None:
    trained(tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-100])
    before = contents(tmp_path)
    for call in (trained, evaluate_run):
        with pytest.raises(CheckpointError, match=r"checkpoint\.pt cannot be read as a checkpoint"):
            call(tmp_path)
    assert contents(tmp_path) == before


def test_evaluation_equals_what_training_returned(tmp_path: Path) -> None:
    evaluation = trained(tmp_path)
    (tmp_path / "evaluation.json").unlink()
    assert evaluate_run(tmp_path, device="cpu") == evaluation
    assert json.loads((tmp_path / "evaluation.json").read_text()) == evaluation


def test_a_run_may_be_evaluated_before_it_is_complete(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path)
    (tmp_path / "history.json").unlink()  # as after a power cut
    evaluation = evaluate_run(tmp_path, device="cpu")
    assert 0 <= evaluation["knn_accuracy"] <= 1
    assert evaluation["last_epoch"]["val_loss"] > 0


def test_evaluation_on_other_images_writes_nothing(tmp_path: Path) -> None:
    evaluation = trained(tmp_path)
    before = contents(tmp_path)
    other = evaluate_run(tmp_path, data=Data("fashion-mnist", True), device="cpu")
    metrics = {"knn_accuracy", "recall_at_1", "r_precision", "map_at_r", "mrr", "auc", "eer"}
    assert set(other) == {*metrics, "k", "n_train", "n_test"}
    assert other["knn_accuracy"] != evaluation["knn_accuracy"]
    assert contents(tmp_path) == before


def test_evaluating_a_folder_without_a_run_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no training run: there is no settings\.json in it"):
        evaluate_run(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere holds no training run"):
        evaluate_run(tmp_path / "nowhere")
    trained(tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint at .*checkpoint\.pt"):
        evaluate_run(tmp_path)


def test_data_is_loaded_by_name_and_from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(runs, "load", lambda *given, subset: asked.append((*given, subset)))
    Data("mnist").load("somewhere")
    Data("fashion-mnist", embedded=True).load()
    monkeypatch.setattr(runs, "load_folder", lambda *given: asked.append(given))
    Data(".", image_size=32, channels=3).load()
    assert asked == [
        ("mnist", True, "somewhere", None),
        ("mnist", False, "somewhere", None),
        ("fashion-mnist", True, None, "embedded"),
        ("fashion-mnist", False, None, "embedded"),
        (".", 32, 3),
    ]
