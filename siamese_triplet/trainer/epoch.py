"""One epoch: a pass over the training batches, then one over the validation batches."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from siamese_triplet._devices import evaluating
from siamese_triplet._validation import NotFiniteError
from siamese_triplet.distributed import call_on_first, gather_objects
from siamese_triplet.trainer.progress import Progress
from siamese_triplet.trainer.schedule import Schedule
from siamese_triplet.trainer.step import BatchInfo, FiniteState, Losses, Place, Step, check_losses
from siamese_triplet.trainer.update import Update

NOT_FINITE = "the embeddings hold NaN, or values whose squares overflow"
CHECK_EVERY = 50  # steps between two checks that the losses are finite, on devices where a check is a sync

OnBatch = Callable[[BatchInfo], bool | None]
Hook = Callable[[int, tuple[Any, ...]], bool]  # number and loss of a batch -> stop?


@dataclass(frozen=True)
class EpochTrainer:
    """Train a model for one epoch at a time, each followed by validation if there is a `val_loader`."""

    train_loader: Iterable
    val_loader: Iterable | None
    step: Step
    update: Update
    schedule: Schedule
    finite: FiniteState
    progress: Progress
    on_batch: OnBatch | None
    checkpoint: str | None  # named in errors

    def __call__(self, epoch: int) -> dict[str, float] | None:
        """Train for epoch `epoch`, counted from 1; return its results, or None if `on_batch` stopped it."""
        started = time.perf_counter()
        self.progress.start(epoch - 1)
        announce_epoch(self.train_loader, epoch - 1)
        rate = float(self.update.optimizer.param_groups[0]["lr"])
        place = Place(epoch, rate, self.checkpoint)
        hook = make_hook(self.on_batch, self.step.model, epoch, self.train_loader, is_training=True)
        results = train_epoch(self.train_loader, self.step, self.update, self.progress, place, hook)
        if results is not None and self.val_loader is not None:
            hook = make_hook(self.on_batch, self.step.model, epoch, self.val_loader, is_training=False)
            validated = validate(self.val_loader, self.step, place, hook)
            results = None if validated is None else results | validated
        if results is None:
            return None
        self.finite.check(place)
        results |= {"learning_rate": rate, "seconds": time.perf_counter() - started}
        results = call_on_first(results.copy)  # the same, to the last bit, for all schedulers
        self.schedule.after_epoch(results)
        return results


def train_epoch(
    loader: Iterable, step: Step, update: Update, progress: Progress, place: Place, hook: Hook
) -> dict[str, float] | None:
    """Train for one pass over `loader`; return the results, or None if `hook` stops it."""
    losses = Losses()
    check_every = 1 if step.device.type == "cpu" else CHECK_EVERY
    step.reset()
    step.start_training()
    for batch in loader:
        update.start()
        try:
            result = step(batch)
        except NotFiniteError as error:
            raise place.error(f"step {len(losses) + 1}", NOT_FINITE) from error
        losses.append(result[0].detach(), step.loss_fn)
        if len(losses) % check_every == 0:
            check_losses(losses.values, check_every, place)
        update.add(result[0])
        progress.step(losses.values)
        if hook(len(losses), result):
            return None
    update.finish()
    check_losses(losses.values, check_every, place)
    return step.summary("train", losses)


def validate(loader: Iterable, step: Step, place: Place, hook: Hook) -> dict[str, float] | None:
    """Evaluate after training: as `evaluation_pass`, but a loss that is not finite raises a FloatingPointError."""
    try:
        results = evaluation_pass(loader, step, hook)
    except NotFiniteError as error:
        raise place.error("in validation", NOT_FINITE) from error
    if results is not None and not math.isfinite(results["val_loss"]):
        raise place.error("in validation", f"the loss is {results['val_loss']}")
    return results


def evaluation_pass(loader: Iterable, step: Step, hook: Hook) -> dict[str, float] | None:
    """Evaluate one pass over `loader`; return the results, or None if `hook` stops it."""
    losses = Losses()
    step.reset()
    with evaluating(step.model):
        for batch in loader:
            result = step(batch)
            losses.append(result[0], step.loss_fn)
            if hook(len(losses), result):
                return None
    return step.summary("val", losses)


def make_hook(on_batch: OnBatch | None, model: nn.Module, epoch: int, loader: Iterable, is_training: bool) -> Hook:
    """Make the function to call after each batch of a pass over `loader`; it returns whether the run ends."""
    if on_batch is None:
        return lambda number, loss: False
    n_batches = length(loader)

    def hook(number: int, loss: tuple[Any, ...]) -> bool:
        detached = tuple(part.detach() if isinstance(part, Tensor) else part for part in loss)
        info = BatchInfo(model, epoch, number, n_batches, is_training, detached)
        return any(gather_objects(bool(on_batch(info))))  # with several processes, the same on all

    return hook


def announce_epoch(loader: Iterable, epoch: int) -> None:
    """Tell the epoch to samplers that shuffle by it, such as torch's DistributedSampler."""
    for sampler in (getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
        set_epoch = getattr(sampler, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(epoch)


def length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:  # of a DataLoader whose data set has no length
        return None
