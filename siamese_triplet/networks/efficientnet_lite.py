"""EfficientNet-Lite0, for weights trained on ImageNet: 3.4 million parameters, fast on a CPU.

Tan and Le (2019), in the variant for small devices: ReLU6 for Swish, no squeeze-and-excitation.
"""

from torch import Tensor, nn
from torch.nn import functional as F

N_FEATURES = 1280
# repeats, kernel size, stride of the first, factor by which the channels are expanded, output channels
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32  # output channels of the first convolution


class EfficientNetLite0(nn.Module):
    """Images (B, 3, H, W) of any size to features (B, 1280), the input of the classifier that is left out.

    `features` are the layers, from the first convolution through 16 blocks to the last convolution.
    """

    def __init__(self) -> None:
        super().__init__()
        n_in = STEM
        layers: list[nn.Module] = [_convolution(3, STEM, 3, stride=2)]
        for repeats, kernel_size, stride, expansion, n_out in STAGES:
            for number in range(repeats):
                layers.append(_Block(n_in, n_out, kernel_size, stride if number == 0 else 1, expansion))
                n_in = n_out
        self.features = nn.Sequential(*layers, _convolution(n_in, N_FEATURES, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images).mean(dim=(2, 3))


class _Block(nn.Module):
    """An inverted residual block: expand the channels, convolve each on its own, project (Sandler and others, 2018)."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int, stride: int, expansion: int) -> None:
        super().__init__()
        n_inner = n_in * expansion
        expand = [_convolution(n_in, n_inner, 1)] if expansion > 1 else []
        depthwise = _convolution(n_inner, n_inner, kernel_size, stride, groups=n_inner)
        self.layers = nn.Sequential(*expand, depthwise, _convolution(n_inner, n_out, 1, is_active=False))
        self.is_residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.is_residual else self.layers(x)


class _PadForStride2(nn.Module):
    """Pad images as TensorFlow does for a stride of 2: to ⌈side / 2⌉ outputs, an odd row at the bottom and right."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def forward(self, x: Tensor) -> Tensor:
        height, width = (self.kernel_size - 2 + side % 2 for side in x.shape[2:])
        return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


def _convolution(
    n_in: int, n_out: int, kernel_size: int, stride: int = 1, groups: int = 1, is_active: bool = True
) -> nn.Sequential:
    """Make a convolution with batch normalisation and, if `is_active`, ReLU6, for ⌈side / stride⌉ outputs a side."""
    padding = kernel_size // 2 if stride == 1 else 0
    return nn.Sequential(
        *([_PadForStride2(kernel_size)] if stride == 2 else []),
        nn.Conv2d(n_in, n_out, kernel_size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.01),
        *([nn.ReLU6(inplace=True)] if is_active else []),
    )
