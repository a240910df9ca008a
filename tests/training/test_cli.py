"""The command line, called in this process: its files, output and exit status."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from siamese_triplet import cli, runs
from siamese_triplet.__main__ import main
from siamese_triplet.book import cli as book_cli
from siamese_triplet.book.comparison import Settings
from siamese_triplet.book.omniglot import Characters, selection_runs
from siamese_triplet.methods import METHODS, Speed
from siamese_triplet.runs import Data, read_run
from siamese_triplet.runs.folder_lock import locked
from siamese_triplet.selectors.by_name import BATCH_ALL, PAIR_SELECTORS, TRIPLET_SELECTORS
from siamese_triplet.trainer import load_checkpoint

MNIST = ["--dataset", "mnist", "--embedded", "--device", "cpu"]
SMALL = [*MNIST, "--epochs", "1", "--n-samples", "5"]


pytestmark = pytest.mark.usefixtures("little_data")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write 20 noisy images of each of two classes, dark and bright."""
    generator = torch.Generator().manual_seed(0)
    for name, grey in (("dark", 20), ("bright", 150)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = (grey + torch.randint(0, 80, (20, 24, 3), generator=generator)).to(torch.uint8)
            Image.fromarray(pixels.numpy()).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def train(out: Path | str, *arguments: str) -> int:
    return main(["train", "--out", str(out), *arguments])


def error(capsys: pytest.CaptureFixture) -> str:
    """Return the standard error, which must be one line without a traceback."""
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert printed.count("\n") == 1
    return printed


def test_train_writes_the_run_and_prints_its_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert train(tmp_path / "run", *SMALL) == 0
    out, err = capsys.readouterr()
    names = [path.name for path in sorted((tmp_path / "run").iterdir())]
    assert names == ["checkpoint.pt", "evaluation.json", "history.json", "settings.json"]
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert out.splitlines()[0].startswith("Epoch 1/1  train loss")
    assert out.splitlines()[-1] == f"accuracy of 5 neighbours {100 * evaluation['knn_accuracy']:.2f} %"
    assert err == ""


def test_the_same_command_again_prints_the_same_without_training(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, *SMALL)
    first = capsys.readouterr().out
    monkeypatch.setattr("siamese_triplet.trainer.epoch.train_epoch", None)
    assert train(tmp_path, *SMALL) == 0
    assert capsys.readouterr().out == first


@pytest.mark.filterwarnings("ignore::siamese_triplet.CollapseWarning")
def test_all_options_reach_the_run(tmp_path: Path) -> None:
    arguments = "--method online-triplet --selector batch-hard --margin soft --dim 3 --unit-sphere --seed 4 --lr 0.002"
    more = "--weight-decay 0.1 --batch-size 7 --n-classes 4 --n-samples 6 --epochs 2 --channels-last --bfloat16"
    assert train(tmp_path, *MNIST, *arguments.split(), *more.split()) == 0
    run = read_run(tmp_path)
    experiment = run.experiment
    assert (experiment.selector, experiment.margin, experiment.embedding_size) == ("batch-hard", "soft", 3)
    assert (experiment.learning_rate, experiment.weight_decay, experiment.unit_sphere) == (0.002, 0.1, True)
    assert (experiment.batch_size, experiment.n_classes, experiment.n_samples) == (7, 4, 6)
    assert (run.seed, run.n_epochs, run.speed) == (4, 2, Speed(bfloat16=True, channels_last=True))
    assert run.data == Data("mnist", embedded=True)


@pytest.mark.parametrize("method", METHODS)
def test_the_defaults_are_those_of_the_book(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(cli.training, "train_run", lambda run, folder, **where: given.append((run, folder, where)))
    assert train(tmp_path, "--dataset", "fashion-mnist", "--method", method, "--data", "somewhere") == 0
    ((run, folder, where),) = given
    assert (run.experiment, run.data, run.n_epochs, run.seed) == (METHODS[method], Data("fashion-mnist"), 20, 0)
    assert run.speed == Speed()
    assert (folder, where) == (tmp_path, {"root": Path("somewhere"), "device": None})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], False), (["--compile"], True), (["--compile", "reduce-overhead"], "reduce-overhead")],
)
def test_compile_takes_a_mode(
    arguments: list[str], expected: bool | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr(cli.training, "train_run", lambda run, folder, **where: given.append(run.speed.compile))
    train(tmp_path, "--dataset", "mnist", *arguments)
    assert given == [expected]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(method: str, tmp_path: Path) -> None:
    assert train(tmp_path, *SMALL, "--method", method, "--batch-size", "50") == 0


def test_images_of_a_folder_end_to_end(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    size = ["--image-size", "16", "--channels", "3", "--n-classes", "2", "--n-samples", "4"]
    options = [*size, "--epochs", "2", "--device", "cpu"]
    assert train(tmp_path / "run", "--dataset", str(photos), *options) == 0
    assert "accuracy of 5 neighbours 100.00 %" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "run"), "--device", "cpu"]) == 0
    evaluation = json.loads(capsys.readouterr().out)
    assert (evaluation["n_train"], evaluation["n_test"]) == (32, 8)
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["model"]["convnet.0.weight"].shape == (32, 3, 5, 5)
    (photos / "bright" / "0.png").rename(photos / "bright" / "renamed.png")
    assert main(["evaluate", str(tmp_path / "run"), "--dataset", str(photos), "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["n_test"] == 8


def test_evaluate_prints_what_train_wrote(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    train(tmp_path, *SMALL)
    expected = json.loads((tmp_path / "evaluation.json").read_text())
    (tmp_path / "evaluation.json").unlink()
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path), "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out) == expected
    assert json.loads((tmp_path / "evaluation.json").read_text()) == expected


def test_evaluate_on_other_data_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    train(tmp_path, *SMALL)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path), "--dataset", "fashion-mnist", "--embedded", "--device", "cpu"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["n_test"] == 100
    assert printed["knn_accuracy"] != json.loads((tmp_path / "evaluation.json").read_text())["knn_accuracy"]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_evaluate_on_the_embedded_images_of_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    full = runs.Run(runs.Data("mnist"), METHODS["softmax"])
    monkeypatch.setattr(cli.training, "read_run", lambda folder: full)
    monkeypatch.setattr(cli.training, "evaluate_run", lambda folder, data, **_: asked.append(data) or {})
    assert main(["evaluate", str(tmp_path), "--embedded"]) == 0
    assert main(["evaluate", str(tmp_path)]) == 0
    assert asked == [runs.Data("mnist", embedded=True), None]


# the comparison and the characters


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list:
    """Replace the parts of the comparison, and record their arguments."""
    calls: list = []
    for name in ("compare", "compare_unseen", "sweep", "train_settings"):
        monkeypatch.setattr(book_cli, name, lambda *given, name=name: calls.append((name, *given)))
    monkeypatch.setattr(book_cli, "write_report", lambda folder: calls.append(("report", folder)) or "the report")
    return calls


def test_compare_runs_all_parts_as_in_the_book(compared: list, capsys: pytest.CaptureFixture) -> None:
    assert main(["compare"]) == 0
    results, settings, short = Path("book/results"), Settings(20, (0, 1, 2)), Settings(3, (0, 1, 2))
    assert compared == [
        ("compare", results / "comparison.json", Path("runs/compare"), settings),
        ("compare_unseen", results / "unseen.json", short),
        ("sweep", results / "sweep.json", short),
        ("train_settings", results / "settings.json", short),
        ("report", results),
    ]
    assert capsys.readouterr().out == "the report\n"


def test_the_options_of_compare_reach_its_parts(compared: list, tmp_path: Path) -> None:
    options = "--seeds 2 --epochs 7 --short-epochs 4 --embedded --device cpu --bfloat16 --channels-last --compile"
    folders = ["--results", str(tmp_path), "--out", "runs/x", "--data", "somewhere"]
    assert main(["compare", *options.split(), *folders]) == 0
    speed = Speed(bfloat16=True, channels_last=True, compile=True)
    long, short = (Settings(n, (0, 1), "embedded", Path("somewhere"), torch.device("cpu"), speed) for n in (7, 4))
    assert compared == [
        ("compare", tmp_path / "comparison.json", Path("runs/x"), long),
        ("compare_unseen", tmp_path / "unseen.json", short),
        ("sweep", tmp_path / "sweep.json", short),
        ("train_settings", tmp_path / "settings.json", short),
        ("report", tmp_path),
    ]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["report"], ["report"]),
        (["seen"], ["compare"]),
        (["sweep", "unseen"], ["compare_unseen", "sweep"]),
        (["report", "seen"], ["compare", "report"]),
        (["settings"], ["train_settings"]),
    ],
)
def test_parts_of_compare_may_be_chosen(parts: list[str], expected: list[str], compared: list) -> None:
    assert main(["compare", *(argument for part in parts for argument in ("--part", part))]) == 0
    assert [name for name, *_ in compared] == expected


