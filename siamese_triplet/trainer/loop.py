"""The training loop, for every network, loss and kind of batch of the book, and for your own."""

import math
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from siamese_triplet._devices import best_device, device_of, evaluating, move
from siamese_triplet._validation import NotFiniteError, check_optimizer
from siamese_triplet.distributed import call_on_first, gather_objects, is_first, send_to_all, sum_gradients
from siamese_triplet.metrics import Metric
from siamese_triplet.trainer.checkpoints import CheckpointError, TrainingState, load_checkpoint
from siamese_triplet.trainer.history import History
from siamese_triplet.trainer.progress import Progress
from siamese_triplet.trainer.step import BatchInfo, FiniteState, Place, Step, check_losses, compile_model

NOT_FINITE = "the embeddings hold NaN, or values whose squares overflow"
CHECK_EVERY = 50  # steps between two checks that the losses are finite, on devices where a check is a sync

Callback = Callable[[int, History, nn.Module], bool | None]
OnBatch = Callable[[BatchInfo], bool | None]
Hook = Callable[[int, tuple[Any, ...]], bool]  # number and loss of a batch -> stop?


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
    on_batch: OnBatch | None = None,
    autocast: torch.dtype | None = None,
    channels_last: bool = False,
    compile: bool | str = False,
) -> History:
    """Train `model` up to epoch `n_epochs` and return its history.

    A batch is `(inputs, target)`. The inputs, one tensor or a tuple of two or three, go to `model(*inputs)`; the
    outputs, and the target unless it is empty, go to `loss_fn(*outputs, target)`. The loss function returns the loss,
    or a tuple that begins with it. The scheduler steps once per epoch, after the optimizer.

    - `metrics`: called after every batch, reset before every pass over the data.
    - `device`: where model, loss and batches are moved. By default the device of the model if that is not the CPU, else
      a CUDA GPU if there is one.
    - `verbose`: print one line per epoch, with a progress bar in a terminal or a notebook.
    - `checkpoint`: a file, rewritten after every epoch. If it exists, the run continues from it, with its weights,
      optimizer, learning rates, scheduler, history and random states, and ends as if it had never stopped. Only the
      random numbers of worker processes that outlive an epoch may differ.
    - `start_epoch`: the number of epochs trained before, to which the scheduler is advanced. Not needed with a
      `checkpoint` that exists.
    - `callbacks`: called as `callback(epoch, history, model)` after every epoch, counted from 1, with the history up to
      it. A callback that returns True ends the run. Epochs that a checkpoint already holds are left out.
    - `on_batch`: called with a `BatchInfo` after every batch, in training and in validation. If it returns True, in any
      of several processes, the run ends there, with the history of the complete epochs.
    - `autocast`: `torch.bfloat16` runs the network in that precision, the loss in full.
    - `channels_last`: lay out images and filters with the channels innermost.
    - `compile`: compile the network with `torch.compile`, in the mode given; "reduce-overhead" for CUDA graphs.

    Ctrl-C ends the run with the history up to the last complete epoch. In a group of processes (see `distributed`) each
    calls `fit` with its share of every batch, and all return the same.

    Returns a `History`, lists with one float per epoch: `train_loss`, each metric as `train_<name>`, with a
    `val_loader` the same as `val_…`, `learning_rate` and `seconds`. A loss is the mean over the batches. No epochs give
    an empty history.

    Raises:
    - ValueError for a loader without batches and for an optimizer of another model.
    - CheckpointError for a file that is not a whole checkpoint of this run, with the same model, optimizer and schedule
      of learning rates. The file is left unchanged.
    - FloatingPointError, with epoch, step and learning rate, if a loss is not finite. The checkpoint of the last epoch
      is kept.

    >>> import torch
    >>> from siamese_triplet import BatchAllTripletLoss, fit
    >>> inputs, labels = torch.tensor([[0.0, 1.0], [0.0, 2.0], [1.0, 1.0], [1.0, 2.0]]), torch.tensor([0, 0, 1, 1])
    >>> model = torch.nn.Linear(2, 2)
    >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    >>> loader = [(inputs, labels)] * 30  # any iterable of batches, mostly a DataLoader
    >>> loss_fn = BatchAllTripletLoss(margin=1.0)
    >>> history = fit(loader, None, model, loss_fn, optimizer, None, n_epochs=3, device="cpu", verbose=False)
    >>> history.n_epochs, history["train_loss"][-1] < history["train_loss"][0]
    (3, True)
    """
    check_optimizer(optimizer, *(module for module in (model, loss_fn) if isinstance(module, nn.Module)))
    device = _choose_device(model, device)
    move(model, optimizer, loss_fn, device, channels_last)
    step = Step(compile_model(model, compile), model, loss_fn, metrics, device, autocast, channels_last)
    state = TrainingState(
        model, optimizer, scheduler, loss_fn, metrics, {"train": train_loader, "val": val_loader, "loss": loss_fn}
    )
    send_to_all(*state.modules)
    finite = FiniteState(state.modules)
    parts = ["train"] if val_loader is None else ["train", "val"]
    names = [*(name for part in parts for name in step.names(part)), "learning_rate", "seconds"]
    epoch, history = _start(state, checkpoint, start_epoch, n_epochs, names)
    progress = Progress(n_epochs, _length(train_loader), verbose and is_first())
    for past, earlier in enumerate(history.epochs(), start=epoch - history.n_epochs):
        progress.finish(past, earlier)
    try:
        while epoch < n_epochs:
            started = time.perf_counter()
            progress.start(epoch)
            _announce_epoch(train_loader, epoch)
            rate = float(optimizer.param_groups[0]["lr"])
            place = Place(epoch + 1, rate, checkpoint)
            hook = _make_hook(on_batch, model, epoch + 1, train_loader, is_training=True)
            results = _train_epoch(train_loader, step, optimizer, progress, place, hook)
            if results is not None and val_loader is not None:
                hook = _make_hook(on_batch, model, epoch + 1, val_loader, is_training=False)
                validated = _validate(val_loader, step, place, hook)
                results = None if validated is None else results | validated
            if results is None:
                progress.say(f"stopped in epoch {epoch + 1}; {epoch} of {n_epochs} epochs are complete")
                break
            finite.check(place)
            results |= {"learning_rate": rate, "seconds": time.perf_counter() - started}
            results = call_on_first(results.copy)  # the same, to the last bit, for all schedulers
            _step_scheduler(scheduler, results)
            longer = history.with_epoch(results)
            if checkpoint is not None:
                state.save(checkpoint, epoch + 1, longer)
            epoch, history = epoch + 1, longer  # complete only once it is saved: Ctrl-C may come in between
            progress.finish(epoch - 1, results)
            wants_to_stop = [callback(epoch, history, model) for callback in callbacks]  # all are called
            if any(gather_objects(any(wants_to_stop))):
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
    """Compute loss and metrics of `model` over `loader`, as `val_loss` and `val_<name>`.

    The model runs in evaluation mode and without gradients; afterwards it is in its previous mode. For the arguments
    see `fit`. In a group of processes all must call this, each with its share of every batch.

    >>> import torch
    >>> from siamese_triplet import AverageNonzeroTripletsMetric, BatchAllTripletLoss, evaluate
    >>> inputs, labels = torch.tensor([[0.0, 1.0], [0.0, 2.0], [1.0, 1.0], [1.0, 2.0]]), torch.tensor([0, 0, 1, 1])
    >>> metrics = [AverageNonzeroTripletsMetric()]
    >>> evaluate([(inputs, labels)], torch.nn.Identity(), BatchAllTripletLoss(margin=1.0), metrics=metrics)
    {'val_loss': 1.0, 'val_nonzero_triplets': 4.0}
    """
    step = Step(model, model, loss_fn, metrics, device_of(model), autocast, channels_last)
    results = _evaluate(loader, step, lambda number, loss: False)
    assert results is not None  # this hook never stops
    return results


