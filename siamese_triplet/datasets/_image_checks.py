"""Checks of images in memory: bytes, or floats from 0 to 1, with the channels last."""

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

CHUNK = 4096  # images looked at together
ROUNDING = 1e-3  # beyond 0…1, about a quarter of a grey level


class UnitRange(v2.ToDtype):  # type: ignore[misc]  # torchvision has no types
    """Scale pixels to 0…1 as `v2.ToDtype(torch.float32, scale=True)` does, if they are bytes or are so already.

    Other integers from 0 to 255 count as bytes. Raises ValueError for other numbers, whose scale is not known.
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return super().transform(in_known_range(inpt), params)

    def _transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # its name in torchvision before 0.21
        return super()._transform(in_known_range(inpt), params)


def in_known_range(image: Any) -> Any:
    """Return bytes and floats from 0 to 1 as they are, other integers from 0 to 255 as bytes; else raise ValueError."""
    if type(image) not in (Tensor, tv_tensors.Image):  # boxes and masks are not scaled
        return image
    if image.is_floating_point():
        low, high = _value_range(image)
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # NaN is not within
            raise ValueError(
                f"images are {image.dtype} from {low:g} to {high:g}; normalization takes uint8, or floats from 0 to 1: "
                "divide by the largest possible value, such as 255"
            )
    return _as_bytes(image)


def as_pixels(name: str, data: Any) -> Tensor:
    """Convert images or vectors to a tensor; images of integers from 0 to 255 become uint8.

    Floats, booleans, and vectors of other integers stay as they are. Raises ValueError for anything that makes no
    tensor, images of integers beyond 0…255, and bytes of another shape than (N, H, W) or (N, H, W, C).
    """
    pixels = as_tensor(name, data, "images as a tensor or an array of uint8")
    if pixels.ndim > 2:
        pixels = _as_bytes(pixels, name)
    if pixels.ndim < 2 or (pixels.dtype == torch.uint8 and pixels.ndim not in (3, 4)):
        raise ValueError(
            f"{name} must be uint8 images of shape (N, H, W) or (N, H, W, C), or vectors of floats, "
            f"got {pixels.dtype} of shape {tuple(pixels.shape)}"
        )
    if pixels.dtype == torch.uint8:
        check_channels_last(pixels, name)
    return pixels


def as_tensor(name: str, values: Any, expected: str) -> Tensor:
    """Convert an array, a list of numbers, or a list of tensors or arrays of one shape, to a tensor."""
    try:
        if isinstance(values, (list, tuple)) and any(getattr(value, "ndim", 0) for value in values[:1]):
            return torch.stack([torch.as_tensor(value) for value in values])
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:  # a RuntimeError for None
        raise ValueError(f"{name} must be {expected}, got a {type(values).__name__} ({error})") from error


def check_channels_last(images: Tensor, name: str = "images") -> None:
    """Check that four-dimensional `images` do not look like (N, C, H, W)."""
    if images.ndim == 4 and images.shape[1] in (1, 3) and not 1 <= images.shape[3] <= 4:
        raise ValueError(
            f"{name} of shape {tuple(images.shape)} seem to have their channels first; "
            "put the channels last, (N, H, W, C), with .permute(0, 2, 3, 1)"
        )


def _as_bytes(images: Tensor, name: str = "images") -> Tensor:
    """Convert integers from 0 to 255 to uint8; a ValueError for others. Leave floats and booleans alone."""
    if images.dtype in (torch.uint8, torch.bool) or images.is_floating_point():
        return images
    if images.is_complex():
        raise ValueError(f"{name} are {images.dtype}; they must be uint8, or floats from 0 to 1")
    low, high = _value_range(images)
    if low < 0 or high > 255:
        raise ValueError(
            f"{name}: got {images.dtype} from {low} to {high}; integers must be uint8, from 0 to 255: scale them, or "
            "divide by the largest possible value for floats from 0 to 1"
        )
    return images.to(torch.uint8)


def _value_range(values: Tensor) -> tuple[float, float]:
    """Return the least and the greatest of `values`, NaN if one is NaN; 0 and 0 for none. A device-host sync."""
    if not values.numel():
        return 0, 0
    numbers = (chunk if values.is_floating_point() else chunk.long() for chunk in values.split(CHUNK))
    extremes = torch.stack([torch.stack(chunk.aminmax()) for chunk in numbers])  # (chunks, 2)
    return extremes[:, 0].amin().item(), extremes[:, 1].amax().item()
