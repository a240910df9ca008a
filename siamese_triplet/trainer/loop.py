"""The training loop, for every network, loss and kind of batch of the book, and for your own."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from types import GeneratorType

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from siamese_triplet._devices import best_device, device_of, move
from siamese_triplet._original import explains_misfit
from siamese_triplet._validation import check_optimizer
from siamese_triplet.distributed import gather_objects, is_first, send_to_all
from siamese_triplet.metrics import Metric
from siamese_triplet.networks.freezing import stays_in_evaluation
from siamese_triplet.trainer.checkpoints import TrainingState
from siamese_triplet.trainer.epoch import EpochTrainer, OnBatch, evaluation_pass, length, make_hook
from siamese_triplet.trainer.history import History
from siamese_triplet.trainer.progress import Progress
from siamese_triplet.trainer.resume import start
from siamese_triplet.trainer.schedule import Schedule
from siamese_triplet.trainer.step import FiniteState, Step, compile_model
from siamese_triplet.trainer.update import Scaler, Update, warn_of_untrained

OLD_CALL = (
    "after n_epochs all arguments have names. Leave the original's `cuda` and `log_interval` out: the device is found, "
    "and one line is printed per epoch; write metrics=… and start_epoch=…"
)
Callback = Callable[[int, History, nn.Module], bool | None]


@explains_misfit(OLD_CALL)
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
    accumulate: int = 1,
    clip_norm: float | None = None,
    step_scheduler: str = "epoch",
    monitor: str | None = None,
) -> History:
    """Train `model` up to epoch `n_epochs` and return its history.

    A batch is `(inputs, target)`. The inputs, one tensor or a tuple of two or three, go to `model(*inputs)`; the
    outputs, and the target unless it is empty, go to `loss_fn(*outputs, target)`. The loss function returns the loss,
    or a tuple that begins with it. The model is put into training mode; if it is in training mode already, its modules
    in evaluation mode stay so in the whole run, such as a frozen network with batch normalisation.

    - `metrics`: called after every batch, reset before every pass over the data.
    - `device`: where model, loss and batches are moved. By default the device of the model if that is not the CPU, else
      a CUDA GPU if there is one.
    - `verbose`: print one line per epoch, with a progress bar in a terminal or a notebook.
    - `checkpoint`: a file, rewritten after every epoch; a leading `~` is the home folder. If the file exists, the run
      continues from it, with its weights, optimizer, learning rates, scheduler, history and random states, and ends as
      if it had never stopped. Only the random numbers of worker processes that outlive an epoch may differ.
    - `start_epoch`: the number of epochs trained before, to which the scheduler is advanced. Not needed with a
      `checkpoint` that exists.
    - `callbacks`: called as `callback(epoch, history, model)` after every epoch, counted from 1, with the history up to
      it. A callback that returns True ends the run. Epochs that a checkpoint already holds are left out. One with a
      method `start` has it called as `start(epoch, model)` before training, with the number of complete epochs.
    - `on_batch`: called with a `BatchInfo` after every batch, in training and in validation. If it returns True, in any
      of several processes, the run ends there, with the history of the complete epochs.
    - `autocast`: `torch.bfloat16` or `torch.float16` runs the network in that precision, the loss in full. float16, for
      GPUs without bfloat16, scales the loss, and skips steps whose gradients overflow.
    - `channels_last`: lay out images and filters with the channels innermost.
    - `compile`: compile the network with `torch.compile`, in the mode given; "reduce-overhead" for CUDA graphs.
    - `accumulate`: the optimizer steps after so many batches, and at the end of an epoch, with the mean of their
      gradients. Pairs and triplets are still those within one batch.
    - `clip_norm`: before each step, scale the gradients down to this norm, taken over all of them together.
    - `step_scheduler`: the scheduler steps after each "epoch", or each "batch": after each step of the optimizer, as
      OneCycleLR mostly wants.
    - `monitor`: the number of the history that ReduceLROnPlateau follows, by default `val_loss` or, without validation,
      `train_loss`; needed for its `mode="max"`.

    Ctrl-C ends the run with the history up to the last complete epoch. In a group of processes (see `distributed`) each
    calls `fit` with its share of every batch, and all return the same.

    Returns a `History`, lists with one float per epoch: `train_loss`, each metric as `train_<name>`, with a
    `val_loader` the same as `val_…`, `learning_rate` at the start of the epoch, and `seconds`. A loss is the mean over
    the batches; those without a pair or triplet do not count. If there were any, `train_empty_batches` and
    `val_empty_batches` count them, and a warning is issued where they are half of all or more. No epochs give an empty
    history.

    Raises:
    - ValueError for a loader without batches, a generator for several epochs, an optimizer of another model, and a
      scheduler that does not go with `step_scheduler` and `monitor`.
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
    checkpoint = None if checkpoint is None else os.path.expanduser(checkpoint)
    check_optimizer(optimizer, *(module for module in (model, loss_fn) if isinstance(module, nn.Module)))
    warn_of_untrained(optimizer, model=model, loss_fn=loss_fn)
    device = _choose_device(model, device)
    move(model, optimizer, loss_fn, device, channels_last)
    frozen = [module for module in _in_evaluation(model) if not stays_in_evaluation(module)]  # thawing is possible
    step = Step(compile_model(model, compile), model, loss_fn, metrics, device, autocast, channels_last, frozen)
    parts = ["train"] if val_loader is None else ["train", "val"]
    names = [*(name for part in parts for name in step.names(part)), "learning_rate", "seconds"]
    schedule = Schedule(scheduler, step_scheduler, monitor, names)
    scaler = Scaler(device.type) if autocast == torch.float16 else None
    update = Update(model, optimizer, accumulate, clip_norm, scaler, schedule.after_step)
    n_batches = length(train_loader)
    n_steps = None if n_batches is None else math.ceil(n_batches / accumulate)  # of the optimizer in an epoch
    schedule.check_length(n_epochs, n_steps)
    sources = {"train": train_loader, "val": val_loader, "loss": loss_fn}
    kept = metrics if scaler is None else [*metrics, scaler]  # a checkpoint keeps the scaler's state like a metric's
    state = TrainingState(model, optimizer, scheduler, loss_fn, kept, sources)
    send_to_all(*state.modules)
    finite = FiniteState(state.modules)
    epoch, history = start(state, checkpoint, start_epoch, n_epochs, names)
    if not history.n_epochs:
        schedule.advance(epoch, n_steps)
    _check_repeatable(n_epochs - epoch, train_loader, val_loader)
    for callback in callbacks:
        if hasattr(callback, "start"):
            callback.start(epoch, model)
    progress = Progress(n_epochs, n_batches, verbose and is_first())
    train = EpochTrainer(train_loader, val_loader, step, update, schedule, finite, progress, on_batch, checkpoint)
    return _train_epochs(train, state, epoch, history, n_epochs, callbacks)


