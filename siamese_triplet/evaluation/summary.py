"""The metrics by which the book compares methods, all at once."""

from typing import Any

import torch
from torch import Tensor

from siamese_triplet.evaluation.neighbours import knn_accuracy
from siamese_triplet.evaluation.retrieval import retrieval_metrics
from siamese_triplet.evaluation.verification import verification_metrics

Embedded = tuple[Tensor, Tensor]  # embeddings (N, D) and labels (N,)
NEIGHBOURS = 5


def seen_classes(train: Embedded, test: Embedded) -> dict[str, Any]:
    """Compute the metrics of test images whose classes were trained on.

    - `knn_accuracy` with `k` neighbours among the training images: five, or as many as there are.
    - `recall_at_1`, `r_precision`, `map_at_r` and `mrr` among the test images, see `retrieval_metrics`.
    - `auc` and `eer` of the test images, see `verification_metrics`.
    """
    k = min(NEIGHBOURS, len(train[0]))
    return {"knn_accuracy": knn_accuracy(*train, *test, k=k), "k": k, **among_themselves(test)}


def among_themselves(test: Embedded) -> dict[str, float]:
    """Compute the metrics that need no other images: each image queries the others.

    Images of one class have no verification metrics; images that are each alone in their class have no metrics at all.
    """
    embeddings, labels = test
    metrics: dict[str, float] = {}
    sizes = torch.unique(labels, return_counts=True)[1]
    if sizes.max() > 1:
        found = retrieval_metrics(embeddings, labels, ks=(1,))
        metrics |= {name: found[name] for name in ("recall_at_1", "r_precision", "map_at_r", "mrr")}
        if len(sizes) > 1:
            verified = verification_metrics(embeddings, labels)
            metrics |= {name: verified[name] for name in ("auc", "eer")}
    return metrics
