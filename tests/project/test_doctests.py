"""Examples in docstrings: each runs on its own, in an empty folder and without the module's names."""

import doctest
import functools
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
import torch

import siamese_triplet

WITHOUT = {
    "CheckpointError",  # raised when a wrong file is loaded
    "CollapseWarning",  # issued when training fails
    "Diagnosis",  # shown in the example of `diagnose`
    "plot_embeddings",  # its pictures are in the book
}


@functools.cache
def examples() -> dict[str, doctest.DocTest]:
    """Collect the examples by the full name of their module, function, class or method."""
    packages = pkgutil.walk_packages(siamese_triplet.__path__, "siamese_triplet.")
    names = ["siamese_triplet", *(found.name for found in packages if not found.name.endswith("__main__"))]
    tests = [test for name in names for test in find_doctests(name)]
    return {test.name: test for test in tests if test.examples}


def find_doctests(module_name: str) -> list[doctest.DocTest]:
    """Find the doctests of a module and its definitions, including decorated ones, which doctest itself skips."""
    module = importlib.import_module(module_name)
    tests = doctest.DocTestFinder(recurse=False).find(module, module_name, globs={})
    for name, value in vars(module).items():
        if (inspect.isclass(value) or inspect.isroutine(value)) and value.__module__ == module_name:
            tests += doctest.DocTestFinder().find(value, f"{module_name}.{name}", module=False, globs={})
    return tests


@pytest.mark.parametrize("name", sorted(examples()))
def test_an_example_prints_its_output(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    report: list[str] = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        results = doctest.DocTestRunner().run(examples()[name], out=report.append)
    assert not results.failed, "".join(report)


def test_every_name_at_the_root_has_an_example() -> None:
    public = {name: getattr(siamese_triplet, name) for name in siamese_triplet.__all__}
    missing = {name for name, value in public.items() if f"{value.__module__}.{value.__name__}" not in examples()}
    assert missing == WITHOUT
