"""The exercise on the loss of all triplets without a list: chapter 7."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from siamese_triplet.book.check.selection import BATCHES
from siamese_triplet.book.check.verdict import Case, agrees, judge
from siamese_triplet.losses import BatchAllTripletLoss

N_IMAGES = 400  # of the large batch
MOST = 100 * N_IMAGES**2  # numbers in all: B², some dozen times, but not B³, nor a mask of each anchor's triplets


def batch_all(function: Callable[[Tensor, Tensor, float], tuple[float, int]]) -> None:
    """Check the mean loss of the active triplets and their number, from embeddings (B, D), labels (B,) and a margin.

    A large batch allows for B² numbers, some dozen times, in all tensors together, and not for B³ (chapter 7).
    """
    hints = [
        "squared distances; the mean over the triplets with a loss above zero, with their number",
        "the positives of an anchor are of its class, without itself; all images of other classes are its negatives",
        "a negative forms one triplet with each reach beyond it, and the loss is the difference of the two",
        "no triplet has a loss: return 0 and 0, without a division by zero",
        "without negatives there is no triplet: return 0 and 0",
        "without positives there is no triplet: return 0 and 0",
    ]
    cases = [
        _case(f"{name}: {points}, classes {classes}", torch.tensor(points)[:, None], torch.tensor(classes), 1.0, hint)
        for (name, (points, classes)), hint in zip(BATCHES.items(), hints, strict=True)
    ]
    generator = torch.Generator().manual_seed(0)
    few, of_few = torch.randn(12, 3, generator=generator), torch.tensor([4, 1, 2, 4, 4, 1, 9, 2, 4, 1, 2, 4])
    many, of_many = torch.randn(N_IMAGES, 3, generator=generator), torch.arange(N_IMAGES) % 2
    cases += [
        _case(f"12 images in any order, labels {of_few.tolist()}", few, of_few, 0.3,
              "labels come in any order, classes in any size, and the margin is an argument"),
        _case(f"{N_IMAGES} images of two classes", many, of_many, 0.3,
              "neither list the triplets nor mask them: sort an anchor's reaches, find the place of each negative with "
              "torch.searchsorted, and take the sum of the reaches beyond it from a cumulative sum"),
    ]  # fmt: skip

    def counted(embeddings: Tensor, labels: Tensor, margin: float) -> Any:
        with _Counter(MOST):
            return function(embeddings, labels, margin)

    judge(counted, cases, "what BatchAllTripletLoss gives, without a list")


def _case(name: str, embeddings: Tensor, labels: Tensor, margin: float, hint: str) -> Case:
    arguments = embeddings, labels, margin
    loss, n_active = (value.item() for value in BatchAllTripletLoss(margin)(embeddings, labels))
    over_all, _ = BatchAllTripletLoss(margin, mean_over="all")(embeddings, labels)

    def explain(answer: Any) -> str:
        if agrees(answer, (over_all.item(), n_active)):
            return "this is the mean over all triplets: divide by the number of those with a loss"
        return ""

    return Case(f"{name}, {margin=}", arguments, (loss, n_active), hint, explain)


class _Counter(TorchFunctionMode):
    """Counts the numbers in the tensors that are computed. Raises MemoryError where there are more than `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.count = most, 0

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(part, Tensor):
                held = part.untyped_storage().nbytes() // part.element_size()  # less than B³ if it is a view of B²
                self.count += min(part.numel(), held)
        if self.count > self.most:
            raise MemoryError(f"your tensors have more than {self.most:,} numbers, 100 B²")
        return result
