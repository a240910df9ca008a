"""Images to label first: few that stand for many."""

import torch
from torch import Tensor

from siamese_triplet.evaluation.neighbours import check_not_empty, check_sets, in_full_precision


def spread_out(embeddings: Tensor, k: int) -> Tensor:
    """Choose `k` images that are far from each other, as indices (k,) on the CPU: whoever labels few, starts with them.

    The first one is nearest to the mean of `embeddings` (N, D); each next one is farthest from those before it, so that
    no image is farther from the chosen ones than the last of them was. Ties go to the smaller index. Time is O(k N D),
    memory linear. Raises ValueError for no embeddings, for those that are not finite, and unless `k` is from 1 to N.

    Farthest-first traversal (Gonzalez, 1985); as a choice of images to label: Sener and Savarese, 2018.

    >>> import torch
    >>> from siamese_triplet.evaluation import spread_out
    >>> spread_out(torch.tensor([[0.0], [1.0], [5.0], [5.1], [9.0]]), k=3).tolist()
    [2, 0, 4]
    """
    check_not_empty("embeddings", embeddings)
    check_sets(embeddings, None, "embeddings")
    if not 1 <= k <= len(embeddings):
        raise ValueError(f"spread_out: {k=} must be from 1 to the {len(embeddings)} images")
    rows = in_full_precision(embeddings, None)[0]
    chosen = [int((rows - rows.mean(dim=0)).square().sum(dim=1).argmin())]
    nearest = torch.full((len(rows),), torch.inf, dtype=rows.dtype, device=rows.device)
    while len(chosen) < k:
        nearest = torch.minimum(nearest, (rows - rows[chosen[-1]]).square().sum(dim=1))
        nearest[chosen[-1]] = -1  # also where images coincide
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)
