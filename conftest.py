"""The whole suite runs in as many processes as there are cores, where pytest-xdist is installed."""

import os

import pytest

MOST_PROCESSES = 8  # each imports PyTorch


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    is_whole_suite = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    is_worker = hasattr(config, "workerinput")
    if not is_whole_suite or is_worker or not config.pluginmanager.hasplugin("xdist"):
        return
    if config.option.numprocesses is None and not config.option.usepdb:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # also for the kernels of the notebooks
        config.option.numprocesses = min(os.cpu_count() or 1, MOST_PROCESSES)
        config.option.dist = "loadfile"
