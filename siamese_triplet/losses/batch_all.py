"""The exact loss of all triplets of a batch, without listing them.

An anchor a and a positive p have a loss with every negative n nearer than the *reach* of p, d(a, p) + margin. So it is
enough to sort the reaches of each anchor, one per positive, and to find the place of each negative between them:

- The number of reaches beyond a negative, k, is the number of its active triplets, and minus the derivative of the
  summed loss with respect to d(a, n).
- The number of negatives within a reach is the derivative with respect to d(a, p).
- The summed loss is the sum of reach × negatives within it, less the sum of k × d(a, n).

This takes O(B² log K) comparisons for B images, K per class.

Anchors are processed in blocks. Two matrix products turn the distances of a block into its share of the gradient of the
embeddings; then the distances are dropped. No (B, B) matrix is ever held, so memory is linear in B. The backward pass
only scales the stored gradient. Hinge losses of all pairs in log-linear time are due to Airola and others (2011) and
Rust and Hocking (2023); processing a big matrix in blocks that keep only their sums, to Dao and others (2022).

Cancellation is avoided: distances and gradients come from products in float64 of centred embeddings (see `distances`),
and the derivatives in between are whole numbers. Distances of an anchor are counted from its greatest reach, so that
both sums have terms ≥ 0, which are small where the loss is small.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet._sorting import ClassOrder, class_order, count_at_most
from siamese_triplet._validation import check_finite, check_labels, check_margin_or_soft
from siamese_triplet.distances import distance_blocks, full_precision, subtract_mean, wide_dtype


class BatchAllTripletLoss(nn.Module):
    """Triplet loss of all triplets of a batch, mean over the active ones: batch-all (Hermans and others, 2017).

    Active triplets have a loss > 0. `mean_over="all"` takes the mean over all triplets instead, and so equals
    `OnlineTripletLoss(margin, AllTripletSelector())`. Triplets are never listed: the loss takes O(B² log K) time, with
    the soft margin O(B²K), and memory linear in B. For `margin="soft"` and `squared` see `TripletLoss`.

    The second derivative is not supported and raises a RuntimeError.

    >>> import torch
    >>> from siamese_triplet import BatchAllTripletLoss
    >>> loss, n_active = BatchAllTripletLoss(1.0)(torch.tensor([[0.0], [1.0], [1.2]]), torch.tensor([0, 0, 1]))
    >>> round(loss.item(), 3), int(n_active)  # the mean of 1² + 1 − 1.2² and 1² + 1 − 0.2²
    (1.26, 2)
    """

    is_empty: bool | Tensor = False

    def __init__(self, margin: float | str, squared: bool = True, mean_over: str = "active") -> None:
        super().__init__()
        self.margin, self.squared = check_margin_or_soft(margin), squared
        if mean_over not in ("active", "all"):
            raise ValueError(f'mean_over must be "active" or "all", got {mean_over!r}')
        self.mean_over = mean_over

    def forward(self, embeddings: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the number of active triplets of `embeddings` (B, D) with labels `target` (B,).

        Labels are integers. The number is an int64 tensor on the embeddings' device, so that no host sync is needed
        there. With the soft margin all triplets are active, and a sync is needed. A batch without triplets, or without
        active ones, gives a zero and 0. Raises ValueError for embeddings that are not a (B, D) matrix and for labels
        that are not B integers. Embeddings that are not finite raise it on a CPU; on other devices the loss is NaN.
        """
        check_labels(embeddings, target, labels_name="target")
        if embeddings.device.type == "cpu":  # elsewhere a sync
            check_finite("embeddings", embeddings)
        classes = class_order(target)
        self.is_empty = _have_no_triplet(classes)
        return batch_all_loss(embeddings, classes, self.margin, self.squared, self.mean_over)


def batch_all_loss(
    embeddings: Tensor, classes: ClassOrder, margin: float | str, squared: bool, mean_over: str
) -> tuple[Tensor, Tensor]:
    """Compute `BatchAllTripletLoss` for checked arguments."""
    return _MeanLoss.apply(full_precision(embeddings), classes, margin, squared, mean_over)


