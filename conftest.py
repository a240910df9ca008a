"""The whole suite runs in one process more than there are cores, as some tests wait; a part of it runs in this one."""

import os

import pytest

LAST = "data", "selection", "evaluation", "project"  # folders of quick tests: no process is left alone with a slow one


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min((os.cpu_count() or 1) + 1, 8) if is_whole else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name in LAST)
