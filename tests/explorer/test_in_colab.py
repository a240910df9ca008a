"""The explorer with the packages of Colab: all tests of this folder that need no browser, run in Colab's environment.

Skipped where SIAMESE_TRIPLET_COLAB names no such environment, unless SIAMESE_TRIPLET_PAGES=required.
"""

import os
import re
import subprocess
from pathlib import Path

from browser import REQUIRED
from colab_place import VARIABLE, colab_folder

ROOT = Path(__file__).parents[2]
LEAST = 100  # tests, far fewer than there are


def test_the_explorer_works_with_the_packages_of_colab() -> None:
    command = [colab_folder() / "bin" / "python", "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if name not in (VARIABLE, REQUIRED)}
    command += [Path(__file__).parent.relative_to(ROOT)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-2000:]
    passed = re.search(r"(\d+) passed", finished.stdout)
    assert int(passed[1]) > LEAST, finished.stdout[-2000:]
