"""Memory that a call needs, in a process that does little else; Linux only."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path


def measure_call(call: Callable[[], object]) -> dict[str, float]:
    """Measure one call: "seconds", the peak of resident memory "beyond" the memory before, and the process's "peak".

    The peaks are in MB. The kernel records them, so short ones count too. Freed memory is returned to the system first;
    otherwise the call could use it unnoticed.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    earlier = _status("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _status("VmRSS")
    started = time.perf_counter()
    call()
    seconds = time.perf_counter() - started
    peak = _status("VmHWM")
    return {"seconds": seconds, "beyond": peak - before, "peak": max(earlier, peak)}


def resident() -> float:
    """Return the resident memory of this process in MB, once freed memory has been returned to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def _status(field: str) -> float:
    """Read a field of this process's status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))
