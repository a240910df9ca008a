"""A small residual network, for harder data."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet.networks.embedding import ConvEmbeddingNet


class ResidualEmbeddingNet(ConvEmbeddingNet):
    """Images (B, C, H, W) to embeddings (B, D): a convolution, three residual blocks, one linear layer.

    The convolution is followed by max pooling. The blocks have `width`, 2 × `width` and 4 × `width` channels; the
    second and the third halve the sides (He and others, 2016). Arguments and errors are those of `ConvEmbeddingNet`.

    >>> import torch
    >>> from siamese_triplet import ResidualEmbeddingNet
    >>> ResidualEmbeddingNet(input_size=(3, 32, 32), width=32)(torch.rand(4, 3, 32, 32)).shape
    torch.Size([4, 128])
    """

    def _make_convnet(self, channels: int) -> nn.Sequential:
        width = self.width
        return nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            _Block(width, width, stride=1), _Block(width, 2 * width, stride=2), _Block(2 * width, 4 * width, stride=2),
        )  # fmt: skip

    def _count_features(self, sides: Sequence[int]) -> int:
        return 4 * self.width * math.prod(math.ceil(side // 2 / 4) for side in sides)


class _Block(nn.Module):
    """Two 3 × 3 convolutions with batch normalisation, added to their input or to a projection of it."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out),
        )  # fmt: skip
        projection = (nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        self.shortcut = nn.Identity() if n_in == n_out and stride == 1 else nn.Sequential(*projection)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))
