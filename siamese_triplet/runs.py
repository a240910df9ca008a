"""Training runs kept in a folder (settings, checkpoint, history, evaluation), which resume after an interruption."""

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
from siamese_triplet._atomic_files import write_atomically
from siamese_triplet._devices import best_device
from siamese_triplet.datasets import Images, load, load_folder
from siamese_triplet.datasets.mnist import SOURCES
from siamese_triplet.distributed import call_local_first, call_on_first, is_first, process_group
from siamese_triplet.evaluation import embed
from siamese_triplet.evaluation.summary import seen_classes
from siamese_triplet.methods import Method, Speed, fit_method
from siamese_triplet.trainer import History, load_checkpoint, load_weights

SETTINGS, CHECKPOINT, HISTORY, EVALUATION = "settings.json", "checkpoint.pt", "history.json", "evaluation.json"


@dataclass(frozen=True)
class Data:
    """A data set: "mnist", "fashion-mnist", or the path of a folder with one sub-folder per class.

    `embedded` selects the small subset inside the package. `image_size` and `channels` apply to a folder.
    """

    name: str
    embedded: bool = False
    image_size: int = 28
    channels: int = 1

    def load(self, root: str | os.PathLike | None = None) -> tuple[Images, Images]:
        """Load the training and the test images. Raises as `datasets.load` and `datasets.load_folder` do."""
        if self.name in SOURCES:
            subset = "embedded" if self.embedded else None
            return load(self.name, True, root, subset=subset), load(self.name, False, root, subset=subset)
        if not Path(self.name).is_dir():
            raise ValueError(
                f"unknown data set {self.name!r}; expected {', '.join(map(repr, SOURCES))} or the path of a folder"
            )
        return load_folder(self.name, self.image_size, self.channels)


@dataclass(frozen=True)
class Run:
    """The settings that decide the result of a training run, and the `speed` at which it is computed."""

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
    """Train `run` in `folder`, or resume it after an interruption, and return its evaluation.

    Writes `settings.json`, `checkpoint.pt` after every epoch, `history.json` and `evaluation.json`. `root` is the
    folder of the data. Under `torchrun` all processes train together; the first one writes, the others return None.

    Raises ValueError if `folder` holds a run with other settings, and KeyboardInterrupt if training is interrupted;
    complete epochs are kept.
    """
    folder = Path(folder)
    with process_group(device):
        first = is_first()
        call_on_first(lambda: _claim(folder, run))
        train_set, test_set = call_local_first(lambda: run.data.load(root))
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
    """Evaluate the model in `folder`, complete or not, and write `evaluation.json`.

    With `data`, evaluates on those images instead and writes nothing. Raises FileNotFoundError if there is no run, and
    CheckpointError if its checkpoint is damaged.
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
    """Read the settings of the run in `folder`. Raises FileNotFoundError without a run, ValueError if damaged."""
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
    """Write the settings of `run` to `folder`, or check that it holds the same ones."""
    has_checkpoint = (folder / CHECKPOINT).exists()
    if (folder / SETTINGS).exists():
        differing = differences(asdict(read_run(folder)), run)
        if differing and has_checkpoint:
            raise ValueError(
                f"{folder} holds a run with other settings: {'; '.join(differing)}. Name another folder, or give "
                "the same settings to resume it"
            )
        if not differing:
            return
    elif has_checkpoint:
        raise ValueError(f"{folder} holds a checkpoint but no {SETTINGS}; name another folder")
    write_json(folder / SETTINGS, asdict(run))  # replaces settings that trained no epoch


def differences(before: dict[str, Any], run: Run) -> list[str]:
    """Describe each setting in which `run` differs from the run `before`, given as a dictionary."""
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
    """Record the origin of a result: date, device, threads and versions."""
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
    """Return the name of the processor, or its architecture where the name is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_json(path: Path, contents: Any) -> None:
    write_atomically(path, json.dumps(contents, indent=1).encode() + b"\n")
