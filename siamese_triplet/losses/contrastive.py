"""The contrastive loss, of given pairs and of pairs selected in a batch."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet._original import NO_SIZE_AVERAGE, explains_misfit
from siamese_triplet._validation import check_batch, check_embeddings, check_margin, check_selector
from siamese_triplet.distances import chosen_distances, pairwise_distances, root, row_distances
from siamese_triplet.losses._batch import is_empty_selection, mean_or_zero
from siamese_triplet.selectors import PairSelector, pairs_of


class ContrastiveLoss(nn.Module):
    """Contrastive loss ½·y·d² + ½·(1 − y)·max(0, m − d)², mean over the pairs (Hadsell, Chopra and LeCun, 2006).

    Positive pairs (y = 1) are pulled together, negative pairs (y = 0) pushed apart up to the distance m.

    >>> import torch
    >>> from siamese_triplet import ContrastiveLoss
    >>> first, second = torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [0.4]])
    >>> ContrastiveLoss(margin=1.0)(first, second, torch.tensor([1, 0]))  # (½ · 1² + ½ · 0.6²) / 2
    tensor(0.3400)
    """

    is_empty: bool | Tensor = False

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = check_margin(margin)

    @explains_misfit(NO_SIZE_AVERAGE)
    def forward(self, out1: Tensor, out2: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of pairs of embeddings `out1` and `out2`, both (P, D).

        `target` (P,) is 1 for positive pairs and 0 for negative ones. P = 0 gives a zero. Raises ValueError for
        embeddings that are not (P, D) matrices of one shape and for a target that is not P numbers. On a CPU it also
        raises ValueError for embeddings that are not finite and for a target other than 0 and 1; on other devices this
        would take a sync, and NaN gives NaN.
        """
        check_embeddings(out1=out1, out2=out2)
        if target.shape != out1.shape[:1]:
            raise ValueError(
                f"got {len(out1)} pairs but a target of shape {tuple(target.shape)}; there must be one number per pair"
            )
        if target.device != out1.device:
            raise ValueError(f"the embeddings are on {out1.device}, the target on {target.device}; move one of them")
        is_positive = target == 1
        self.is_empty = not len(target)
        if target.device.type == "cpu" and not (is_positive | (target == 0)).all():  # elsewhere a sync
            raise ValueError(
                f"target must be 1 for a pair of one class and 0 for others, got {target.unique().tolist()}"
            )
        return mean_or_zero(_contrastive_losses(row_distances(out1, out2, squared=True), is_positive, self.margin))


class OnlineContrastiveLoss(nn.Module):
    """Contrastive loss of the pairs that `pair_selector` selects in a batch; see `ContrastiveLoss`.

    >>> import torch
    >>> from siamese_triplet import HardNegativePairSelector, OnlineContrastiveLoss
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.4]]), torch.tensor([0, 0, 1])
    >>> OnlineContrastiveLoss(1.0, HardNegativePairSelector())(embeddings, labels)  # (½ · 1² + ½ · 0.6²) / 2
    tensor(0.3400)
    """

    is_empty: bool | Tensor = False

    def __init__(self, margin: float, pair_selector: PairSelector) -> None:
        super().__init__()
        self.margin = check_margin(margin)
        self.pair_selector = check_selector(pair_selector, "get_pairs")

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over the selected pairs of `embeddings` (B, D) with integer class labels `target` (B,).

        A batch without pairs gives a zero. Raises ValueError for embeddings that are not a finite (B, D) matrix and for
        labels that are not B integers.
        """
        check_batch(embeddings, target, labels_name="target")
        distances = pairwise_distances(embeddings.detach())  # (B, B), squared, for the selector and the loss alike
        positive_pairs, negative_pairs = pairs_of(self.pair_selector, embeddings, target, distances)
        pairs = torch.cat([positive_pairs, negative_pairs])  # (P + N, 2)
        self.is_empty = is_empty_selection(len(pairs), target)
        is_positive = torch.arange(len(pairs), device=pairs.device) < len(positive_pairs)
        squared = chosen_distances(embeddings, distances, pairs[:, 0], pairs[:, 1])  # (P + N,)
        return mean_or_zero(_contrastive_losses(squared, is_positive, self.margin))


def _contrastive_losses(squared: Tensor, is_positive: Tensor, margin: float) -> Tensor:
    return 0.5 * torch.where(is_positive, squared, F.relu(margin - root(squared)).square())
