"""A Python environment like that of a fresh Colab, made in a moment and without a download.

In a new virtual environment, Colab's distributions and their dependencies are links to the files of this Python. It
has nothing else: neither the package of the book nor the requirements of its tests.
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
BUILDS_WITH = ("flit_core",)  # else pip would download it to build the package
KERNEL = "colab"
LAUNCH = "import google.colab; from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"


def make_environment(folder: Path) -> Path:
    """Make the environment in `folder` and return its Python.

    It has a stand-in for the module `google.colab`, which its kernel imports, as Colab's does. The kernel's
    specification is in `folder/kernels`.
    """
    venv.create(folder, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    for installed in with_dependencies([*HAS, *BUILDS_WITH]).values():
        _link(installed, site)
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
    """Find the installed distributions of these names and all their requirements, by canonical name.

    Exits with the name of a distribution that is not installed.
    """
    distributions: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(canonicalize_name(name), "") for name in names]  # each with an extra
    while queue:
        name, extra = item = queue.pop()
        if item in seen:
            continue
        seen.add(item)
        try:
            distributions[name] = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"{name} is not installed here; python -m pip install -r requirements.txt")
        for required in map(Requirement, distributions[name].requires or []):
            if required.marker is None or required.marker.evaluate({"extra": extra}):
                queue += [(canonicalize_name(required.name), extra_name) for extra_name in ("", *required.extras)]
    return distributions


def _link(installed: Distribution, site: Path) -> None:
    """Link the files and folders of a distribution into `site`, without its scripts, which lie elsewhere."""
    for name in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
        if not (site / name).exists():  # distributions may share a folder
            (site / name).symlink_to(Path(installed.locate_file(name)).resolve())
