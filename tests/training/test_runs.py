"""Training runs in a folder: writing, resuming, refusing and evaluating them."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from siamese_triplet.evaluation import embed, knn_accuracy
from siamese_triplet.methods import METHODS, Speed
from siamese_triplet.runs import Data, Run, data, evaluate_run, read_run, train_run
from siamese_triplet.runs import run as run_module
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
    monkeypatch.setattr("siamese_triplet.trainer.epoch.train_epoch", None)
    assert trained(tmp_path) == evaluation
    assert contents(tmp_path) == before


def stop_after(n_epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in the epoch after the first `n_epochs`."""
    from siamese_triplet.trainer import epoch as epochs

    train_epoch, done = epochs.train_epoch, []

    def interrupted(*given: Any) -> dict:
        if len(done) == n_epochs:
            raise KeyboardInterrupt
        done.append(1)
        return train_epoch(*given)

    monkeypatch.setattr(epochs, "train_epoch", interrupted)


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
    monkeypatch.setattr(data, "load", lambda *given, subset: asked.append((*given, subset)))
    Data("mnist").load("somewhere")
    Data("fashion-mnist", embedded=True).load()
    monkeypatch.setattr(data, "load_folder", lambda *given: asked.append(given))
    Data(".", image_size=32, channels=3).load()
    assert asked == [
        ("mnist", True, "somewhere", None),
        ("mnist", False, "somewhere", None),
        ("fashion-mnist", True, None, "embedded"),
        ("fashion-mnist", False, None, "embedded"),
        (".", 32, 3),
    ]


# the data that a run was trained on


