"""Checkpoints: a resumed run ends like an uninterrupted one, and other files are refused."""

import hashlib
import pickle
import random
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_trainer import Stopping, linear
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, Dataset
from toy_data import stripes

from siamese_triplet.datasets import RandomWarp, SiameseMNIST, TripletMNIST
from siamese_triplet.diagnostics import SpreadMetric
from siamese_triplet.loader import TensorLoader
from siamese_triplet.losses import ContrastiveLoss, OnlineContrastiveLoss, OnlineTripletLoss, TripletLoss
from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric
from siamese_triplet.networks import ClassificationNet, SiameseNet, TripletNet
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.selectors import AllPositivePairSelector, AllTripletSelector, RandomNegativeTripletSelector
from siamese_triplet.trainer import CheckpointError, History, fit, load_checkpoint, load_weights


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.PReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
    )


class ThinnedTripletSelector(AllTripletSelector):
    """A random part of the triplets, drawn with every kind of random generator."""

    def __init__(self) -> None:
        super().__init__()
        self.generators = {"numpy": np.random.default_rng(0), "python": [random.Random(0)]}

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        triplets = super().select(distances, is_positive, is_negative)
        share = 0.5 + 0.1 * (self.generators["python"][0].random() + random.random() + np.random.rand())  # noqa: NPY002
        kept = torch.from_numpy(self.generators["numpy"].random(len(triplets))) < share
        return triplets[kept & (torch.rand(len(triplets)) < 0.9)]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


CASES: dict[str, tuple[Callable, Callable, Callable, Callable]] = {
    "one input": (
        lambda: ClassificationNet(small_net(), 3),
        nn.NLLLoss,
        lambda x: x,
        lambda: [AccumulatedAccuracyMetric()],
    ),
    "two inputs": (lambda: SiameseNet(small_net()), lambda: ContrastiveLoss(1.0), SiameseMNIST, list),
    "three inputs": (lambda: TripletNet(small_net()), lambda: TripletLoss(1.0), TripletMNIST, list),
    "online pairs": (
        small_net,
        lambda: OnlineContrastiveLoss(1.0, AllPositivePairSelector(generator=generator())),
        None,
        list,
    ),
    "online triplets": (
        small_net,
        lambda: OnlineTripletLoss(1.0, RandomNegativeTripletSelector(1.0, generator=generator())),
        None,
        lambda: [AverageNonzeroTripletsMetric(), SpreadMetric(1.0)],
    ),
    "many generators": (small_net, lambda: OnlineTripletLoss(1.0, ThinnedTripletSelector()), None, list),
}
SCHEDULERS: dict[str, Callable[[Optimizer], LRScheduler | None]] = {
    "none": lambda optimizer: None,
    "step": lambda optimizer: StepLR(optimizer, 2, 0.5),
    "milestones": lambda optimizer: MultiStepLR(optimizer, [1, 3], 0.5),
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, 5),
    "plateau": lambda optimizer: ReduceLROnPlateau(optimizer, patience=0, factor=0.5, threshold=0.5),
}


class Training:
    """A training run with fresh objects, as in a new process."""

    def __init__(
        self, case: str, loader: type = TensorLoader, scheduler: str = "step", optimizer: type = Adam, seed: int = 0
    ) -> None:
        torch.manual_seed(seed)
        make_model, make_loss, make_dataset, make_metrics = CASES[case]
        self.model = make_model()
        self.optimizer = optimizer(self.model.parameters(), lr=0.01)
        self.scheduler = SCHEDULERS[scheduler](self.optimizer)
        self.loss, self.metrics = make_loss(), make_metrics()
        self.loaders = [self._loader(loader, make_dataset, train) for train in (True, False)]
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002

    @staticmethod
    def _loader(loader: type, make_dataset: Callable[[Any], Dataset] | None, train: bool) -> Iterable:
        images = stripes(train)
        if make_dataset is None:
            return loader(images, batch_sampler=BalancedBatchSampler(images.targets, 3, 5))
        return loader(make_dataset(images), 20, shuffle=train)

    def fit(self, n_epochs: int, **options: Any) -> History:
        train_loader, val_loader = self.loaders
        parts = self.model, self.loss, self.optimizer, self.scheduler
        return fit(train_loader, val_loader, *parts, n_epochs, metrics=self.metrics, verbose=False, **options)

    def state(self) -> tuple:
        scheduler = None if self.scheduler is None else self.scheduler.state_dict()
        return self.model.state_dict(), self.optimizer.state_dict(), scheduler