@pytest.fixture
def characters(monkeypatch: pytest.MonkeyPatch) -> list:
    """Replace the experiment on Omniglot, and record its arguments."""
    calls: list = []

    def reproduce(path: Path, work: Path, runs: list, **options: Any) -> list[str]:
        calls.append((path, work, list(runs), options))
        return ["a result"]

    monkeypatch.setattr(book_cli, "reproduce_characters", reproduce)
    monkeypatch.setattr(book_cli, "error_table", lambda results: f"the table of {results}")
    return calls


def test_omniglot_runs_as_in_the_book(characters: list, capsys: pytest.CaptureFixture) -> None:
    assert main(["omniglot"]) == 0
    runs = [("batch-all", Characters(), seed) for seed in range(3)]
    where = {"root": None, "device": None}
    assert characters == [(Path("book/results/omniglot.json"), Path("runs/omniglot"), runs, where)]
    assert capsys.readouterr().out == "the table of ['a result']\n"


def test_the_options_of_omniglot_reach_the_runs(characters: list, tmp_path: Path) -> None:
    folders = ["--results", str(tmp_path), "--out", "runs/x", "--data", "somewhere", "--device", "cpu"]
    assert main(["omniglot", "--seeds", "1", "--epochs", "5", "--bfloat16", *folders]) == 0
    runs = [("batch-all", Characters(n_epochs=5, bfloat16=True), 0)]
    where = {"root": Path("somewhere"), "device": torch.device("cpu")}
    assert characters == [(tmp_path / "omniglot.json", Path("runs/x"), runs, where)]


