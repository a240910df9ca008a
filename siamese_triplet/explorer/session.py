"""A training run beside the kernel's main loop: it reports, stops at once, and loses no error."""

import atexit
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from siamese_triplet._style import plain
from siamese_triplet.datasets import Images
from siamese_triplet.diagnostics import collapsed_triplet_loss, describe_collapse, is_collapsed, spread
from siamese_triplet.evaluation import embed, knn_accuracy, retrieval_metrics
from siamese_triplet.evaluation.summary import NEIGHBOURS
from siamese_triplet.explorer.records import FAILED, FINISHED, RUNNING, STOPPED, Outcome, time_left
from siamese_triplet.explorer.settings import Settings
from siamese_triplet.explorer.watching import Snapshot, Watcher, watched_fit
from siamese_triplet.trainer import History

GRACE = 0.2  # seconds that Stop waits for the current batch
Result = TypeVar("Result")


class Listener(Protocol):
    """The reports of a session. All are called in its threads."""

    def status(self, text: str, done: float) -> None:
        """Take a status text and the fraction of the training that is done."""
        ...

    def snapshot(self, snapshot: Snapshot) -> None:
        """Take a new picture to draw."""
        ...

    def outcome(self, outcome: Outcome) -> None:
        """Take a new record of the run, in place of the one before."""
        ...

    def ended(self) -> None:
        """Take note that the session has ended."""
        ...


class _Stopped(Exception):
    """The session was stopped while it loaded data or computed metrics."""


class Session:
    """One run with `settings` on the training and test images that `load` returns.

    `start` returns at once; `outcome` is the record so far. A run that is stopped after at least one epoch still
    gets the metrics of its network; a second `stop` leaves them out.
    """

    def __init__(
        self, number: int, settings: Settings, load: Callable[[], tuple[Images, Images]], listener: Listener
    ) -> None:
        self.settings, self.load, self.listener = settings, load, listener
        self.outcome = Outcome(number, settings)
        self._stopped: Future[float] = Future()  # the time of the request
        self._lock = threading.Lock()
        self._started = 0.0
        self._done = 0.0
        self._wants_metrics = True
        self._first_spread: float | None = None
        self._is_over = threading.Event()
        self._n_threads = torch.get_num_threads()
        context = contextvars.copy_context()  # attributes output to the cell whose click started the run
        self._thread = threading.Thread(
            target=context.run, args=(self._work,), daemon=True, name=f"explorer run {number}"
        )

    @property
    def is_running(self) -> bool:
        """Whether the session still loads, trains or computes metrics."""
        return not self._is_over.is_set()

    def start(self) -> None:
        """Start the run in a thread of its own."""
        atexit.register(self._leave)
        self._thread.start()

    def stop(self) -> None:
        """End training, or else the computation of metrics. Returns at once."""
        with self._lock:
            if not self._stopped.done():
                self._stopped.set_result(time.perf_counter())

    def cancel(self) -> None:
        """Stop, and leave the metrics out."""
        self._wants_metrics = False
        self.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds, and return whether it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _leave(self) -> None:
        """End the thread before the interpreter: a thread within torch must not outlive it."""
        self.cancel()
        self.wait(5)

    def _work(self) -> None:
        try:
            self._run()
        except _Stopped:  # while loading
            self._end_stopped("before its first epoch")
        except Exception as error:
            self._record(ended=FAILED, message=plain(f"{type(error).__name__}: {error}"))
            self._say(f"failed: {self.outcome.message}")
        finally:
            atexit.unregister(self._leave)
            self._is_over.set()
            self.listener.ended()

    def _run(self) -> None:
        self._say(f"loading {self.settings.dataset}")
        train_set, test_set = self._unless_stopped(self.load)
        self._record(n_images=len(train_set))
        model, how = self._train(train_set, test_set)
        if not self.outcome.n_epochs or not self._wants_metrics:
            return
        self._say(f"{how}; computing its metrics, Stop leaves them out")
        try:
            self._record(**self._unless_stopped(lambda: run_metrics(model, train_set, test_set)))
            outcome = self.outcome
            self._say(f"{how}; kNN accuracy {outcome.knn_accuracy:.2%}, MAP@R {outcome.map_at_r:.2%}")
        except _Stopped:
            self._say(f"{how}; its metrics were left out")

    def _train(self, train_set: Images, test_set: Images) -> tuple[nn.Module, str]:
        """Return the network, and how training ended. Reports a stop at once, however long the current batch takes."""
        self._started, stopped = time.perf_counter(), self._stopped
        watcher = Watcher(stopped.done, self._progress, self._snapshot)
        training = _in_a_thread(lambda: self._fit(train_set, test_set, watcher))
        _wait_for_one(training, stopped)
        wait([training], GRACE)
        n_epochs, how = self.settings.n_epochs, ""
        if not training.done() or _is_cut_short(training, n_epochs):
            how = self._end_stopped(f"in epoch {self.outcome.n_epochs + 1} of {n_epochs}")
        model, history = training.result()
        with self._lock:
            self._stopped = Future()  # from now on Stop is about the metrics
        self._record(history=history, n_epochs=history.n_epochs)
        if not how:
            seconds = time.perf_counter() - self._started
            self._record(ended=FINISHED, seconds=seconds)
            how, self._done = f"finished in {seconds:.1f} s", 1.0
        return model, how

    def _fit(self, train_set: Images, test_set: Images, watcher: Watcher) -> tuple[nn.Module, History]:
        torch.set_num_threads(self._n_threads)  # else a thread started during a search would inherit its 1
        return watched_fit(self.settings, train_set, test_set, watcher)

    def _end_stopped(self, where: str) -> str:
        now = time.perf_counter()
        seconds_to_stop = now - self._stopped.result()
        seconds = now - self._started if self._started else 0.0
        self._record(ended=STOPPED, seconds=seconds, seconds_to_stop=seconds_to_stop)
        how = f"stopped {where}, {seconds_to_stop:.2f} s after it was asked to"
        self._say(how)
        return how

    def _unless_stopped(self, function: Callable[[], Result]) -> Result:
        """Call `function` and return its result. Raises _Stopped if a stop comes first; `function` then runs on."""
        result = _in_a_thread(function)
        _wait_for_one(result, self._stopped)
        if not result.done():
            raise _Stopped
        return result.result()

    def _progress(self, n_done: int, per_epoch: int, n_epochs: int) -> None:
        if self.outcome.ended != RUNNING:
            return
        self._done = n_done / (per_epoch * n_epochs)
        left = time_left(time.perf_counter() - self._started, self._done)
        epoch = max(0, n_done - 1) // per_epoch  # from 0; the same one during its validation
        batch = n_done - epoch * per_epoch
        self._say(f"epoch {epoch + 1} of {n_epochs}, batch {batch} of {per_epoch}{left and f'; {left}'}")

    def _snapshot(self, snapshot: Snapshot) -> None:
        history, now = snapshot.history, float(spread(snapshot.embeddings))
        self._first_spread = now if self._first_spread is None else self._first_spread
        if history.n_epochs > self.outcome.n_epochs:
            message = collapse_message(self.settings, history["train_loss"][-1], self._first_spread, now)
            seconds = time.perf_counter() - self._started
            self._record(n_epochs=history.n_epochs, history=history, message=message, seconds=seconds)
        self.listener.snapshot(snapshot)

    def _record(self, **changes: Any) -> None:
        with self._lock:
            self.outcome = replace(self.outcome, **changes)
            self.listener.outcome(self.outcome)  # within the lock: records are reported in their order

    def _say(self, text: str) -> None:
        self.listener.status(f"Run {self.outcome.number}: {text}", self._done)


