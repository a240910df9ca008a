"""Images to look at: almost the same as another image, or unlike the others of their class."""

import torch
from torch import Tensor
from torch.nn import functional as F

from siamese_triplet._validation import check_batch, check_known
from siamese_triplet.datasets import Images
from siamese_triplet.datasets.images import channels_first, check_in_memory
from siamese_triplet.distances import scale
from siamese_triplet.evaluation.neighbours import in_full_precision, map_blocks, search

CHUNK = 2**22  # pixels processed at once
SIDE = 16  # of a thumbnail, in pixels
FAINT = 0.1  # a thumbnail less its mean has no contrast below this norm: the rest is rounding
ROUNDING = 1e-6  # of a correlation in float32: two copies correlate by 1 only up to the last digits


def near_duplicates(images: Images, least: float = 0.99) -> Tensor:
    """Find pairs of images that are almost the same, as indices (P, 2), the most alike first.

    Each image is scaled to a thumbnail and compared with the image most like it. The two are a pair if their pixels,
    of all channels, correlate by at least `least`, up to rounding. An image without contrast correlates with none.
    Memory is linear in the number of images. Fewer than two images give (0, 2). Raises ValueError for a `least` that is
    not above 0 and at most 1, and for images that are not in memory.
    """
    if not 0 < least <= 1:
        raise ValueError(f"near_duplicates: {least=} must be above 0 and at most 1")
    check_in_memory(images, "near_duplicates needs images in memory", ("data",))
    data = channels_first(torch.as_tensor(images.data))
    thumbnails = torch.empty(len(data), data.shape[1] * SIDE**2)
    size = max(1, CHUNK // max(1, data[:1].numel()))
    for result, part in zip(thumbnails.split(size), data.split(size), strict=True):
        result.copy_(_thumbnails(part))
    place = thumbnails.any(dim=1).nonzero().squeeze(1)  # (M,) with contrast: zeros would be nearer than unlike images
    if len(place) < 2:
        return torch.empty(0, 2, dtype=torch.int64)
    thumbnails = thumbnails[place]
    other = search(thumbnails, None, k=1).indices[:, 0]  # (M,)
    correlations = (thumbnails * thumbnails[other]).sum(dim=1)
    pairs = torch.stack([place, place[other]], dim=1).sort(dim=1).values
    order = correlations.argsort(descending=True, stable=True)
    chosen = pairs[order[correlations[order] >= least - ROUNDING]].tolist()
    return torch.tensor(list(dict.fromkeys(map(tuple, chosen))), dtype=torch.int64).view(-1, 2)


def doubtful_labels(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Compute for each image how much farther its own class is than another class, (N,): the doubt about its label.

    This is the distance to the nearest other image of the class, less the distance to the nearest image of another
    class. Distances between `embeddings` (N, D) are Euclidean, not squared. The greater, the more doubtful the label;
    in a good embedding most values are negative. An image alone in its class has NaN. Memory is linear in N. Raises
    ValueError for embeddings that are not finite, and for a single class.
    """
    check_batch(embeddings, labels)
    check_known("labels", labels)
    if len(labels.unique()) < 2:
        raise ValueError("doubtful_labels compares classes and needs at least two")
    queries, gallery, itself, exponent = in_full_precision(embeddings, None)

    def compare(rows: slice, distances: Tensor) -> tuple[Tensor]:
        is_same = labels[rows, None] == labels  # (b, N)
        own = distances.masked_fill(~is_same, torch.inf).amin(dim=1)  # the distance to itself is infinite
        return (own.sqrt() - distances.masked_fill(is_same, torch.inf).amin(dim=1).sqrt(),)

    doubts = queries.new_empty(len(queries))
    map_blocks(queries, gallery, itself, compare, (doubts,))
    return scale(doubts.masked_fill(doubts.isinf(), torch.nan), exponent)


def _thumbnails(images: Tensor) -> Tensor:
    """Scale uint8 images (n, C, H, W) to vectors (n, C · SIDE²) of mean 0 and length 1, or 0 without contrast."""
    small = F.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", antialias=True).flatten(1)
    small -= small.mean(dim=1, keepdim=True)
    length = small.norm(dim=1, keepdim=True)  # (n, 1)
    return small / length.masked_fill(length < FAINT, torch.inf)
