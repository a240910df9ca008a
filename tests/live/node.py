"""Runs JavaScript of the figures in Node."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from siamese_triplet import live

HERE = Path(__file__).parent
LIBRARY = Path(live.__file__).parent / "js"


def node() -> str:
    """Find Node on the PATH, or else inside Playwright."""
    found = shutil.which("node")
    if found is None:
        driver = pytest.importorskip("playwright._impl._driver")
        found = str(driver.compute_driver_executable()[0])
    return found


def run_script(name: str, *arguments: Path) -> list[str]:
    """Run a script beside this file and return the lines that it prints."""
    command = [node(), str(HERE / name), *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def evaluate(body: str, folder: Path, given: Any = None, options: tuple[str, ...] = ()) -> Any:
    """Evaluate the body of an asynchronous function of `load` (a module by name) and `given`, and return its result."""
    script = folder / "script.mjs"
    script.write_text(
        "import { readFileSync } from 'node:fs';\n"
        f"const load = (name) => import({json.dumps(LIBRARY.as_uri())} + `/${{name}}.mjs`);\n"
        "const given = JSON.parse(readFileSync(0));\n"
        f"const run = async () => {{ {body} }};\n"
        "console.log(JSON.stringify(await run()));\n"
    )
    command = [node(), *options, str(script)]
    finished = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, check=False, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def planted(folder: Path, module: str, right: str, wrong: str) -> Path:
    """Copy the JavaScript into `folder`, with one piece of a module replaced."""
    copy = folder / "js"
    shutil.copytree(LIBRARY, copy)
    source = (copy / f"{module}.mjs").read_text()
    assert source.count(right) == 1, f"{source.count(right)} times in {module}: {right}"
    (copy / f"{module}.mjs").write_text(source.replace(right, wrong))
    return copy
