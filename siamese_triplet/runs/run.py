"""A training run in a folder: train it, go on, evaluate it."""

import json
import os
import reprlib
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from siamese_triplet._devices import best_device
from siamese_triplet.datasets import Images
from siamese_triplet.datasets._naming import expand
from siamese_triplet.distributed import call_local_first, call_on_first, is_first, process_group
from siamese_triplet.evaluation import embed
from siamese_triplet.evaluation.summary import seen_classes
from siamese_triplet.methods import Method, Speed, fit_method
from siamese_triplet.networks import ClassificationNet, SiameseNet, TripletNet
from siamese_triplet.runs.data import Data, TrainedOn
from siamese_triplet.runs.folder_lock import locked
from siamese_triplet.runs.provenance import provenance, write_json
from siamese_triplet.runs.schema import read_fields
from siamese_triplet.trainer import History, load_checkpoint, load_weights

SETTINGS, CHECKPOINT, HISTORY, EVALUATION = "settings.json", "checkpoint.pt", "history.json", "evaluation.json"
TRAINED_ON = "trained_on"  # in the settings


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

    Writes `settings.json`, `checkpoint.pt` after every epoch, `history.json` and `evaluation.json`. The settings also
    hold what `TrainedOn` describes. `root` is the folder of the data; a leading `~` is the home folder. Under
    `torchrun` all processes train together; the first one writes, the others return None.

    Raises ValueError if `folder` holds a run with other settings or other data, or another process is training in it,
    and KeyboardInterrupt if training is interrupted; complete epochs are kept.
    """
    folder = expand(folder)
    with ExitStack() as held:
        return _train(run, folder, held, root, device, verbose)


def _train(
    run: Run,
    folder: Path,
    held: ExitStack,
    root: str | os.PathLike | None,
    device: torch.device | str | None,
    verbose: bool,
) -> dict[str, Any] | None:
    """Train `run` as `train_run` does; the lock of the folder goes into `held`."""
    with process_group(device):
        first = is_first()
        call_on_first(lambda: held.enter_context(locked(folder)))
        call_on_first(lambda: _claim(folder, run))
        sets = call_local_first(lambda: run.data.load(root))
        found = TrainedOn.of(sets)
        kept = call_on_first(lambda: _keep(folder, run, found))
        _check_same(folder, kept, found)
        train_set, test_set = kept.normalise(sets)
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

    With `data`, evaluates on those images instead and writes nothing. All images are normalised like the training data.
    Raises FileNotFoundError if there is no run, CheckpointError if its checkpoint is damaged, and ValueError if its own
    data has changed. A run of version 1.0 has kept nothing of its data: it takes what is there now.
    """
    folder = expand(folder)
    run, kept = _read_settings(folder)
    history = History.of(load_checkpoint(folder / CHECKPOINT)["history"], str(folder / CHECKPOINT))
    own = run.data.load(root) if data is None or kept is None else None
    if own is not None:
        found = TrainedOn.of(own)
        kept = kept or found
        _check_same(folder, kept, found)
    assert kept is not None
    channels, height, width = kept.input_size
    model = run.experiment.network_for((channels, height, width), len(kept.classes))
    model = load_weights(folder / CHECKPOINT, model).to(best_device() if device is None else device)
    if data is not None:
        return _evaluation(model, kept.normalise(data.load(root)))
    assert own is not None
    return _write_evaluation(folder / EVALUATION, run, model, history, kept.normalise(own))


def load_run(folder: str | os.PathLike) -> tuple[nn.Module, TrainedOn]:
    """Load the embedding network that was trained in `folder`, complete or not, and what the run keeps of its data.

    Of a classifier it is all but the last layer. Raises FileNotFoundError if there is no run, CheckpointError if its
    checkpoint is damaged, and ValueError for a run of version 1.0, which has kept nothing of its data.
    """
    folder = expand(folder)
    run, kept = _read_settings(folder)
    if kept is None:
        raise ValueError(f"{folder} does not say how its images were read; train anew in another folder")
    channels, height, width = kept.input_size
    model = run.experiment.network_for((channels, height, width), len(kept.classes))
    model = load_weights(folder / CHECKPOINT, model)
    if isinstance(model, ClassificationNet):
        return nn.Sequential(model.embedding_net, model.nonlinear), kept
    return (model.embedding_net if isinstance(model, (SiameseNet, TripletNet)) else model), kept


def read_run(folder: str | os.PathLike) -> Run:
    """Read the settings of the run in `folder`.

    Raises FileNotFoundError without a run, and ValueError, naming file and field, for settings that are damaged.
    """
    return _read_settings(expand(folder))[0]


def _read_settings(folder: Path) -> tuple[Run, TrainedOn | None]:
    """Read the settings of the run in `folder`, and the description of its data; None in a run of version 1.0."""
    path = folder / SETTINGS
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no training run: there is no {SETTINGS} in it")
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict):
            raise ValueError(f"expected an object, got {reprlib.repr(values)}")
        own = {field.name: values[field.name] for field in fields(Run) if field.name in values}
        nested: dict[str, type] = {"data": Data, "experiment": Method, "speed": Speed}
        parts: dict[str, Any] = {name: read_fields(kind, own.get(name), f"{name}.") for name, kind in nested.items()}
        run = read_fields(Run, own | parts)
        if run.n_epochs < 0:
            raise ValueError(f"n_epochs={run.n_epochs} must not be negative")
        kept = values.get(TRAINED_ON)
        return run, None if kept is None else read_fields(TrainedOn, kept, f"{TRAINED_ON}.")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} does not hold the settings of a run: {error}") from error


def _keep(folder: Path, run: Run, found: TrainedOn) -> TrainedOn:
    """Return what the run in `folder` keeps of its data; without a complete epoch, or in an old run, keep `found`."""
    _, kept = _read_settings(folder)
    if kept is not None and (folder / CHECKPOINT).exists():
        return kept
    if kept != found:
        write_json(folder / SETTINGS, asdict(run) | {TRAINED_ON: asdict(found)})
    return found


def _check_same(folder: Path, kept: TrainedOn, found: TrainedOn) -> None:
    if differing := kept.differences(found):
        raise ValueError(
            f"{folder} was trained on other data: {'; '.join(differing)}. Give it the same data again, train anew in "
            "another folder, or name these images to evaluate on them (--dataset)"
        )


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
