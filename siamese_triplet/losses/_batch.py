"""What the losses of a batch have in common: their mean, and whether there was anything to compare."""

from torch import Tensor


def mean_or_zero(losses: Tensor) -> Tensor:
    return losses.mean() if len(losses) else losses.sum()


def has_no_triplet(labels: Tensor) -> Tensor:
    """Tell whether `labels` (B,) allow no triplet: all are of one class, or no two are. A scalar, without a sync.

    >>> import torch
    >>> from siamese_triplet.losses._batch import has_no_triplet
    >>> has_no_triplet(torch.tensor([0, 0, 0])), has_no_triplet(torch.tensor([0, 1, 2]))
    (tensor(True), tensor(True))
    >>> has_no_triplet(torch.tensor([0, 1, 0]))
    tensor(False)
    """
    ranked = labels.sort().values
    is_same = ranked[1:] == ranked[:-1]
    return is_same.all() | ~is_same.any()


def is_empty_selection(n_selected: int, labels: Tensor) -> bool | Tensor:
    """Tell whether nothing was selected because `labels` (B,) allow no triplet, not because all are far apart.

    A tensor stays on the device.
    """
    return False if n_selected else has_no_triplet(labels)
