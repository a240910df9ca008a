"""The exact loss of all triplets of a batch, without listing one.

An anchor a with a positive p has a loss with every negative n nearer than the *reach* of p, d(a, p) + margin. So an
anchor needs only its reaches, as many as it has positives: sort them, and find for each negative between which of them
it lies. The number k of reaches beyond a negative is the number of its triplets that have a loss, and minus the
derivative of the summed loss with respect to d(a, n); the number of negatives within a reach is the derivative with
respect to d(a, p). That is the whole loss: the sum of reach × negatives within it, less the sum of k × d(a, n). It
takes O(B² log K) comparisons for B images with K of a class.

Anchors come in blocks. A block's distances are turned into its part of the gradient of the embeddings at once, by two
matrix products, and forgotten: no (B, B) matrix is ever held, and memory is linear in B. The backward pass only scales
the stored gradient. All pairs' hinge losses in log-linear time are due to Airola and others (2011) and Rust and Hocking
(2023), working through a big matrix in blocks that keep only their sums to Dao and others (2022).

Cancellation: distances and gradients come from products in float64 of centred embeddings (see `distances`), the
derivatives in between are whole numbers, and each anchor's distances are counted from its greatest reach, so that the
two sums above have terms ≥ 0 that are small where the loss is.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet._sorting import ClassOrder, class_order, count_at_most
from siamese_triplet._validation import check_finite, check_labels, check_margin_or_soft
from siamese_triplet.distances import centred, distance_blocks, full_precision, wide_dtype


class BatchAllTripletLoss(nn.Module):
    """The triplet loss of all triplets of a batch, mean over those with a loss: batch-all (Hermans and others, 2017).

    The same as `OnlineTripletLoss(margin, AllTripletSelector())` for every ordered triplet (anchor, positive,
    negative), but for the mean, in O(B² log K) time and memory linear in B: no triplet is ever listed. With
    `mean_over="all"` the mean is over all triplets. `margin="soft"` and `squared`: see `TripletLoss`; the soft margin
    takes O(B²K) time.

    The second derivative is not supported: asking for it raises a RuntimeError.

    >>> import torch
    >>> from siamese_triplet import BatchAllTripletLoss
    >>> loss, n_active = BatchAllTripletLoss(1.0)(torch.tensor([[0.0], [1.0], [1.2]]), torch.tensor([0, 0, 1]))
    >>> round(loss.item(), 3), int(n_active)  # the mean of 1² + 1 − 1.2² and 1² + 1 − 0.2²
    (1.26, 2)
    """

    def __init__(self, margin: float | str, squared: bool = True, mean_over: str = "active") -> None:
        super().__init__()
        self.margin, self.squared = check_margin_or_soft(margin), squared
        if mean_over not in ("active", "all"):
            raise ValueError(f'mean_over must be "active" or "all", got {mean_over!r}')
        self.mean_over = mean_over

    def forward(self, embeddings: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss of `embeddings` (B, D) with integer labels `target` (B,), and how many triplets are active.

        Active are those with a loss. Their number is an int64 tensor on the embeddings' device, so that no host sync is
        needed there; with the soft margin all triplets are active, and a sync is needed. A batch without triplets, or
        without active ones, gives a zero and 0. Raises ValueError for embeddings that are not a (B, D) matrix and for
        labels that are not B integers; for embeddings that are not finite it raises on a CPU, elsewhere the loss is
        NaN.
        """
        check_labels(embeddings, target, labels_name="target")
        if embeddings.device.type == "cpu":  # elsewhere a sync
            check_finite("embeddings", embeddings)
        return batch_all_loss(embeddings, target, self.margin, self.squared, self.mean_over)


def batch_all_loss(
    embeddings: Tensor, labels: Tensor, margin: float | str, squared: bool, mean_over: str
) -> tuple[Tensor, Tensor]:
    """Compute `BatchAllTripletLoss` of arguments that are checked already."""
    return _MeanLoss.apply(full_precision(embeddings), class_order(labels), margin, squared, mean_over)


def _count_triplets(classes: ClassOrder) -> Tensor:
    size = classes.end - classes.start  # (B,)
    return ((size - 1) * (len(size) - size)).sum()


