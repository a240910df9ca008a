"""Distance-weighted sampling: negatives drawn so that all distances are equally likely (Wu and others, 2017).

Most pairs of points on a sphere in many dimensions are about √2 apart: a uniform choice hardly ever sees another
distance. Here a negative at distance d has the weight 1 / q(d), where q is the density of distances between uniform
points on the sphere: log q(d) = (n − 2) log d + (n − 3)/2 · log(1 − d²/4) + constant.
"""

import torch
from torch import Tensor

from siamese_triplet.distances import wide_dtype
from siamese_triplet.selectors._ranks import side_by_side, take, uniform, unordered_pairs
from siamese_triplet.selectors.base import PairSelector
from siamese_triplet.selectors.negatives import NegativeTripletSelector

MAX_SQUARED = 4.04  # the greatest squared distance on the unit sphere is 4; half precision may add a little


class DistanceWeightedTripletSelector(NegativeTripletSelector):
    """Select one negative for each positive pair, drawn with the weight 1 / q(d) of its distance d to the anchor.

    Distance-weighted sampling (Wu and others, 2017).

    For embeddings on the unit sphere of `embedding_size` dimensions, such as those of `EmbeddingNetL2`; a distance
    above 2 raises a ValueError.

    - `cutoff`: nearer negatives have the weight of this distance.
    - `nonzero_loss_cutoff`: negatives from this distance on have weight zero. A pair with no other negative gives no
      triplet. Both are plain distances, not squared; the defaults are the paper's.
    - `generator`: the source of random numbers, by default one of the selector's own, on the CPU, with seed 0.
    - `both_anchors`: see `AllTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import DistanceWeightedTripletSelector
    >>> angles, labels = torch.tensor([0.0, 0.3, 1.2, 1.5]), torch.tensor([0, 0, 1, 1])
    >>> embeddings = torch.stack([angles.cos(), angles.sin()], dim=1)  # on the unit circle
    >>> triplets = DistanceWeightedTripletSelector(embedding_size=2).get_triplets(embeddings, labels)
    >>> triplets[:, :2].tolist()  # the negatives are random
    [[0, 1], [1, 0], [2, 3], [3, 2]]
    """

    def __init__(
        self,
        embedding_size: int,
        cutoff: float = 0.5,
        nonzero_loss_cutoff: float = 1.4,
        both_anchors: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        self.weighting = _Weighting(embedding_size, cutoff, nonzero_loss_cutoff)
        self.both_anchors = both_anchors
        self.generator = generator or torch.Generator().manual_seed(0)

    def choose(self, distances: Tensor, is_negative: Tensor, anchor: Tensor, positive: Tensor) -> Tensor:
        log_weights = self.weighting(distances, is_negative)  # (B, B)
        greatest = log_weights.max(dim=1, keepdim=True).values.clamp(min=torch.finfo(log_weights.dtype).min)
        cumulative = (log_weights - greatest).exp().cumsum(dim=1)  # (B, B), of each row up to a column
        total = cumulative[:, -1][anchor]  # (P,)
        wanted = (
            uniform(len(anchor), self.generator, anchor.device, total.dtype) * total
        )  # < total, unless both are zero
        table, cell = side_by_side(anchor, wanted[:, None], len(distances))
        chosen = take(torch.searchsorted(cumulative, table, right=True), cell).squeeze(1)  # (P,)
        return torch.where(total > 0, chosen, -1)


class DistanceWeightedPairSelector(PairSelector):
    """Select all positive pairs, and at most as many negative pairs, drawn with the weight 1 / q(d) of their distance.

    A negative pair is drawn at most once, and never where its weight is zero. For weights, arguments and expected
    embeddings see `DistanceWeightedTripletSelector`.

    >>> import torch
    >>> from siamese_triplet import DistanceWeightedPairSelector
    >>> angles, labels = torch.tensor([0.0, 0.3, 1.2, 1.5]), torch.tensor([0, 0, 1, 1])
    >>> embeddings = torch.stack([angles.cos(), angles.sin()], dim=1)  # on the unit circle
    >>> positive_pairs, negative_pairs = DistanceWeightedPairSelector(embedding_size=2).get_pairs(embeddings, labels)
    >>> positive_pairs.tolist(), len(negative_pairs)
    ([[0, 1], [2, 3]], 2)
    """

    def __init__(
        self,
        embedding_size: int,
        cutoff: float = 0.5,
        nonzero_loss_cutoff: float = 1.4,
        generator: torch.Generator | None = None,
    ) -> None:
        self.weighting = _Weighting(embedding_size, cutoff, nonzero_loss_cutoff)
        self.generator = generator or torch.Generator().manual_seed(0)

    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
        positive_pairs = unordered_pairs(is_positive)  # (P, 2)
        log_weights = self.weighting(distances, is_negative)  # (B, B)
        negative_pairs = unordered_pairs(log_weights.isfinite())  # (N, 2)
        weight = log_weights[tuple(negative_pairs.T)]  # (N,)
        gumbel = -(-uniform(len(weight), self.generator, weight.device, weight.dtype).log()).log()
        n_negatives = min(len(positive_pairs), len(negative_pairs))
        drawn = (weight + gumbel).topk(n_negatives, sorted=False).indices  # weighted, without replacement
        return positive_pairs, negative_pairs[drawn]


class _Weighting:
    """Compute the logarithm of the weight of every negative, (B, B) float64; −∞ where the weight is zero."""

    def __init__(self, embedding_size: int, cutoff: float, nonzero_loss_cutoff: float) -> None:
        if embedding_size < 2:
            raise ValueError(f"embedding_size must be at least 2, got {embedding_size}")
        if not 0 < cutoff < nonzero_loss_cutoff <= 2:
            raise ValueError(
                f"expected distances 0 < cutoff < nonzero_loss_cutoff ≤ 2, got {cutoff} and {nonzero_loss_cutoff}"
            )
        self.embedding_size, self.cutoff, self.nonzero_loss_cutoff = embedding_size, cutoff, nonzero_loss_cutoff

    def __call__(self, distances: Tensor, is_negative: Tensor) -> Tensor:
        greatest = distances.max()
        if greatest > MAX_SQUARED:  # a sync
            raise ValueError(
                "distance-weighted selection is for embeddings on the unit sphere, but two of these are "
                f"{float(greatest) ** 0.5:.3g} apart; normalise them, as EmbeddingNetL2 does"
            )
        squared = distances.to(wide_dtype(distances)).clamp(min=self.cutoff**2)
        beyond_sphere = (1 - squared / 4).clamp(min=1e-9)
        log_density = (self.embedding_size - 2) / 2 * squared.log() + (
            self.embedding_size - 3
        ) / 2 * beyond_sphere.log()
        has_weight = is_negative & (distances < self.nonzero_loss_cutoff**2)
        return (-log_density).masked_fill(~has_weight, -torch.inf)
