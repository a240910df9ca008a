"""How much memory a call needs, for a process that does little else; Linux only."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path


def measured(call: Callable[[], object]) -> dict[str, float]:
    """The seconds of one call, its peak of resident memory beyond what there was before, and the peak of the process.

    Both peaks in MB, as the kernel keeps them, so that nothing passes unseen. Freed memory is handed back first, as the
    call would otherwise use it unseen.
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


def _status(field: str) -> float:
    """A line of what Linux says about this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))
