"""The JavaScript arithmetic of the figures against the package, and planted faults that the check finds."""

import json
from pathlib import Path

import pytest
from figure_cases import cases
from node import LIBRARY, planted, run_script


@pytest.fixture(scope="module")
def cases_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures") / "cases.json"
    path.write_text(json.dumps(cases()))
    return path


def differences(library: Path, cases_file: Path) -> list[str]:
    return run_script("figure_checks.mjs", library, cases_file)


def test_the_arithmetic_in_the_page_equals_that_of_the_package(cases_file: Path) -> None:
    assert differences(LIBRARY, cases_file) == []


FAULTS = [
    ("tuples", "fromAnchor[negative] > least &&", "fromAnchor[negative] >= least &&"),
    ("tuples", "fromAnchor[negative] < reach)", "fromAnchor[negative] <= reach)"),
    ("tuples", "sign * distances[images[i]] < sign", "sign * distances[images[i]] <= sign"),
    ("tuples", "else if (other !== image) positives", "else positives"),
    ("tuples", "let j = i + 1;", "let j = i;"),
    ("tuples", "eligible[Math.floor(random() * count)]", "eligible[0]"),
    ("tuples", ', otherwise: "farthest"', ', otherwise: "nearest"'),
    ("tuples", "let left = count - sorted.indexOf(last);", "let left = count - sorted.indexOf(last) - 1;"),
    ("tuples", "Math.min(positive.length, cells.length) / 2", "cells.length / 2"),
    ("tuples", 'positives: "farthest"', 'positives: "nearest"'),
    ("tuples", "other < image && chosen[first + other] === image", "other < image"),
    ("arithmetic", "(value - right[column]) ** 2, 0)", "Math.abs(value - right[column]), 0)"),
    ("arithmetic", "loss: squared / 2", "loss: squared"),
    ("arithmetic", "distance > 0 ? -gap / distance : 0", "-gap / distance"),
    ("arithmetic", "gap ** 2 / 2", "gap ** 2"),
    ("arithmetic", "const scale = loss > 0 ? 2 : 0;", "const scale = 2;"),
    ("arithmetic", "scale * (positive[column] - value)", "scale * (value - positive[column])"),
    ("arithmetic", 'over === "all" || ', ""),
    ("arithmetic", "loss += cost.loss / terms.length", "loss += cost.loss / rows.length"),
    ("arithmetic", "+= value / terms.length", "+= value"),
    ("arithmetic", "if (cost > 0) [sum", "if (cost >= 0) [sum"),
    ("arithmetic", "- distances[anchor][negative] + margin", "+ distances[anchor][negative] + margin"),
    ("arithmetic", "sum / triplets.length : 0", "sum / active : 0"),
    ("arithmetic", "toNegative <= toPositive", "toNegative < toPositive - margin"),
]


@pytest.mark.parametrize(("module", "right", "wrong"), FAULTS)
def test_a_planted_fault_is_found(module: str, right: str, wrong: str, cases_file: Path, tmp_path: Path) -> None:
    assert differences(planted(tmp_path, module, right, wrong), cases_file)
