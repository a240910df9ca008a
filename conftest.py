"""Parallel runs: the whole suite uses one process more than there are cores, as some tests wait; a part uses none."""

import os

import pytest

LAST = "data", "selection", "evaluation", "project"  # folders of quick tests: no process ends up alone with a slow one


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist the suite runs with `-o addopts=`
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min((os.cpu_count() or 1) + 1, 8) if is_whole else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name in LAST)
