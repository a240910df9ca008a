"""Another drawing of the same thing: random affine and elastic warps, a whole batch at once, on its device."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


class RandomWarp:
    """Warps each image of a batch (B, C, H, W) in its own way: `warp(images)` are as many, of the same size.

    Drawn uniformly for each image, from `seed`: a rotation by up to `degrees`; a shift by up to the share `shift` of
    the side; a scale between 1 / (1 + `scale`) and 1 + `scale`, for both sides separately; a shear by up to `shear`.
    The elastic part displaces a grid of `cells` × `cells` points by normal numbers of the standard deviation `elastic`,
    a share of the side, and all between them smoothly (Simard, Steinkraus and Platt, 2003). The border is repeated
    outwards.

    Raises ValueError for negative numbers, and for images of another shape.

    >>> import torch
    >>> from siamese_triplet import RandomWarp
    >>> warp = RandomWarp(degrees=10, seed=0)
    >>> warp(torch.rand(4, 1, 28, 28)).shape
    torch.Size([4, 1, 28, 28])
    """

    def __init__(
        self,
        degrees: float = 15,
        shift: float = 0.1,
        scale: float = 0.2,
        shear: float = 0.3,
        elastic: float = 0.03,
        cells: int = 5,
        seed: int = 0,
    ) -> None:
        if min(degrees, shift, scale, shear, elastic) < 0 or cells < 2:
            raise ValueError(
                f"RandomWarp: {degrees=}, {shift=}, {scale=}, {shear=} and {elastic=} must not be negative, "
                f"{cells=} at least 2"
            )
        self.degrees, self.shift, self.scale, self.shear = degrees, shift, scale, shear
        self.elastic, self.cells = elastic, cells
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or not images.is_floating_point():
            raise ValueError(
                f"RandomWarp warps floating-point images (B, C, H, W), got {images.dtype} of shape "
                f"{tuple(images.shape)}"
            )
        places = F.affine_grid(self._maps(len(images)).to(images), list(images.shape), align_corners=False)
        if self.elastic:
            displaced = torch.randn(len(images), 2, self.cells, self.cells, generator=self.generator)
            displaced = (2 * self.elastic * displaced).to(images)  # a side is 2 long
            smooth = F.interpolate(displaced, images.shape[2:], mode="bicubic", align_corners=True)
            places = places + smooth.permute(0, 2, 3, 1)
        return F.grid_sample(images, places, padding_mode="border", align_corners=False)

    def _maps(self, n: int) -> Tensor:
        """From places of the result to places of the image, (n, 2, 3)."""
        angle = self._uniform(n) * math.radians(self.degrees)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(n, 2, 2)
        stretch = torch.diag_embed(torch.exp(self._uniform(n, 2) * math.log1p(self.scale)))
        stretch[:, 0, 1] = self._uniform(n) * self.shear
        return torch.cat([turn @ stretch, 2 * self.shift * self._uniform(n, 2, 1)], dim=2)

    def _uniform(self, *shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=self.generator) - 1
