"""From a trained model to embeddings, and from embeddings to numbers that can be compared."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from siamese_triplet.checks import check_batch
from siamese_triplet.devices import device_of
from siamese_triplet.distances import full_precision
from siamese_triplet.networks import evaluating


def extract_embeddings(dataloader: Iterable, model: nn.Module) -> tuple[Tensor, Tensor]:
    """The embeddings (N, D) and labels (N,) of all images of `dataloader`, both on the CPU, in its order.

    `dataloader` gives batches of (images, labels). The embeddings are `model.get_embedding(images)`, or `model(images)`
    where there is no such method, in evaluation mode and without gradients; the model is left in the mode it was in.
    Raises ValueError for a loader without batches.
    """
    embed = getattr(model, "get_embedding", model)
    device = device_of(model)
    embeddings, labels = [], []
    with evaluating(model):
        for images, targets in dataloader:
            embeddings.append(embed(images.to(device)).cpu())
            labels.append(targets.cpu())
    if not embeddings:
        raise ValueError("extract_embeddings: the loader has no batches")
    return torch.cat(embeddings), torch.cat(labels)


def knn_accuracy(gallery: Tensor, gallery_labels: Tensor, queries: Tensor, query_labels: Tensor, k: int = 5) -> float:
    """The fraction of `queries` (Q, D) whose class is the most frequent one among their `k` nearest in `gallery` (N,
    D).

    A tie goes to the class with the smaller label. No queries give NaN. Raises ValueError where embeddings and
    labels do not fit together, or the gallery has fewer than `k` images.
    """
    check_batch(gallery, gallery_labels)
    if queries.shape[1:] != gallery.shape[1:]:
        raise ValueError(
            "gallery and queries must have embeddings of one size, "
            f"got {tuple(gallery.shape)} and {tuple(queries.shape)}"
        )
    check_batch(queries, query_labels)
    if not 1 <= k <= len(gallery):
        raise ValueError(f"{k=} must be between 1 and the {len(gallery)} images of the gallery")
    predictions = []
    gallery = full_precision(gallery)
    for chunk in full_precision(queries).split(1024):
        distances = torch.cdist(chunk, gallery, compute_mode="donot_use_mm_for_euclid_dist")  # (≤1024, N)
        nearest = distances.topk(k, largest=False).indices  # (≤1024, k)
        predictions.append(gallery_labels[nearest].mode(dim=1).values)
    return (torch.cat(predictions) == query_labels).float().mean().item()
