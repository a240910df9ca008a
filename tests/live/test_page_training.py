"""Training in the page against the package: gradients, weights after 20 steps, selections, and planted faults."""

import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from node import LIBRARY, planted, run_script
from training_cases import Outcome, Run, by_package, by_page, differences, is_selection, page_cases, runs

from siamese_triplet.live.training import SMALL

RUNS = runs()
FEW_STEPS = 3  # enough for a planted fault


def train(chosen: list[Run], library: Path, folder: Path) -> list[dict[str, Any]]:
    """Train in Node, and return what `training_checks.mjs` writes."""
    cases, results = folder / "cases.json", folder / "results.json"
    cases.write_text(json.dumps(page_cases(chosen)))
    run_script("training_checks.mjs", library, cases, results)
    return json.loads(results.read_text())


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    trained = train(RUNS, LIBRARY, tmp_path_factory.mktemp("training"))
    return {str(run): result for run, result in zip(RUNS, trained, strict=True)}


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_training_in_the_page_equals_that_of_the_package(run: Run, results: dict[str, dict[str, Any]]) -> None:
    result = results[str(run)]
    assert differences(run, by_page(run, result), by_package(run, result["steps"])) == []


@pytest.mark.parametrize("run", [run for run in RUNS if run.selector], ids=str)
def test_the_page_selects_what_the_package_selects(run: Run, results: dict[str, dict[str, Any]]) -> None:
    assert all(is_selection(run, step) for step in results[str(run)]["steps"])


def short(method: str, selector: str | None = None, **fields: Any) -> Run:
    return Run(method, selector, n_steps=FEW_STEPS, **fields)


SOFTMAX, SOFTMAX_SPHERE = short("softmax"), short("softmax", unit_sphere=True)
PAIRS, TRIPLETS = short("siamese"), short("triplet", unit_sphere=True)
BATCH_ALL = short("online-triplet", "batch-all")
ALL_PAIRS = short("online-contrastive", "all", unit_sphere=True)
LONG = Run("softmax", learning_rate=3e-3)
PLAIN = short("softmax", kernel="plain")
FAULTS = [
    # convolution
    ("layers", "SIZE, (side - SIZE) * nIn", "SIZE, (side - SIZE + 1) * nIn", SOFTMAX),
    ("layers", "to, this.pixels, COLUMN, values + this.bias", "to, this.pixels, COLUMN, this.ofInput", SOFTMAX),
    ("layers", "wide, (side - wide) * nIn", "wide, (side - wide + 1) * nIn", SOFTMAX),
    ("layers", "floats[from + inTiles(tap * this.nIn", "floats[from + inTiles((24 - tap) * this.nIn", SOFTMAX),
    ("layers", "Math.floor(tap / SIZE) * side + (tap % SIZE)", "(tap % SIZE) * side + Math.floor(tap / SIZE)", SOFTMAX),
    ("layers", "floats.fill(0, this.ofInput >> 2, (this", "floats.fill(0, this.ofInput >> 2, 1 + 0 * (this", SOFTMAX),
    ("layers", "this.slopeSum += poolBackward", "this.slopeSum = poolBackward", SOFTMAX),
    # linear layers and PReLU
    ("layers", "this.outputRows, COLUMN, values + this.bias", "this.outputRows, COLUMN, this.zeros", SOFTMAX),
    ("layers", "this.inputColumns, 1, 0, n, nRows", "this.inputColumns, 1, 0, n - 1, nRows", SOFTMAX),
    ("layers", "addColumns(floats, this.gradient >> 2, n,", "addColumns(floats, this.gradient >> 2, n - 1,", SOFTMAX),
    ("layers", "inTiles(column, row, this.nColumns)", "inTiles(column, row ^ 1, this.nColumns)", SOFTMAX),
    ("layers", "floats[from + i] : slope * floats[from + i]", "floats[from + i] : 0.3 * floats[from + i]", SOFTMAX),
    ("layers", "ofSlope += floats[gradient + i] * floats[before + i]", "ofSlope += floats[gradient + i]", SOFTMAX),
    ("layers", "floats[gradient + i] *= slope", "floats[gradient + i] *= 1", SOFTMAX),
    # unit length
    ("layers", "= floats[from + at + i] / lengths[row]", "= floats[from + at + i]", TRIPLETS),
    ("layers", " - along * floats[rows + at + i]) / lengths[row]", ") / lengths[row]", TRIPLETS),
    ("layers", "- along * floats[rows + at + i]) / lengths[row]", "- along * floats[rows + at + i])", TRIPLETS),
    # network
    ("network", "floats.fill(0, store.gradients >> 2", "floats.fill(0, 0 * store.gradients", SOFTMAX),
    ("network", "this.unitSphere ? this.scaled : this.last.output;\n  }", "this.last.output;\n  }", SOFTMAX_SPHERE),
    ("network", "if (this.unitSphere) scaleBackward", "if (false) scaleBackward", SOFTMAX_SPHERE),
    ("network", "(input % pixels) * nMaps + Math.floor(input / pixels)", "input", SOFTMAX),
    # losses
    ("losses", "share - (k === labels[row] ? 1 : 0)) / n", "share - (k === labels[row] ? 1 : 0))", SOFTMAX),
    ("losses", "Math.exp(scores[k] - most) / total", "Math.exp(scores[k] - most)", SOFTMAX),
    ("losses", "Math.log(total) + most - scores", "Math.log(total) - scores", SOFTMAX),
    ("losses", "weights[cell] += 0.5 / selected", "weights[cell] += 1 / selected", PAIRS),
    ("losses", "sum += distances[cell] / 2", "sum += distances[cell]", PAIRS),
    ("losses", "weights[cell] -= gap / (2 * distance)", "weights[cell] -= gap / distance", PAIRS),
    ("losses", "if (gap <= 0) continue", "if (gap <= 0.1) continue", ALL_PAIRS),
    ("losses", "if (loss <= 0) continue", "if (loss <= -1e9) continue", TRIPLETS),
    ("losses", "weights[row + triplets[at + 2]] -= 1", "weights[row + triplets[at + 2]] -= 0.5", TRIPLETS),
    ("losses", "weights[i * n + j] + weights[j * n + i]", "weights[i * n + j]", TRIPLETS),
    ("losses", "(over === \"active\" ? active : selected) || 1", "selected + 1", TRIPLETS),
    ("trainer", 'selector === "batch-all" ? "active" : "all"', '"active"', TRIPLETS),
    # Adam
    ("adam", "learningRate / (1 - beta1 ** count)", "learningRate", SOFTMAX),
    ("adam", "Math.sqrt(1 - beta2 ** count)", "1", SOFTMAX),
    ("adam", "[0.9, 0.999]", "[0.9, 0.99]", LONG),
    ("adam", "[0.9, 0.999]", "[0.8, 0.999]", LONG),
    ("adam", "floats[v + i] = square", "floats[v + i] = g * g", SOFTMAX),
    ("adam", "+ weightDecay * floats[value + i]", "", BATCH_ALL),
    # the kernel in JavaScript; those in WebAssembly are in test_page_kernels.py
    ("plain", "passed = number > 0 ? given : slope * given", "passed = given", PLAIN),
    ("plain", "s13 += right * x[at + 3]", "s13 += left * x[at + 3]", PLAIN),
]  # fmt: skip