@pytest.mark.parametrize(("epochs", "quarter"), [(80, 20), (10, 2), (1, 1)])
def test_the_selection_of_omniglot_has_a_quarter_of_the_epochs(epochs: int, quarter: int, characters: list) -> None:
    assert main(["omniglot", "--selection", "--seeds", "2", "--epochs", str(epochs), "--bfloat16"]) == 0
    [(path, _, runs, _)] = characters
    assert path == Path("book/results/omniglot-selection.json")
    assert runs == selection_runs(Characters(n_epochs=quarter, bfloat16=True), (0, 1))


@pytest.mark.parametrize(
    ("command", "function"),
    [
        ("compare", "compare"),
        ("compare", "compare_unseen"),
        ("compare", "sweep"),
        ("compare", "write_report"),
        ("omniglot", "reproduce_characters"),
    ],
)
@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, FloatingPointError])
def test_errors_of_the_experiments_give_one_line_and_status_1(
    command: str,
    function: str,
    kind: type,
    compared: list,
    characters: list,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise kind("something is wrong")

    monkeypatch.setattr(book_cli, function, fails)
    assert main([command]) == 1
    assert error(capsys) == "error: something is wrong\n"


@pytest.mark.parametrize(("command", "function"), [("compare", "compare"), ("omniglot", "reproduce_characters")])
def test_an_interrupted_experiment_ends_with_status_130(
    command: str, function: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(book_cli, function, interrupted)
    assert main([command]) == 130
    assert error(capsys).startswith("interrupted; the same command resumes")


def test_omniglot_without_its_data_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("siamese_triplet.datasets.omniglot.Omniglot.__init__", offline)
    folders = ["--data", str(tmp_path / "empty"), "--results", str(tmp_path), "--out", str(tmp_path)]
    assert main(["omniglot", "--seeds", "1", *folders]) == 1
    assert "error: no omniglot data: " in capsys.readouterr().err


@pytest.mark.parametrize(("command", "name"), [("compare", "comparison.json"), ("omniglot", "omniglot.json")])
def test_a_damaged_file_of_results_is_an_error_that_names_it(
    command: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / name).write_text('[{"seed": 0')
    assert main([command, "--results", str(tmp_path), "--out", str(tmp_path / "runs")]) == 1
    assert name in error(capsys)


# errors


def test_other_settings_are_refused_naming_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    train(tmp_path, *SMALL)
    capsys.readouterr()
    assert train(tmp_path, *SMALL, "--lr", "0.5") == 1
    message = error(capsys)
    assert message.startswith("error: ")
    assert "holds a run with other settings: learning_rate 0.001, not 0.5. Name another folder" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "mnits"], "unknown data set 'mnits'"),
        ([*SMALL, "--selector", "hard"], "unknown selector 'hard' for online-triplet; there are 'random'"),
        ([*SMALL, "--method", "siamese", "--selector", "hard"], "siamese uses no selector, got 'hard'"),
        ([*SMALL, "--method", "siamese", "--margin", "soft"], "soft margin is for triplets"),
        ([*SMALL, "--n-classes", "11"], "there are only 10 classes"),
        ([*SMALL, "--dim", "0"], "embedding_size=0 at least 1"),
        ([*SMALL, "--method", "softmax", "--batch-size", "0"], "batch_size=0 must be at least 1"),
        ([*SMALL, "--method", "softmax", "--lr", "1e30"], "at a learning rate of 1e+30"),
    ],
)
def test_an_error_gives_one_line_on_standard_error_and_status_1(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert train(tmp_path / "run", *arguments) == 1
    printed = error(capsys)
    assert printed.startswith("error: ")
    assert message in printed


def test_a_corrected_command_may_use_the_same_folder(tmp_path: Path) -> None:
    assert train(tmp_path, *SMALL, "--dim", "0") == 1
    assert train(tmp_path, *SMALL) == 0


def test_unusable_files_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    assert train(tmp_path / "file", *SMALL) == 1
    assert error(capsys).startswith("error: ")
    assert main(["evaluate", str(tmp_path / "nowhere")]) == 1
    assert "nowhere holds no training run" in error(capsys)
    train(tmp_path / "run", *SMALL)
    capsys.readouterr()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"not a checkpoint")
    for call in (["train", "--out", str(tmp_path / "run"), *SMALL], ["evaluate", str(tmp_path / "run")]):
        assert main(call) == 1
        assert "cannot be read as a checkpoint" in error(capsys)
    (tmp_path / "run" / "checkpoint.pt").unlink()
    assert main(["evaluate", str(tmp_path / "run")]) == 1
    assert "there is no checkpoint at" in error(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required"),
        (["train", "--dataset", "mnist"], "required: --out"),
        (["train", "--out", "x"], "required: --dataset"),
        (["train", "--out", "x", *MNIST, "--method", "siames"], "invalid choice: 'siames'"),
        (["train", "--out", "x", *MNIST, "--margin", "-1"], "expected a number ≥ 0 or \"soft\", got '-1'"),
        (["train", "--out", "x", *MNIST, "--margin", "nan"], "expected a number ≥ 0 or \"soft\", got 'nan'"),
        (["train", "--out", "x", *MNIST, "--channels", "2"], "invalid choice: 2"),
        (["train", "--out", "x", *MNIST, "--device", "gpu"], "cannot use 'gpu': "),
        (["train", "--out", "x", *MNIST, "--device", "cuda:99"], "cannot use 'cuda:99': "),
        (["train", "--out", "x", *MNIST, "--device", "meta"], "cannot use 'meta': "),
        (["train", "--out", "x", *MNIST, "--device", "hpu"], "cannot use 'hpu': "),
        (["evaluate", "x", "--device", "vulkan"], "cannot use 'vulkan': "),
        (["train", "--out", "x", *MNIST, "--dim", "100000000"], "expected at most 65,536, got 100000000"),
        (["train", "--out", "x", *MNIST, "--dim", "1" + 5000 * "0"], "expected a whole number, got '1000"),
        (["train", "--out", "x", *MNIST, "--dim", "two"], "expected a whole number, got 'two'"),
        (["train", "--out", "x", *MNIST, "--n-samples", "100000"], "expected at most 65,536, got 100000"),
        (["train", "--out", "x", *MNIST, "--n-classes", "100000"], "expected at most 65,536, got 100000"),
        (["train", "--out", "x", *MNIST, "--image-size", "100000"], "expected at most 4,096, got 100000"),
        (["train", "--out", "x", *MNIST, "--batch-size", "1" + 30 * "0"], "expected at most 9,223,372,036,854,775,807"),
        (["train", "--out", "x", *MNIST, "--seed", "-1" + 30 * "0"], "expected at most 9,223,372,036,854,775,807"),
        (["reproduce", "--dataset", "cifar"], "invalid choice: 'cifar'"),
        (["compare", "--part", "all"], "invalid choice: 'all'"),
        (["compare", "--seeds", "0"], "expected a whole number ≥ 1, got '0'"),
        (["omniglot", "--epochs", "-1"], "expected a whole number ≥ 1, got '-1'"),
        (["omniglot", "--device", "gpu"], "cannot use 'gpu': "),
    ],
)
def test_an_invalid_command_prints_its_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.startswith("usage: python -m siamese_triplet")


