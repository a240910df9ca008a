"""When a learning-rate scheduler steps, and what it follows."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from siamese_triplet._validation import warn

LENGTHS = "total_steps", "total_iters", "T_max"  # where a scheduler keeps the number of its steps


class Schedule:
    """A scheduler that steps after every epoch or, with `each="batch"`, after every step of the optimizer."""

    def __init__(self, scheduler: LRScheduler | None, each: str, monitor: str | None, names: Sequence[str]) -> None:
        self.scheduler, self.each, self.monitor = scheduler, each, monitor
        self.is_plateau = isinstance(scheduler, ReduceLROnPlateau)
        if each not in ("epoch", "batch"):
            raise ValueError(f'step_scheduler must be "epoch" or "batch", got {each!r}')
        if each == "batch" and self.is_plateau:
            raise ValueError(
                'ReduceLROnPlateau follows a number that there is once per epoch; leave out step_scheduler="batch"'
            )
        if monitor is not None and not self.is_plateau:
            raise ValueError(
                f"monitor={monitor!r} names the number that ReduceLROnPlateau follows, but the scheduler is "
                f"{'None' if scheduler is None else type(scheduler).__name__}; leave monitor out"
            )
        if monitor is not None and monitor not in names:
            raise ValueError(f"monitor={monitor!r} is not among the numbers of this run: {', '.join(names)}")
        if self.is_plateau and monitor is None and getattr(scheduler, "mode", "min") == "max":
            raise ValueError(
                'ReduceLROnPlateau with mode="max" would lower the learning rate while the loss falls; name a number '
                'that should rise, such as monitor="val_accuracy", or leave mode="max" out'
            )

    def check_length(self, n_epochs: int, n_steps: int | None) -> None:
        """Warn of a scheduler that is made for `n_epochs` of `n_steps` steps each, but steps once per epoch."""
        if self.each == "batch" or not n_epochs or n_steps is None or n_steps == 1:
            return
        for part in _parts(self.scheduler):
            for name in LENGTHS:
                length = getattr(part, name, None)
                if isinstance(length, int) and length >= n_epochs * n_steps and length % n_steps == 0:
                    warn(
                        f"{type(part).__name__} has {name}={length}, one for each of the {n_steps} steps of {n_epochs} "
                        f'epochs, but it steps once per epoch; give step_scheduler="batch", or {name}={n_epochs}',
                    )

    def advance(self, n_epochs: int, n_steps: int | None) -> None:
        """Advance a new scheduler to the state after `n_epochs` epochs of `n_steps` steps each."""
        if self.scheduler is None or self.is_plateau:  # which depends on the losses of those epochs
            return
        if self.each == "batch" and n_epochs and n_steps is None:
            raise ValueError(
                f'start_epoch={n_epochs} with step_scheduler="batch" needs a train_loader with a length, to know how '
                "far the scheduler is; advance it yourself, and leave start_epoch out"
            )
        n_wanted = n_epochs if self.each == "epoch" else n_epochs * (n_steps or 0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)
            for _ in range(getattr(self.scheduler, "last_epoch", 0), n_wanted):
                self.scheduler.step()

    def after_step(self) -> None:
        if self.scheduler is not None and self.each == "batch":
            self.scheduler.step()

    def after_epoch(self, results: Mapping[str, float]) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            followed = self.monitor or ("val_loss" if "val_loss" in results else "train_loss")
            self.scheduler.step(results[followed])
        elif self.scheduler is not None and self.each == "epoch":
            self.scheduler.step()


def _parts(scheduler: Any) -> Iterator[Any]:
    """Yield a scheduler and those it consists of, as SequentialLR does."""
    yield scheduler
    for part in getattr(scheduler, "_schedulers", ()):
        yield from _parts(part)