def assert_same(ours: Training, history: History, expected: Training, expected_history: History) -> None:
    assert list(history) == list(expected_history)
    assert {**history, "seconds": []} == {**expected_history, "seconds": []}
    torch.testing.assert_close(ours.state()[:2], expected.state()[:2], rtol=0, atol=0)
    assert str(ours.state()[2]) == str(expected.state()[2])


@pytest.mark.parametrize("loader", [TensorLoader, DataLoader])
@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_ends_like_an_uninterrupted_one(case: str, loader: type, tmp_path: Path) -> None:
    whole = Training(case, loader)
    expected = whole.fit(5)
    Training(case, loader).fit(2, checkpoint=tmp_path / "run.pt")
    resumed = Training(case, loader, seed=77)
    assert_same(resumed, resumed.fit(5, checkpoint=tmp_path / "run.pt"), whole, expected)
    assert expected["train_loss"][2:] != expected["train_loss"][:3]


@pytest.mark.parametrize("optimizer", [SGD, Adam, torch.optim.AdamW, torch.optim.RMSprop])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_any_scheduler_and_optimizer_resumes(scheduler: str, optimizer: type, tmp_path: Path) -> None:
    arguments = "one input", TensorLoader, scheduler, optimizer
    whole = Training(*arguments)
    expected = whole.fit(5)
    for n_epochs in (1, 3):
        Training(*arguments, seed=n_epochs - 1).fit(n_epochs, checkpoint=tmp_path / "run.pt")
    resumed = Training(*arguments, seed=77)
    assert_same(resumed, resumed.fit(5, checkpoint=tmp_path / "run.pt"), whole, expected)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (lambda optimizer: StepLR(optimizer, 1), lambda optimizer: StepLR(optimizer, 4), "step_size 1, this run's 4"),
        (
            lambda optimizer: OneCycleLR(optimizer, 0.1, total_steps=3),
            lambda optimizer: OneCycleLR(optimizer, 0.1, total_steps=9),
            "total_steps 3, this run's 9",
        ),
        (
            lambda optimizer: MultiStepLR(optimizer, [1]),
            lambda optimizer: MultiStepLR(optimizer, [1, 5]),
            "has milestones",
        ),
    ],
)
def test_a_checkpoint_of_another_schedule_is_refused(
    before: Callable, after: Callable, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedule of a longer run, for example: it would continue with the learning rates of the shorter one."""
    monkeypatch.setitem(SCHEDULERS, "step", before)
    Training("one input").fit(2, checkpoint=tmp_path / "run.pt")
    monkeypatch.setitem(SCHEDULERS, "step", after)
    with pytest.raises(CheckpointError, match=message):
        Training("one input").fit(5, checkpoint=tmp_path / "run.pt")


def test_a_run_stopped_by_a_callback_resumes(tmp_path: Path) -> None:
    whole = Training("online triplets")
    expected = whole.fit(5)
    stopped = Training("online triplets").fit(5, checkpoint=tmp_path / "run.pt", callbacks=[lambda n, *_: n == 2])
    assert stopped.n_epochs == 2
    resumed = Training("online triplets", seed=77)
    assert_same(resumed, resumed.fit(5, checkpoint=tmp_path / "run.pt"), whole, expected)


def test_a_run_interrupted_within_an_epoch_resumes_after_the_last_complete_one(tmp_path: Path) -> None:
    whole = Training("three inputs")
    expected = whole.fit(5)
    interrupted = Training("three inputs")
    interrupted.loaders[0] = Stopping(interrupted.loaders[0], after=7)
    assert interrupted.fit(5, checkpoint=tmp_path / "run.pt").n_epochs == 2
    resumed = Training("three inputs", seed=77)
    resumed.loaders[0] = Stopping(resumed.loaders[0], after=100)
    assert_same(resumed, resumed.fit(5, checkpoint=tmp_path / "run.pt"), whole, expected)


def test_a_checkpoint_is_written_after_every_epoch_and_changes_nothing(tmp_path: Path) -> None:
    epochs = []

    def look(epoch: int, history: History, model: nn.Module) -> None:
        contents = load_checkpoint(tmp_path / "new" / "run.pt")
        epochs.append((contents["epoch"], contents["history"] == history))
        torch.testing.assert_close(contents["model"], model.state_dict(), rtol=0, atol=0)

    whole = Training("two inputs")
    expected = whole.fit(3)
    watched = Training("two inputs")
    history = watched.fit(3, checkpoint=str(tmp_path / "new" / "run.pt"), callbacks=[look])
    assert epochs == [(1, True), (2, True), (3, True)]
    assert_same(watched, history, whole, expected)


def test_a_complete_run_returns_its_history_without_training(tmp_path: Path) -> None:
    done = Training("one input")
    done.loaders[0] = Stopping(done.loaders[0], after=100)
    expected = done.fit(3, checkpoint=tmp_path / "run.pt")
    before = (tmp_path / "run.pt").read_bytes()
    again = Training("one input", seed=77)
    again.loaders[0] = Stopping(again.loaders[0], after=0)
    history = again.fit(3, checkpoint=tmp_path / "run.pt", start_epoch=3)
    assert history == expected
    assert isinstance(history, History)
    assert_same(again, history, done, expected)
    assert (tmp_path / "run.pt").read_bytes() == before


def test_the_past_epochs_are_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for n_epochs in (2, 3):
        model, loader = linear()
        optimizer = SGD(model.parameters(), 0.1)
        fit(loader, None, model, nn.CrossEntropyLoss(), optimizer, None, n_epochs, checkpoint=tmp_path / "run.pt")
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("  ")[0] for line in lines] == [f"Epoch {n + 1}/{n_epochs}" for n in range(n_epochs)]


# files that are not a complete checkpoint of this run


def assert_left_alone(path: Path, run: Training, match: str, n_epochs: int = 5, **options: Any) -> None:
    """Assert that the run refuses the file, and that neither of them changes."""
    contents = path.read_bytes()
    before = pickle.loads(pickle.dumps((run.state(), torch.get_rng_state(), random.getstate())))
    with pytest.raises(CheckpointError, match=match):
        run.fit(n_epochs, checkpoint=path, **options)
    torch.testing.assert_close(run.state()[:2], before[0][:2], rtol=0, atol=0)
    assert str(run.state()[2]) == str(before[0][2])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert random.getstate() == before[2]
    assert path.read_bytes() == contents
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Training("online triplets").fit(2, checkpoint=tmp_path / "run.pt")
    return tmp_path / "run.pt"


def test_a_truncated_file_is_refused_whatever_its_length(path: Path) -> None:
    whole = path.read_bytes()
    lengths = [*range(0, len(whole), len(whole) // 40), *(len(whole) - n for n in (1, 2, 10, 22, 23, 60, 200))]
    for length in lengths:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"run\.pt cannot be read as a checkpoint: .*It is left as it is"):
            load_checkpoint(path)
    for length in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert_left_alone(path, Training("online triplets"), r"run\.pt cannot be read as a checkpoint")


def test_a_flipped_byte_is_noticed_anywhere(path: Path) -> None:
    whole = path.read_bytes()
    draw = random.Random(0)
    for place in (0, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(200))):
        damaged = bytearray(whole)
        damaged[place] ^= draw.choice([1, 8, 16, 128, 255])
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"run\.pt cannot be read as a checkpoint"):
            load_checkpoint(path)


def sign(path: Path) -> None:
    """Append the digest of a checkpoint, so that only the contents can be wrong."""
    path.write_bytes(path.read_bytes() + hashlib.sha256(path.read_bytes()).digest())


class Bomb:
    """An object that creates a folder when unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.folder,)


