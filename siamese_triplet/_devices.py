"""Devices of models, evaluation mode, and the embedding of a model within wrappers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def best_device() -> torch.device:
    """Return the GPU of this process if there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters; the CPU for a model without any. A ValueError if there are several."""
    devices = {tensor.device for tensor in (*model.parameters(), *model.buffers())}
    if len(devices) > 1:
        names = ", ".join(sorted(map(str, devices)))
        raise ValueError(f"the model is on several devices ({names}); move all of it with model.to(device)")
    return devices.pop() if devices else torch.device("cpu")


def move(
    model: nn.Module, optimizer: Optimizer, loss_fn: Any, device: torch.device, channels_last: bool = False
) -> None:
    """Move a model, its optimizer and a loss to `device`, with filters in the channels-last layout if asked.

    The parameters stay the same objects, so the optimizer keeps working on them.
    """
    model.to(device)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    if isinstance(loss_fn, nn.Module):
        loss_fn.to(device)
    for group in optimizer.param_groups:
        moves_steps = group.get("fused") or group.get("capturable")  # else the step count stays on the CPU
        for state in (optimizer.state[parameter] for parameter in group["params"] if parameter in optimizer.state):
            for name, value in state.items():
                if isinstance(value, Tensor) and (value.ndim or moves_steps):
                    state[name] = value.to(device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode without gradients; afterwards restore the mode of every module."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def unwrap(model: nn.Module) -> nn.Module:
    """Return the network within `DataParallel`, `DistributedDataParallel`, `AveragedModel` and `torch.compile`."""
    while True:
        inner = model.module if isinstance(model, WRAPPERS) else getattr(model, "_orig_mod", None)  # of torch.compile
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def embedding_function(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the function of images to embeddings: `get_embedding` of `model`, else `model` itself.

    The method is sought within wrappers too, see `unwrap`. The embedding of an `nn.Sequential` is that of its last
    part, on the output of the parts before it.
    """
    network = unwrap(model)
    if hasattr(network, "get_embedding"):
        method: Any = network.get_embedding
        return method
    if type(network).forward is nn.Sequential.forward and len(network._modules):
        *before, last = network.children()
        embed = embedding_function(last)
        if embed is not last:
            return lambda images: embed(nn.Sequential(*before)(images))
    return model
