"""What a benchmark ran on, for its results."""

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

BFLOAT16 = ("avx512_bf16", "amx_bf16")  # instructions that compute in bfloat16, as Linux names them


def machine(packages: Sequence[str]) -> dict:
    """Processor, instructions, threads, versions of Python and of `packages`, and the date."""
    facts = _facts()
    instructions = [torch.backends.cpu.get_cpu_capability(), *(i for i in BFLOAT16 if i in facts.get("flags", ""))]
    return {
        "processor": facts.get("model name", platform.processor()),
        "instructions": ", ".join(instructions),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        **{name: version(name) for name in packages},
    }


def _facts() -> dict[str, str]:
    """What Linux says about the first processor, by name; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