@functools.cache
def right_outcome(run: Run, folder: Path) -> Outcome:
    [result] = train([run], LIBRARY, folder)
    outcome = by_package(run, result["steps"])
    assert differences(run, by_page(run, result), outcome) == []
    return outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("right")


@pytest.mark.parametrize(("module", "right", "wrong", "run"), FAULTS)
def test_a_planted_fault_is_found(module: str, right: str, wrong: str, run: Run, folder: Path, tmp_path: Path) -> None:
    [result] = train([run], planted(tmp_path, module, right, wrong), tmp_path)
    assert differences(run, by_page(run, result), right_outcome(run, folder))


RULE_FAULTS = [  # in the line of a selector in RULES
    ("random", "beyond: false", "beyond: true"),
    ("random", "within: true", "within: false"),
    ("semihard", "beyond: true", "beyond: false"),
    ("semihard", "within: true", "within: false"),
    ("hardest-semihard", "beyond: true", "beyond: false"),
    ("hardest-semihard", 'take: "nearest"', 'take: "random"'),
    ("all-semihard", "beyond: true", "beyond: false"),
    ("all-semihard", 'take: "all"', 'take: "nearest"'),
    ("nearest-beyond-positive", ', otherwise: "farthest"', ""),
    ("nearest-beyond-positive", "beyond: true", "beyond: false"),
    ("hardest", 'take: "nearest"', 'take: "farthest"'),
    ("batch-hard", 'positives: "farthest"', 'positives: "nearest"'),
    ("easy-positive", 'positives: "nearest"', 'positives: "farthest"'),
    ("easy-positive", "beyond: true", "beyond: false"),
    ("batch-all", "within: true", "within: false"),
]
SELECTOR_FAULTS = [
    ("all-semihard", "? fromAnchor[positive] + margin", "? fromAnchor[positive] + 2 * margin"),
    ("batch-all", "else if (other !== image) positives", "else positives"),
    ("all", "Math.min(positive.length, cells.length) / 2", "Math.min(positive.length, cells.length) / 2 - 1"),
    ("hard", "lengths[pair] < last ||", "lengths[pair] > last ||"),
    ("batch-hard", 'extreme("farthest", fromImage', 'extreme("nearest", fromImage'),
    ("batch-hard", "|| (other < image && chosen[first + other] === image)", ""),
]


@pytest.mark.parametrize(("selector", "right", "wrong"), RULE_FAULTS)
def test_a_fault_in_a_rule_is_found(selector: str, right: str, wrong: str, tmp_path: Path) -> None:
    [rule] = re.findall(rf'^  "?{selector}"?: \{{.*$', (LIBRARY / "tuples.mjs").read_text(), re.MULTILINE)
    assert rule.count(right) == 1
    assert selects_wrongly(selector, planted(tmp_path, "tuples", rule, rule.replace(right, wrong)), tmp_path)


@pytest.mark.parametrize(("selector", "right", "wrong"), SELECTOR_FAULTS)
def test_a_fault_in_a_selector_is_found(selector: str, right: str, wrong: str, tmp_path: Path) -> None:
    assert selects_wrongly(selector, planted(tmp_path, "tuples", right, wrong), tmp_path)


def selects_wrongly(selector: str, library: Path, folder: Path) -> bool:
    of_selector = [run for run in RUNS if run.selector == selector and run.network == SMALL]
    chosen = [dataclasses.replace(run, n_steps=FEW_STEPS) for run in of_selector]
    steps = [
        (run, step)
        for run, result in zip(chosen, train(chosen, library, folder), strict=True)
        for step in result["steps"]
    ]
    return not all(is_selection(run, step) for run, step in steps)
