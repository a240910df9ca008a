"""The JavaScript arithmetic of the figures against the package, and planted faults that the check finds."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from figure_cases import cases

from siamese_triplet import live

CHECKS = Path(__file__).with_name("figure_checks.mjs")
ARITHMETIC = Path(live.__file__).parent / "js" / "arithmetic.mjs"


def node() -> str:
    """Find Node on the PATH, or else inside Playwright."""
    found = shutil.which("node")
    if found is None:
        driver = pytest.importorskip("playwright._impl._driver")
        found = str(driver.compute_driver_executable()[0])
    return found


@pytest.fixture(scope="module")
def cases_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures") / "cases.json"
    path.write_text(json.dumps(cases()))
    return path


def differences(arithmetic: Path, cases_file: Path) -> list[str]:
    command = [node(), str(CHECKS), str(arithmetic), str(cases_file)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def test_the_arithmetic_in_the_page_equals_that_of_the_package(cases_file: Path) -> None:
    assert differences(ARITHMETIC, cases_file) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(value - right[column]) ** 2, 0)", "Math.abs(value - right[column]), 0)"),
        ("fromAnchor[n] < reach);\n  if", "fromAnchor[n] <= reach);\n  if"),
        ("fromAnchor[n] > inner && fromAnchor[n] < reach", "fromAnchor[n] >= inner && fromAnchor[n] < reach"),
        ("fromAnchor[n] > inner && fromAnchor[n] < reach", "fromAnchor[n] > inner && fromAnchor[n] <= reach"),
        ("negatives.filter((n) => fromAnchor[n] > inner);", "negatives.filter((n) => fromAnchor[n] >= inner);"),
        ("distances[other] < distances[best]", "distances[other] <= distances[best]"),
        ("distances[other] > distances[best]", "distances[other] >= distances[best]"),
        ("else if (other !== image) positives", "else positives"),
        ("let j = i + 1;", "let j = i;"),
        ("Math.floor(random() * eligible.length)", "0"),
        ("nearest(fromAnchor, eligible) : farthest", "nearest(fromAnchor, eligible) : nearest"),
        ("sorted.slice(0, positive.length)", "sorted.slice(0, positive.length - 1)"),
        ("sample(negative, positive.length, random)", "negative"),
        ('"batch-hard": farthest', '"batch-hard": nearest'),
        ("loss: squared / 2", "loss: squared"),
        ("distance > 0 ? -gap / distance : 0", "-gap / distance"),
        ("gap ** 2 / 2", "gap ** 2"),
        ("const scale = loss > 0 ? 2 : 0;", "const scale = 2;"),
        ("scale * (positive[column] - value)", "scale * (value - positive[column])"),
        ('over === "all" || ', ""),
        ("loss += cost.loss / terms.length", "loss += cost.loss / rows.length"),
        ("+= value / terms.length", "+= value"),
        ("if (cost > 0) [sum", "if (cost >= 0) [sum"),
        ("- distances[anchor][negative] + margin", "+ distances[anchor][negative] + margin"),
        ("sum / triplets.length : 0", "sum / active : 0"),
        ("toNegative <= toPositive", "toNegative < toPositive - margin"),
    ],
)
def test_a_planted_fault_is_found(right: str, wrong: str, cases_file: Path, tmp_path: Path) -> None:
    source = ARITHMETIC.read_text()
    assert source.count(right) == 1
    broken = tmp_path / "arithmetic.mjs"
    broken.write_text(source.replace(right, wrong))
    assert differences(broken, cases_file)
