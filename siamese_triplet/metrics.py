"""Running metrics for `fit`: updated after every batch, read at the end of an epoch."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor


class Metric(Protocol):
    """Protocol of the metrics of `fit`.

    A metric that remembers more than one epoch also has `state_dict` and `load_state_dict`, for checkpoints.
    """

    def __call__(self, outputs: Sequence[Tensor], target: Sequence[Tensor] | None, loss: Sequence[Any]) -> None:
        """Add one batch: the model's outputs, the target (None without one) and the results of the loss, as tuples."""
        ...

    def reset(self) -> None:
        """Forget all batches, at the start of an epoch."""
        ...

    def value(self) -> float:
        """Return the value over all batches since the last reset."""
        ...

    def name(self) -> str:
        """Return the name of the metric in the history."""
        ...


class AccumulatedAccuracyMetric:
    """Percentage of images whose greatest output belongs to their class.

    `outputs[0]` is (B, n_classes), `target[0]` is (B,). Before the first batch the value is NaN.

    >>> import torch
    >>> from siamese_triplet import AccumulatedAccuracyMetric
    >>> metric = AccumulatedAccuracyMetric()
    >>> metric([torch.tensor([[0.9, 0.1], [0.6, 0.4]])], [torch.tensor([0, 1])], loss=[])
    >>> metric.value()
    50.0
    """

    def __init__(self) -> None:
        self.n_correct: Tensor | int = 0  # stays on the device until it is read
        self.n_images = 0

    def __call__(self, outputs: Sequence[Tensor], target: Sequence[Tensor] | None, loss: Sequence[Any]) -> None:
        if target is None:
            raise ValueError("AccumulatedAccuracyMetric needs a target: batches of (images, labels)")
        self.n_correct = self.n_correct + (outputs[0].detach().argmax(dim=1) == target[0]).sum()
        self.n_images += len(target[0])

    def reset(self) -> None:
        self.n_correct = 0
        self.n_images = 0

    def value(self) -> float:
        return 100 * float(self.n_correct) / self.n_images if self.n_images else float("nan")

    def name(self) -> str:
        return "accuracy"


class AverageNonzeroTripletsMetric:
    """Mean number of triplets per batch, as counted by an online triplet loss that returns `(loss, n_triplets)`.

    `BatchAllTripletLoss` counts active triplets, `OnlineTripletLoss` all that its selector returns. Some selectors,
    among them `AllTripletSelector` and `BatchHardTripletSelector`, also return triplets without a loss. Before the
    first batch the value is NaN.

    >>> import torch
    >>> from siamese_triplet import AverageNonzeroTripletsMetric
    >>> metric = AverageNonzeroTripletsMetric()
    >>> metric(outputs=[], target=None, loss=(torch.tensor(0.5), 10))
    >>> metric(outputs=[], target=None, loss=(torch.tensor(0.3), 4))
    >>> metric.value()
    7.0
    """

    def __init__(self) -> None:
        self.n_triplets: Tensor | int = 0  # a tensor stays on the device until it is read
        self.n_batches = 0

    def __call__(self, outputs: Sequence[Tensor], target: Sequence[Tensor] | None, loss: Sequence[Any]) -> None:
        if len(loss) < 2:
            raise ValueError("AverageNonzeroTripletsMetric needs a loss that returns (loss, number of triplets)")
        self.n_triplets = self.n_triplets + loss[1]
        self.n_batches += 1

    def reset(self) -> None:
        self.n_triplets = 0
        self.n_batches = 0

    def value(self) -> float:
        return float(self.n_triplets) / self.n_batches if self.n_batches else float("nan")

    def name(self) -> str:
        return "nonzero triplets"
