"""A device that is not the CPU, pretended on the CPU: `with Elsewhere() as elsewhere`, then `elsewhere.send(tensor)`.

Its tensors say that they are on the device "meta", and hold a tensor of the CPU, on which every operation takes place.
So a test sees the branches that the package takes for a GPU, with their results, and the operations at which the host
would have waited for it: those whose result, or its shape, the host has to know.

`with Largest() as largest` watches the size of the tensors that are made, on any device.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

AWAITED = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "unique", "_unique", "equal", "bincount")
AWAITED_UNLESS_SIZED = "repeat_interleave"


class Elsewhere(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.syncs: list[str] = []  # the operations at which the host would have waited

    def send(self, tensor: Tensor) -> "Sent":
        return Sent(tensor.detach().clone()).requires_grad_(tensor.requires_grad)

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        given = tree_leaves((args, kwargs))
        sent = {id(leaf.inner): leaf for leaf in given if isinstance(leaf, Sent)}
        result = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        if not sent and torch.device("meta") not in given:
            return result
        if _is_awaited(function, given, kwargs):
            self.syncs.append(str(function))
        if torch.device("cpu") in given:
            return result  # it has come back

        def outer(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            return sent[id(leaf)] if id(leaf) in sent else Sent(leaf)  # an operation in place returns its argument

        return tree_map(outer, result)


class Largest(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.numel = 0  # the number of elements of the largest tensor that was made

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.numel = max([self.numel, *(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))])
        return result


class Sent(Tensor):
    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Sent":
        sent = Tensor._make_wrapper_subclass(
            cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device="meta"
        )
        sent.inner = inner
        return sent

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        raise AssertionError("what is elsewhere can be used under its Elsewhere() only")


def _inner(leaf: Any) -> Any:
    if isinstance(leaf, Sent):
        return leaf.inner
    return torch.device("cpu") if leaf == torch.device("meta") else leaf


def _is_awaited(function: Any, given: list, kwargs: dict) -> bool:
    name = function.overloadpacket.__name__
    if name == AWAITED_UNLESS_SIZED:
        return kwargs.get("output_size") is None
    by_mask = name.startswith(("index", "_index")) and any(
        isinstance(leaf, Tensor) and leaf.dtype == torch.bool for leaf in given[1:]
    )
    return name.startswith(AWAITED) or by_mask or torch.device("cpu") in given
