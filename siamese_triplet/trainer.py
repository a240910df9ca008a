"""The training loop: one for every network, loss and kind of batch of these chapters, and for your own."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from siamese_triplet.metrics import Metric
from siamese_triplet.networks import device_of, evaluating

History = dict[str, list[float]]


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
) -> History:
    """Train `model` for `n_epochs` and return what happened.

    A batch is `(inputs, target)`. The inputs, one tensor or a tuple of two or three, go to `model(*inputs)`; the
    outputs, and the target unless it is empty, to `loss_fn(*outputs, target)`. The loss function returns the loss, or
    a tuple that begins with it. Batches are moved to the model's device. `device`, if given, must be that device:
    move the model there before making the optimizer.

    `metrics` are called after every batch, and reset before every pass over the data. The scheduler steps once an
    epoch, after the optimizer. `verbose` prints a line an epoch, with a progress bar in a terminal.

    Returns lists of floats, one an epoch: `train_loss`, each metric as `train_<name>`, and with a `val_loader` the
    same as `val_…`; `learning_rate` and `seconds`. A loss is the mean over the batches. 0 epochs give empty lists.

    Raises ValueError for a loader without batches, or a model on another device than `device`; FloatingPointError
    when the training loss of an epoch is not finite.
    """
    if device is not None:
        _check_device(model, torch.device(device))
    device = device_of(model)
    parts = ["train"] if val_loader is None else ["train", "val"]
    names = [name for part in parts for name in _names(part, metrics)]
    history: History = {name: [] for name in (*names, "learning_rate", "seconds")}
    for epoch in range(n_epochs):
        started = time.perf_counter()
        learning_rate = optimizer.param_groups[0]["lr"]
        bar = tqdm(train_loader, desc=f"Epoch {epoch + 1}/{n_epochs}", leave=False, disable=None if verbose else True)
        results = _train_epoch(bar, model, loss_fn, optimizer, metrics, device)
        if not torch.tensor(results["train_loss"]).isfinite():
            raise FloatingPointError(
                f"the training loss of epoch {epoch + 1} is {results['train_loss']} at a learning rate of "
                f"{learning_rate:g}; lower the learning rate, or look for NaN in the images"
            )
        if val_loader is not None:
            results |= evaluate(val_loader, model, loss_fn, metrics=metrics)
        if scheduler is not None:
            scheduler.step()
        results |= {"learning_rate": learning_rate, "seconds": time.perf_counter() - started}
        for name, value in results.items():
            history[name].append(value)
        if verbose:
            tqdm.write(_epoch_line(epoch, n_epochs, results))
    return history


def evaluate(
    loader: Iterable, model: nn.Module, loss_fn: nn.Module, *, metrics: Sequence[Metric] = ()
) -> dict[str, float]:
    """The loss and the metrics of `model` over `loader`, as `val_loss` and `val_<name>`: no gradients, evaluation mode.

    The model is left in the mode it was in. See `fit` for the arguments.
    """
    losses = []
    device = device_of(model)
    _reset(metrics)
    with evaluating(model):
        for batch in loader:
            losses.append(_batch_loss(batch, model, loss_fn, metrics, device))
    return _summary("val", losses, metrics)


def _train_epoch(
    loader: Iterable,
    model: nn.Module,
    loss_fn: nn.Module,
    optimizer: Optimizer,
    metrics: Sequence[Metric],
    device: torch.device,
) -> dict[str, float]:
    losses = []
    _reset(metrics)
    model.train()
    for batch in loader:
        optimizer.zero_grad()
        loss = _batch_loss(batch, model, loss_fn, metrics, device)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return _summary("train", losses, metrics)


def _batch_loss(
    batch: Sequence[Any], model: nn.Module, loss_fn: nn.Module, metrics: Sequence[Metric], device: torch.device
) -> Tensor:
    data, target = batch
    inputs = [tensor.to(device, non_blocking=True) for tensor in _as_tuple(data)]
    targets = tuple(tensor.to(device, non_blocking=True) for tensor in _as_tuple(target) if len(tensor))
    outputs = _as_tuple(model(*inputs))
    losses = _as_tuple(loss_fn(*outputs, *targets))
    for metric in metrics:
        metric(outputs, targets or None, losses)
    return losses[0]


def _summary(part: str, losses: list[Tensor], metrics: Sequence[Metric]) -> dict[str, float]:
    if not losses:
        raise ValueError(f"the {part} loader has no batches; is the batch larger than the data set, with drop_last?")
    values = [torch.stack(losses).mean().item(), *(metric.value() for metric in metrics)]
    return dict(zip(_names(part, metrics), values, strict=True))


def _names(part: str, metrics: Sequence[Metric]) -> list[str]:
    return [f"{part}_{name.replace(' ', '_')}" for name in ("loss", *(metric.name() for metric in metrics))]


def _reset(metrics: Sequence[Metric]) -> None:
    for metric in metrics:
        metric.reset()


def _as_tuple(value: Any) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _check_device(model: nn.Module, asked: torch.device) -> None:
    actual = device_of(model)
    if asked.type != actual.type or asked.index not in (None, actual.index):
        raise ValueError(
            f"the model is on {actual}, but device={str(asked)!r} was asked for; "
            f"call model.to({str(asked)!r}) before making the optimizer"
        )


def _epoch_line(epoch: int, n_epochs: int, results: dict[str, float]) -> str:
    parts: dict[str, list[str]] = {part: [] for part in ("train", "val")}
    for name, value in results.items():
        part, _, quantity = name.partition("_")
        if part in parts:
            parts[part].append(f"{quantity.replace('_', ' ')} {value:.4g}")
    values = "  ".join(f"{part} {', '.join(shown)}" for part, shown in parts.items() if shown)
    return f"Epoch {epoch + 1:>{len(str(n_epochs))}}/{n_epochs}  {values}  ({results['seconds']:.1f} s)"