FOREIGN: dict[str, Callable[[Path], Any]] = {
    "text": lambda path: path.write_text("not a checkpoint"),
    "weights": lambda path: torch.save(small_net().state_dict(), path),
    "tensor": lambda path: torch.save(torch.zeros(3), path),
    "list": lambda path: torch.save([1, 2], path),
    "older format": lambda path: torch.save({"epoch": 2}, path, _use_new_zipfile_serialization=False),
    "other version": lambda path: torch.save({"format": "siamese_triplet checkpoint 0", "epoch": 2}, path),
    "incomplete": lambda path: torch.save({"format": "siamese_triplet checkpoint 1", "epoch": 2}, path),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"epoch": 2})),
    "zip": lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "text"),
    "whole model": lambda path: torch.save(small_net(), path),
}


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_kind_is_refused(kind: str, signed: bool, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    FOREIGN[kind](path)
    if signed:
        sign(path)
    assert_left_alone(path, Training("one input"), r"run\.pt (cannot be read as a|is not a) checkpoint.*left as it is")


@pytest.mark.parametrize("in_zip", [True, False])
def test_a_file_that_would_run_code_is_refused_and_runs_none(in_zip: bool, tmp_path: Path) -> None:
    path, folder = tmp_path / "run.pt", tmp_path.parent / f"{tmp_path.name} made by a pickle"
    contents = {"format": "siamese_triplet checkpoint 1", "model": Bomb(folder)}
    torch.save(contents, path) if in_zip else path.write_bytes(pickle.dumps(contents))
    sign(path)
    assert_left_alone(path, Training("one input"), r"run\.pt cannot be read as a checkpoint")
    assert not folder.exists()
    pickle.loads(pickle.dumps(Bomb(folder)))
    assert folder.exists()


def test_a_folder_and_a_missing_file_raise(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint at .*folder, but a folder"):
        Training("one input").fit(2, checkpoint=tmp_path / "folder")
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint at .*nothing\.pt$"):
        load_checkpoint(tmp_path / "nothing.pt")


def test_a_path_that_cannot_be_written_raises_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    run = Training("one input")
    run.loaders[0] = Stopping(run.loaders[0], after=0)
    with pytest.raises(OSError, match="file"):
        run.fit(2, checkpoint=tmp_path / "file" / "run.pt")


class Odd:
    pass


class OddMetric(AccumulatedAccuracyMetric):
    def state_dict(self) -> dict:
        return {"odd": Odd()}


def test_a_state_that_is_not_safe_to_load_raises_when_first_written(tmp_path: Path) -> None:
    run = Training("one input")
    run.metrics = [OddMetric()]
    with pytest.raises(CheckpointError, match=r"run\.pt .*safe to load"):
        run.fit(2, checkpoint=tmp_path / "run.pt")
    assert list(tmp_path.iterdir()) == []


def rewrite(path: Path, **fields: Any) -> None:
    """Replace fields of the checkpoint at `path`, and sign it again."""
    contents = load_checkpoint(path)
    torch.save({**contents, **fields}, path)
    sign(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epoch", -5, "epoch must be a whole number of at least 1, got -5"),
        ("epoch", "4", "epoch must be .*, got '4'"),
        ("epoch", 2.0, r"epoch must be .*, got 2\.0"),
        ("epoch", True, "epoch must be .*, got True"),
        ("epoch", 1, "history has 2 epochs, but its epoch is 1"),
        ("history", {"train_loss": [0.1, "0.2"]}, "history must be a list of numbers for each name"),
        ("history", {"train_loss": [0.1, None]}, "history must be a list of numbers for each name"),
        ("history", [0.1], "history must be a list of numbers for each name"),
        ("history", {1: [0.1]}, "history must be a list of numbers for each name"),
        ("names", {"model": 3}, "names must be texts by name"),
        ("names", None, "names must be texts by name, got None"),
        ("model", [1, 2], r"model must be weights by name, got \[1, 2\]"),
        ("model", {0: torch.zeros(2)}, "model must be weights by name"),
        ("loss", None, "loss must be weights by name, got None"),
        ("optimizer", {"state": {}}, "optimizer must be a dictionary with state and param_groups"),
        ("scheduler", "step", "scheduler must be a dictionary or None, got 'step'"),
        ("metrics", {}, "metrics must be a list"),
        ("random", [], "random must be a list of the random states of each process"),
        ("random", [{"process": {}}], "random must be a list of the random states of each process"),
        ("random", None, "random must be .*, got None"),
        ("model", list(range(100_000)), "model must be weights by name"),
    ],
)
def test_a_field_of_another_kind_is_refused_naming_file_and_field(
    name: str, value: Any, message: str, path: Path
) -> None:
    rewrite(path, **{name: value})
    for load in (load_checkpoint, lambda path: load_weights(path, small_net())):
        with pytest.raises(CheckpointError, match=rf"run\.pt is not a checkpoint of this training run: its {message}"):
            load(path)
    assert_left_alone(path, Training("online triplets"), message)


@pytest.mark.parametrize("part", ["optimizer", "scheduler", "names", "random"])
def test_a_field_that_is_wrong_inside_is_refused_and_changes_nothing(part: str, path: Path) -> None:
    wrong: dict[str, Any] = {
        "optimizer": {"state": {0: [1]}, "param_groups": [1]},
        "scheduler": {"step_size": 3},
        "names": {"model": "Sequential", "colour": "red"},
        "random": [{"process": {}, "generators": {}}],
    }
    rewrite(path, **{part: wrong[part]})
    assert_left_alone(path, Training("online triplets"), r"run\.pt is not a checkpoint of this training run")


# checkpoints of another run


def wider() -> Training:
    run = Training("online triplets")
    run.model = nn.Sequential(nn.Flatten(), nn.Linear(36, 9), nn.BatchNorm1d(9), nn.PReLU(), nn.Linear(9, 2))
    run.optimizer = Adam(run.model.parameters(), 0.01)
    run.scheduler = StepLR(run.optimizer, 2, 0.5)
    return run


def with_two_groups() -> Training:
    run = Training("online triplets")
    layers = [[*run.model[:2].parameters()], [*run.model[2:].parameters()]]
    run.optimizer = Adam([{"params": layer} for layer in layers], 0.01)
    run.scheduler = StepLR(run.optimizer, 2, 0.5)
    return run


def without_metrics() -> Training:
    run = Training("online triplets")
    run.metrics = []
    return run


def without_a_random_selector() -> Training:
    run = Training("online triplets")
    run.loss = OnlineTripletLoss(1.0, AllTripletSelector())
    return run


OTHERS: dict[str, tuple[Callable[[], Training], str]] = {
    "model": (lambda: Training("one input"), "its model is 'Sequential', the model of this run 'ClassificationNet'"),
    "size": (wider, r"weights differ from the model's; 1\.weight is \(8, 36\) there, \(9, 36\) here"),
    "loss": (lambda: Training("online pairs"), "its loss_fn is 'OnlineTripletLoss', .* 'OnlineContrastiveLoss'"),
    "optimizer": (lambda: Training("online triplets", optimizer=SGD), "its optimizer is 'Adam', .* 'SGD'"),
    "scheduler": (lambda: Training("online triplets", scheduler="cosine"), "its scheduler is 'StepLR', .* 'Cosine"),
    "no scheduler": (lambda: Training("online triplets", scheduler="none"), "its scheduler is 'StepLR', .* 'NoneType'"),
    "metrics": (without_metrics, "its metrics is 'nonzero triplets, spread', the metrics of this run ''"),
    "parameter groups": (with_two_groups, "parameter group"),
    "generators": (without_a_random_selector, "random generators of .* were saved, but this run has"),
}


@pytest.mark.parametrize("part", OTHERS)
def test_a_checkpoint_of_another_run_is_refused_naming_what_differs(part: str, path: Path) -> None:
    make, message = OTHERS[part]
    assert_left_alone(path, make(), rf"run\.pt is not a checkpoint of this training run: .*{message}")


@pytest.mark.parametrize(("n_epochs", "start_epoch"), [(1, 0), (5, 1), (5, 3)])
def test_a_checkpoint_with_more_epochs_or_another_start_is_refused(n_epochs: int, start_epoch: int, path: Path) -> None:
    run = Training("online triplets")
    match = f"written after 2 epochs, which does not go with n_epochs={n_epochs} and start_epoch={start_epoch}"
    assert_left_alone(path, run, match, n_epochs, start_epoch=start_epoch)


def test_an_error_while_writing_keeps_the_previous_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        Training("online triplets").fit(5, checkpoint=path)
    assert path.read_bytes() == before


# weights alone


def test_load_weights_copies_the_weights_of_the_checkpoint(path: Path) -> None:
    trained, model = Training("online triplets"), small_net()
    trained.fit(2, checkpoint=path)
    assert load_weights(str(path), model) is model
    torch.testing.assert_close(model.state_dict(), trained.model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: nn.Linear(3, 2), r"weights differ.* weight is missing there, \(2, 3\) here"),
        (lambda: wider().model, r"1\.weight is \(8, 36\) there, \(9, 36\) here"),
        (nn.Identity, r"1\.weight is \(8, 36\) there, missing here"),
    ],
    ids=["names", "shapes", "nothing"],
)
def test_the_weights_of_another_model_are_refused(other: Callable[[], nn.Module], message: str, path: Path) -> None:
    model = other()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        load_weights(path, model)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


