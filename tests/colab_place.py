"""The place of Colab's environment, for the tests that use one: it is made before them, as it takes the network."""

import os
import sys
from pathlib import Path

import pytest
from browser import skip_or_fail

sys.path.append(str(Path(__file__).parents[1] / "tools"))
from colab_environment import VARIABLE, is_current

HOW = f"python tools/colab_environment.py FOLDER, and set {VARIABLE}=FOLDER"


def colab_folder() -> Path:
    """Return the folder of Colab's environment. Skips the test where there is none; see `skip_or_fail`."""
    if VARIABLE not in os.environ:
        skip_or_fail(f"there is no environment with the packages of Colab: {HOW}")
    folder = Path(os.environ[VARIABLE])
    if not is_current(folder):
        pytest.fail(f"{folder} has no environment made from tools/colab_packages.txt as it is now: {HOW}")
    return folder
