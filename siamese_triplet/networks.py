"""Embedding networks, and the siamese, triplet and classification networks built on them."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet._devices import unwrap
from siamese_triplet._prelu import PReLU


class EmbeddingNet(nn.Module):
    """Images (B, C, H, W) to embeddings (B, D): two convolutions, three dense layers (LeNet-like).

    `embedding_size` is D, `input_size` is (C, H, W); the defaults fit MNIST and a plot in the plane. Under autocast the
    last layer keeps the precision of its weights, and so do the distances of embeddings. Raises ValueError for images
    of another size, or on another device than the network.

    >>> import torch
    >>> from siamese_triplet import EmbeddingNet
    >>> EmbeddingNet()(torch.rand(4, 1, 28, 28)).shape
    torch.Size([4, 2])
    >>> EmbeddingNet(embedding_size=64, input_size=(3, 32, 32))(torch.rand(4, 3, 32, 32)).shape
    torch.Size([4, 64])
    """

    def __init__(self, embedding_size: int = 2, input_size: tuple[int, int, int] = (1, 28, 28)) -> None:
        super().__init__()
        if len(input_size) != 3 or min(input_size[1:]) < 16 or embedding_size < 1:
            raise ValueError(
                f"EmbeddingNet: {input_size=} must be at least (1, 16, 16), as (channels, height, width), "
                f"{embedding_size=} at least 1"
            )
        channels, *size = input_size
        self.embedding_size = embedding_size
        self.input_size = tuple(input_size)
        sides = [((side - 4) // 2 - 4) // 2 for side in size]  # convolutions cut a side by 4, poolings halve it
        self.convnet = nn.Sequential(
            nn.Conv2d(channels, 32, 5), PReLU(), nn.MaxPool2d(2, stride=2),
            nn.Conv2d(32, 64, 5), PReLU(), nn.MaxPool2d(2, stride=2),
        )  # fmt: skip
        self.fc = nn.Sequential(
            nn.Linear(64 * math.prod(sides), 256), PReLU(),
            nn.Linear(256, 256), PReLU(),
            nn.Linear(256, embedding_size),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.input_size:
            raise ValueError(
                f"EmbeddingNet expects images of shape (batch, {', '.join(map(str, self.input_size))}), "
                f"got {tuple(x.shape)}; pass input_size=(channels, height, width) for another size"
            )
        last: Any = self.fc[-1]
        device = last.weight.device
        if x.device != device:
            raise ValueError(f"the images are on {x.device}, the network on {device}; move one with .to(device)")
        hidden = self.fc[:-1](self.convnet(x).flatten(1))
        return _apply_in_full_precision(last, hidden)

    def get_embedding(self, x: Tensor) -> Tensor:
        return self(x)


class EmbeddingNetL2(EmbeddingNet):
    """`EmbeddingNet` with embeddings scaled to length 1.

    A zero embedding, which has no direction, stays zero, with a finite gradient.

    >>> import torch
    >>> from siamese_triplet import EmbeddingNetL2
    >>> EmbeddingNetL2(embedding_size=8)(torch.rand(2, 1, 28, 28)).norm(dim=1).allclose(torch.ones(2))
    True
    """

    def forward(self, x: Tensor) -> Tensor:
        return _scale_to_unit_length(super().forward(x))


class ConvEmbeddingNet(nn.Module):
    """Images (B, C, H, W) to embeddings (B, D) for harder data: four convolution blocks, one linear layer.

    Each block is a 3×3 convolution, batch normalisation, ReLU and max pooling, with `width` channels (Vinyals and
    others, 2016; Snell and others, 2017). `embedding_size` is D, `input_size` is (C, H, W), at least 16 × 16. With
    `unit_sphere` embeddings have length 1, except for zero, which has no direction. Under autocast the last layer keeps
    the precision of its weights. Raises ValueError for images of another size.

    >>> import torch
    >>> from siamese_triplet import ConvEmbeddingNet
    >>> ConvEmbeddingNet(embedding_size=32)(torch.rand(4, 1, 28, 28)).shape
    torch.Size([4, 32])
    """

    def __init__(
        self,
        embedding_size: int = 128,
        input_size: tuple[int, int, int] = (1, 28, 28),
        width: int = 64,
        unit_sphere: bool = True,
    ) -> None:
        super().__init__()
        if len(input_size) != 3 or min(input_size[1:]) < 16 or embedding_size < 1 or width < 1:
            raise ValueError(
                f"ConvEmbeddingNet: {input_size=} must be at least (1, 16, 16), as (channels, height, width), "
                f"{embedding_size=} and {width=} at least 1"
            )
        channels, height, input_width = input_size
        self.embedding_size, self.input_size, self.unit_sphere = embedding_size, tuple(input_size), unit_sphere
        blocks = [
            (nn.Conv2d(n_in, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2))
            for n_in in (channels, width, width, width)
        ]
        self.convnet = nn.Sequential(*(layer for block in blocks for layer in block))
        self.fc = nn.Linear(width * (height // 16) * (input_width // 16), embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.input_size:
            raise ValueError(
                f"ConvEmbeddingNet expects images of shape (batch, {', '.join(map(str, self.input_size))}), "
                f"got {tuple(x.shape)}; pass input_size=(channels, height, width) for another size"
            )
        embeddings = _apply_in_full_precision(self.fc, self.convnet(x).flatten(1))
        return _scale_to_unit_length(embeddings) if self.unit_sphere else embeddings

    def get_embedding(self, x: Tensor) -> Tensor:
        return self(x)


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
        return F.log_softmax(_apply_in_full_precision(self.fc1, self.get_embedding(x)), dim=-1)

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


def _apply_in_full_precision(layer: nn.Linear, x: Tensor) -> Tensor:
    """Compute `layer(x)` in the dtype of its weights, even under autocast."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(layer.weight.dtype))


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


def _scale_to_unit_length(embeddings: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True)  # (B, 1)
    return embeddings / torch.where(norms > 0, norms, 1)
