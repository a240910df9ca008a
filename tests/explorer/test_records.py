"""Records of runs as tables and files."""

import base64
import csv
import io
import json
import math
import re
from dataclasses import replace

import pytest
from explorer_cases import LONG, SMALL, finished, small_explorer

from siamese_triplet.explorer.records import as_csv, as_html, as_json, time_left


def test_the_csv_has_a_line_per_run() -> None:
    softmax = finished(2, settings=replace(SMALL, method="softmax"), knn_accuracy=None, message='a "quoted", thing')
    first, second = csv.DictReader(io.StringIO(as_csv([finished(), softmax])))
    assert (first["run"], first["method"], first["selector"], first["margin"]) == (
        "1",
        "online-triplet",
        "random",
        "1.0",
    )
    assert (first["n_classes"], first["n_samples"], first["batch_size"]) == ("10", "5", "")
    assert (first["n_epochs"], first["asked_epochs"], first["knn_accuracy"]) == ("2", "2", "0.5")
    assert (second["selector"], second["margin"], second["n_classes"], second["batch_size"]) == ("", "", "", "128")
    assert (second["knn_accuracy"], second["message"]) == ("", 'a "quoted", thing')
    assert as_csv([]).startswith("run,dataset,")


def test_the_json_has_the_histories_and_no_nan() -> None:
    [run] = json.loads(as_json([finished(map_at_r=math.nan)]))
    assert (run["run"], run["map_at_r"], run["ended"]) == (1, None, "finished")
    assert run["history"] == {"train_loss": [1.0, None]}


def test_the_table_shows_the_settings_that_apply_and_marks_the_best_run() -> None:
    runs = [
        finished(1, knn_accuracy=0.5),
        finished(2, knn_accuracy=0.75, settings=replace(SMALL, method="softmax", batch_size=77)),
        finished(3, ended="failed", knn_accuracy=None, map_at_r=None, seconds=0.0, message="a < b"),
    ]
    table = as_html(runs)
    assert table.count("<tr>") == 4
    assert re.findall("<b>(.*?)</b>", table) == ["75.00 %"]
    lines = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    expected = ["own images, 100", "online-triplet", "random", "1", "2", "10 × 5", "0.001", "2 of 2"]
    assert lines[0][1:9] == expected
    assert lines[1][3:7] == ["–", "–", "2", "77"]
    assert lines[2][9:] == ["–", "–", "–", "failed: a &lt; b"]
    assert as_html([]) == ""


@pytest.mark.parametrize(
    ("seconds", "done", "text"),
    [
        (5, 0, ""),
        (5, 0.5, "about 5 s left"),
        (10, 0.95, "less than a second left"),
        (10, 0.1, "about 2 min left"),
        (100, 0.1, "about 15 min left"),
        (1000, 0.1, "about 2.5 h left"),
        (5, 1, "less than a second left"),
    ],
)
def test_the_time_left_is_given_in_words(seconds: float, done: float, text: str) -> None:
    assert time_left(seconds, done) == text


def test_the_suffix_decides_the_format_of_an_export(tmp_path) -> None:
    explorer = small_explorer(n_epochs=1)
    explorer.train()
    assert explorer.wait(LONG)
    explorer.export(tmp_path / "new" / "runs.csv")
    explorer.export(str(tmp_path / "runs.JSON"))
    assert (tmp_path / "new" / "runs.csv").read_text() == as_csv(explorer.runs)
    assert json.loads((tmp_path / "runs.JSON").read_text())[0]["ended"] == "finished"
    with pytest.raises(ValueError, match=r"runs.txt ends in '.txt'; .* a .csv or a .json file"):
        explorer.export(tmp_path / "runs.txt")
    found = re.findall(r'download="([^"]*)".*?base64,([^"]*)"', explorer.panel.links_html.value)
    decoded = {name: base64.b64decode(contents).decode() for name, contents in found}
    assert decoded == {"runs.csv": as_csv(explorer.runs), "runs.json": as_json(explorer.runs)}
