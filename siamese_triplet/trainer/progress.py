"""The progress display of `fit`: a bar that disappears, and one line per epoch that stays."""

import os
import sys
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from tqdm.auto import tqdm

REFRESH = 0.5  # seconds between two readings of the loss, each a sync


class Progress:
    """Progress bar over the batches of an epoch, in a terminal or a notebook, and epoch lines; silent if not `verbose`.

    The environment variable TQDM_DISABLE turns off the bar, not the lines.
    """

    def __init__(self, n_epochs: int, n_batches: int | None, verbose: bool) -> None:
        self.n_epochs, self.n_batches, self.verbose = n_epochs, n_batches, verbose
        in_notebook = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)
        is_interactive = in_notebook or sys.stderr.isatty()
        self.has_bar = verbose and is_interactive and not os.environ.get("TQDM_DISABLE")
        self.bar: tqdm | None = None
        self.refreshed_at = time.perf_counter()
        self.pending = 0

    def start(self, epoch: int) -> None:
        """Begin an epoch; the first call makes the bar."""
        if self.has_bar:
            if self.bar is None:
                self.bar = tqdm(total=self.n_batches, leave=False)
            self.bar.reset()
            self.bar.set_description(f"Epoch {epoch + 1}/{self.n_epochs}")

    def step(self, losses: Sequence[Tensor]) -> None:
        """Count one more batch; `losses` are all of the epoch so far, on the device."""
        self.pending += 1
        if self.bar is not None and time.perf_counter() > self.refreshed_at + REFRESH:
            self.bar.set_postfix(loss=f"{torch.stack(list(losses)).mean().item():.4g}", refresh=False)  # a sync
            self.bar.update(self.pending)
            self.refreshed_at, self.pending = time.perf_counter(), 0

    def finish(self, epoch: int, results: Mapping[str, float]) -> None:
        self.pending = 0
        self.say(epoch_line(epoch, self.n_epochs, results))

    def say(self, line: str) -> None:
        if self.verbose:
            tqdm.write(line)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def epoch_line(epoch: int, n_epochs: int, results: Mapping[str, float]) -> str:
    """Format an epoch's line: `Epoch  3/20  train loss 0.12, accuracy 96  val loss 0.15, accuracy 95.1  (12.3 s)`."""
    parts: dict[str, list[str]] = {part: [] for part in ("train", "val")}
    for name, value in results.items():
        part, _, quantity = name.partition("_")
        if part in parts:
            parts[part].append(f"{quantity.replace('_', ' ')} {value:.4g}")
    text = "  ".join(f"{part} {', '.join(values)}" for part, values in parts.items() if values)
    return f"Epoch {epoch + 1:>{len(str(n_epochs))}}/{n_epochs}  {text}  ({results['seconds']:.1f} s)"
