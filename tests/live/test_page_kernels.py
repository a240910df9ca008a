"""The three kernels of training in the page: equal to plain loops, compiled from their source, and planted faults."""

import base64
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from node import LIBRARY, node, planted, run_script

COMPILER = Path(__file__).parents[2] / "tools" / "kernel.mjs"
NO_COMPILER = 3  # its exit status


def compared(library: Path) -> tuple[list[str], list[str]]:
    """Return the names of the kernels that Node runs, and what differs."""
    names, *found = run_script("kernel_checks.mjs", library)
    return names.removeprefix("kernels: ").split(), found


def test_the_kernels_equal_plain_loops() -> None:
    names, found = compared(LIBRARY)
    assert {"simd", "plain"} <= set(names)
    assert found == []


def test_the_bytes_are_those_of_the_source(tmp_path: Path) -> None:
    compiled = tmp_path / "kernel_bytes.mjs"
    finished = subprocess.run([node(), str(COMPILER), str(compiled)], capture_output=True, text=True, check=False)
    if finished.returncode == NO_COMPILER:
        pytest.skip(finished.stderr)
    assert finished.returncode == 0, finished.stderr
    assert compiled.read_text() == (LIBRARY / "kernel_bytes.mjs").read_text()


OPERATIONS = {  # name: the bytes of an operation, and of another one in its place
    "sum of a product": ("simd", "fde401", "fde501"),  # add, sub
    "maximum": ("simd", "fdeb01", "fdea01"),  # pmax, pmin
    "first of equal numbers": ("simd", "fd41", "fd44"),  # eq, gt
    "sign in PReLU": ("simd", "fd44", "fd43"),  # gt, lt
    "sum, fused": ("relaxed", "fd8502", "fd8602"),  # relaxed_madd, relaxed_nmadd
    "slope": ("relaxed", "fde601", "fde401"),  # mul, add
}


@pytest.mark.parametrize("fault", OPERATIONS)
def test_a_fault_in_a_kernel_is_found(fault: str, tmp_path: Path) -> None:
    kernel, right, wrong = OPERATIONS[fault]
    if kernel not in compared(LIBRARY)[0]:
        pytest.skip(f"this Node has no {kernel} kernel")
    [text] = re.findall(rf'{kernel}: "(.*?)"', (LIBRARY / "kernel_bytes.mjs").read_text())
    code = base64.b64decode(text)
    assert bytes.fromhex(right) in code
    broken = base64.b64encode(code.replace(bytes.fromhex(right), bytes.fromhex(wrong))).decode()
    names, found = compared(planted(tmp_path, "kernel_bytes", text, broken))
    assert kernel in names
    assert {line.split(":")[0] for line in found} == {kernel}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Math.min(row + 1, m - 1)", "row + 1"),
        ("s02 += left * x[at + 2]", "s02 += left * x[at + 1]"),
        ("i++, a0 += outerStep >> 2,", "i++,"),
        ("bias ? [(bias >> 2) + 4 * half", "bias ? [(bias >> 2) + 8 * half"),
        ("> prelu(x[best], slope)", ">= prelu(x[best], slope)"),
        ("if (number < 0) ofSlope", "ofSlope"),
        ("x[(bias >> 2) + channel] += passed", "x[(bias >> 2) + channel] = passed"),
        ("number > 0 ? number : slope * number", "number > 0 ? number : number"),
    ],
)
def test_a_fault_in_the_plain_kernel_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    _, found = compared(planted(tmp_path, "plain", right, wrong))
    assert {line.split(":")[0] for line in found} == {"plain"}


def test_the_compiler_is_named_where_it_is_missing(tmp_path: Path) -> None:
    copy = tmp_path / "tools" / "kernel.mjs"
    copy.parent.mkdir()
    shutil.copy(COMPILER, copy)
    finished = subprocess.run(
        [node(), str(copy)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "", "NODE_PATH": ""},
    )
    assert finished.returncode == NO_COMPILER
    assert "npm install wabt" in finished.stderr
