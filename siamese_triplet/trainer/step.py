"""One batch, from images to loss, and errors for numbers that are not finite."""

import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet._original import fits
from siamese_triplet._validation import warn
from siamese_triplet.distances import full_precision
from siamese_triplet.distributed import gather
from siamese_triplet.metrics import Metric
from siamese_triplet.trainer.history import EMPTY_BATCHES


@dataclass(frozen=True)
class Step:
    """The forward pass from a batch to its loss."""

    forward: Callable[..., Any]  # the model, compiled or not
    model: nn.Module
    loss_fn: Callable[..., Any]
    metrics: Sequence[Metric]
    device: torch.device
    autocast: torch.dtype | None
    channels_last: bool
    frozen: Sequence[nn.Module] = ()  # stay in evaluation mode
    has_warned: set[str] = field(default_factory=set)  # of the parts with empty batches

    def __post_init__(self) -> None:
        if self.autocast not in (None, torch.bfloat16, torch.float16):
            raise ValueError(f"autocast must be None, torch.bfloat16 or torch.float16, got {self.autocast}")
        for part in (self.loss_fn, *self.metrics):
            if isinstance(part, type):
                raise ValueError(f"{part.__name__} is a class, which must be called first: {part.__name__}(…)")

    def __call__(self, batch: Sequence[Any]) -> tuple[Any, ...]:
        """Compute the results of the loss function for `batch`, a tuple that begins with the loss, a scalar."""
        data, target = _unpack(batch)
        inputs = [self._move(tensor) for tensor in data]
        is_empty = not len(inputs[0])  # as the share of a process may be, together with its target
        targets = tuple(t.to(self.device, non_blocking=True) for t in target if len(t) or is_empty)
        with torch.autocast(self.device.type, self.autocast) if self.autocast else nullcontext():
            outputs = _outputs(_call("model", self.forward, inputs, "inputs"))
        rows = gather((*outputs, *targets))  # with several processes, the rows of the whole batch
        outputs, targets = rows[: len(outputs)], rows[len(outputs) :]
        losses = _as_tuple(_call("loss", self.loss_fn, (*outputs, *targets), "outputs and targets"))
        for metric in self.metrics:
            metric(outputs, targets or None, losses)
        if losses[0].ndim:
            raise ValueError(
                f"the loss must be one number, got a tensor of shape {tuple(losses[0].shape)}; take its mean"
            )
        return losses

    def _move(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(self.device, non_blocking=True)
        is_image = self.channels_last and tensor.ndim == 4
        return tensor.contiguous(memory_format=torch.channels_last) if is_image else tensor

    def start_training(self) -> None:
        """Set training mode, except in frozen modules."""
        self.model.train()
        for module in self.frozen:
            module.training = False

    def reset(self) -> None:
        """Reset the metrics, before a pass over the data."""
        for metric in self.metrics:
            metric.reset()

    def summary(self, part: str, losses: "Losses") -> dict[str, float]:
        """Summarise a pass over the data with these `losses`. Waits for the device.

        The number of batches without a pair is among the results only where there are some.
        """
        if not len(losses):
            raise ValueError(
                f"the {part} loader has no batches; is the batch larger than the data set, with drop_last, or the "
                "loader an iterator, which one pass uses up?"
            )
        mean, n_empty = losses.read()
        values = [mean, *(metric.value() for metric in self.metrics)]
        results = dict(zip(self.names(part), values, strict=True))
        if n_empty:
            results[f"{part}_{EMPTY_BATCHES}"] = float(n_empty)
        if 2 * n_empty >= len(losses) and part not in self.has_warned:
            self.has_warned.add(part)
            warn(
                f"{n_empty} of {len(losses)} batches of the {part} loader have no pair or triplet to learn from: their "
                "images are all of one class, or no two of them are. They count for nothing. BalancedBatchSampler "
                "draws batches of several classes with several images each; shuffling helps too",
            )
        return results

    def names(self, part: str) -> list[str]:
        """List the names of the results in the history. Raises ValueError for two metrics of one name."""
        names = ["loss", *(metric.name() for metric in self.metrics)]
        if len(set(names)) < len(names):
            raise ValueError(f"the loss and the metrics must have different names, got {', '.join(names)}")
        return [f"{part}_{name.replace(' ', '_')}" for name in names]


class Losses:
    """The losses of a pass over the data, one per batch, on the device, and which batches had no pair or triplet."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.is_empty: list[bool | Tensor] = []

    def __len__(self) -> int:
        return len(self.values)

    def append(self, loss: Tensor, loss_fn: Any) -> None:
        """Append the `loss` of a batch, computed by `loss_fn`; losses of pairs and triplets have an `is_empty`."""
        self.values.append(loss)
        is_empty = getattr(loss_fn, "is_empty", False)
        self.is_empty.append(is_empty if isinstance(is_empty, (bool, Tensor)) else False)

    def read(self) -> tuple[float, int]:
        """Read the mean over the batches that are not empty (0 if all are), and the number of empty ones."""
        losses, is_empty = torch.stack(self.values), self._mask()
        n_empty = sum(is_empty)
        if n_empty:
            losses = losses[[not empty for empty in is_empty]]
        return losses.mean().item() if len(losses) else 0.0, n_empty

    def _mask(self) -> list[bool]:
        on_device = [empty for empty in self.is_empty if isinstance(empty, Tensor)]
        known = iter(torch.stack(on_device).tolist() if on_device else ())  # one sync for all
        return [next(known) if isinstance(empty, Tensor) else empty for empty in self.is_empty]


@dataclass(frozen=True)
class BatchInfo:
    """A batch that `fit` has finished, for its `on_batch`."""

    model: nn.Module
    epoch: int  # counted from 1
    number: int  # of the batch in this pass over the data, counted from 1
    n_batches: int | None  # of this pass; None for a loader without a length
    is_training: bool  # False in validation
    loss: tuple[Any, ...]  # the results of the loss function, without gradients; tensors are on the device


@dataclass(frozen=True)
class Place:
    """Where in training an error occurred."""

    epoch: int
    learning_rate: float
    checkpoint: str | os.PathLike | None

    def error(self, where: str, what: str) -> FloatingPointError:
        """Make the error to raise for numbers that are not finite."""
        kept = ""
        if self.checkpoint is not None and os.path.exists(self.checkpoint):
            kept = (
                f". The checkpoint after epoch {self.epoch - 1} is kept in {self.checkpoint}: load_weights gives its "
                "weights to a new model, to be trained with other settings and another checkpoint"
            )
        return FloatingPointError(
            f"epoch {self.epoch}, {where}, at a learning rate of {self.learning_rate:g}: {what}. Train with a lower "
            f"learning rate, look for NaN in the images, or, with autocast, try full precision{kept}"
        )


def check_losses(losses: list[Tensor], n_last: int, place: Place) -> None:
    """Raise for the first of the last `n_last` losses that is not finite. Waits for the device."""
    last = torch.stack(losses[-n_last:]).tolist() if losses else []
    for number, loss in enumerate(last, start=len(losses) - len(last) + 1):
        if not math.isfinite(loss):
            raise place.error(f"step {number}", f"the training loss is {loss}")


class FiniteState:
    """Check that the parameters and buffers of `modules` stay finite.

    A buffer that holds an infinity at first, such as a mask, may keep it.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.modules = modules
        self.masks = {name for name, buffer in self._buffers() if buffer.isinf().any()}

    def _buffers(self) -> list[tuple[tuple[int, str], Tensor]]:
        return [((i, name), buffer) for i, module in enumerate(self.modules) for name, buffer in module.named_buffers()]

    def check(self, place: Place) -> None:
        """Raise if any number is not finite, as after a bad last step of an epoch. Waits for the device."""
        is_finite = [parameter.isfinite().all() for module in self.modules for parameter in module.parameters()]
        is_finite += [~b.isnan().any() if name in self.masks else b.isfinite().all() for name, b in self._buffers()]
        if is_finite and not torch.stack(is_finite).all():
            raise place.error("after the last step", "the model holds numbers that are NaN or infinite")


def compile_model(model: nn.Module, compile: bool | str) -> Callable[..., Any]:
    """Compile the model with `torch.compile`, in the mode that `compile` names, or return it unchanged."""
    if not compile:
        return model
    return torch.compile(model, mode=compile if isinstance(compile, str) else None)


def _unpack(batch: Any) -> tuple[tuple, tuple]:
    """Split a batch into its inputs and its targets, both tuples; no targets are an empty one."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        given = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise ValueError(f"a batch must be (inputs, target), with [] for no target, got a {given}")
    inputs, target = map(_as_tuple, batch)
    for part in (*inputs, *target):
        if not isinstance(part, Tensor) or not part.ndim:
            given = "a number" if isinstance(part, Tensor) else f"a {type(part).__name__}"
            raise ValueError(
                f"the inputs and the target of a batch must be tensors with one row per image, got {given}"
            )
    return inputs, target


def _call(role: str, function: Callable[..., Any], arguments: Sequence[Tensor], what: str) -> Any:
    """Call the model or the loss; a ValueError if it does not take that many arguments."""
    try:
        return function(*arguments)
    except TypeError as error:
        if fits(function.forward if isinstance(function, nn.Module) else function, *arguments):
            raise
        raise ValueError(
            f"the {role}, {getattr(function, '__name__', type(function).__name__)}, does not take the {len(arguments)} "
            f"{what} that a batch gives it: {error}. A batch is (inputs, target), with [] for no target; SiameseNet "
            "takes two inputs and TripletNet three"
        ) from error


def _outputs(value: Any) -> tuple[Tensor, ...]:
    outputs = _as_tuple(value)
    for output in outputs:
        if not isinstance(output, Tensor):
            raise ValueError(
                f"the model must return a tensor or a tuple of tensors, got a {type(output).__name__}; wrap it in a "
                "module that returns its embeddings"
            )
    return tuple(map(full_precision, outputs))


def _as_tuple(value: Any) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