class Wrapped(nn.Module):
    """A network under another name, as in DataParallel and after torch.compile."""

    def __init__(self, name: str, net: nn.Module) -> None:
        super().__init__()
        self.add_module(name, net)


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "alone": lambda net: net,
    "data parallel": nn.DataParallel,
    "compiled": lambda net: Wrapped("_orig_mod", net),
    "siamese": SiameseNet,
    "triplet": TripletNet,
    "compiled siamese": lambda net: Wrapped("_orig_mod", SiameseNet(net)),
    "siamese of a parallel one": lambda net: SiameseNet(nn.DataParallel(Wrapped("_orig_mod", net))),
}


@pytest.mark.parametrize("after", WRAPPERS)
@pytest.mark.parametrize("before", WRAPPERS)
def test_weights_fit_a_network_without_the_wrapper_and_within_another(before: str, after: str, path: Path) -> None:
    net, model = small_net(), WRAPPERS[after](small_net())
    rewrite(path, model=WRAPPERS[before](net).state_dict())
    assert load_weights(path, model) is model
    values = list(model.state_dict().values())
    torch.testing.assert_close(values, list(net.state_dict().values()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("saved", "model", "message"),
    [
        (
            lambda: ClassificationNet(small_net(), 3),
            small_net,
            r"1\.weight is missing there, \(8, 36\) here; there it has the name embedding_net\.1\.weight, in a network "
            "around this one. Make the network that was trained, and load them into it",
        ),
        (lambda: Wrapped("backbone", small_net()), small_net, r"1\.weight is missing there, \(8, 36\) here\. Make"),
        (lambda: nn.DataParallel(small_net()), wider, r"module\.1\.weight"),
    ],
    ids=["with a head", "another name", "another size"],
)
def test_weights_that_do_not_fit_are_refused_and_advise_on_loading(
    saved: Callable, model: Callable, message: str, path: Path
) -> None:
    rewrite(path, model=saved().state_dict())
    network = getattr(model(), "model", None) or model()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as caught:
        load_weights(path, network)
    assert "train anew" not in str(caught.value)
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_compiled_networks_have_the_name_that_is_removed() -> None:
    assert {name.split(".")[0] for name in torch.compile(nn.Linear(2, 2)).state_dict()} == {"_orig_mod"}


def test_a_leading_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Training("one input").fit(2, checkpoint=tmp_path / "home" / "x" / "run.pt")
    assert load_checkpoint("~/x/run.pt")["epoch"] == 2
    load_weights(Path("~/x/run.pt"), ClassificationNet(small_net(), 3))
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "home" / "nothing.pt")):
        load_checkpoint("~/nothing.pt")


# warps


@pytest.mark.parametrize("case", ["one input", "two inputs", "online triplets"])
def test_a_resumed_run_with_warps_ends_like_an_uninterrupted_one(case: str, tmp_path: Path) -> None:
    def training(seed: int = 0) -> Training:
        run = Training(case, seed=seed)
        run.loaders[0].augment = RandomWarp(seed=5)
        return run

    whole, plain = training(), Training(case)
    expected = whole.fit(4)
    assert plain.fit(4)["train_loss"] != expected["train_loss"]
    training().fit(2, checkpoint=tmp_path / "run.pt")
    resumed = training(seed=77)
    assert_same(resumed, resumed.fit(4, checkpoint=tmp_path / "run.pt"), whole, expected)
    assert torch.equal(*(run.loaders[0].augment.generator.get_state() for run in (resumed, whole)))


def test_a_checkpoint_with_warps_is_refused_by_a_run_without(tmp_path: Path) -> None:
    run = Training("one input")
    run.loaders[0].augment = RandomWarp()
    run.fit(1, checkpoint=tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match=r"augment\.generator"):
        Training("one input").fit(2, checkpoint=tmp_path / "run.pt")
