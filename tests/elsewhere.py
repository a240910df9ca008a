"""Simulation of a device other than the CPU: `with Elsewhere() as elsewhere`, then `elsewhere.send(tensor)`.

Its tensors claim to be on the device "meta", and wrap a CPU tensor on which every operation takes place. A test so runs
the package's branches for a GPU, with their results. It also sees the operations at which the host would wait for the
GPU: the host has to know their results, or the shapes of these.

`with Largest() as largest` records the size of the largest new tensor, on any device.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

BLOCKING = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "unique", "_unique", "equal", "bincount")
BLOCKING_UNLESS_SIZED = "repeat_interleave"


class Elsewhere(TorchDispatchMode):
    """A mode with the simulated device; `syncs` are the operations at which the host would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.syncs: list[str] = []

    def send(self, tensor: Tensor) -> "RemoteTensor":
        """Copy a tensor to the simulated device."""
        return RemoteTensor(tensor.detach().clone()).requires_grad_(tensor.requires_grad)

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        remote = {id(leaf.inner): leaf for leaf in leaves if isinstance(leaf, RemoteTensor)}
        result = function(*tree_map(_unwrap, args), **tree_map(_unwrap, kwargs))
        if not remote and torch.device("meta") not in leaves:
            return result
        if _is_blocking(function, leaves, kwargs):
            self.syncs.append(str(function))
        if torch.device("cpu") in leaves:
            return result  # copied back to the CPU

        def wrap(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            # an operation in place returns its argument
            return remote[id(leaf)] if id(leaf) in remote else RemoteTensor(leaf)

        return tree_map(wrap, result)


class Largest(TorchDispatchMode):
    """A mode that records the size of new tensors; `numel` is the number of elements of the largest."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.numel = max([self.numel, *(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))])
        return result


class RemoteTensor(Tensor):
    """A tensor on the simulated device."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "RemoteTensor":
        remote = Tensor._make_wrapper_subclass(
            cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device="meta"
        )
        remote.inner = inner
        return remote

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        raise AssertionError("tensors sent elsewhere can be used only under their Elsewhere()")


def _unwrap(leaf: Any) -> Any:
    if isinstance(leaf, RemoteTensor):
        return leaf.inner
    return torch.device("cpu") if leaf == torch.device("meta") else leaf


def _is_blocking(function: Any, leaves: list, kwargs: dict) -> bool:
    name = function.overloadpacket.__name__
    if name == BLOCKING_UNLESS_SIZED:
        return kwargs.get("output_size") is None
    by_mask = name.startswith(("index", "_index")) and any(
        isinstance(leaf, Tensor) and leaf.dtype == torch.bool for leaf in leaves[1:]
    )
    return name.startswith(BLOCKING) or by_mask or torch.device("cpu") in leaves
