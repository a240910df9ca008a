"""Training with several processes, on one machine or many: each has a share of every batch, and all see the whole.

Every process runs the network on its share. The outputs are gathered, so that selection and loss see the whole batch,
exactly as one process would, on every process alike. Going back, each process has the gradient of that one loss with
respect to all outputs, takes the rows of its own share through its network, and the sum over the processes is the
gradient of the parameters. Nothing but the outputs and the gradients travels.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

Result = TypeVar("Result")

PATIENCE = timedelta(seconds=45)  # how long a process waits for the others before it takes them for dead


@dataclass(frozen=True)
class Share:
    """The part of every batch that process `rank` of `world_size` takes: one run of it, in the order of the ranks."""

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"Share: rank must be from 0 to world_size − 1, got {self.rank} of {self.world_size}")

    @classmethod
    def of_this_process(cls) -> "Share":
        """That of this process in its group; all of the batch where there is no group."""
        return cls(dist.get_rank(), dist.get_world_size()) if is_distributed() else cls()

    def slice(self, first: int, end: int) -> slice:
        """This share of the places `first` to `end` − 1; shares differ by at most one place."""
        n = end - first
        return slice(first + n * self.rank // self.world_size, first + n * (self.rank + 1) // self.world_size)


def is_distributed() -> bool:
    """Whether this process belongs to a group that has been started."""
    return dist.is_available() and dist.is_initialized()


def is_first() -> bool:
    """Whether this process is the one that writes and prints: the first of its group, or alone."""
    return not is_distributed() or dist.get_rank() == 0


@contextmanager
def process_group(device: torch.device | str | None = None) -> Iterator[None]:
    """Join the processes that `torchrun` has started; without it, or in a group that there is already, do nothing.

    GPUs talk over nccl, each process with one of its own; CPUs over gloo, also where `device` is "cpu". Who does not
    answer within 45 seconds, whatever it is doing, is taken for dead: the others raise an error. Raises ValueError
    where a machine has fewer GPUs than processes.
    """
    if "WORLD_SIZE" not in os.environ or is_distributed():
        yield
        return
    on_gpus = torch.cuda.is_available() and torch.device(device or "cuda").type == "cuda"
    if on_gpus:
        local_rank = int(os.environ["LOCAL_RANK"])
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"process {local_rank} of this machine has no GPU, there are {torch.cuda.device_count()}; start as "
                "many processes as GPUs with --nproc-per-node, or hide the GPUs with CUDA_VISIBLE_DEVICES= to use CPUs"
            )
        torch.cuda.set_device(local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=PATIENCE)
    yield
    dist.destroy_process_group()  # not after an error: it would wait for the others


def first_here_then_others(make: Callable[[], Result]) -> Result:
    """`make()` on the first process of this machine, and when that is done, at most half an hour, on the others.

    For what only one should do, such as a download, and the others then find done.
    """
    if not is_distributed():
        return make()
    patient: Any = dist.new_group(backend="gloo", timeout=timedelta(minutes=30))
    if int(os.environ.get("LOCAL_RANK", dist.get_rank())) == 0:
        result = make()
        dist.barrier(patient)
        return result
    dist.barrier(patient)
    return make()


def gather(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The rows of all processes, in the order of the ranks, for each of `tensors`, (n, …) with one n on a process.

    n may differ between processes. The gradient of a row goes back to the process that it came from, and to that one
    alone: it is right where every process computes the same loss from the whole batch. Without a group, the tensors.
    """
    if not is_distributed() or not tensors:
        return tuple(tensors)
    counts = _counts(tensors[0])
    return tuple(_Gather.apply(tensor, counts) for tensor in tensors)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the gradients of all processes, in place, in one transfer for each dtype. Nothing without a group.

    For the parameters of the network. Those of a loss have their whole gradient on each process already.
    """
    if not is_distributed():
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            by_dtype.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in by_dtype.values():
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view(gradient.shape))


def send_to_all(*modules: nn.Module) -> None:
    """Give every process the parameters and buffers of the first one. Nothing without a group."""
    if not is_distributed():
        return
    for tensor in (tensor for module in modules for tensor in (*module.parameters(), *module.buffers())):
        values = tensor.detach().contiguous()
        dist.broadcast(values, src=0)
        tensor.data.copy_(values)


def from_first(make: Callable[[], Result]) -> Result:
    """`make()`, called on the first process alone: its result, or its error, for all. The result must be picklable."""
    if not is_distributed():
        return make()
    result: list[Any] = [None, None]
    if is_first():
        try:
            result = [make(), None]
        except Exception as error:
            result = [None, error]
    dist.broadcast_object_list(result, src=0)
    if result[1] is not None:
        raise result[1]
    return result[0]


def of_all(value: Any) -> list[Any]:
    """`value` of every process, in the order of the ranks."""
    if not is_distributed():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def _counts(tensor: Tensor) -> list[int]:
    """How many rows each process has. Told over the CPU where the group can, so that no GPU is waited for."""
    over_cpu = "cpu:" in dist.get_backend_config()
    count = torch.tensor([len(tensor)], device="cpu" if over_cpu else tensor.device)
    counts = [torch.empty_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    return torch.cat(counts).tolist()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        first = sum(counts[: dist.get_rank()])
        ctx.own = slice(first, first + len(rows))
        padding = [0, 0] * (rows.ndim - 1) + [0, max(counts) - len(rows)]
        padded = F.pad(rows, padding).contiguous()  # all processes must send as much
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient[ctx.own], None
