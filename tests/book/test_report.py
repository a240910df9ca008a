"""The report on the comparison of methods: its tables, their origins, and its figures."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from siamese_triplet.book.report import COMPARISON, reports, seen_rows, write_report

METRICS = "knn_accuracy", "recall_at_1", "r_precision", "map_at_r", "auc", "eer"
MADE = {"date": "2026-01-02", "device": "AMD", "threads": 2, "torch": "2.4", "python": "3.11"}
HEAD = "|  | MAP@R | kNN accuracy | recall@1 | AUC |\n"


def result(value: float, seed: int = 0, n_epochs: int = 20, **key: Any) -> dict[str, Any]:
    return key | {"seed": seed, "n_epochs": n_epochs, "seconds": 60, "made": MADE} | dict.fromkeys(METRICS, value)


def seen(dataset: str, method: str, value: float, seed: int = 0) -> dict[str, Any]:
    return result(value, seed, dataset=dataset, method=method)


def arm(name: str, value: float, seed: int = 0, n_steps: int = 4690, dataset: str = "fashion-mnist") -> dict[str, Any]:
    key = {"name": name, "dataset": dataset, "method": {"method": "siamese"}}
    return result(value, seed, **key) | {"n_steps": n_steps, "n_images": 1_260_000}


def swept(name: str, change: dict[str, Any], value: float) -> dict[str, Any]:
    return result(value, n_epochs=3, swept=name, change=change)


def reference(name: str, value: float, dataset: str = "mnist", **more: Any) -> dict[str, Any]:
    made = result(value, name=name, dataset=dataset, n_epochs=0) | more
    return {key: value for key, value in made.items() if key != "seconds"} if name == "pixels" else made


SEEN = [seen("mnist", "softmax", 0.9), seen("mnist", "triplet", 0.8), seen("mnist", "triplet", 0.7, 1)]
OTHER = [seen("fashion-mnist", "softmax", 0.4)]
COSINE = {"cosine": dict.fromkeys(METRICS, 0.95)}
REFERENCES = [reference("softmax", 0.91, **COSINE), reference("untrained network", 0.2), reference("pixels", 0.3)]
MINING = [arm("pairs, online mined", 0.6), arm("triplets, offline random, as many steps", 0.5, n_steps=4700)]
SWEEP = [
    swept("selector", {"selector": "random"}, 0.5),
    swept("margin", {"margin": 0.1}, 0.5),
    swept("P × K, learning rate", {"n_classes": 10, "n_samples": 5, "learning_rate": 3e-3}, 0.5),
    *(swept("P × K", {"n_classes": 5, "n_samples": 50}, value) for value in (0.25, 0.75)),
]


def write(folder: Path, **parts: list[dict]) -> None:
    for name, results in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(results))


def rows(text: str) -> list[str]:
    return [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if re.match(r"\| [^-| ]", line)]


def test_the_report_has_all_tables_with_their_origins(tmp_path: Path) -> None:
    write(tmp_path, comparison=SEEN + OTHER, mining=MINING, recommended=MINING[:1], sweep=SWEEP, references=REFERENCES)
    text = write_report(tmp_path)
    assert "\n".join((tmp_path / name).read_text() for name in reports(tmp_path)) == text
    assert text.startswith(f"**MNIST**, all figures in per cent\n\n{HEAD}| --- |")
    assert "| triplet |" + " 75.0\u00a0±\u00a07.1 |" * 4 in text
    assert f"**FashionMNIST**, all figures in per cent\n\n{HEAD}" in text
    assert "|  | MAP@R | kNN accuracy | recall@1 | AUC | steps | images, millions |" in text
    assert text.count("| pairs, online mined | 60.0 | 60.0 | 60.0 | 60.0 | 4,690 | 1.26 |") == 2
    assert "**P × K**\n\n|  | kNN accuracy | recall@1 | R-precision | MAP@R | AUC |\n" in text
    assert "| 5 × 50 |" + " 50.0\u00a0±\u00a035.4 |" * 5 + "\n" in text
    assert "| 10 × 5, rate 0.003 |" + " 50.0 |" * 5 + "\n" in text
    assert text.count("<summary>Where these numbers come from</summary>\n\n- seeds: ") == 4
    assert text.count("\n\n</details>\n") == 4


def test_references_of_the_data_set_come_first(tmp_path: Path) -> None:
    references = [reference(name, 0.3, dataset) for dataset in ("mnist", "fashion-mnist") for name in ("pixels", "x")]
    write(tmp_path, mining=MINING, early=MINING, recommended=MINING, references=references)
    found = reports(tmp_path)
    line = "| pixels | 30.0 | 30.0 | 30.0 | 30.0 | – | – |"
    assert [found[name].count(line) for name in ("mining.md", "recommended.md", "early.md")] == [1, 1, 0]
    assert rows(found["mining.md"]) == ["pixels", *(result["name"] for result in MINING)]


def test_the_cost_of_a_step_gives_the_minutes_of_a_run(tmp_path: Path) -> None:
    costs = [{"part": part, "name": MINING[0]["name"], "seconds": 0.04 * len(part)} for part in ("a", "mining")]
    write(tmp_path, mining=MINING[:1], costs=costs)
    text = reports(tmp_path)["mining.md"]
    assert text.startswith("|  | MAP@R | kNN accuracy | recall@1 | AUC | steps | images, millions | minutes |")
    assert f"| 4,690 | 1.26 | {4690 * 0.24 / 60:.1f} |" in text


def test_references_and_equal_steps_stand_in_the_table_of_the_methods(tmp_path: Path) -> None:
    steps = [arm("triplets, offline random, as many steps", 0.85, dataset="mnist")]
    write(tmp_path, comparison=SEEN + OTHER, references=REFERENCES, mining=MINING, steps=steps)
    of_mnist, _, of_fashion = reports(tmp_path)["comparison.md"].partition("**FashionMNIST**")
    expected = ["pixels", "untrained network", "softmax", "softmax, by cosine", "triplet", "triplet, as many steps"]
    assert rows(of_mnist) == expected
    assert rows(of_fashion) == ["softmax", "triplet, as many steps"]
    for line in ("pixels | 30.0", "softmax | 90.0", "softmax, by cosine | 95.0", "triplet, as many steps | 85.0"):
        assert f"| {line} |" in of_mnist  # the softmax of the comparison, and of the references its cosine only
    assert "| triplet, as many steps | 50.0 |" in of_fashion
    assert "of 9 runs together: 0.1 hours" in of_fashion  # the pixels took no time


def test_references_alone_make_no_table(tmp_path: Path) -> None:
    write(tmp_path, references=REFERENCES)
    assert seen_rows(tmp_path, "mnist") == []
    assert write_report(tmp_path).strip() == ""


def test_figures_have_a_wide_and_a_narrow_version(tmp_path: Path) -> None:
    mining = [arm("pairs, offline random", 0.4), MINING[0], arm("triplets, offline random", 0.3), MINING[1]]
    mining += [arm("triplets, online random with a loss", 0.6), arm("triplets, online semi-hard", 0.1)]
    write(tmp_path, comparison=SEEN + OTHER, mining=mining)
    write_report(tmp_path)
    for name in ("comparison", "mining"):
        wide, narrow = ((tmp_path / f"{name}{version}.svg").read_text() for version in ("", "-narrow"))
        assert wide.rstrip().endswith("</svg>")
        widths = [float(re.search(r'<svg [^>]*width="([\d.]+)pt"', picture)[1]) for picture in (wide, narrow)]
        assert widths == pytest.approx([72 * 7.2, 72 * 3.4])
        assert wide.count('<g id="axes_') == narrow.count('<g id="axes_') == 2  # the same panels
        legends = [picture.partition('<g id="legend_1">')[2] for picture in (wide, narrow)]
        assert all(legend.count("<!-- ") == 2 for legend in legends)  # two data sets, or pairs and triplets
        assert ("semi-hard" in wide, "with a loss" in wide) == (False, False)  # the one in the table only, one renamed
        drawn = wide.partition('<g id="legend_1">')[0]
        in_order = {
            "comparison": ["softmax", "triplet", "triplet, as many steps"],
            "mining": ["offline random", "offline random, as many steps", "online mined"],
        }
        assert re.findall("<!-- ([a-z, -]+) -->", drawn)[:3] == in_order[name]


def test_the_same_results_give_the_same_figure_to_the_byte(tmp_path: Path) -> None:
    write(tmp_path, comparison=SEEN + OTHER)
    write_report(tmp_path)
    before = (tmp_path / "comparison.svg").read_bytes()
    write_report(tmp_path)
    assert (tmp_path / "comparison.svg").read_bytes() == before


@pytest.mark.parametrize(
    ("parts", "there", "missing"),
    [
        ({"comparison": SEEN}, "| softmax |", "FashionMNIST"),
        ({"comparison": [*SEEN, *OTHER]}, "**FashionMNIST**", "steps"),
        ({"mining": MINING}, "| pairs, online mined |", "**MNIST**"),
        ({"sweep": SWEEP}, "**margin**", "**MNIST**"),
    ],
)
def test_parts_without_results_are_left_out_of_the_report(
    parts: dict, there: str, missing: str, tmp_path: Path
) -> None:
    write(tmp_path, **parts)
    text = write_report(tmp_path)
    assert there in text
    assert missing not in text
    assert (tmp_path / "comparison.svg").exists() == ("comparison" in parts)
    assert (tmp_path / "mining.svg").exists() == ("mining" in parts)


def test_a_report_without_results_is_empty_and_changes_no_file(tmp_path: Path) -> None:
    (tmp_path / "sweep.md").write_text("of another day")
    assert write_report(tmp_path).strip() == ""
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.md"]
    assert (tmp_path / "sweep.md").read_text() == "of another day"


def test_runs_on_few_images_are_not_averaged_with_runs_on_all(tmp_path: Path) -> None:
    trial = {**seen("mnist", "softmax", 0.5), "seed": 9, "n_epochs": 99, "subset": "embedded"}
    fewer = {**trial, "subset": "embedded:60", "knn_accuracy": 0.2}
    write(tmp_path, comparison=[fewer, seen("mnist", "softmax", 0.9), trial])
    assert "| softmax |" + " 90.0 |" * 4 in write_report(tmp_path)
    write(tmp_path, comparison=[trial, fewer])
    assert "| softmax |" + " 50.0 |" * 4 in write_report(tmp_path)
    write(tmp_path, comparison=[fewer])
    assert "- training images: 600\n" in write_report(tmp_path)


def test_short_and_long_runs_of_one_arm_are_not_averaged(tmp_path: Path) -> None:
    write(tmp_path, mining=[arm("pairs, online mined", 0.1) | {"n_epochs": 1, "n_steps": 1}, *MINING])
    assert "| pairs, online mined | 60.0 | 60.0 | 60.0 | 60.0 | 4,690 | 1.26 |" in write_report(tmp_path)


def test_the_epochs_may_be_a_setting(tmp_path: Path) -> None:
    made = {key: value for key, value in arm("a network", 0.9).items() if key != "n_epochs"}
    write(tmp_path, plane=[made | {"settings": {"n_epochs": 10}}])
    assert "- epochs: 10\n" in write_report(tmp_path)
    assert list(reports(tmp_path)) == ["plane.md"]


def test_settings_that_were_not_swept_are_left_out_of_the_report(tmp_path: Path) -> None:
    write(tmp_path, sweep=SWEEP[:1])
    text = write_report(tmp_path)
    assert "**selector**" in text
    assert "**margin**" not in text


def test_the_stored_results_fill_every_row() -> None:
    folder = Path(__file__).parents[2] / "book" / "results"
    assert (folder / COMPARISON).exists()
    for name, text in reports(folder).items():
        assert rows(text), name
        assert "– |" not in re.sub(r"^\| (pixels|untrained network) \|.*", "", text, flags=re.MULTILINE), name