def _train_epoch(
    loader: Iterable, step: Step, optimizer: Optimizer, progress: Progress, place: Place, hook: Hook
) -> dict[str, float] | None:
    """Train for one pass over `loader`; return the results, or None if `hook` stops it."""
    losses: list[Tensor] = []  # on the device
    check_every = 1 if step.device.type == "cpu" else CHECK_EVERY
    step.reset()
    step.model.train()
    for batch in loader:
        optimizer.zero_grad()
        try:
            result = step(batch)
        except NotFiniteError as error:
            raise place.error(f"step {len(losses) + 1}", NOT_FINITE) from error
        losses.append(result[0].detach())
        if len(losses) % check_every == 0:
            check_losses(losses, check_every, place)
        result[0].backward()
        sum_gradients(step.model.parameters())
        optimizer.step()
        progress.step(losses)
        if hook(len(losses), result):
            return None
    check_losses(losses, check_every, place)
    return step.summary("train", losses)


def _validate(loader: Iterable, step: Step, place: Place, hook: Hook) -> dict[str, float] | None:
    try:
        results = _evaluate(loader, step, hook)
    except NotFiniteError as error:
        raise place.error("in validation", NOT_FINITE) from error
    if results is not None and not math.isfinite(results["val_loss"]):
        raise place.error("in validation", f"the loss is {results['val_loss']}")
    return results