def run_metrics(model: nn.Module, train_set: Images, test_set: Images) -> dict[str, float]:
    """Compute `knn_accuracy` of the test images and `map_at_r` among them, NaN if no class has two of them."""
    train, (embeddings, labels) = embed(model, train_set), embed(model, test_set)
    has_pairs = int(labels.unique(return_counts=True)[1].max()) > 1
    return {
        "knn_accuracy": knn_accuracy(*train, embeddings, labels, k=min(NEIGHBOURS, len(train_set))),
        "map_at_r": retrieval_metrics(embeddings, labels, ks=(1,))["map_at_r"] if has_pairs else torch.nan,
    }


def collapsed_loss(settings: Settings) -> float | None:
    """Return the mean loss where all embeddings coincide; None for the softmax, which does not compare distances."""
    if settings.method == "softmax":
        return None
    if settings.method in ("triplet", "online-triplet"):
        return collapsed_triplet_loss(settings.margin)
    if settings.method == "siamese":
        return float(settings.margin) ** 2 / 4  # half of the pairs are negative
    labels = torch.arange(settings.n_classes).repeat_interleave(settings.n_samples)
    return float(settings.to_method().loss()(torch.zeros(len(labels), 2), labels))


def collapse_message(settings: Settings, loss: float, first_spread: float, now: float) -> str:
    """Describe a collapse and its remedy; "" for a network that has not collapsed.

    `loss` is the mean over an epoch; the spreads are those of test images, untrained and after that epoch.
    `SpreadMetric` warns by the same rule, but a warning from a thread could appear under any cell.
    """
    point_loss = collapsed_loss(settings)
    if point_loss is None or not is_collapsed(loss, point_loss, first_spread, now):
        return ""
    easier = {
        "online-triplet": "choose the selector random, semihard or batch-all, whose negatives are easier to begin with",
        "online-contrastive": "choose the selector all, whose negatives are easier to begin with",
    }.get(settings.method, "choose another method")
    collapse = describe_collapse(loss, first_spread, now)
    return (
        f"{collapse[0].upper()}{collapse[1:]} It will not recover on its own: {easier}, lower the learning rate, or "
        "put the embeddings on the unit sphere."
    )


def _is_cut_short(training: Future, n_epochs: int) -> bool:
    return training.exception() is None and training.result()[1].n_epochs < n_epochs


def _wait_for_one(*futures: Future[Any]) -> None:
    wait(futures, return_when=FIRST_COMPLETED)


def _in_a_thread(function: Callable[[], Result]) -> "Future[Result]":
    """Call `function` in a thread that the interpreter does not wait for; its result or error is the future's."""
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future
