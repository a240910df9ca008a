"""A training run in a folder: its settings, checkpoint, history and evaluation, whatever interrupts it."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from siamese_triplet import __version__
from siamese_triplet._devices import best_device
from siamese_triplet._files import write_atomically
from siamese_triplet.datasets import Images, load, load_folder
from siamese_triplet.datasets.mnist import SOURCES
from siamese_triplet.distributed import first_here_then_others, from_first, is_first, process_group
from siamese_triplet.evaluation import embed
from siamese_triplet.evaluation.summary import seen_classes
from siamese_triplet.methods import Method, Speed, fit_method
from siamese_triplet.trainer import History, load_checkpoint, load_weights

SETTINGS, CHECKPOINT, HISTORY, EVALUATION = "settings.json", "checkpoint.pt", "history.json", "evaluation.json"


@dataclass(frozen=True)
class Data:
    """Which images: "mnist", "fashion-mnist", or a folder with a sub-folder for each class.

    `embedded` takes the small subset inside the package. `image_size` and `channels` are for a folder.
    """

    name: str
    embedded: bool = False
    image_size: int = 28
    channels: int = 1

    def load(self, root: str | os.PathLike | None = None) -> tuple[Images, Images]:
        """The training and the test images. Raises what `datasets.load` and `folders.load_folder` raise."""
        if self.name in SOURCES:
            subset = "embedded" if self.embedded else None
            return load(self.name, True, root, subset=subset), load(self.name, False, root, subset=subset)
        if not Path(self.name).is_dir():
            raise ValueError(
                f"unknown data set {self.name!r}: there are {', '.join(map(repr, SOURCES))}, and no such folder"
            )
        return load_folder(self.name, self.image_size, self.channels)


@dataclass(frozen=True)
class Run:
    """What decides the result of a training run, and how it is computed."""

    data: Data
    experiment: Method
    n_epochs: int = 20
    seed: int = 0
    speed: Speed = Speed()  # noqa: RUF009 - frozen


def train_run(
    run: Run,
    folder: str | os.PathLike,
    *,
    root: str | os.PathLike | None = None,
    device: torch.device | str | None = None,
    verbose: bool = True,
) -> dict[str, Any] | None:
    """Train `run` in `folder`, going on where an earlier call was interrupted; return its evaluation.

    Writes `settings.json`, `checkpoint.pt` after every epoch, `history.json` and `evaluation.json`. `root` is the
    folder of the data. Under `torchrun` all processes train together, and the first writes; the others return None.
    Raises ValueError where `folder` holds a run with other settings, and KeyboardInterrupt when it is interrupted, with
    all whole epochs safe.
    """
    folder = Path(folder)
    with process_group(device):
        first = is_first()
        from_first(lambda: _claim(folder, run))
        train_set, test_set = first_here_then_others(lambda: run.data.load(root))
        model, history = fit_method(
            run.experiment,
            train_set,
            test_set,
            run.n_epochs,
            run.seed,
            device=device,
            speed=run.speed,
            checkpoint=folder / CHECKPOINT,
            verbose=verbose,
        )
    if first:
        history.save(folder / HISTORY)
    if history.n_epochs < run.n_epochs:
        raise KeyboardInterrupt
    if not first:
        return None
    return _write_evaluation(folder / EVALUATION, run, model, history, (train_set, test_set))


def evaluate_run(
    folder: str | os.PathLike,
    *,
    data: Data | None = None,
    root: str | os.PathLike | None = None,
    device: torch.device | str | None = None,
) -> dict[str, Any]:
    """Evaluate the model that `folder` holds, at whatever epoch it is, and write `evaluation.json`.

    With `data`, on other images than it was trained on; then nothing is written. Raises FileNotFoundError where there
    is no run, and CheckpointError where its checkpoint is not whole.
    """
    folder = Path(folder)
    run = read_run(folder)
    history = History.of(load_checkpoint(folder / CHECKPOINT)["history"], str(folder / CHECKPOINT))
    sets = run.data.load(root)
    model = run.experiment.network(sets[0]).to(best_device() if device is None else device)
    load_weights(folder / CHECKPOINT, model)
    if data is not None:
        return _evaluation(model, data.load(root))
    return _write_evaluation(folder / EVALUATION, run, model, history, sets)


def read_run(folder: str | os.PathLike) -> Run:
    """The run that `folder` holds. Raises FileNotFoundError where there is none, ValueError for damaged settings."""
    path = Path(folder) / SETTINGS
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no training run: there is no {SETTINGS} in it")
    try:
        values = json.loads(path.read_text())
        data, experiment, speed = Data(**values["data"]), Method(**values["experiment"]), Speed(**values["speed"])
        return Run(data, experiment, values["n_epochs"], values["seed"], speed)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold the settings of a run: {error}") from error


def _claim(folder: Path, run: Run) -> None:
    """Make `folder` that of `run`, or see that it is."""
    has_checkpoint = (folder / CHECKPOINT).exists()
    if (folder / SETTINGS).exists():
        differing = differences(asdict(read_run(folder)), run)
        if differing and has_checkpoint:
            raise ValueError(
                f"{folder} holds a run with other settings: {'; '.join(differing)}. Name another folder, or the same "
                "settings to go on with it"
            )
        if not differing:
            return
    elif has_checkpoint:
        raise ValueError(f"{folder} holds a checkpoint but no {SETTINGS}; name another folder")
    write_json(folder / SETTINGS, asdict(run))  # also in place of settings that no epoch was trained with


def differences(before: dict[str, Any], run: Run) -> list[str]:
    """In which settings `run` differs from those of another one, in words."""
    then, now = _flat(before), _flat(asdict(run))
    return [f"{name} {then[name]!r}, not {now[name]!r}" for name in now if name in then and then[name] != now[name]]


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat


def _evaluation(model: nn.Module, sets: tuple[Images, Images]) -> dict[str, Any]:
    train, test = (embed(model, images) for images in sets)
    return {**seen_classes(train, test), "n_train": len(train[0]), "n_test": len(test[0])}


def _write_evaluation(
    path: Path, run: Run, model: nn.Module, history: History, sets: tuple[Images, Images]
) -> dict[str, Any]:
    results = _evaluation(model, sets)
    results |= {"last_epoch": history.epochs()[-1] if history.n_epochs else None, "n_epochs": history.n_epochs}
    results |= {"run": asdict(run), "seconds": sum(history.get("seconds", [])), "made": provenance(model)}
    write_json(path, results)
    return results


def provenance(model: nn.Module) -> dict[str, Any]:
    """Where and with what a result was made."""
    device = next(model.parameters()).device
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "siamese_triplet": __version__,
    }


def processor() -> str:
    """The name of this machine's processor, as far as it tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_json(path: Path, contents: Any) -> None:
    write_atomically(path, json.dumps(contents, indent=1).encode() + b"\n")