def _have_no_triplet(classes: ClassOrder) -> Tensor:
    size = classes.end - classes.start  # (B,)
    return (size == 1).all() | (size == len(size)).all()


def _count_triplets(classes: ClassOrder) -> Tensor:
    size = classes.end - classes.start  # (B,)
    return ((size - 1) * (len(size) - size)).sum()


class _MeanLoss(torch.autograd.Function):
    """Compute the mean loss and the number of active triplets, and in the same pass the gradient."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, classes: ClassOrder, margin: float | str, squared: bool, mean_over: str
    ) -> tuple[Tensor, Tensor]:
        by_class = rows.index_select(0, classes.image)
        n_ones = 8 - rows.shape[1] % 8  # a column of ones sums the weights; products are faster for multiples of 8
        wide = F.pad(subtract_mean(by_class), (0, n_ones), value=1.0)  # (B, D + n_ones)
        products = torch.zeros_like(wide)
        total, n_active = wide.new_zeros(()), torch.zeros((), dtype=torch.int64, device=rows.device)
        cost = _soft if isinstance(margin, str) else partial(_hinge, margin=margin)
        first = 0
        for squares in distance_blocks(by_class) if len(rows) else ():
            block = slice(first, first + len(squares))
            first = block.stop
            distances = squares if squared else squares.sqrt_()  # (b, B)
            positives = _locate_positives(classes, block, exact=isinstance(margin, str))
            loss, n, grad_positives, minus_grad_negatives = cost(distances, positives)
            total += loss
            n_active += n
            if not ctx.needs_input_grad[0]:
                continue
            weights = minus_grad_negatives.neg_().scatter_(1, positives.column, grad_positives)  # (b, B): ∂ loss / ∂ d
            if not squared:
                weights = weights.div_(2 * distances).masked_fill_(distances == 0, 0)
            if len(weights) == len(wide):  # a single block: one product covers both roles of an image
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
    def backward(ctx: Any, grad_loss: Tensor, grad_count: None) -> tuple[Tensor | None, ...]:
        gradient, rows = ctx.saved_tensors
        gradient = grad_loss * gradient
        return _OnceOnly.apply(gradient, rows) if torch.is_grad_enabled() else gradient, None, None, None, None


class _OnceOnly(torch.autograd.Function):
    """Return the gradient, and raise when it is differentiated: how it depends on the rows is not stored."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, rows: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, grad_gradient: Tensor) -> tuple[Tensor, Tensor]:
        raise RuntimeError(
            "BatchAllTripletLoss has no second derivative: it stores only the value of its gradient; "
            "use OnlineTripletLoss(margin, AllTripletSelector()) where you need one"
        )


class _Positives(NamedTuple):
    """The positives of each anchor of a block, side by side; both (b, W), with W the size of the largest class."""

    column: Tensor  # places in the class order, padded with the anchor's own
    is_positive: Tensor  # False in the padding


def _locate_positives(classes: ClassOrder, block: slice, exact: bool) -> _Positives:
    """Locate the positives of the anchors in `block`. On a GPU, W is B unless `exact`, which takes a sync."""
    start, end = classes.start[block, None], classes.end[block, None]
    n_images = len(classes.start)
    exact = exact or start.device.type == "cpu"  # elsewhere a sync
    width = int((classes.end - classes.start).max()) if exact else n_images
    column = start + torch.arange(width, device=start.device)
    anchor = torch.arange(block.start, block.stop, device=start.device)[:, None]
    is_positive = (column < end) & (column != anchor)
    return _Positives(torch.where(is_positive, column, anchor), is_positive)


