"""Time of an epoch of each of the five experiments, by our `fit`, a bare loop and the original's loop in turns.

A run of `fit` gives two times: the training alone, to compare with the bare loop, which only trains; and the whole
epoch, to compare with the original's loop. Each turn begins with a new network. Work done once for all epochs, such as
normalising the images, is done before the clock starts, for every contender.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import torch
from original.training import Original
from torch import Tensor, nn
from torch.optim import Adam

from siamese_triplet import Images, fit
from siamese_triplet.loader import Batch, TensorLoader
from siamese_triplet.methods import METHODS, Method, Speed

SPEEDS = {"fp32": Speed(), "bf16": Speed(bfloat16=True, channels_last=True)}
WARM_UP = 2500  # training images of the first, untimed turn

Times = dict[str, float]  # seconds, and losses as evidence of learning


def epochs(train_set: Images, test_set: Images, n_rounds: int, n_original_rounds: int) -> dict:
    """Measure a row per experiment: medians of the rounds, and ratios. The original runs in the first rounds only."""
    rows = []
    for name in METHODS:
        rounds: dict[str, list[Times]] = {}
        for number in range(n_rounds + 1):
            images = (train_set, test_set) if number else (_first(train_set, WARM_UP), _first(test_set, WARM_UP // 5))
            for contender, turn in _contenders(name, *images).items():
                if contender == "original" and number > n_original_rounds:
                    continue
                times = turn()
                if number:
                    rounds.setdefault(contender, []).append(times)
                    _log(f"{name}, {contender}, round {number}", times)
        rows.append(_row(name, rounds))
    return {"images": [len(train_set), len(test_set)], "rounds": [n_rounds, n_original_rounds], "rows": rows}


def ours(experiment: Method, train_set: Images, test_set: Images, speed: Speed) -> Times:
    """Time `fit` for one epoch: the training alone, and with validation."""
    model, optimizer = _network_and_adam(experiment, train_set)
    train_loader = experiment.loader(train_set, device="cpu")
    val_loader = _TimedLoader(experiment.loader(test_set, device="cpu"))
    loss, metrics = experiment.loss(), experiment.metrics()
    started = time.perf_counter()
    history = fit(
        train_loader,
        val_loader,
        model,
        loss,
        optimizer,
        None,
        1,
        metrics=metrics,
        device="cpu",
        verbose=False,
        autocast=torch.bfloat16 if speed.bfloat16 else None,
        channels_last=speed.channels_last,
    )
    whole = time.perf_counter() - started
    losses = {name: history[name][-1] for name in ("train_loss", "val_loss")}
    return {"training": val_loader.started - started, "whole": whole, **losses}


def bare(experiment: Method, train_set: Images, speed: Speed) -> Times:
    """Time the shortest loop that trains the same network on as many images: no checks, metrics or history."""
    model, optimizer = _network_and_adam(experiment, train_set)
    loss_fn = experiment.loss()
    loader = experiment.loader(train_set, device="cpu")
    images, batches = loader.images, _draw_batches(loader)
    if speed.channels_last:
        model, images = (x.to(memory_format=torch.channels_last) for x in (model, images))
    started = time.perf_counter()
    for columns, target in batches:
        optimizer.zero_grad()
        inputs = [images.index_select(0, column) for column in columns]
        with torch.autocast("cpu", torch.bfloat16, enabled=speed.bfloat16):
            outputs = model(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = loss_fn(*outputs, *target)
        loss = loss[0] if isinstance(loss, tuple) else loss
        loss.backward()
        optimizer.step()
    return {"training": time.perf_counter() - started, "last_loss": loss.item()}


def theirs(name: str, train_set: Images, test_set: Images) -> Times:
    """Time the original's loop for one epoch with validation."""
    original = Original(name, train_set, test_set)
    started = time.perf_counter()
    train_loss, val_loss = original.epoch()
    return {"whole": time.perf_counter() - started, "train_loss": train_loss, "val_loss": val_loss}


class _TimedLoader:
    """A loader that records when its iteration started."""

    def __init__(self, loader: TensorLoader) -> None:
        self.loader, self.started = loader, 0.0

    def __iter__(self) -> Iterator[Batch]:
        self.started = time.perf_counter()
        return iter(self.loader)


def _contenders(name: str, train_set: Images, test_set: Images) -> dict[str, Callable[[], Times]]:
    experiment, turns = METHODS[name], {}
    for kind, speed in SPEEDS.items():
        turns[f"bare {kind}"] = lambda speed=speed: bare(experiment, train_set, speed)
        turns[f"ours {kind}"] = lambda speed=speed: ours(experiment, train_set, test_set, speed)
    return turns | {"original": lambda: theirs(name, train_set, test_set)}


def _network_and_adam(experiment: Method, images: Images) -> tuple[nn.Module, Adam]:
    torch.manual_seed(0)
    model = experiment.network(images)
    return model, Adam(
        model.parameters(), lr=experiment.learning_rate, weight_decay=experiment.weight_decay, fused=True
    )


def _draw_batches(loader: TensorLoader) -> list[tuple[Tensor, list[Tensor]]]:
    """Draw the batches of an epoch: image indices, a row per input of the network, and the target, if any."""
    if loader.batch_sampler is not None:
        indices = [torch.tensor(batch) for batch in loader.batch_sampler]
    else:
        indices = torch.randperm(len(loader.dataset)).split(loader.batch_size)
    batches = [loader.dataset.draw(batch) for batch in indices]
    return [(columns.T.contiguous(), [] if target is None else [target]) for columns, target in batches]


def _row(name: str, rounds: dict[str, list[Times]]) -> dict:
    def median(contender: str, key: str) -> float:
        return statistics.median(times[key] for times in rounds[contender])

    original, speeds = median("original", "whole"), {}
    for kind in SPEEDS:
        seconds = {key: median(f"ours {kind}", key) for key in ("training", "whole")}
        seconds["bare"] = median(f"bare {kind}", "training")
        speeds[kind] = seconds | {
            "overhead": seconds["training"] / seconds["bare"] - 1,
            "ratio": original / seconds["whole"],
        }
    return {"name": name, "original": original, "speeds": speeds, "rounds": rounds}


def _first(images: Images, n: int) -> Images:
    return images.subset(range(n))


def _log(title: str, times: Times) -> None:
    print(f"{title}: " + ", ".join(f"{name} {value:.4g}" for name, value in times.items()), file=sys.stderr, flush=True)
