"""The last layer of an embedding net."""

import torch
from torch import Tensor, nn


class EmbeddingHead(nn.Module):
    """Features (B, F) to embeddings (B, D): one linear layer; with `unit_sphere` embeddings have length 1.

    Under autocast the layer keeps the precision of its weights. Raises ValueError for sizes below 1.

    >>> import torch
    >>> from siamese_triplet.networks import EmbeddingHead
    >>> EmbeddingHead(n_features=1280, embedding_size=64)(torch.rand(4, 1280)).shape
    torch.Size([4, 64])
    """

    def __init__(self, n_features: int, embedding_size: int = 128, unit_sphere: bool = True) -> None:
        super().__init__()
        if min(n_features, embedding_size) < 1:
            raise ValueError(f"EmbeddingHead: {n_features=} and {embedding_size=} must be at least 1")
        self.n_features, self.embedding_size, self.unit_sphere = n_features, embedding_size, unit_sphere
        self.fc = nn.Linear(n_features, embedding_size)

    def forward(self, features: Tensor) -> Tensor:
        embeddings = apply_in_full_precision(self.fc, features)
        return scale_to_unit_length(embeddings) if self.unit_sphere else embeddings


def apply_in_full_precision(layer: nn.Linear, x: Tensor) -> Tensor:
    """Compute `layer(x)` in the dtype of its weights, even under autocast."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(layer.weight.dtype))


def scale_to_unit_length(embeddings: Tensor) -> Tensor:
    """Scale embeddings (B, D) to length 1; zero, which has no direction, stays zero, with a finite gradient."""
    norms = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True)  # (B, 1)
    return embeddings / torch.where(norms > 0, norms, 1)
