"""Small embedding networks, trained from scratch."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from siamese_triplet._prelu import PReLU
from siamese_triplet.networks.heads import apply_in_full_precision, scale_to_unit_length


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
        return apply_in_full_precision(last, hidden)

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
        return scale_to_unit_length(super().forward(x))


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
                f"{type(self).__name__}: {input_size=} must be at least (1, 16, 16), as (channels, height, width), "
                f"{embedding_size=} and {width=} at least 1"
            )
        channels, *sides = input_size
        self.embedding_size, self.input_size = embedding_size, tuple(input_size)
        self.width, self.unit_sphere = width, unit_sphere
        self.convnet = self._make_convnet(channels)
        self.fc = nn.Linear(self._count_features(sides), embedding_size)

    def _make_convnet(self, channels: int) -> nn.Sequential:
        width = self.width
        blocks = [
            (nn.Conv2d(n_in, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2))
            for n_in in (channels, width, width, width)
        ]
        return nn.Sequential(*(layer for block in blocks for layer in block))

    def _count_features(self, sides: Sequence[int]) -> int:
        return self.width * math.prod(side // 16 for side in sides)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.input_size:
            raise ValueError(
                f"{type(self).__name__} expects images of shape (batch, {', '.join(map(str, self.input_size))}), "
                f"got {tuple(x.shape)}; pass input_size=(channels, height, width) for another size"
            )
        embeddings = apply_in_full_precision(self.fc, self.convnet(x).flatten(1))
        return scale_to_unit_length(embeddings) if self.unit_sphere else embeddings

    def get_embedding(self, x: Tensor) -> Tensor:
        return self(x)
