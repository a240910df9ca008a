"""PReLU with a backward pass that does not dominate training on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PReLU(nn.PReLU):
    """`torch.nn.PReLU` with one slope, the same in every respect but speed (He and others, 2015).

    On a CPU PyTorch's own backward pass stores the contribution of every number to the slope's gradient before it sums
    them; this one sums image by image. The gain matters where convolutions are fast, above all in 16 bits; see
    `benchmarks/training.py`. On other devices, without gradients, compiled or under `torch.func`, it is PyTorch's.
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
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        if torch.is_grad_enabled():  # for a second derivative: only differentiable operations
            grad_x = torch.where(x > 0, grad_output, slope.to(x.dtype) * grad_output)
            return grad_x, (x.clamp(max=0) * grad_output).sum().to(slope.dtype).view(1)
        grad_x = torch.ops.aten.leaky_relu_backward(grad_output, x, slope.item(), False)
        products = x.clamp(max=0).mul_(grad_output)
        image_sums = products.sum(dim=tuple(range(1, x.ndim))) if x.ndim > 1 else products  # may be half precision
        return grad_x, image_sums.sum(dtype=slope.dtype).view(1)
