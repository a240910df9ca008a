"""Processes that begin in milliseconds: forked from a server that has imported the package, and torch, once for all."""

import multiprocessing
import os
from multiprocessing.context import ForkServerContext

import pytest

MODULES = ["siamese_triplet.cli", "siamese_triplet.runs"]


def forking() -> ForkServerContext:
    if os.name != "posix":
        pytest.skip("starts processes by forking a server")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    return context
