"""PReLU with a backward pass that does not dominate training on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PReLU(nn.PReLU):
    """`torch.nn.PReLU` with one slope, the same in every respect but speed (He and others, 2015).

    PyTorch's own backward pass on a CPU writes what every number contributes to the slope's gradient before it adds
    that up; this one adds it up image by image. It shows where the convolutions are fast, in 16 bits above all; see
    `benchmarks/training.py`. On other devices, when compiled or under
    `torch.func`, and without gradients, it is PyTorch's.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        is_traced = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        is_eager = x.device.type == "cpu" and torch.is_grad_enabled() and not is_traced
        return _PReLU.apply(x, self.weight) if is_eager else F.prelu(x, self.weight.to(x.dtype))


class _PReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.leaky_relu(x, slope.item())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is asked for: operations that have one
            of_x = torch.where(x > 0, gradient, slope.to(x.dtype) * gradient)
            return of_x, (x.clamp(max=0) * gradient).sum().to(slope.dtype).view(1)
        of_x = torch.ops.aten.leaky_relu_backward(gradient, x, slope.item(), False)
        products = x.clamp(max=0).mul_(gradient)
        of_images = products.sum(dim=tuple(range(1, x.ndim))) if x.ndim > 1 else products  # sums in half precision
        return of_x, of_images.sum(dtype=slope.dtype).view(1)
