"""Training with several processes, on one machine or many, with the loss of the whole batch.

Each process runs the network on its share of the batch. The outputs are gathered, so that every process selects and
computes the loss over the whole batch, exactly as a single process would. In the backward pass each process computes
the gradient with respect to all outputs and propagates the rows of its own share through the network; the sum over the
processes is the gradient of the parameters. Only outputs and gradients are communicated.
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

TIMEOUT = timedelta(seconds=45)  # after which a process takes the others for dead


@dataclass(frozen=True)
class Share:
    """The contiguous part of every batch for process `rank` of `world_size`, in the order of the ranks."""

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"Share: rank must be from 0 to world_size − 1, got {self.rank} of {self.world_size}")

    @classmethod
    def current(cls) -> "Share":
        """Return the share of this process in its group; the whole batch without a group."""
        return cls(dist.get_rank(), dist.get_world_size()) if is_distributed() else cls()

    def slice(self, first: int, end: int) -> slice:
        """Return this share of the positions `first` to `end` − 1; the sizes of shares differ by at most one."""
        n = end - first
        return slice(first + n * self.rank // self.world_size, first + n * (self.rank + 1) // self.world_size)


def is_distributed() -> bool:
    """Tell whether this process belongs to an initialised group."""
    return dist.is_available() and dist.is_initialized()


def is_first() -> bool:
    """Tell whether this process writes and prints: the first of its group, or the only one."""
    return not is_distributed() or dist.get_rank() == 0


@contextmanager
def process_group(device: torch.device | str | None = None) -> Iterator[None]:
    """Join the processes that `torchrun` has started; without it, or within a group, do nothing.

    With GPUs each process has its own, and they communicate over nccl; CPUs, also chosen by `device="cpu"`, over gloo.
    A process that does not answer within 45 seconds, whatever it is doing, counts as dead, and the others raise an
    error. Raises ValueError if a machine has fewer GPUs than processes.
    """
    if "WORLD_SIZE" not in os.environ or is_distributed():
        yield
        return
    on_gpus = torch.cuda.is_available() and torch.device(device or "cuda").type == "cuda"
    if on_gpus:
        local_rank = int(os.environ["LOCAL_RANK"])
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"process {local_rank} of this machine has no GPU, there are {torch.cuda.device_count()}; start one "
                "process per GPU with --nproc-per-node, or hide the GPUs with CUDA_VISIBLE_DEVICES= to use CPUs"
            )
        torch.cuda.set_device(local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=TIMEOUT)
    yield
    dist.destroy_process_group()  # not after an error: it would wait for the others


def call_local_first(make: Callable[[], Result]) -> Result:
    """Call `make()` on the first process of this machine and, once it is done (within half an hour), on the others.

    For work that one process should do and the others then find done, such as a download.
    """
    if not is_distributed():
        return make()
    patient_group: Any = dist.new_group(backend="gloo", timeout=timedelta(minutes=30))
    if int(os.environ.get("LOCAL_RANK", dist.get_rank())) == 0:
        result = make()
        dist.barrier(patient_group)
        return result
    dist.barrier(patient_group)
    return make()


def gather(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Gather the rows of all processes, in the order of the ranks, for each of `tensors`, all (n, …).

    n may differ between processes. The gradient of a row is returned to the process the row came from and is not
    summed, so every process must compute the same loss from the whole batch. Without a group, return the tensors.
    """
    if not is_distributed() or not tensors:
        return tuple(tensors)
    counts = _row_counts(tensors[0])
    return tuple(_Gather.apply(tensor, counts) for tensor in tensors)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum the gradients of all processes in place, in one transfer per dtype. Without a group do nothing.

    Only for parameters of the network: those of a loss have their whole gradient on each process already.
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
    """Copy the parameters and buffers of the first process to all. Without a group do nothing."""
    if not is_distributed():
        return
    for tensor in (tensor for module in modules for tensor in (*module.parameters(), *module.buffers())):
        values = tensor.detach().contiguous()
        dist.broadcast(values, src=0)
        tensor.data.copy_(values)


def call_on_first(make: Callable[[], Result]) -> Result:
    """Call `make()` on the first process; return its (picklable) result, or raise its error, on all processes."""
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


def gather_objects(value: Any) -> list[Any]:
    """Gather the picklable `value` of every process into a list, in the order of the ranks."""
    if not is_distributed():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def _row_counts(tensor: Tensor) -> list[int]:
    """Gather the number of rows of each process, over the CPU if the group can, to spare a GPU sync."""
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
        padded = F.pad(rows, padding).contiguous()  # all processes must send the same size
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None]:
        return grad_output[ctx.own], None
