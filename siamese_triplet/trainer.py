"""The training loop: one for every network, loss and kind of batch of these chapters, and for your own."""

import math
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from siamese_triplet.checkpoints import CheckpointError, TrainingState, load_checkpoint
from siamese_triplet.checks import NotFiniteError
from siamese_triplet.devices import best_device, device_of, move
from siamese_triplet.distributed import from_first, gather, is_first, of_all, send_to_all, sum_gradients
from siamese_triplet.history import History
from siamese_triplet.metrics import Metric
from siamese_triplet.networks import evaluating
from siamese_triplet.progress import Progress

CHECK_EVERY = 50  # steps between two looks for a loss that is not finite, where a look waits for the device

Callback = Callable[[int, History, nn.Module], bool | None]


def fit(
    train_loader: Iterable,
    val_loader: Iterable | None,
    model: nn.Module,
    loss_fn: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler | None,
    n_epochs: int,
    *,
    metrics: Sequence[Metric] = (),
    device: torch.device | str | None = None,
    verbose: bool = True,
    start_epoch: int = 0,
    checkpoint: str | os.PathLike | None = None,
    callbacks: Sequence[Callback] = (),
    autocast: torch.dtype | None = None,
    channels_last: bool = False,
    compile: bool | str = False,
) -> History:
    """Train `model` up to epoch `n_epochs` and return what happened.

    A batch is `(inputs, target)`. The inputs, one tensor or a tuple of two or three, go to `model(*inputs)`; the
    outputs, and the target unless it is empty, to `loss_fn(*outputs, target)`. The loss function returns the loss, or
    a tuple that begins with it. The scheduler steps once an epoch, after the optimizer.

    - `metrics` are called after every batch, and reset before every pass over the data.
    - `device` is where model, loss and batches are moved; by default a GPU where there is one, or where the model is,
      if that is not the CPU.
    - `verbose` prints a line an epoch, with a progress bar in a terminal or a notebook.
    - `checkpoint` is a file. If it exists, the run goes on from it, with the weights, optimizer, scheduler, history and
      random states that it holds, and ends as if it had never stopped; it is written anew after every epoch.
    - `start_epoch` counts epochs that were trained before; the scheduler is brought there. With a `checkpoint` that
      exists it is not needed.
    - `callbacks` are called as `callback(epoch, history, model)` after every epoch, the first being 1, with the history
      up to it; one that returns True ends the run.
    - `autocast=torch.bfloat16` runs the network in that precision, the loss in full; `channels_last` lays out images
      and filters with the channels innermost; `compile` compiles the network, as `torch.compile` does with the mode
      given, "reduce-overhead" for CUDA graphs.

    Ctrl-C ends the run with the history up to the last complete epoch. In a group of processes (see `distributed`) each
    calls `fit` with its share of every batch, and all return the same.

    Returns a `History`, lists of floats, one an epoch: `train_loss`, each metric as `train_<name>`, and with a
    `val_loader` the same as `val_…`; `learning_rate` and `seconds`. A loss is the mean over the batches. No epochs give
    an empty history.

    Raises ValueError for a loader without batches; CheckpointError for a file that is not a whole checkpoint of this
    run, which it leaves alone; FloatingPointError, with epoch, step and learning rate, when a loss is not finite: the
    checkpoint of the last epoch stays.
    """
    device = _device_for(model, device)
    move(model, optimizer, loss_fn, device, channels_last)
    step = _Step(_forward(model, compile), model, loss_fn, metrics, device, autocast, channels_last)
    state = TrainingState(
        model, optimizer, scheduler, loss_fn, metrics, {"train": train_loader, "val": val_loader, "loss": loss_fn}
    )
    send_to_all(model)
    epoch, history = _start(state, checkpoint, start_epoch, n_epochs)
    if not history:
        parts = ["train"] if val_loader is None else ["train", "val"]
        history |= {name: [] for part in parts for name in step.names(part)} | {"learning_rate": [], "seconds": []}
    progress = Progress(n_epochs, _length(train_loader), verbose and is_first())
    for past, results in enumerate(history.epochs(), start=epoch - history.n_epochs):
        progress.finish(past, results)
    try:
        while epoch < n_epochs:
            started = time.perf_counter()
            progress.start(epoch)
            rate = float(optimizer.param_groups[0]["lr"])
            place = _Place(epoch + 1, rate, checkpoint)
            results = _train_epoch(train_loader, step, optimizer, progress, place)
            if val_loader is not None:
                results |= _validate(val_loader, step, place)
            _check_parameters(model, place)
            _step_scheduler(scheduler, results)
            history.append(results | {"learning_rate": rate, "seconds": time.perf_counter() - started})
            progress.finish(epoch, history.epochs()[-1])
            epoch += 1
            if checkpoint is not None:
                state.save(checkpoint, epoch, history)
            wants_to_stop = [callback(epoch, history, model) for callback in callbacks]  # all are called
            if callbacks and any(of_all(any(wants_to_stop))):
                break
    except KeyboardInterrupt:
        progress.say(f"interrupted in epoch {epoch + 1}; {epoch} of {n_epochs} epochs are complete")
    finally:
        progress.close()
    return history


