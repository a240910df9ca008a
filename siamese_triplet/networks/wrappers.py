"""The siamese, triplet and classification networks, built on an embedding net."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet._devices import unwrap
from siamese_triplet._prelu import PReLU
from siamese_triplet.networks.heads import apply_in_full_precision


class ClassificationNet(nn.Module):
    """A classifier on any embedding net: PReLU → dense → log-softmax, (B, n_classes); train with `NLLLoss`.

    The size of the embeddings is the net's attribute `embedding_size`, else the output size of its last linear layer.
    Raises ValueError if it has neither, and for fewer than one class.

    >>> import torch
    >>> from siamese_triplet import ClassificationNet, EmbeddingNet
    >>> model = ClassificationNet(EmbeddingNet(), n_classes=10)
    >>> images = torch.rand(4, 1, 28, 28)
    >>> model(images).shape, model.get_embedding(images).shape
    (torch.Size([4, 10]), torch.Size([4, 2]))
    """

    def __init__(self, embedding_net: nn.Module, n_classes: int) -> None:
        super().__init__()
        if n_classes < 1:
            raise ValueError(f"ClassificationNet: {n_classes=} must be at least 1")
        self.embedding_net = embedding_net
        self.n_classes = n_classes
        self.nonlinear = PReLU()
        self.fc1 = nn.Linear(_embedding_size(embedding_net), n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(apply_in_full_precision(self.fc1, self.get_embedding(x)), dim=-1)

    def get_embedding(self, x: Tensor) -> Tensor:
        """Return the input of the last layer, embeddings after the PReLU, (B, D)."""
        return self.nonlinear(self.embedding_net(x))


class SiameseNet(nn.Module):
    """Two inputs through one shared net: two (B, D) embeddings (Bromley and others, 1993).

    >>> import torch
    >>> from siamese_triplet import EmbeddingNet, SiameseNet
    >>> images = torch.rand(4, 1, 28, 28)
    >>> first, second = SiameseNet(EmbeddingNet())(images, images)
    >>> first.shape, torch.equal(first, second)
    (torch.Size([4, 2]), True)
    """

    def __init__(self, embedding_net: nn.Module) -> None:
        super().__init__()
        self.embedding_net = embedding_net

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        return self.embedding_net(x1), self.embedding_net(x2)

    def get_embedding(self, x: Tensor) -> Tensor:
        return self.embedding_net(x)


class TripletNet(nn.Module):
    """Three inputs through one shared net: three (B, D) embeddings (Hoffer and Ailon, 2015).

    >>> import torch
    >>> from siamese_triplet import EmbeddingNet, TripletNet
    >>> images = torch.rand(4, 1, 28, 28)
    >>> [tuple(output.shape) for output in TripletNet(EmbeddingNet())(images, images, images)]
    [(4, 2), (4, 2), (4, 2)]
    """

    def __init__(self, embedding_net: nn.Module) -> None:
        super().__init__()
        self.embedding_net = embedding_net

    def forward(self, x1: Tensor, x2: Tensor, x3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.embedding_net(x1), self.embedding_net(x2), self.embedding_net(x3)

    def get_embedding(self, x: Tensor) -> Tensor:
        return self.embedding_net(x)


def _embedding_size(net: nn.Module) -> int:
    net = unwrap(net)
    if hasattr(net, "embedding_size"):
        size: Any = net.embedding_size
        return int(size)
    linear_layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not linear_layers:
        raise ValueError(
            f"ClassificationNet: {type(net).__name__} has neither an attribute embedding_size nor a linear layer; "
            "set embedding_net.embedding_size to the size of its embeddings"
        )
    return linear_layers[-1].out_features
