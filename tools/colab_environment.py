"""Make a Python environment like that of a fresh Colab: `python tools/colab_environment.py FOLDER`.

`colab_packages.txt` has Colab's versions and their source. pip installs exactly these into FOLDER. torch and
torchvision would take gigabytes: they, and what only they need, are links to the files of this Python. The environment
has nothing else: neither the package of the book nor the requirements of its tests.

`make_environment` makes a copy in a moment, into which a chapter can install packages.
"""

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = Path(__file__).with_name("colab_packages.txt")
LINKED = ("torch", "torchvision")
BUILDS_WITH = ("flit_core",)  # else pip would download it to build the package
VARIABLE = "SIAMESE_TRIPLET_COLAB"  # names the folder of an environment that is installed already, for the tests
KERNEL = "colab"
LAUNCH = "import google.colab; from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"


def versions() -> dict[str, str]:
    """Read Colab's versions, by canonical name."""
    lines = (line.partition("#")[0].strip() for line in PACKAGES.read_text().splitlines())
    named = (line.split("==") for line in lines if line)
    return {canonicalize_name(name): version for name, version in named}


def install(folder: Path) -> Path:
    """Install Colab's packages into a new environment in `folder`, and return its Python."""
    own, here = versions(), with_dependencies([*LINKED, *BUILDS_WITH])
    venv.create(folder, symlinks=True, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "uninstall", "--yes", "setuptools"], check=True)  # Python 3.11 has an old one in every venv
    subprocess.run([*pip, "install", "--no-deps", "--requirement", PACKAGES], check=True)
    site = site_packages(folder)
    for name in here.keys() - own.keys():
        _link(here[name], site)
    stand_in = site / "google" / "colab" / "__init__.py"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text('"""A stand-in for the module of Colab, which the chapters only look for."""\n')
    shutil.copy(PACKAGES, folder)  # last: it tells that the environment is complete
    return python


def is_current(folder: Path) -> bool:
    """Whether the environment in `folder` is complete, and was made from the list as it is now."""
    copy = folder / PACKAGES.name
    return copy.exists() and copy.read_text() == PACKAGES.read_text()


def make_environment(folder: Path, colab: Path) -> Path:
    """Make an environment in `folder` with the packages of the one in `colab`, by links, and return its Python.

    It also has a kernel, specified in `folder/kernels`, which imports the stand-in for `google.colab`, as Colab's does.
    """
    venv.create(folder, symlinks=True)
    site = site_packages(folder)
    for path in site_packages(colab).iterdir():
        (site / path.name).symlink_to(path.resolve())
    python = folder / "bin" / "python"
    kernel = folder / "kernels" / KERNEL / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [str(python), "-c", LAUNCH, "-f", "{connection_file}", "--log-level=ERROR"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "Colab", "language": "python"}))
    return python


def site_packages(folder: Path) -> Path:
    [site] = folder.glob("lib/python*/site-packages")
    return site


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


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"{Path(__file__).name} takes the folder of the new environment; got {sys.argv[1:]}")
    install(Path(sys.argv[1]))
    print(f"{VARIABLE}={Path(sys.argv[1]).resolve()}")
