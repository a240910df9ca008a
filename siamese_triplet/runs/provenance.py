"""Origins of results: date, device, threads and versions."""

import json
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from siamese_triplet import __version__
from siamese_triplet._atomic_files import write_atomically


def provenance(model: nn.Module) -> dict[str, Any]:
    """Record the origin of a result: date, device, threads and versions."""
    device = next(model.parameters()).device
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "siamese_triplet": __version__,
    }


def processor() -> str:
    """Return the name of the processor, or its architecture where the name is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_json(path: Path, contents: Any) -> None:
    write_atomically(path, json.dumps(contents, indent=1).encode() + b"\n")
