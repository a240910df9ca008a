"""A training run beside the kernel's main loop: it reports, it can be stopped at once, and no error is lost."""

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

from siamese_triplet.datasets import Images
from siamese_triplet.evaluation import embed, knn_accuracy, retrieval_metrics
from siamese_triplet.evaluation.summary import NEIGHBOURS
from siamese_triplet.explorer.collapse import collapse
from siamese_triplet.explorer.outcomes import FAILED, FINISHED, RUNNING, STOPPED, Outcome, time_left
from siamese_triplet.explorer.settings import Settings
from siamese_triplet.explorer.watching import Snapshot, Watcher, spread, watched_fit
from siamese_triplet.trainer import History

GRACE = 0.2  # seconds that Stop waits for the batch that goes on
Result = TypeVar("Result")


class Listener(Protocol):
    """Who is told what a session does, in its threads."""

    def status(self, text: str, done: float) -> None:
        """What goes on, in words, and how much of the training is done, 0 to 1."""
        ...

    def snapshot(self, snapshot: Snapshot) -> None:
        """There is a new picture to draw."""
        ...

    def outcome(self, outcome: Outcome) -> None:
        """There is a new record of the run, in place of the one before."""
        ...

    def ended(self) -> None:
        """The session does nothing any more."""
        ...


class Session:
    """One run with `settings` on what `load` returns, training and test images.

    `start` returns at once; `outcome` is the record so far. A run that was stopped after an epoch or more still has its
    figures computed, those of the network as it is then; a second `stop` leaves them out.
    """

    def __init__(
        self, number: int, settings: Settings, load: Callable[[], tuple[Images, Images]], listener: Listener
    ) -> None:
        self.settings, self.load, self.listener = settings, load, listener
        self.outcome = Outcome(number, settings)
        self._stopped: Future[float] = Future()  # the time when it was asked for
        self._lock = threading.Lock()
        self._started = 0.0
        self._done = 0.0
        self._wants_figures = True
        self._first_spread: float | None = None
        self._is_over = threading.Event()
        self._n_threads = torch.get_num_threads()
        context = contextvars.copy_context()  # what it tells is told for the click that made it, whatever is run later
        self._thread = threading.Thread(
            target=context.run, args=(self._work,), daemon=True, name=f"explorer run {number}"
        )

    @property
    def is_running(self) -> bool:
        """Whether it has yet to load, to train or to compute the figures."""
        return not self._is_over.is_set()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        atexit.register(self._leave)
        self._thread.start()

    def stop(self) -> None:
        """End what goes on: training, or else the computing of the figures. Returns at once."""
        with self._lock:
            if not self._stopped.done():
                self._stopped.set_result(time.perf_counter())

    def cancel(self) -> None:
        """As `stop`, and leave the figures out as well."""
        self._wants_figures = False
        self.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, `timeout` seconds at most; whether it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _leave(self) -> None:
        """The interpreter ends: a thread within torch must not outlive it."""
        self.cancel()
        self.wait(5)

    def _work(self) -> None:
        try:
            self._run()
        except KeyboardInterrupt:  # while loading, or before the first batch
            if self.outcome.ended == RUNNING:
                self._end_stopped("before its first epoch")
        except Exception as error:
            self._record(ended=FAILED, message=f"{type(error).__name__}: {error}")
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
        if not self.outcome.n_epochs or not self._wants_figures:
            return
        self._say(f"{how}; computing its figures, Stop leaves them out")
        try:
            self._record(**self._unless_stopped(lambda: figures_of(model, train_set, test_set)))
            outcome = self.outcome
            self._say(f"{how}; kNN accuracy {outcome.knn_accuracy:.2%}, MAP@R {outcome.map_at_r:.2%}")
        except KeyboardInterrupt:
            self._say(f"{how}; its figures were left out")

    def _train(self, train_set: Images, test_set: Images) -> tuple[nn.Module, str]:
        """The network, and how training ended. A stop is told at once, however long the batch that goes on takes."""
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
            self._stopped = Future()  # from now on Stop is about the figures
        self._record(history=history, n_epochs=history.n_epochs)
        if not how:
            seconds = time.perf_counter() - self._started
            self._record(ended=FINISHED, seconds=seconds)
            how, self._done = f"finished in {seconds:.1f} s", 1.0
        return model, how

    def _fit(self, train_set: Images, test_set: Images, watcher: Watcher) -> tuple[nn.Module, History]:
        torch.set_num_threads(self._n_threads)  # a thread that starts while another one searches would get that one's 1
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
        """What `function` returns. Where the session is stopped first, a KeyboardInterrupt: it is left to itself."""
        result = _in_a_thread(function)
        _wait_for_one(result, self._stopped)
        if not result.done():
            raise KeyboardInterrupt
        return result.result()

    def _progress(self, n_done: int, per_epoch: int, n_epochs: int) -> None:
        if self.outcome.ended != RUNNING:
            return
        self._done = n_done / (per_epoch * n_epochs)
        left = time_left(time.perf_counter() - self._started, self._done)
        epoch = max(0, n_done - 1) // per_epoch  # from 0; after its last batch, while it is validated, still this one
        batch = n_done - epoch * per_epoch
        self._say(f"epoch {epoch + 1} of {n_epochs}, batch {batch} of {per_epoch}{left and f'; {left}'}")

    def _snapshot(self, snapshot: Snapshot) -> None:
        history, now = snapshot.history, spread(snapshot.embeddings)
        self._first_spread = now if self._first_spread is None else self._first_spread
        if history.n_epochs > self.outcome.n_epochs:
            message = collapse(self.settings, history["train_loss"][-1], self._first_spread, now)
            seconds = time.perf_counter() - self._started
            self._record(n_epochs=history.n_epochs, history=history, message=message, seconds=seconds)
        self.listener.snapshot(snapshot)

    def _record(self, **changes: Any) -> None:
        with self._lock:
            self.outcome = replace(self.outcome, **changes)
            self.listener.outcome(self.outcome)  # within the lock, so that the last one told is the last one made

    def _say(self, text: str) -> None:
        self.listener.status(f"Run {self.outcome.number}: {text}", self._done)


def figures_of(model: nn.Module, train_set: Images, test_set: Images) -> dict[str, float]:
    """`knn_accuracy` of the test images, `map_at_r` among them; NaN where no class has two of them."""
    train, (embeddings, labels) = embed(model, train_set), embed(model, test_set)
    has_pairs = int(labels.unique(return_counts=True)[1].max()) > 1
    return {
        "knn_accuracy": knn_accuracy(*train, embeddings, labels, k=min(NEIGHBOURS, len(train_set))),
        "map_at_r": retrieval_metrics(embeddings, labels, ks=(1,))["map_at_r"] if has_pairs else torch.nan,
    }


def _is_cut_short(training: Future, n_epochs: int) -> bool:
    error = training.exception()
    return isinstance(error, KeyboardInterrupt) or (error is None and training.result()[1].n_epochs < n_epochs)


def _wait_for_one(*futures: Future[Any]) -> None:
    wait(futures, return_when=FIRST_COMPLETED)


def _in_a_thread(function: Callable[[], Result]) -> "Future[Result]":
    """What `function` returns or raises, when it has come; the interpreter does not wait for it."""
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # KeyboardInterrupt too: it ends in the future, not in the terminal
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future
