"""A Python as a fresh Colab has it, as far as the book needs it, made without a download in a moment.

A new virtual environment in which the distributions that Colab has, and what they depend on, are links to the files of
the Python that runs this. It has nothing else: neither the package of the book nor what only its tests need.
"""

import json
import sys
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HAS = ("torch", "torchvision", "matplotlib", "ipywidgets", "numpy", "tqdm", "ipykernel", "pip")
BUILDS_WITH = ("flit_core",)  # pip would download it to build the package
KERNEL = "colab"  # what its kernel is called
LAUNCH = "import google.colab; from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"


def make_environment(folder: Path) -> Path:
    """Make the environment in `folder`; returns its Python.

    A stand-in for the module `google.colab` is among its packages, and imported by its kernel, as Colab's does. The
    kernel's specification is in `folder/kernels`.
    """
    venv.create(folder, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    for found in with_dependencies([*HAS, *BUILDS_WITH]).values():
        _link(found, site)
    stand_in = site / "google" / "colab" / "__init__.py"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text('"""A stand-in for the module of Colab, which the chapters only look for."""\n')
    python = folder / "bin" / "python"
    kernel = folder / "kernels" / KERNEL / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [str(python), "-c", LAUNCH, "-f", "{connection_file}", "--log-level=ERROR"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "Colab", "language": "python"}))
    return python


def with_dependencies(names: Iterable[str]) -> dict[str, Distribution]:
    """The installed distributions of these names and all that they require here, by canonical name.

    Exits where one is not installed, naming it.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(name), "") for name in names]  # with the extra that is asked for
    while waiting:
        name, extra = of_one = waiting.pop()
        if of_one in seen:
            continue
        seen.add(of_one)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"{name} is not installed here; python -m pip install -r requirements.txt")
        for required in map(Requirement, found[name].requires or []):
            if required.marker is None or required.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(required.name), of) for of in ("", *required.extras)]
    return found


def _link(found: Distribution, site: Path) -> None:
    """Link the files and folders of a distribution into `site`; scripts, which lie elsewhere, are left out."""
    for name in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
        if not (site / name).exists():  # several may share a folder
            (site / name).symlink_to(Path(found.locate_file(name)).resolve())
