"""The whole suite runs in a process more than there are cores, where pytest-xdist is installed.

One more, as some tests wait: for a browser, or for processes of their own.
"""

import os

import pytest

MOST_PROCESSES = 8  # each imports PyTorch
SLOW = "pages", "distributed", "live_figures", "types", "properties", "explorer", "lab", "kill", "experiments"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    is_whole_suite = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    is_worker = hasattr(config, "workerinput")
    if not is_whole_suite or is_worker or not config.pluginmanager.hasplugin("xdist"):
        return
    if config.option.numprocesses is None and not config.option.usepdb:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # also for the kernels of the notebooks
        config.option.numprocesses = min((os.cpu_count() or 1) + 1, MOST_PROCESSES)
        config.option.dist = "loadfile"
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that no process is left with it in the end."""
    slow = {f"test_{name}" for name in SLOW}
    items.sort(key=lambda item: item.path.suffix != ".ipynb" and item.path.stem not in slow)
