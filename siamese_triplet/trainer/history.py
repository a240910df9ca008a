"""The history of a training run: plain floats per epoch, to print as a table, plot and save."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet.datasets._naming import expand

if TYPE_CHECKING:
    from matplotlib.axes import Axes


EMPTY_BATCHES = "empty_batches"  # train_… and val_… are in a history only if there were some


def required(names: Iterable[str]) -> set[str]:
    """Return the names that each epoch of a history must have."""
    return {name for name in names if not name.endswith(EMPTY_BATCHES)}


class History(dict[str, list[float]]):
    """Lists of floats by name, one number per epoch: `history["val_loss"][-1]`.

    `print(history)` shows a table, and `plot()` draws a curve. `save` and `History.load` use JSON, in which a number
    that is not finite is null; it comes back as NaN.

    >>> from siamese_triplet import History
    >>> history = History()
    >>> history.append({"train_loss": 0.5, "val_loss": 0.75})
    >>> history.append({"train_loss": 0.25, "val_loss": 0.5})
    >>> history["val_loss"][-1]
    0.5
    >>> print(history)
    epoch  train loss  val loss
        1         0.5      0.75
        2        0.25       0.5
    """

    def append(self, results: Mapping[str, float]) -> None:
        """Append one epoch. Raises ValueError if `results` have other names than the epochs before.

        Only counts of empty batches may be missing, and are zero then.
        """
        if self and required(self) != required(results):
            raise ValueError(f"this history has {', '.join(self)}; an epoch with {', '.join(results)} does not fit it")
        n_epochs = self.n_epochs
        for name in dict.fromkeys([*self, *results]):
            self.setdefault(name, [0.0] * n_epochs).append(float(results.get(name, 0)))

    def with_epoch(self, results: Mapping[str, float]) -> "History":
        """Return a copy that is one epoch longer."""
        longer = History({name: list(values) for name, values in self.items()})
        longer.append(results)
        return longer

    @property
    def n_epochs(self) -> int:
        """The number of epochs."""
        return len(next(iter(self.values()), []))

    def epochs(self) -> list[dict[str, float]]:
        """List the results of each epoch, as they were appended."""
        return [{name: values[epoch] for name, values in self.items()} for epoch in range(self.n_epochs)]

    def __str__(self) -> str:
        rows = [["epoch", *(name.replace("_", " ") for name in self)]]
        for epoch, results in enumerate(self.epochs(), start=1):
            rows.append([str(epoch), *(f"{value:.4g}" for value in results.values())])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)

    def plot(self, name: str = "loss", *, ax: "Axes | None" = None) -> "Axes":
        """Plot the curves of `train_<name>` and `val_<name>`; see `plots.plot_history`."""
        from siamese_triplet.plots import plot_history

        return plot_history(self, name, ax=ax)

    def save(self, path: str | os.PathLike) -> None:
        """Write the history to `path` as JSON, atomically: an old file stays whole until the new one is."""
        finite = {name: [value if math.isfinite(value) else None for value in values] for name, values in self.items()}
        write_atomically(path, json.dumps(finite, indent=1, allow_nan=False).encode() + b"\n")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "History":
        """Read a history that `save` has written. Raises ValueError for any other file."""
        try:
            contents = json.loads(expand(path).read_text())
        except ValueError as error:
            raise ValueError(f"{path} is not a history in JSON: {error}") from error
        return cls.of(contents, str(path))

    @classmethod
    def of(cls, contents: Any, source: str) -> "History":
        """Make a history of `contents`, lists of numbers of one length; else raise a ValueError that names `source`."""
        history = cls()
        try:
            for name, values in contents.items():
                history[str(name)] = [math.nan if value is None else float(value) for value in values]
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{source} holds no history: a list of numbers for each name was expected") from error
        if len({len(values) for values in history.values()}) > 1:
            raise ValueError(f"{source} holds no history: its lists differ in length")
        return history
