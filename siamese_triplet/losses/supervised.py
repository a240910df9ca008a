"""Each image chooses among all others of its batch; those of its own class should win."""

import math

import torch
from torch import Tensor, nn

from siamese_triplet._validation import check_batch
from siamese_triplet.distances import full_precision
from siamese_triplet.losses._batch import has_no_triplet
from siamese_triplet.networks.heads import scale_to_unit_length


class SupervisedContrastiveLoss(nn.Module):
    """Supervised contrastive loss of a batch (Khosla and others, 2020), of the directions of its embeddings.

    For each anchor, the cosine similarities to all other images, divided by `temperature`, are the scores of a softmax,
    and the loss is −log of the probability of a positive, a mean over its positives. All negatives push, the near ones
    most. The lower the temperature, the more the nearest ones count. Anchors without a positive have no loss, and the
    mean is over the others. Memory is O(B²). Raises ValueError unless `temperature` is a finite number > 0.

    >>> import torch
    >>> from siamese_triplet.losses import SupervisedContrastiveLoss
    >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> SupervisedContrastiveLoss(temperature=1.0)(embeddings, torch.tensor([0, 0, 1]))  # −log(e¹ / (e¹ + e⁰))
    tensor(0.3133)
    """

    is_empty: bool | Tensor = False

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ValueError(f"SupervisedContrastiveLoss: {temperature=} must be a finite number > 0")
        self.temperature = float(temperature)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over the anchors of `embeddings` (B, D) with integer class labels `target` (B,).

        A batch of one class, or without two images of a class, gives a zero. Raises ValueError for embeddings that are
        not a finite (B, D) matrix and for labels that are not B integers.
        """
        check_batch(embeddings, target, labels_name="target")
        self.is_empty = has_no_triplet(target)
        units = scale_to_unit_length(full_precision(embeddings))
        is_same = target[:, None] == target  # (B, B)
        itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
        is_positive = is_same & ~itself
        with torch.autocast(units.device.type, enabled=False):
            cosines = units @ units.T  # (B, B)
        scores = (cosines / self.temperature).masked_fill(itself, torch.finfo(units.dtype).min)
        losses = torch.where(is_positive, scores.logsumexp(dim=1, keepdim=True) - scores, 0)  # (B, B): −log p
        n_positives = is_positive.sum(dim=1)
        is_anchor = (n_positives > 0) & ~is_same.all(dim=1)
        of_anchors = losses.sum(dim=1) / n_positives.clamp(min=1) * is_anchor
        return of_anchors.sum() / is_anchor.sum().clamp(min=1)