def evaluate(
    loader: Iterable,
    model: nn.Module,
    loss_fn: nn.Module,
    *,
    metrics: Sequence[Metric] = (),
    autocast: torch.dtype | None = None,
    channels_last: bool = False,
) -> dict[str, float]:
    """The loss and the metrics of `model` over `loader`, as `val_loss` and `val_<name>`: no gradients, evaluation mode.

    The model is left in the mode it was in. See `fit` for the arguments.
    """
    return _evaluate(loader, _Step(model, model, loss_fn, metrics, device_of(model), autocast, channels_last))


@dataclass(frozen=True)
class _Step:
    """From a batch to its loss, forward only."""

    forward: Callable[..., Any]  # the model, compiled or not
    model: nn.Module
    loss_fn: Callable[..., Any]
    metrics: Sequence[Metric]
    device: torch.device
    autocast: torch.dtype | None
    channels_last: bool

    def __call__(self, batch: Sequence[Any]) -> Tensor:
        data, target = batch
        inputs = [self._placed(tensor) for tensor in _as_tuple(data)]
        targets = tuple(tensor.to(self.device, non_blocking=True) for tensor in _as_tuple(target) if len(tensor))
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
            outputs = _as_tuple(self.forward(*inputs))
        rows = gather((*outputs, *targets))  # with several processes, those of the whole batch
        outputs, targets = rows[: len(outputs)], rows[len(outputs) :]
        losses = _as_tuple(self.loss_fn(*outputs, *targets))
        for metric in self.metrics:
            metric(outputs, targets or None, losses)
        return losses[0]

    def _placed(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(self.device, non_blocking=True)
        is_image = self.channels_last and tensor.ndim == 4
        return tensor.contiguous(memory_format=torch.channels_last) if is_image else tensor

    def summary(self, part: str, losses: list[Tensor]) -> dict[str, float]:
        if not losses:
            raise ValueError(
                f"the {part} loader has no batches; is the batch larger than the data set, with drop_last?"
            )
        values = [torch.stack(losses).mean().item(), *(metric.value() for metric in self.metrics)]
        return dict(zip(self.names(part), values, strict=True))

    def names(self, part: str) -> list[str]:
        return [f"{part}_{name.replace(' ', '_')}" for name in ("loss", *(metric.name() for metric in self.metrics))]


@dataclass(frozen=True)
class _Place:
    """Where in training something went wrong."""

    epoch: int
    learning_rate: float
    checkpoint: str | os.PathLike | None

    def error(self, where: str, what: str) -> FloatingPointError:
        """What to raise for numbers that are not finite."""
        kept = ""
        if self.checkpoint is not None and self.epoch > 1:
            kept = f". The checkpoint after epoch {self.epoch - 1} is kept in {self.checkpoint}"
        return FloatingPointError(
            f"epoch {self.epoch}, {where}, at a learning rate of {self.learning_rate:g}: {what}. Lower the learning "
            f"rate, look for NaN in the images, or, with autocast, try full precision{kept}"
        )


def _train_epoch(
    loader: Iterable, step: _Step, optimizer: Optimizer, progress: Progress, place: _Place
) -> dict[str, float]:
    losses: list[Tensor] = []  # on the device
    check_every = 1 if step.device.type == "cpu" else CHECK_EVERY
    _reset(step.metrics)
    step.model.train()
    for batch in loader:
        optimizer.zero_grad()
        try:
            loss = step(batch)
        except NotFiniteError as error:
            raise place.error(f"step {len(losses) + 1}", str(error)) from error
        losses.append(loss.detach())
        if len(losses) % check_every == 0:
            _check_losses(losses, check_every, place)
        loss.backward()
        sum_gradients(step.model.parameters())
        optimizer.step()
        progress.step(losses)
    _check_losses(losses, check_every, place)
    return step.summary("train", losses)


def _validate(loader: Iterable, step: _Step, place: _Place) -> dict[str, float]:
    try:
        results = _evaluate(loader, step)
    except NotFiniteError as error:
        raise place.error("in validation", str(error)) from error
    if not math.isfinite(results["val_loss"]):
        raise place.error("in validation", f"the loss is {results['val_loss']}")
    return results


def _evaluate(loader: Iterable, step: _Step) -> dict[str, float]:
    losses = []
    _reset(step.metrics)
    with evaluating(step.model):
        for batch in loader:
            losses.append(step(batch))
    return step.summary("val", losses)


def _check_losses(losses: list[Tensor], n_last: int, place: _Place) -> None:
    """Raise for the first of the last losses that is not finite. Waits for the device."""
    last = torch.stack(losses[-n_last:]).tolist() if losses else []
    for number, loss in enumerate(last, start=len(losses) - len(last) + 1):
        if not math.isfinite(loss):
            raise place.error(f"step {number}", f"the training loss is {loss}")


def _check_parameters(model: nn.Module, place: _Place) -> None:
    is_finite = [parameter.isfinite().all() for parameter in model.parameters()]
    if is_finite and not torch.stack(is_finite).all():
        raise place.error("after the last step", "the model has parameters that are NaN or infinite")


def _start(
    state: TrainingState, checkpoint: str | os.PathLike | None, start_epoch: int, n_epochs: int
) -> tuple[int, History]:
    """The epochs that are complete, and their history: from the checkpoint, if there is one."""
    if start_epoch < 0:
        raise ValueError(f"{start_epoch=} must not be negative")
    if checkpoint is None or not from_first(Path(checkpoint).exists):
        if checkpoint is not None and is_first():
            Path(checkpoint).parent.mkdir(parents=True, exist_ok=True)  # an error now, not after an epoch
        _advance(state.scheduler, start_epoch)
        return start_epoch, History()
    contents = from_first(lambda: load_checkpoint(checkpoint))
    epoch = contents["epoch"]
    if epoch > n_epochs or start_epoch not in (0, epoch):
        raise CheckpointError(
            f"{checkpoint} was written after {epoch} epochs, which does not go with {n_epochs=} and {start_epoch=}; "
            "name another file to train anew, or ask for as many epochs and leave start_epoch out"
        )
    return epoch, state.restore(checkpoint, contents)


def _advance(scheduler: LRScheduler | None, n_epochs: int) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)
        while scheduler is not None and scheduler.last_epoch < n_epochs:
            scheduler.step()


def _step_scheduler(scheduler: LRScheduler | None, results: dict[str, float]) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(results.get("val_loss", results["train_loss"]))
    elif scheduler is not None:
        scheduler.step()


def _forward(model: nn.Module, compile: bool | str) -> Callable[..., Any]:
    if not compile:
        return model
    return torch.compile(model, mode=compile if isinstance(compile, str) else None)


def _device_for(model: nn.Module, asked: torch.device | str | None) -> torch.device:
    if asked is not None:
        return torch.device(asked)
    device = device_of(model)
    return best_device() if device.type == "cpu" else device


def _length(loader: Iterable) -> int | None:
    return len(loader) if hasattr(loader, "__len__") else None


def _reset(metrics: Sequence[Metric]) -> None:
    for metric in metrics:
        metric.reset()


def _as_tuple(value: Any) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
