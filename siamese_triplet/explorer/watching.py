"""Watch a training run between its batches, without changing its result."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet._devices import device_of
from siamese_triplet.datasets import Images
from siamese_triplet.distributed import Share
from siamese_triplet.evaluation import extract_embeddings
from siamese_triplet.explorer.settings import Settings
from siamese_triplet.live.embeddings import evenly_spaced
from siamese_triplet.loader import TensorLoader
from siamese_triplet.methods import Method, fit_method
from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric, Metric
from siamese_triplet.trainer import BatchInfo, History

SHOWN = 1000  # test images per picture
PAUSES = 1.0, 2.5  # least and most seconds between two pictures within an epoch
SHARE = 0.1  # of the time may go into pictures
REPORTS = 0.2  # seconds between two reports of progress
METRICS: dict[str, Callable[[], Metric]] = {
    "softmax": AccumulatedAccuracyMetric,
    "online-triplet": AverageNonzeroTripletsMetric,
}


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment: all that its pictures show."""

    method: Method
    n_epochs: int
    epochs: float  # so far, with the fraction of the current one
    embeddings: Tensor  # (n, D) of the test images in the picture, on the CPU
    labels: Tensor  # (n,)
    n_test_images: int
    classes: Sequence[str]
    batches_per_epoch: int
    losses: list[float]  # of every training batch so far
    counts: list[float]  # of triplets, likewise; empty for a loss that counts none
    history: History  # of the complete epochs


@dataclass(frozen=True)
class Watcher:
    """The functions that learn of a run. All are called in the training thread and must return at once."""

    should_stop: Callable[[], bool]
    progress: Callable[[int, int, int], None]  # batches done, batches per epoch, epochs
    snapshot: Callable[[Snapshot], None]


def watched_fit(settings: Settings, train_set: Images, test_set: Images, watcher: Watcher) -> tuple[nn.Module, History]:
    """Train as `fit_method` does, with a snapshot before the first batch, now and then, and after every epoch.

    Where `watcher.should_stop()`, the run ends after the current batch, with the history so far. Raises as `fit_method`
    and `Settings.to_method` do.
    """
    method = settings.to_method()
    torch.manual_seed(settings.seed)
    model = method.network(train_set).to(settings.device)
    watch = _Watch(method, model, test_set, settings.n_epochs, watcher)
    watch.take_picture()
    return fit_method(
        method,
        train_set,
        test_set,
        0 if watcher.should_stop() else settings.n_epochs,
        settings.seed,
        model=model,
        device=settings.device,
        verbose=False,
        metrics=[METRICS[settings.method]()] if settings.method in METRICS else [],
        callbacks=[watch.after_epoch],
        on_batch=watch.after_batch,
    )


class _Watch:
    """The state of one watched run."""

    def __init__(self, method: Method, model: nn.Module, test_set: Images, n_epochs: int, watcher: Watcher) -> None:
        self.method, self.model, self.n_epochs, self.watcher = method, model, n_epochs, watcher
        self.n_test_images, self.classes = len(test_set), test_set.classes
        shown = test_set.subset(evenly_spaced(len(test_set), SHOWN))
        self.images = list(TensorLoader(shown, SHOWN, device=device_of(model), share=Share()))
        self.history = History()
        self.losses: list[Any] = []  # tensors on the device, numbers once read
        self.counts: list[Any] = []
        self.batches_per_epoch = 1
        self.next_picture = self.next_report = 0.0

    def after_batch(self, batch: BatchInfo) -> bool:
        """Keep the loss of a training batch, report and take a picture now and then; return whether to stop."""
        if batch.is_training:
            self.batches_per_epoch = batch.n_batches or 1
            self.losses.append(batch.loss[0])
            self.counts += [torch.as_tensor(count) for count in batch.loss[1:2]]
            now = time.perf_counter()
            if now >= self.next_report:
                self.watcher.progress(len(self.losses), self.batches_per_epoch, self.n_epochs)
                self.next_report = now + REPORTS
            if now >= self.next_picture and batch.number < self.batches_per_epoch:  # the last one is `after_epoch`'s
                self.take_picture()
        return self.watcher.should_stop()

    def after_epoch(self, epoch: int, history: History, model: nn.Module) -> None:
        """Take the picture of a complete epoch."""
        self.history = history
        self.take_picture()

    def take_picture(self) -> None:
        """Hand a snapshot to the watcher. Waits for the device."""
        started = time.perf_counter()
        embeddings, labels = extract_embeddings(self.images, self.model)
        losses, counts = read_numbers(self.losses), read_numbers(self.counts)
        self.watcher.snapshot(
            Snapshot(
                self.method,
                self.n_epochs,
                len(losses) / self.batches_per_epoch,
                embeddings,
                labels,
                self.n_test_images,
                self.classes,
                self.batches_per_epoch,
                losses,
                counts,
                self.history,
            )
        )
        ended = time.perf_counter()
        least, most = PAUSES
        self.next_picture = ended + min(max(least, (ended - started) / SHARE), most)


def read_numbers(values: list[Any]) -> list[float]:
    """Replace the tensors at the end of `values` by their numbers, and return a copy. Waits for the device."""
    new = [value for value in values if isinstance(value, Tensor)]
    values[len(values) - len(new) :] = torch.stack(new).tolist() if new else []
    return [*values]