def _train_epochs(
    train: EpochTrainer,
    state: TrainingState,
    epoch: int,
    history: History,
    n_epochs: int,
    callbacks: Sequence[Callback],
) -> History:
    """Train from `epoch` complete epochs, with their `history`, up to `n_epochs`; return the longer history."""
    progress, checkpoint = train.progress, train.checkpoint
    for past, earlier in enumerate(history.epochs(), start=epoch - history.n_epochs):
        progress.finish(past, earlier)
    try:
        while epoch < n_epochs:
            results = train(epoch + 1)
            if results is None:
                progress.say(f"stopped in epoch {epoch + 1}; {epoch} of {n_epochs} epochs are complete")
                break
            longer = history.with_epoch(results)
            if checkpoint is not None:
                state.save(checkpoint, epoch + 1, longer)
            epoch, history = epoch + 1, longer  # complete only once it is saved: Ctrl-C may come in between
            progress.finish(epoch - 1, results)
            wants_to_stop = [callback(epoch, history, state.model) for callback in callbacks]  # all are called
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

    The loss is the mean over the batches; those without a pair or triplet do not count. If there were any,
    `val_empty_batches` counts them, and a warning is issued where they are half of all or more.

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
    results = evaluation_pass(loader, step, make_hook(None, model, 0, loader, is_training=False))
    assert results is not None  # this hook never stops
    return results


def _in_evaluation(model: nn.Module) -> list[nn.Module]:
    """List the modules in evaluation mode of a model in training mode."""
    return [module for module in model.modules() if model.training and not module.training]


def _check_repeatable(n_epochs: int, *loaders: Iterable | None) -> None:
    if n_epochs > 1 and any(isinstance(loader, GeneratorType) for loader in loaders):
        raise ValueError(
            f"a generator gives its batches once, and cannot be the loader of {n_epochs} epochs; give a DataLoader, a "
            "list, or an object whose __iter__ is that generator function"
        )


def _choose_device(model: nn.Module, device: torch.device | str | None) -> torch.device:
    if isinstance(device, bool):
        raise ValueError(
            f'{device=} must be a device, such as "cuda"; leave it out, and a GPU is found if there is one'
        )
    if device is not None:
        return torch.device(device)
    device = device_of(model)
    return best_device() if device.type == "cpu" else device