def _hinge(distances: Tensor, positives: _Positives, margin: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute the summed loss, the number of active triplets and the derivatives, from anchors' `distances` (b, B).

    The derivatives with respect to the distances are (b, W) for the positives and, with the sign changed, (b, B) for
    the negatives.

    Example: on a line, the anchor is at 0, its positives are at 1 and 3, its negatives at 1.5 and 2.5. With margin 1
    the reaches are 2 and 4. The negative at 1.5 passes no reach: 2 lie beyond it. The negative at 2.5 passes the first:
    1 lies beyond it. So 1 negative is within the first reach, 2 are within the second, and the loss of these 3 triplets
    is 2 × 1 + 4 × 2 − (2 × 1.5 + 1 × 2.5) = 4.5:

    >>> import torch
    >>> from siamese_triplet.losses.batch_all import _hinge, _Positives
    >>> distances = torch.tensor([[0, 1, 3, 1.5, 2.5]])
    >>> positives = _Positives(torch.tensor([[0, 1, 2]]), torch.tensor([[False, True, True]]))
    >>> loss, n_active, grad_positives, minus_grad_negatives = _hinge(distances, positives, margin=1.0)
    >>> loss.item(), n_active.item()
    (4.5, 3)
    >>> grad_positives, minus_grad_negatives
    (tensor([[0., 1., 2.]]), tensor([[0., 0., 0., 2., 1.]]))
    """
    reach = distances.gather(1, positives.column).add_(margin)
    reach = reach.masked_fill_(~positives.is_positive, -torch.inf)  # (b, W)
    reach, position = reach.sort(dim=1)  # the first is −∞: the anchor itself
    width = reach.shape[1] - 1
    n_passed = count_at_most(reach[:, 1:], distances)  # (b, B) int32: reaches ≤ d(a, n)
    n_passed = n_passed.scatter_(1, positives.column, width)
    n_within = F.pad(_cumulative_counts(n_passed, width, distances.dtype), (1, 0))  # (b, W): negatives within a reach
    n_beyond = n_passed.neg_().add_(width).to(distances.dtype)  # (b, B): reaches beyond a negative
    reach = reach.clamp_(min=0)
    greatest = reach[:, -1:]
    gains, excess = (greatest - distances).mul_(n_beyond), (greatest - reach).mul_(n_within)
    wide = wide_dtype(distances)
    loss = gains.sum(dim=1).to(wide).sum() - excess.sum(dim=1).to(wide).sum()
    return loss, n_within.long().sum(), torch.empty_like(n_within).scatter_(1, position, n_within), n_beyond


def _cumulative_counts(numbers: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """Count the `numbers` (R, N) from 0 to n in each row that are ≤ 0, ≤ 1, … ≤ n − 1: (R, n)."""
    if n == 1:  # in a histogram of two bins the additions would wait for each other
        return (numbers == 0).sum(dim=1, keepdim=True, dtype=dtype)
    histogram = torch.zeros(len(numbers), n + 1, dtype=dtype, device=numbers.device)
    histogram.scatter_add_(1, numbers.long(), histogram.new_ones(numbers.shape))
    return histogram.cumsum(dim=1)[:, :-1]


def _soft(distances: Tensor, positives: _Positives) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute the same as `_hinge` for the soft margin, log(1 + exp(d(a, p) − d(a, n)))."""
    column, is_positive = positives
    to_negatives = distances.scatter(1, column, torch.inf)  # (b, B)
    to_positives = distances.gather(1, column).masked_fill_(~is_positive, -torch.inf)  # (b, W)
    wide = wide_dtype(distances)
    loss = distances.new_zeros((), dtype=wide)
    minus_grad_negatives, grad_positives = torch.zeros_like(distances), torch.zeros_like(to_positives)
    for rank in range(column.shape[1]):
        gap = to_positives[:, rank, None] - to_negatives  # (b, B)
        loss -= F.logsigmoid(-gap).sum(dim=1).to(wide).sum()
        slope = gap.sigmoid_()
        minus_grad_negatives += slope
        grad_positives[:, rank] = slope.sum(dim=1)
    n_negatives = to_negatives.isfinite().sum(dim=1)
    return loss, (is_positive.sum(dim=1) * n_negatives).sum(), grad_positives, minus_grad_negatives
