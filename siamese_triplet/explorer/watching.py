"""Looking at a training run while it goes on: between its batches, without a change to its result."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet.datasets import Images
from siamese_triplet.distances import full_precision
from siamese_triplet.distributed import Share
from siamese_triplet.evaluation import extract_embeddings
from siamese_triplet.explorer.settings import Settings
from siamese_triplet.loader import TensorLoader
from siamese_triplet.methods import Method, fit_method
from siamese_triplet.metrics import AccumulatedAccuracyMetric, AverageNonzeroTripletsMetric, Metric
from siamese_triplet.trainer import History

SHOWN = 1000  # test images in a picture
PAUSES = 1.0, 2.5  # seconds between two pictures within an epoch: the longer the pictures take
SHARE = 0.1  # of the time, which pictures are to take
REPORTS = 0.2  # seconds between two reports of progress


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment: all that its pictures show."""

    experiment: Method
    n_epochs: int
    epochs: float  # so far, with the part of the one that goes on
    embeddings: Tensor  # (n, D) of the test images that are shown, on the CPU
    labels: Tensor  # (n,)
    n_test_images: int
    classes: Sequence[str]
    batches_per_epoch: int
    losses: list[float]  # of every training batch so far
    counts: list[float]  # of triplets, likewise; empty where the loss counts none
    history: History  # of the epochs that are complete


@dataclass(frozen=True)
class Watcher:
    """Who is told of a run. All are called in the thread that trains: they must return at once."""

    should_stop: Callable[[], bool]
    progress: Callable[[int, int, int], None]  # batches done, batches of an epoch, epochs
    snapshot: Callable[[Snapshot], None]


class BatchRecord:
    """A metric for `fit` that keeps the loss of every training batch, and the number of triplets where it is told.

    In the history it is the number of batches of a pass. Nothing is read from the device before `read` is called.
    """

    def __init__(self) -> None:
        self.losses: list[Any] = []  # tensors, and numbers once they were read
        self.counts: list[Any] = []
        self.reset()

    def __call__(self, outputs: Sequence[Tensor], target: Sequence[Tensor] | None, loss: Sequence[Any]) -> None:
        self.n_batches += 1
        if torch.is_grad_enabled():
            self.losses.append(loss[0].detach())
            self.counts += [torch.as_tensor(count) for count in loss[1:2]]

    def reset(self) -> None:
        self.n_batches = 0

    def value(self) -> float:
        return float(self.n_batches)

    def name(self) -> str:
        return "batches"

    def read(self) -> tuple[list[float], list[float]]:
        """The losses and the counts so far. Waits for the device."""
        for values in (self.losses, self.counts):
            new = [value for value in values if isinstance(value, Tensor)]
            values[len(values) - len(new) :] = torch.stack(new).tolist() if new else []
        return [*self.losses], [*self.counts]


class WatchedLoader:
    """The batches of `loader`, with a call of `look`, which may raise, before each and after the last."""

    def __init__(self, loader: TensorLoader, look: Callable[[], None]) -> None:
        self.loader, self.look = loader, look
        self.batch_sampler = loader.batch_sampler  # for `fit`, which tells it the epoch

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator:
        for batch in self.loader:
            self.look()
            yield batch
        self.look()


def watched_fit(settings: Settings, train_set: Images, test_set: Images, watcher: Watcher) -> tuple[nn.Module, History]:
    """As `fit_method`, with a snapshot of the untrained network, one now and then, and one after every epoch.

    Where `watcher.should_stop()`, it ends before the next batch, with the history so far; before the first batch that
    is a KeyboardInterrupt. Raises what `fit_method` and `Settings.experiment` raise.
    """
    experiment = settings.experiment()
    watch = _Watch(experiment, test_set, settings.n_epochs, settings.device, watcher)
    counted: dict[str, Callable[[], Metric]] = {
        "softmax": AccumulatedAccuracyMetric,
        "online-triplet": AverageNonzeroTripletsMetric,
    }
    metrics: list[Metric] = [counted[settings.method]()] if settings.method in counted else []
    return fit_method(
        experiment,
        train_set,
        test_set,
        settings.n_epochs,
        settings.seed,
        device=settings.device,
        verbose=False,
        metrics=[*metrics, watch.record],
        callbacks=[watch.after_epoch],
        through=watch.through,
    )


def spread(embeddings: Tensor) -> float:
    """The mean distance between `embeddings` (n, D), as a root mean square."""
    return float((2 * full_precision(embeddings).var(dim=0, correction=0).sum()).sqrt())


class _Watch:
    """The state of one watched run."""

    def __init__(self, experiment: Method, test_set: Images, n_epochs: int, device: str, watcher: Watcher) -> None:
        self.experiment, self.n_epochs, self.watcher = experiment, n_epochs, watcher
        self.n_test_images, self.classes = len(test_set), test_set.classes
        self.images = list(TensorLoader(_some(test_set, SHOWN), SHOWN, device=device, share=Share()))
        self.record = BatchRecord()
        self.history = History()
        self.model: nn.Module | None = None
        self.batches_per_epoch = 0
        self.next_picture = self.next_report = 0.0

    def through(self, loader: TensorLoader, model: nn.Module) -> Iterable:
        """The training loader, which comes first, is looked at; from the other one a run can only be stopped."""
        if self.model is not None:
            return WatchedLoader(loader, self.stop_if_asked)
        self.model, self.batches_per_epoch = model, len(loader)
        self.stop_if_asked()
        return WatchedLoader(loader, self.look)  # whose first look, before the first batch, takes a picture

    def stop_if_asked(self) -> None:
        if self.watcher.should_stop():
            raise KeyboardInterrupt  # which `fit` takes for Ctrl-C

    def look(self) -> None:
        self.stop_if_asked()
        now = time.perf_counter()
        if now >= self.next_report:
            self.watcher.progress(len(self.record.losses), self.batches_per_epoch, self.n_epochs)
            self.next_report = now + REPORTS
        if now >= self.next_picture:
            self.take_picture()

    def after_epoch(self, epoch: int, history: History, model: nn.Module) -> None:
        self.history = history
        self.take_picture()

    def take_picture(self) -> None:
        started = time.perf_counter()
        assert self.model is not None  # `through` comes first
        embeddings, labels = extract_embeddings(self.images, self.model)
        losses, counts = self.record.read()
        self.watcher.snapshot(
            Snapshot(
                self.experiment,
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


def _some(images: Images, n: int) -> Images:
    """At most `n` of the images, evenly spaced."""
    chosen = torch.linspace(0, len(images) - 1, min(n, len(images))).round().long()
    data, targets = (torch.as_tensor(values)[chosen] for values in (images.data, images.targets))
    return Images(data, targets, images.classes, train=False, transform=images.transform)