def _evaluate(loader: Iterable, step: Step, hook: Hook) -> dict[str, float] | None:
    losses = []
    step.reset()
    with evaluating(step.model):
        for batch in loader:
            result = step(batch)
            losses.append(result[0])
            if hook(len(losses), result):
                return None
    return step.summary("val", losses)


def _make_hook(on_batch: OnBatch | None, model: nn.Module, epoch: int, loader: Iterable, is_training: bool) -> Hook:
    """Make the function to call after each batch of a pass over `loader`; it returns whether the run ends."""
    if on_batch is None:
        return lambda number, loss: False
    n_batches = _length(loader)

    def hook(number: int, loss: tuple[Any, ...]) -> bool:
        detached = tuple(part.detach() if isinstance(part, Tensor) else part for part in loss)
        info = BatchInfo(model, epoch, number, n_batches, is_training, detached)
        return any(gather_objects(bool(on_batch(info))))  # with several processes, the same on all

    return hook


def _start(
    state: TrainingState, checkpoint: str | os.PathLike | None, start_epoch: int, n_epochs: int, names: list[str]
) -> tuple[int, History]:
    """Return the number of complete epochs and their history with these names, from the checkpoint if there is one."""
    if start_epoch < 0:
        raise ValueError(f"{start_epoch=} must not be negative")
    if n_epochs < 0:
        raise ValueError(f"{n_epochs=} must not be negative; it is the epoch to train up to")
    if len(set(gather_objects(checkpoint is None))) > 1:
        raise ValueError("some processes were given a checkpoint and others none; give all processes the same")
    if checkpoint is None or not call_on_first(Path(checkpoint).exists):
        if checkpoint is not None and is_first():
            Path(checkpoint).parent.mkdir(parents=True, exist_ok=True)  # fails now, not after an epoch
        _advance(state.scheduler, start_epoch)
        return start_epoch, History({name: [] for name in names})
    contents = call_on_first(lambda: load_checkpoint(checkpoint))
    epoch = contents["epoch"]
    if epoch > n_epochs or start_epoch not in (0, epoch):
        raise CheckpointError(
            f"{checkpoint} was written after {epoch} epochs, which does not go with {n_epochs=} and {start_epoch=}; "
            "name another file to train anew, or ask for at least as many epochs and leave start_epoch out"
        )
    state.check(checkpoint, contents)
    if set(contents["history"]) != set(names):
        raise CheckpointError(
            f"{checkpoint} has a history of {', '.join(contents['history'])}, this run would have one of "
            f"{', '.join(names)}; give the same metrics, and a val_loader if there was one, or name another file"
        )
    return epoch, state.restore(checkpoint, contents)


def _advance(scheduler: LRScheduler | None, n_epochs: int) -> None:
    if scheduler is None or isinstance(scheduler, ReduceLROnPlateau):  # which depends on the losses of those epochs
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)
        for _ in range(getattr(scheduler, "last_epoch", 0), n_epochs):
            scheduler.step()


def _step_scheduler(scheduler: LRScheduler | None, results: dict[str, float]) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(results.get("val_loss", results["train_loss"]))
    elif scheduler is not None:
        scheduler.step()


def _choose_device(model: nn.Module, device: torch.device | str | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    device = device_of(model)
    return best_device() if device.type == "cpu" else device


def _announce_epoch(loader: Iterable, epoch: int) -> None:
    """Tell the epoch to samplers that shuffle by it, such as torch's DistributedSampler."""
    for sampler in (getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
        set_epoch = getattr(sampler, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(epoch)


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:  # of a DataLoader whose data set has no length
        return None
