"""Checkpoints: all that a training run needs to continue as if it had never stopped.

A checkpoint is written to a temporary file, which then replaces the old one: a run killed at any moment leaves a whole
checkpoint. It ends in a digest of all its bytes, which reveals damage. It is read with `weights_only=True`: loading it
runs no code from the file.
"""

import copy
import io
import os
import pickle
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from siamese_triplet._atomic_files import seal, unseal, write_atomically
from siamese_triplet.distributed import Share, gather_objects, is_first
from siamese_triplet.trainer.history import History
from siamese_triplet.trainer.randomness import random_states, restore_random_states

FORMAT = "siamese_triplet checkpoint 1"
SCHEDULE = "step_size", "gamma", "milestones", "total_steps", "total_iters", "T_max", "T_0", "T_mult", "eta_min"
FIT_ADVICE = "It is left as it is; name another file to train anew"
WRAPPERS = "module", "_orig_mod", "embedding_net"  # of DataParallel; of torch.compile; of SiameseNet and TripletNet


def _is_named(value: Any, *names: str) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value) and set(names) <= set(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_history(value: Any) -> bool:
    return _is_named(value) and all(isinstance(v, list) and all(map(_is_number, v)) for v in value.values())


def _are_random_states(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(_is_named(v, "process", "generators") for v in value)


FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # what a checkpoint holds, and how to tell
    "epoch": ("a whole number of at least 1", lambda value: type(value) is int and value >= 1),
    "history": ("a list of numbers for each name", _is_history),
    "names": ("texts by name", lambda value: _is_named(value) and all(isinstance(v, str) for v in value.values())),
    "model": ("weights by name", _is_named),
    "loss": ("weights by name", _is_named),
    "optimizer": ("a dictionary with state and param_groups", lambda value: _is_named(value, "state", "param_groups")),
    "scheduler": ("a dictionary or None", lambda value: value is None or _is_named(value)),
    "metrics": ("a list", lambda value: isinstance(value, list)),
    "random": ("a list of the random states of each process", _are_random_states),
}


class CheckpointError(ValueError):
    """A file is not a checkpoint, is incomplete, or belongs to another training run."""


@dataclass(frozen=True)
class TrainingState:
    """Everything that changes while a model is trained.

    `sources` hold random generators: the loaders, the loss. A loss may have parameters of its own, trained with the
    model's.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler | None
    loss_fn: Any
    metrics: Sequence[Any]
    sources: dict[str, Any]

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The model and, if it is a module, the loss."""
        return (self.model, self.loss_fn) if isinstance(self.loss_fn, nn.Module) else (self.model,)

    def save(self, path: str | os.PathLike, epoch: int, history: History) -> None:
        """Write a checkpoint after `epoch` epochs. With several processes the first writes, but all must call this."""
        random = gather_objects(random_states(**self.sources))  # one of each process
        if not is_first():
            return
        contents = {
            "format": FORMAT,
            "epoch": epoch,
            "history": dict(history),
            "names": self._part_names(),
            "random": random,
            **self._states(),
        }
        write_atomically(path, _pack(path, contents))

    def check(self, path: str | os.PathLike, contents: dict[str, Any]) -> None:
        """Raise a CheckpointError unless the `contents` of the checkpoint at `path` come from a run like this one."""
        names = self._part_names()
        for part, name in contents["names"].items():
            if names.get(part) != name:
                raise _mismatch(path, f"its {part} is {name!r}, the {part} of this run {names.get(part)!r}")
        for part, module in zip(("model", "loss"), self.modules, strict=False):
            _check_weights(path, contents[part], module)
        _check_schedule(path, contents["scheduler"], self.scheduler)

    def restore(self, path: str | os.PathLike, contents: dict[str, Any]) -> History:
        """Restore the `contents` of the checkpoint at `path`, which `check` has passed, and return its history.

        Raises CheckpointError if something does not fit after all; then nothing has changed.
        """
        history = History.of(contents["history"], str(path))
        share, random = Share.current(), contents["random"]
        random_before, before = random_states(**self.sources), copy.deepcopy(self._states())
        try:
            restore_random_states(random[share.rank if share.world_size == len(random) else 0], **self.sources)
            self._load(contents)
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
            restore_random_states(random_before, **self.sources)
            self._load(before)
            raise _mismatch(path, str(error)) from error
        return history

    def _states(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "loss": self.loss_fn.state_dict() if isinstance(self.loss_fn, nn.Module) else {},
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "metrics": [metric.state_dict() if hasattr(metric, "state_dict") else None for metric in self.metrics],
        }

    def _load(self, states: dict[str, Any]) -> None:
        """Load the result of `_states`, beginning with the parts that may not fit."""
        self.optimizer.load_state_dict(states["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(states["scheduler"])
        for metric, state in zip(self.metrics, states["metrics"], strict=True):
            if state is not None:
                metric.load_state_dict(state)
        for part, module in zip(("model", "loss"), self.modules, strict=False):
            module.load_state_dict(states[part])

    def _part_names(self) -> dict[str, str]:
        parts = {name: type(getattr(self, name)).__name__ for name in ("model", "optimizer", "scheduler", "loss_fn")}
        return parts | {"metrics": ", ".join(metric.name() for metric in self.metrics)}


def _pack(path: str | os.PathLike, contents: dict[str, Any]) -> bytes:
    """Convert a checkpoint for `path` to bytes. Raises CheckpointError if they could not be loaded again."""
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    if not os.path.exists(os.path.expanduser(path)):  # the first checkpoint of this run
        try:
            torch.load(io.BytesIO(buffer.getvalue()), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"a checkpoint for {path} would not be safe to load: the model, the optimizer, the scheduler or a "
                f"metric keeps more than tensors, numbers and text in its state: {_first_line(error)}"
            ) from error
    return seal(buffer.getvalue())


def load_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """Load the contents of the checkpoint at `path`, with all tensors on the CPU.

    A leading `~` is the home folder. Raises FileNotFoundError if there is no file, and CheckpointError for one that is
    truncated or corrupt (every byte is checked), is no checkpoint of this package, or has a field of another kind,
    naming it.

    >>> import torch
    >>> from siamese_triplet import fit, load_checkpoint
    >>> model, batch = torch.nn.Linear(2, 2), (torch.eye(2), torch.tensor([0, 1]))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> loss_fn = torch.nn.CrossEntropyLoss()
    >>> _ = fit([batch], None, model, loss_fn, optimizer, None, 2, checkpoint="run.pt", device="cpu", verbose=False)
    >>> contents = load_checkpoint("run.pt")
    >>> contents["epoch"], sorted(contents["history"])
    (2, ['learning_rate', 'seconds', 'train_loss'])
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}" + (", but a folder" if path.is_dir() else ""))
    packed = path.read_bytes()
    try:
        contents = torch.load(io.BytesIO(unseal(packed, "fit")), map_location="cpu", weights_only=True)
    except Exception as error:  # contents that are no checkpoint raise errors of many kinds
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: {_first_line(error)}. It is left as it is; move it away, or name "
            "another file"
        ) from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT or not set(FIELDS) <= set(contents):
        raise _mismatch(path, "it does not hold a training run of siamese_triplet")
    _check_fields(path, contents)
    return contents


def _check_fields(path: str | os.PathLike, contents: dict[str, Any]) -> None:
    """Check the kind of every field, and that the history is not longer than the run."""
    for name, (expected, is_valid) in FIELDS.items():
        if not is_valid(contents[name]):
            raise _mismatch(path, f"its {name} must be {expected}, got {reprlib.repr(contents[name])}")
    n_epochs = History.of(contents["history"], str(path)).n_epochs
    if n_epochs > contents["epoch"]:
        raise _mismatch(path, f"its history has {n_epochs} epochs, but its epoch is {contents['epoch']}")


def load_weights(path: str | os.PathLike, model: nn.Module) -> nn.Module:
    """Load only the weights of the checkpoint at `path` into `model`; return the model.

    Weights of a network within `DataParallel`, `torch.compile`, `SiameseNet` or `TripletNet` fit the network alone, and
    the reverse. Raises the errors of `load_checkpoint`, and CheckpointError for the weights of another model.

    >>> import torch
    >>> from siamese_triplet import fit, load_weights
    >>> model, batch = torch.nn.Linear(2, 2), (torch.eye(2), torch.tensor([0, 1]))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> loss_fn = torch.nn.CrossEntropyLoss()
    >>> _ = fit([batch], None, model, loss_fn, optimizer, None, 2, checkpoint="run.pt", device="cpu", verbose=False)
    >>> again = load_weights("run.pt", torch.nn.Linear(2, 2))
    >>> torch.equal(again.weight, model.weight)
    True
    """
    weights = _under_names_of(model, load_checkpoint(path)["model"])
    _check_weights(path, weights, model, "Make the network that was trained, and load them into it")
    model.load_state_dict(weights)
    return model


def _under_names_of(model: nn.Module, weights: dict[str, Any]) -> dict[str, Any]:
    """Rename `weights` to the names in `model`, if they differ only in the names of wrappers; else leave them."""
    named = {_without_wrappers(name): value for name, value in weights.items()}
    wanted = {name: _without_wrappers(name) for name in model.state_dict()}
    is_unique = len(named) == len(weights) and len(set(wanted.values())) == len(wanted)
    if not is_unique or set(named) != set(wanted.values()):
        return weights
    return {name: named[bare] for name, bare in wanted.items()}


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _check_weights(
    path: str | os.PathLike, weights: dict[str, Any], model: nn.Module, advice: str = FIT_ADVICE
) -> None:
    found, expected = (
        {key: getattr(value, "shape", None) for key, value in w.items()} for w in (weights, model.state_dict())
    )
    differing = [key for key in {**expected, **found} if found.get(key) != expected.get(key)]
    if differing:
        key = differing[0]
        in_file, in_model = (_describe_shape(shapes, key) for shapes in (found, expected))
        others = [name for name in found if name != key and _without_wrappers(name) == _without_wrappers(key)]
        wrapped = f"; there it has the name {others[0]}, in a network around this one" if others else ""
        raise _mismatch(
            path,
            f"{len(differing)} weights differ from the model's; {key} is {in_file} there, {in_model} here{wrapped}",
            advice,
        )


def _check_schedule(path: str | os.PathLike, state: dict[str, Any] | None, scheduler: Any) -> None:
    """Check that the scheduler has the constants of the checkpoint, which would replace its own."""
    if state is None or scheduler is None:
        return
    now = scheduler.state_dict()
    for name in SCHEDULE:
        if name in state and name in now and state[name] != now[name]:
            raise _mismatch(
                path,
                f"its scheduler has {name} {state[name]}, this run's {now[name]}, as for another number of epochs",
            )


def _describe_shape(shapes: dict[str, Any], key: str) -> str:
    return str(tuple(shapes[key] or ())) if key in shapes else "missing"


def _mismatch(path: str | os.PathLike, why: str, advice: str = FIT_ADVICE) -> CheckpointError:
    return CheckpointError(f"{path} is not a checkpoint of this training run: {why}. {advice}")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