class _MeanLoss(torch.autograd.Function):
    """The mean loss, and the number of triplets that have one."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, classes: ClassOrder, margin: float | str, squared: bool, mean_over: str
    ) -> tuple[Tensor, Tensor]:
        by_class = rows.index_select(0, classes.image)
        n_ones = 8 - rows.shape[1] % 8  # a column of ones sums up the weights; products of a width of 8s are faster
        wide = F.pad(centred(by_class), (0, n_ones), value=1.0)  # (B, D + n_ones)
        products = torch.zeros_like(wide)
        total, n_active = wide.new_zeros(()), torch.zeros((), dtype=torch.int64, device=rows.device)
        cost = _soft if isinstance(margin, str) else partial(_hinge, margin=margin)
        first = 0
        for squares in distance_blocks(by_class) if len(rows) else ():
            block = slice(first, first + len(squares))
            first = block.stop
            distances = squares if squared else squares.sqrt_()  # (b, B)
            positives = _positives(classes, block, exact=isinstance(margin, str))
            loss, n, of_positives, of_negatives = cost(distances, positives)
            total += loss
            n_active += n
            if not ctx.needs_input_grad[0]:
                continue
            weights = of_negatives.neg_().scatter_(1, positives.column, of_positives)  # (b, B): ∂ loss / ∂ distance
            if not squared:
                weights = weights.div_(2 * distances).masked_fill_(distances == 0, 0)
            if len(weights) == len(wide):  # one block: one product does for both roles of an image
                products += (weights + weights.T).to(wide.dtype) @ wide
            else:
                weights = weights.to(wide.dtype)
                products[block] += weights @ wide
                products.addmm_(weights.T, wide[block])
        n_triplets = (n_active if mean_over == "active" else _count_triplets(classes)).clamp(min=1)
        if ctx.needs_input_grad[0]:
            gradient = (
                (products[:, -1:] * wide - products)[:, :-n_ones].mul_(2 / n_triplets.to(wide.dtype)).to(rows.dtype)
            )  # (B, D)
            ctx.save_for_backward(torch.empty_like(gradient).index_copy_(0, classes.image, gradient), rows)
        ctx.mark_non_differentiable(n_active)
        return (total / n_triplets).to(rows.dtype), n_active

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor, of_count: None) -> tuple[Tensor | None, ...]:
        gradient, rows = ctx.saved_tensors
        gradient = of_loss * gradient
        return _OnceOnly.apply(gradient, rows) if torch.is_grad_enabled() else gradient, None, None, None, None


class _OnceOnly(torch.autograd.Function):
    """Returns the gradient. It depends on the rows, and whoever asks how is told that this is not known."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, rows: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, of_gradient: Tensor) -> tuple[Tensor, Tensor]:
        raise RuntimeError(
            "BatchAllTripletLoss has no second derivative: it stores its gradient, not how it came about; "
            "use OnlineTripletLoss(margin, AllTripletSelector()) where you need one"
        )


class _Positives(NamedTuple):
    """The positives of each anchor of a block, side by side; both (b, W), W the size of the largest class."""

    column: Tensor  # the positive's place in the class order, or the anchor's own where there are fewer
    is_there: Tensor


def _positives(classes: ClassOrder, block: slice, exact: bool) -> _Positives:
    start, end = classes.start[block, None], classes.end[block, None]
    n_images = len(classes.start)
    is_free = start.device.type == "cpu" or exact  # elsewhere the exact width costs a sync, and B will do
    width = int((classes.end - classes.start).max()) if is_free else n_images
    column = start + torch.arange(width, device=start.device)
    anchor = torch.arange(block.start, block.stop, device=start.device)[:, None]
    is_there = (column < end) & (column != anchor)
    return _Positives(torch.where(is_there, column, anchor), is_there)


def _hinge(distances: Tensor, positives: _Positives, margin: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For anchors × images `distances` (b, B): the summed loss, the number of triplets that have one, and the
    derivatives.

    Those with respect to the distances are (b, W) for the positives and, with the sign changed, (b, B) for the
    negatives.
    """
    reach = distances.gather(1, positives.column).add_(margin).masked_fill_(~positives.is_there, -torch.inf)  # (b, W)
    reach, position = reach.sort(dim=1)  # the first is −∞: the anchor itself
    width = reach.shape[1] - 1
    passed = count_at_most(reach[:, 1:], distances).scatter_(
        1, positives.column, width
    )  # (b, B) int32: reaches ≤ d(a, n)
    within = F.pad(_cumulative_counts(passed, width, distances.dtype), (1, 0))  # (b, W): negatives nearer than a reach
    beyond = passed.neg_().add_(width).to(distances.dtype)  # (b, B): how many reaches are beyond a negative
    reach = reach.clamp_(min=0)
    greatest = reach[:, -1:]
    gains, excess = (greatest - distances).mul_(beyond), (greatest - reach).mul_(within)
    wide = wide_dtype(distances)
    loss = gains.sum(dim=1).to(wide).sum() - excess.sum(dim=1).to(wide).sum()
    return loss, within.long().sum(), torch.empty_like(within).scatter_(1, position, within), beyond


def _cumulative_counts(numbers: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """How many of the `numbers` (R, N) of each row, from 0 to n, are ≤ 0, ≤ 1, … ≤ n − 1: (R, n)."""
    if n == 1:  # a histogram of two bins would wait for its own additions
        return (numbers == 0).sum(dim=1, keepdim=True, dtype=dtype)
    histogram = torch.zeros(len(numbers), n + 1, dtype=dtype, device=numbers.device)
    histogram.scatter_add_(1, numbers.long(), histogram.new_ones(numbers.shape))
    return histogram.cumsum(dim=1)[:, :-1]


def _soft(distances: Tensor, positives: _Positives) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `_hinge`, for log(1 + exp(d(a, p) − d(a, n)))."""
    column, is_there = positives
    to_negatives = distances.scatter(1, column, torch.inf)  # (b, B)
    to_positives = distances.gather(1, column).masked_fill_(~is_there, -torch.inf)  # (b, W)
    wide = wide_dtype(distances)
    loss = distances.new_zeros((), dtype=wide)
    of_negatives, of_positives = torch.zeros_like(distances), torch.zeros_like(to_positives)
    for rank in range(column.shape[1]):
        gap = to_positives[:, rank, None] - to_negatives  # (b, B)
        loss -= F.logsigmoid(-gap).sum(dim=1).to(wide).sum()
        slope = gap.sigmoid_()
        of_negatives += slope
        of_positives[:, rank] = slope.sum(dim=1)
    n_negatives = to_negatives.isfinite().sum(dim=1)
    return loss, (is_there.sum(dim=1) * n_negatives).sum(), of_positives, of_negatives