def write_photos(folder: Path, *, n: int = 10, classes: tuple[str, ...] = ("cat", "dog"), bright: int = 0) -> Path:
    """Write `n` images of each class; the later ones are brighter, so that parts have other means."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            generator = torch.Generator().manual_seed(100 * label + number)
            pixels = 12 * number + bright + torch.randint(0, 60, (16, 16), generator=generator)
            Image.fromarray(pixels.to(torch.uint8).numpy()).save(folder / name / f"{number}.png")
    return folder


def photo_run(folder: Path, method: str = "online-triplet", n_epochs: int = 1) -> Run:
    experiment = replace(METHODS[method], n_classes=2, n_samples=4, batch_size=8)
    return Run(Data(str(folder), image_size=16), experiment, n_epochs)


def forget_data(folder: Path) -> None:
    """Make the run in `folder` one of version 1.0."""
    settings = json.loads((folder / "settings.json").read_text())
    del settings["trained_on"]
    (folder / "settings.json").write_text(json.dumps(settings))


def test_the_settings_describe_the_data(tmp_path: Path) -> None:
    trained(tmp_path)
    described = json.loads((tmp_path / "settings.json").read_text())["trained_on"]
    assert (described["n_train"], described["n_test"], described["input_size"]) == (100, 100, [1, 28, 28])
    assert (described["mean"], described["std"]) == ([0.1307], [0.3081])
    assert described["classes"] == RUN.data.load()[0].classes


def embedded_images(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, torch.Tensor]:
    """Record the embedding of each image from now on, under its pixels."""
    found: dict[bytes, torch.Tensor] = {}

    def recorded(model: Any, images: Any) -> tuple:
        embeddings, labels = embed(model, images)
        found.update({image.numpy().tobytes(): row for image, row in zip(images.data, embeddings, strict=True)})
        return embeddings, labels

    monkeypatch.setattr(run_module, "embed", recorded)
    return found


@pytest.mark.parametrize("made", ["now", "before"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_has_the_same_embedding_within_any_data(
    channels: int, made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_photos, part = write_photos(tmp_path / "all"), write_photos(tmp_path / "part", n=4)
    run = photo_run(all_photos)
    run = replace(run, data=replace(run.data, channels=channels))
    expected = embedded_images(monkeypatch)
    trained(tmp_path / "run", run)
    if made == "before":
        forget_data(tmp_path / "run")
    found = embedded_images(monkeypatch)
    evaluate_run(tmp_path / "run", data=replace(run.data, name=str(part)), device="cpu")
    assert len(found) == 8
    for pixels, embedding in found.items():
        torch.testing.assert_close(embedding, expected[pixels])


CHANGES = {
    "a class that sorts first": (
        lambda folder: write_photos(folder, classes=("ant",)),
        r"16 training images, not 24; 4 test images, not 6; without classes that are there now: 'ant'",
    ),
    "a class less": (lambda folder: shutil.rmtree(folder / "dog"), None),
    "a class renamed": (
        lambda folder: (folder / "cat").rename(folder / "tiger"),
        "with classes that are missing now: 'cat'; without classes that are there now: 'tiger'",
    ),
    "more images": (lambda folder: write_photos(folder, n=15), r"16 training images, not 24; 4 test images, not 6"),
    "brighter images": (lambda folder: write_photos(folder, bright=30), r"mean and standard deviation \[0\..*\], not"),
    "many classes": (
        lambda folder: write_photos(folder, classes=tuple(f"class {n}" for n in range(30)), n=2),
        r"without classes that are there now: 'class 0', [^;]*\(30 in all\)\.",
    ),
}


@pytest.mark.parametrize("method", ["online-triplet", "softmax", "siamese"])
@pytest.mark.parametrize("change", CHANGES)
def test_data_that_has_changed_is_refused_and_named(change: str, method: str, tmp_path: Path) -> None:
    photos, folder = write_photos(tmp_path / "photos"), tmp_path / "run"
    run = photo_run(photos, method)
    trained(folder, run)
    before = contents(folder)
    alter, message = CHANGES[change]
    alter(photos)
    for call in (lambda: trained(folder, run), lambda: evaluate_run(folder, device="cpu")):
        with pytest.raises(ValueError, match=message and f"was trained on other data: .*{message}") as caught:
            call()
        assert str(caught.value).count("'class ") <= 10
    assert contents(folder) == before
    if message:  # the changed images may still be named
        assert evaluate_run(folder, data=run.data, device="cpu")["n_test"] > 0


def test_a_run_does_not_go_on_with_fewer_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path)
    load = data.load
    monkeypatch.setattr(data, "load", lambda *given, **named: load(*given, **named).subset(range(60)))
    with pytest.raises(ValueError, match="100 training images, not 60; 100 test images, not 60"):
        trained(tmp_path)


def test_data_may_change_before_an_epoch_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, folder = write_photos(tmp_path / "photos"), tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(0, patch)
        with pytest.raises(KeyboardInterrupt):
            trained(folder, photo_run(photos))
    write_photos(photos, n=15)
    assert trained(folder, photo_run(photos))["n_train"] == 24
    assert evaluate_run(folder, device="cpu")["n_train"] == 24


@pytest.mark.parametrize("method", ["online-triplet", "softmax"])
def test_a_run_whose_images_are_gone_is_evaluated_on_others(method: str, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    run = photo_run(photos, method)
    trained(tmp_path / "run", run)
    photos.rename(tmp_path / "moved")
    others = write_photos(tmp_path / "others", classes=("x", "y", "z"))
    assert evaluate_run(tmp_path / "run", data=replace(run.data, name=str(others)), device="cpu")["n_test"] == 6
    moved = replace(run.data, name=str(tmp_path / "moved"))
    assert evaluate_run(tmp_path / "run", data=moved, device="cpu")["n_test"] == 4
    with pytest.raises(ValueError, match="unknown data set"):
        evaluate_run(tmp_path / "run", device="cpu")


def test_a_run_of_version_1_0_goes_on_and_keeps_its_data_from_then_on(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "run")
    forget_data(tmp_path / "run")
    assert evaluate_run(tmp_path / "run", device="cpu")["n_epochs"] == 1
    assert without_times(trained(tmp_path / "run")) == without_times(whole)
    assert (tmp_path / "run" / "settings.json").read_bytes() == (tmp_path / "whole" / "settings.json").read_bytes()


# settings that are damaged, and paths


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["n_epochs"], "20", r"n_epochs must be a whole number, got '20'"),
        (["n_epochs"], True, r"n_epochs must be a whole number, got True"),
        (["n_epochs"], -5, r"n_epochs=-5 must not be negative"),
        (["seed"], None, r"seed must be a whole number, got None"),
        (["seed"], 1.5, r"seed must be a whole number, got 1\.5"),
        (["data", "name"], 7, r"data\.name must be a text, got 7"),
        (["data", "embedded"], "yes", r"data\.embedded must be true or false, got 'yes'"),
        (["data", "colour"], "red", r"data\.'colour' is no field of a run"),
        (["data"], [1, 2], r"data must be an object, got \[1, 2\]"),
        (["experiment", "learning_rate"], "fast", r"experiment\.learning_rate must be a number, got 'fast'"),
        (["experiment", "learning_rate"], float("nan"), r"experiment\.learning_rate must be a number, got nan"),
        (["experiment", "margin"], [1.0], r"experiment\.margin must be a number or a text, got \[1\.0\]"),
        (["experiment", "n_samples"], {}, r"experiment\.n_samples must be a whole number, got \{\}"),
        (["experiment", "method"], "siames", r"unknown method 'siames'"),
        (["speed", "compile"], 3, r"speed\.compile must be true or false or a text, got 3"),
        (["trained_on", "classes"], ["a", 2], r"trained_on\.classes must be a list, each a text"),
        (["trained_on", "mean"], "dark", r"trained_on\.mean must be a list, each a number, got 'dark'"),
        (["trained_on", "mean"], [0.1, 0.2], r"input_size=\[1, 28, 28\] does not go with mean=\[0\.1, 0\.2\]"),
        (["trained_on", "std"], [0], r"std=\[0\] must be positive"),
        (["trained_on"], [], r"trained_on must be an object, got \[\]"),
        (["trained_on"], {"n_train": 3}, r"trained_on\.n_test is missing"),
    ],
)
def test_settings_with_a_wrong_field_are_refused_naming_file_and_field(
    path: list[str], value: Any, message: str, tmp_path: Path
) -> None:
    trained(tmp_path)
    settings = json.loads((tmp_path / "settings.json").read_text())
    place = settings
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    before = contents(tmp_path)
    for call in (trained, evaluate_run, read_run):
        with pytest.raises(ValueError, match=rf"settings\.json does not hold the settings of a run: {message}"):
            call(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ["[" * 100_000, '{"data":' * 100_000, b"\xff\xfe{}", "3", '{"n_epochs": 2}'])
def test_settings_that_are_no_settings_are_refused_in_one_short_line(text: str | bytes, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"settings\.json does not hold the settings of a run") as caught:
        read_run(tmp_path)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


def test_a_leading_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "home" / "photos")
    run = photo_run(Path("~/photos"))
    evaluation = trained(Path("~/runs/x"), run)
    assert sorted(contents(tmp_path / "home" / "runs" / "x")) == FILES
    assert read_run("~/runs/x") == run
    assert evaluate_run("~/runs/x", device="cpu") == evaluation
    assert trained(Path("~/runs/x"), run) == evaluation  # it is found again
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
