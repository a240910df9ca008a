"""Description of the machine that a benchmark ran on."""

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

BFLOAT16 = ("avx512_bf16", "amx_bf16")  # Linux's names of instructions that compute in bfloat16


def machine(packages: Sequence[str]) -> dict:
    """Describe the processor, its instructions, the threads, the versions of Python and `packages`, and the date."""
    cpu = _read_cpuinfo()
    instructions = [torch.backends.cpu.get_cpu_capability(), *(i for i in BFLOAT16 if i in cpu.get("flags", ""))]
    return {
        "processor": cpu.get("model name", platform.processor()),
        "instructions": ", ".join(instructions),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        **{name: version(name) for name in packages},
    }


def _read_cpuinfo() -> dict[str, str]:
    """Read Linux's fields of the first processor; empty on other systems."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
