"""Augmentation by random affine and elastic warps, for a whole batch at once, on its device."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


class RandomWarp:
    """Random warps: `warp(images)` distorts each image of a batch (B, C, H, W) in its own way; the shape stays.

    All are drawn uniformly for each image, from `seed`, except for the elastic part:

    - `degrees`: the largest rotation, in both directions.
    - `shift`: the largest shift, as a share of the side.
    - `scale`: each side is scaled separately, by a factor from 1 / (1 + `scale`) to 1 + `scale`.
    - `shear`: the largest shear.
    - `elastic`, `cells`: a grid of `cells` × `cells` points is displaced by normal numbers with standard deviation
      `elastic`, a share of the side, and smoothly in between (Simard, Steinkraus and Platt, 2003).
    - `mirrored`: the share of images that are mirrored, left to right.

    Border pixels are repeated outwards. Raises ValueError for negative numbers, and for images of another shape.

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
        mirrored: float = 0.0,
    ) -> None:
        if min(degrees, shift, scale, shear, elastic) < 0 or cells < 2 or not 0 <= mirrored <= 1:
            raise ValueError(
                f"RandomWarp: {degrees=}, {shift=}, {scale=}, {shear=} and {elastic=} must not be negative, "
                f"{cells=} at least 2, {mirrored=} a share from 0 to 1"
            )
        self.degrees, self.shift, self.scale, self.shear = degrees, shift, scale, shear
        self.elastic, self.cells, self.mirrored = elastic, cells, mirrored
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or not images.is_floating_point():
            raise ValueError(
                f"RandomWarp warps floating-point images (B, C, H, W), got {images.dtype} of shape "
                f"{tuple(images.shape)}"
            )
        grid = F.affine_grid(self._affine_maps(len(images)).to(images), list(images.shape), align_corners=False)
        if self.elastic:
            offsets = torch.randn(len(images), 2, self.cells, self.cells, generator=self.generator)
            offsets = (2 * self.elastic * offsets).to(images)  # a side is 2 long
            smooth = F.interpolate(offsets, images.shape[2:], mode="bicubic", align_corners=True)
            grid = grid + smooth.permute(0, 2, 3, 1)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def _affine_maps(self, n: int) -> Tensor:
        """Draw `n` affine maps from output to input coordinates, (n, 2, 3)."""
        angle = self._draw_uniform(n) * math.radians(self.degrees)
        rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(n, 2, 2)
        stretch = torch.diag_embed(torch.exp(self._draw_uniform(n, 2) * math.log1p(self.scale)))
        stretch[:, 0, 1] = self._draw_uniform(n) * self.shear
        if self.mirrored:
            is_mirrored = torch.rand(n, generator=self.generator) < self.mirrored
            stretch[is_mirrored] *= torch.tensor([[-1.0], [1.0]])
        return torch.cat([rotation @ stretch, 2 * self.shift * self._draw_uniform(n, 2, 1)], dim=2)

    def _draw_uniform(self, *shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=self.generator) - 1