@pytest.mark.parametrize("device", ["mps", "xpu"])
def test_a_device_that_is_not_there_prints_the_usage(device: str, capsys: pytest.CaptureFixture) -> None:
    if {"mps": torch.backends.mps, "xpu": torch.xpu}[device].is_available():
        pytest.skip(f"this machine has {device}")
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "x", "--device", device])
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert f"error: argument --device: cannot use {device!r}: " in last_line


def test_a_batch_whose_distances_fill_the_memory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert train(tmp_path, *MNIST, "--n-samples", "65000") == 1
    assert "a batch of 10 × 65,000 images is too large" in error(capsys)


def allocate(number: int) -> None:
    torch.empty(number, dtype=torch.uint8)


def recur() -> None:
    recur()


@pytest.mark.parametrize(
    "fails",
    [lambda: allocate(2**60), lambda: torch.empty(2**40, 2**40), lambda: bytearray(2**62), recur],
    ids=["torch", "overflow", "python", "recursion"],
)
def test_what_is_too_large_gives_one_line_and_status_1(
    fails: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(cli.training, "train_run", lambda *_, **__: fails())
    assert train(tmp_path, *SMALL) == 1
    assert error(capsys).startswith("error: this takes too much memory: ")


def test_errors_of_the_package_itself_keep_their_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(cli.training, "train_run", fails)
    with pytest.raises(RuntimeError, match="a fault"):
        train(tmp_path, *SMALL)


@pytest.mark.parametrize("below", ["run", "deep/run"])
def test_a_folder_below_a_file_is_one_line(below: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    assert train(tmp_path / "file" / below, *SMALL) == 1
    assert "file" in error(capsys)
    assert main(["evaluate", str(tmp_path / "file" / below)]) == 1
    assert "holds no training run" in error(capsys)


def test_a_folder_in_which_another_process_trains_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with locked(tmp_path / "run"):
        assert train(tmp_path / "run", *SMALL) == 1
    assert error(capsys) == (
        f"error: another process is training in {tmp_path / 'run'}; wait until it has ended, or name another folder\n"
    )
    assert train(tmp_path / "run", *SMALL) == 0


def test_a_leading_tilde_is_the_home_folder(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    home, elsewhere = tmp_path, tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(home))
    options = ["--image-size", "16", "--n-classes", "2", "--n-samples", "4", "--epochs", "1", "--device", "cpu"]
    assert train("~/runs/x", "--dataset", "~/photos", *options) == 0
    assert read_run(home / "runs" / "x").data.name == str(photos)
    for more in ([], ["--dataset", "~/photos"], ["--data", "~/data"]):
        assert main(["evaluate", "~/runs/x", *more, "--device", "cpu"]) == 0
    given = []
    monkeypatch.setattr(
        cli.training, "evaluate_run", lambda folder, **where: given.append((folder, where["root"])) or {}
    )
    assert main(["evaluate", "~/runs/x", "--data", "~/data"]) == 0
    assert given == [(home / "runs" / "x", home / "data")]
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_has_changed_is_one_line(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    size = ["--image-size", "16", "--n-classes", "2", "--n-samples", "4", "--epochs", "1", "--device", "cpu"]
    command = ["train", "--out", str(tmp_path / "run"), "--dataset", str(photos), *size]
    assert main(command) == 0
    capsys.readouterr()
    (photos / "bright").rename(photos / "Bright")
    for call in (command, ["evaluate", str(tmp_path / "run"), "--device", "cpu"]):
        assert main(call) == 1
        assert "with classes that are missing now: 'bright'" in error(capsys)


# interruption


@pytest.mark.parametrize("command", ["train", "reproduce"])
def test_an_interrupted_command_ends_with_status_130_and_resumes(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from siamese_triplet.trainer import epoch as epochs

    if command == "train":
        call = ["train", "--out", str(tmp_path / "run"), *SMALL[:-4], "--epochs", "2", "--n-samples", "5"]
    else:
        folders = ["--results", str(tmp_path / "results"), "--out", str(tmp_path / "runs")]
        call = ["reproduce", *MNIST, "--method", "softmax", "--seeds", "1", "--epochs", "2", *folders]
    train_epoch, done = epochs.train_epoch, []

    def interrupted(*given: Any) -> dict:
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return train_epoch(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epochs, "train_epoch", interrupted)
        assert main(call) == 130
    assert error(capsys) == "interrupted; the same command resumes after the last complete epoch\n"
    assert main(call) == 0
    assert "Epoch 2/2" in capsys.readouterr().out


def test_ctrl_c_outside_of_training_ends_with_status_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.data, "load", interrupted)
    assert train(tmp_path, *SMALL) == 130


# help


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([], ["train", "evaluate", "reproduce", "compare", "omniglot"]),
        (["train"], ["Ctrl-C", *METHODS, *PAIR_SELECTORS, *TRIPLET_SELECTORS, BATCH_ALL, "torchrun", "examples"]),
        (["train"], ["--margin", "--dim", "--unit-sphere", "--image-size", "--bfloat16", "--compile", "--device"]),
        (["evaluate"], ["evaluation.json", "--dataset", "--embedded"]),
        (["reproduce"], ["--seeds", "--results", "book/results", "Results that exist are not computed again"]),
        (["compare"], ["--part", "--short-epochs", "--embedded", "Results that exist are not computed again"]),
        (["omniglot"], ["--selection", "--bfloat16", "--data", "three alphabets"]),
    ],
)
def test_help_lists_commands_and_options(
    command: list[str], expected: list[str], capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for part_of_help in expected:
        assert part_of_help in printed


def test_the_module_runs_the_command_line() -> None:
    command = [sys.executable, "-m", "siamese_triplet", "evaluate", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: nowhere holds no training run: there is no settings.json in it\n"
