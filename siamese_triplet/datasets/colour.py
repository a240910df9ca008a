"""Augmentation by random colours, for a whole batch at once, on its device."""

from collections.abc import Sequence

import torch
from torch import Tensor

N_CHANNELS = 3


class RandomColour:
    """Random colours: `colour(images)` mixes the channels of each image of a batch (B, 3, H, W) in its own way.

    The channels are multiplied by the identity plus a 3 × 3 matrix of normal numbers, drawn from `seed` for each image.

    - `strength`: the standard deviation of these numbers.
    - `fixed`: the colour that stays as it is, three numbers, in the scale of the images: that of a background, such as
      `(1 - mean) / std` for white in normalised images. By default it is zero.

    Raises ValueError for a negative strength, a `fixed` of another length, and images of another shape.

    >>> import torch
    >>> from siamese_triplet.datasets import RandomColour
    >>> images = torch.ones(2, 3, 4, 4)  # white
    >>> images[:, :, 1:3, 1:3] = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)  # with a red square
    >>> coloured = RandomColour(0.2, fixed=(1, 1, 1))(images)
    >>> torch.equal(coloured[:, :, 0, 0], images[:, :, 0, 0])
    True
    >>> torch.equal(coloured[0, :, 1, 1], coloured[1, :, 1, 1])
    False
    """

    def __init__(self, strength: float = 0.15, fixed: Sequence[float] = (0.0, 0.0, 0.0), seed: int = 0) -> None:
        if strength < 0 or len(fixed) != N_CHANNELS:
            raise ValueError(f"RandomColour: {strength=} must not be negative, and {fixed=} must be three numbers")
        self.strength, self.fixed = strength, tuple(float(value) for value in fixed)
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != N_CHANNELS or not images.is_floating_point():
            raise ValueError(
                f"RandomColour takes floating-point images (B, 3, H, W), got {images.dtype} of shape "
                f"{tuple(images.shape)}; leave it out for grey images"
            )
        mixing = torch.eye(N_CHANNELS) + self.strength * torch.randn(len(images), 3, 3, generator=self.generator)
        fixed = images.new_tensor(self.fixed).view(1, N_CHANNELS, 1, 1)
        return torch.einsum("bij,bjhw->bihw", mixing.to(images), images - fixed) + fixed
