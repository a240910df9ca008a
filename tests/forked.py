"""Processes that start in milliseconds: forked from a server that has imported the package and torch once."""

import multiprocessing
import os
from multiprocessing.context import ForkServerContext

import pytest

MODULES = ["siamese_triplet.cli", "siamese_triplet.runs"]


def fork_context() -> ForkServerContext:
    """Return the context that forks from the server; skip the test on other systems than POSIX."""
    if os.name != "posix":
        pytest.skip("starts processes by forking a server")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    return context
