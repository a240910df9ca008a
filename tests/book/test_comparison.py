"""The comparison of methods on small data, its tables and its report."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from siamese_triplet import Images
from siamese_triplet.book import comparison
from siamese_triplet.book import sweep as sweep_module
from siamese_triplet.book.comparison import (
    DATASETS,
    METHODS,
    Settings,
    compare,
    compare_unseen,
    epochs_of,
    split_classes,
)
from siamese_triplet.book.results import collect, interval, origin, quantities, spread, table
from siamese_triplet.book.sweep import sweep
from siamese_triplet.datasets import normalization
from siamese_triplet.evaluation.summary import among_themselves
from siamese_triplet.methods import Speed
from siamese_triplet.trainer import History

METRICS = ("recall_at_1", "r_precision", "map_at_r", "mrr", "auc", "eer")


def bars(train: bool = True, n_per_class: int = 25, transposed: bool = False) -> Images:
    """Make noisy 16 × 16 images of ten classes, each with its own bright row, in three groups."""
    generator = torch.Generator().manual_seed(int(train))
    targets = torch.arange(10).repeat(n_per_class)
    data = torch.randint(0, 180, (len(targets), 16, 16), generator=generator)
    data[torch.arange(len(targets)), 3 + targets] += 75
    data = data.mT if transposed else data
    names = [f"bar {number}" for number in range(10)]
    return Images(data.byte(), targets, names, train, normalization(0.3, 0.3), targets // 4, ["x", "y", "z"])


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Settings:
    def load(name: str, train: bool, root: str | None, subset: str | None) -> Images:
        return bars(train, transposed=name == "fashion-mnist")

    monkeypatch.setattr(comparison, "load", load)
    monkeypatch.setattr(comparison, "EPISODES", 10)
    monkeypatch.setattr(comparison, "QUERIES", 3)
    return Settings(n_epochs=1, seeds=(0,), device="cpu", verbose=False)


def only(monkeypatch: pytest.MonkeyPatch, *methods: str) -> None:
    monkeypatch.setattr(comparison, "METHODS", {method: METHODS[method] for method in methods})


def forbidden(*_: Any, **__: Any) -> None:
    raise AssertionError


def without_times(results: list[dict]) -> list[dict]:
    return [{name: value for name, value in result.items() if name != "seconds"} for result in results]


# splits


def test_a_split_holds_out_the_other_classes() -> None:
    for seed in range(20):
        seen, unseen = split_classes(10, seed)
        assert sorted(seen + unseen) == list(range(10))
        assert (len(seen), len(unseen)) == (6, 4)
        assert (seen, unseen) == (sorted(seen), sorted(unseen)) == split_classes(10, seed)
    assert len({str(split_classes(10, seed)) for seed in range(20)}) > 10
    assert [len(part) for part in split_classes(7, 0, 5)] == [5, 2]


def test_each_method_sees_as_many_images() -> None:
    assert [epochs_of(method, 20) for method in METHODS] == [20, 10, 7, 20, 20]
    assert [epochs_of(method, 1) for method in (*METHODS, "untrained", "pixels")] == [1] * 7


# stored results


def count(seeds: list) -> Callable[[dict], dict]:
    """Return a function that computes a result, and appends its seed to `seeds`."""

    def compute(key: dict) -> dict:
        seeds.append(key["seed"])
        return {"score": 10 * key["seed"]}

    return compute


def test_results_are_stored_and_not_computed_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    seeds, path = [], tmp_path / "new" / "results.json"
    collect(path, [{"seed": 1, "of": {"a": None}}], count(seeds))
    assert capsys.readouterr().out == "1, {'a': None}\n"
    keys = [{"seed": seed, "of": {"a": None}} for seed in (2, 1, 3)]
    results = collect(path, keys, count(seeds), verbose=False)
    assert seeds == [1, 2, 3]
    assert results == [key | {"score": 10 * key["seed"]} for key in keys]
    assert [result["seed"] for result in json.loads(path.read_text())] == [1, 2, 3]
    before = path.read_bytes()
    assert collect(path, keys, forbidden) == results
    assert path.read_bytes() == before
    assert capsys.readouterr().out == ""


def test_another_value_of_a_key_gives_another_result(tmp_path: Path) -> None:
    seeds, path = [], tmp_path / "results.json"
    for key in ({"seed": 1}, {"seed": 1, "size": 2}, {"seed": 1, "size": 3}, {"seed": 1, "size": 2}):
        collect(path, [key], count(seeds), verbose=False)
    assert seeds == [1, 1, 1]


@pytest.mark.parametrize("contents", ['{"a": 1}', "[1, 2]", "3"])
def test_json_other_than_a_list_of_results_raises(contents: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(contents)
    with pytest.raises(ValueError, match=r"results\.json holds no list of results, but other JSON"):
        collect(tmp_path / "results.json", [], forbidden)


def test_results_from_before_an_interruption_are_stored(tmp_path: Path) -> None:
    seeds, path = [], tmp_path / "results.json"

    def interrupt(key: dict) -> dict:
        if key["seed"] == 3:
            raise KeyboardInterrupt
        return count(seeds)(key)

    keys = [{"seed": seed} for seed in (1, 2, 3, 4)]
    with pytest.raises(KeyboardInterrupt):
        collect(path, keys, interrupt, verbose=False)
    results = collect(path, keys, count(seeds), verbose=False)
    assert seeds == [1, 2, 3, 4]
    assert [result["score"] for result in results] == [10, 20, 30, 40]


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert collect(None, [{"seed": 3}], count(seeds), verbose=False) == [{"seed": 3, "score": 30}]
    assert seeds == [3, 3]
    assert list(tmp_path.iterdir()) == []


# the three parts


def test_settings_reach_the_data_and_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    load_calls = []

    def load(*arguments: Any, **options: Any) -> Images:
        load_calls.append((*arguments, options))
        return bars(arguments[1])

    monkeypatch.setattr(comparison, "load", load)
    train, test = Settings(root="somewhere").load("mnist")
    Settings(subset="embedded").load("fashion-mnist")
    assert (train.train, test.train) == (True, False)
    assert load_calls == [
        ("mnist", True, "somewhere", {"subset": None}),
        ("mnist", False, "somewhere", {"subset": None}),
        ("fashion-mnist", True, None, {"subset": "embedded"}),
        ("fashion-mnist", False, None, {"subset": "embedded"}),
    ]
    calls = []
    monkeypatch.setattr(
        comparison,
        "fit_method",
        lambda *arguments, **options: calls.append((arguments, options)) or ("model", History({"train_loss": [1, 2]})),
    )
    settings = Settings(device="meta", speed=Speed(bfloat16=True))
    assert settings.fit(METHODS["siamese"], train, test, 5, 2)[0] == "model"
    assert calls == [
        (
            (METHODS["siamese"], train, test, 2, 5),
            {"device": "meta", "speed": Speed(bfloat16=True), "verbose": False, "checkpoint": None},
        )
    ]


def test_all_methods_are_compared_on_both_data_sets(tiny: Settings, tmp_path: Path) -> None:
    results = compare(tmp_path / "seen.json", tmp_path / "runs", tiny)
    assert [(result["dataset"], result["method"]) for result in results] == [(d, m) for d in DATASETS for m in METHODS]
    for result in results:
        assert all(0 <= result[name] <= 1 for name in (*METRICS, "knn_accuracy", "one_shot", "five_shot"))
        assert result["map_at_r"] <= result["r_precision"] + 1e-9
        assert (result["seed"], result["n_epochs"], result["k"]) == (0, 1, 5)
        assert result["seconds"] > 0
        assert result["made"]["torch"] == torch.__version__
    names = {f"{result['dataset']}-{result['method']}-{result['n_epochs']}-0-float32.pt" for result in results}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == names
    assert json.loads((tmp_path / "seen.json").read_text()) == results


def test_the_same_seed_gives_the_same_metrics(tiny: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "siamese", "online-triplet")
    monkeypatch.setattr(sweep_module, "SWEPT", {"margin": [{"margin": 0.5}]})
    for part, options in ((compare_unseen, {"sizes": (2,), "datasets": ("mnist",)}), (sweep, {})):
        first = part(None, tiny, **options)
        torch.manual_seed(9)
        assert without_times(part(None, tiny, **options)) == without_times(first)
    first, again = (without_times(compare(None, None, tiny)) for _ in range(2))
    assert first == again
    other = compare(None, None, Settings(1, (1,), device="cpu", verbose=False))
    assert all(one["map_at_r"] != two["map_at_r"] for one, two in zip(first, other, strict=True))


def test_a_stored_comparison_is_not_trained_again(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "softmax")
    first = compare(tmp_path / "seen.json", None, tiny)
    monkeypatch.setattr(comparison, "fit_method", forbidden)
    assert compare(tmp_path / "seen.json", None, tiny) == first


def test_another_arithmetic_gives_other_results(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "softmax")
    compare(tmp_path / "seen.json", tmp_path / "runs", tiny)
    faster = replace(tiny, speed=Speed(bfloat16=True, channels_last=True))
    compare(tmp_path / "seen.json", tmp_path / "runs", faster)
    stored = json.loads((tmp_path / "seen.json").read_text())
    assert [result["speed"] for result in stored] == ["float32"] * 2 + ["bfloat16, channels last"] * 2
    assert len(list((tmp_path / "runs").iterdir())) == 4


def test_unseen_classes_are_never_trained_on(tiny: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "siamese", "triplet", "softmax")
    fit_method, trained = comparison.fit_method, []

    def record(experiment: Any, train: Images, test: Images, n_epochs: int, *more: Any, **options: Any) -> Any:
        trained.append((train.classes, test.classes, n_epochs, experiment.embedding_size))
        return fit_method(experiment, train, test, n_epochs, *more, **options)

    monkeypatch.setattr(comparison, "fit_method", record)
    results = compare_unseen(None, tiny, sizes=(2, 5), datasets=("fashion-mnist",))
    names = ["siamese", "triplet", "softmax", "untrained"]
    assert [(result["method"], result["embedding_size"]) for result in results] == [
        *((name, 2) for name in names),
        *((name, 5) for name in (*names, "pixels")),
    ]
    seen, unseen = ([f"bar {number}" for number in part] for part in split_classes(10, 0))
    assert trained == [(seen, seen, int(name != "untrained"), size) for size in (2, 5) for name in names]
    for result in results:
        assert result["unseen_classes"] == unseen
        for part in ("unseen", "seen", "transfer"):
            assert set(METRICS) <= set(result[part])
            assert all(0 <= value <= 1 for value in result[part].values())
        assert {"one_shot", "five_shot"} <= set(result["unseen"]) & set(result["transfer"])
    own, other = bars(False, transposed=True), bars(False)
    held_out = own.of_classes(split_classes(10, 0)[1])
    for part, images in (("unseen", held_out), ("transfer", other)):
        metrics = among_themselves((normalization(0.3, 0.3)(images.data).flatten(1), images.targets))
        assert results[-1][part] == pytest.approx(results[-1][part] | metrics, abs=1e-6)  # of the pixels
    assert results[-1]["unseen"]["map_at_r"] != results[-1]["transfer"]["map_at_r"]


def test_a_sweep_changes_one_setting_at_a_time(tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = {"selector": [{"selector": "batch-all"}], "P × K": [{"n_classes": 2, "n_samples": 3}]}
    monkeypatch.setattr(sweep_module, "SWEPT", swept)
    fit_method, trained = comparison.fit_method, []
    monkeypatch.setattr(
        comparison,
        "fit_method",
        lambda experiment, *more, **options: trained.append(experiment) or fit_method(experiment, *more, **options),
    )
    results = sweep(tmp_path / "sweep.json", tiny, "mnist")
    assert [(result["swept"], result["change"]) for result in results] == [
        ("selector", {"selector": "batch-all"}),
        ("P × K", {"n_classes": 2, "n_samples": 3}),
    ]
    base = METHODS["online-triplet"]
    assert [(method.selector, method.n_classes, method.n_samples, method.margin) for method in trained] == [
        ("batch-all", base.n_classes, base.n_samples, base.margin),
        (base.selector, 2, 3, base.margin),
    ]
    assert all(0 <= result["map_at_r"] <= 1 for result in results)
    assert sweep(tmp_path / "sweep.json", tiny, "mnist") == results
    assert len(trained) == 2
    own = sweep(None, tiny, "mnist", {"size": [{"embedding_size": 3}]})
    assert [(result["swept"], result["change"]) for result in own] == [("size", {"embedding_size": 3})]
    assert trained[-1].embedding_size == 3


def test_a_longer_run_does_not_resume_a_shorter_one(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "softmax")
    longer = comparison.replace(tiny, n_epochs=5)  # the learning rate falls later
    expected = compare(None, None, longer)
    compare(tmp_path / "results.json", tmp_path / "runs", tiny)
    results = compare(tmp_path / "results.json", tmp_path / "runs", longer)
    assert [result["map_at_r"] for result in results] == [result["map_at_r"] for result in expected]


def test_results_of_the_embedded_subset_are_kept_apart_from_the_full_data(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "softmax")
    for subset in ("embedded", "embedded:5"):
        compare(tmp_path / "results.json", tmp_path / "runs", comparison.replace(tiny, subset=subset))
    stored = {path.stem.partition("embedded")[2] for path in (tmp_path / "runs").glob("*-embedded*.pt")}
    assert stored == {"", "-5"}
    monkeypatch.setattr(comparison, "fit_method", forbidden)
    with pytest.raises(AssertionError):
        compare(tmp_path / "results.json", None, tiny)


@pytest.mark.parametrize("part", [compare, compare_unseen, sweep])
def test_an_interrupted_run_has_no_result(
    part: Callable, tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> dict:
        raise KeyboardInterrupt

    only(monkeypatch, "siamese", "online-triplet")
    monkeypatch.setattr(sweep_module, "SWEPT", {"margin": [{"margin": 0.5}]})
    monkeypatch.setattr("siamese_triplet.trainer.epoch.train_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        part(tmp_path / "results.json", *([None] if part is compare else []), tiny)
    assert not (tmp_path / "results.json").exists()


def test_every_change_of_the_sweep_is_a_valid_method() -> None:
    for changes in sweep_module.SWEPT.values():
        for change in changes:
            experiment = comparison.replace(METHODS["online-triplet"], **change)
            assert experiment.loss(0) is not None


# tables


def of_seeds(**values: list[float]) -> list[dict[str, Any]]:
    return [{"name": name, "x": x} for name, seeds in values.items() for x in seeds]


def test_a_table_shows_means_of_seeds() -> None:
    results = [{"name": "a", "x": 0.1}, {"name": "b", "x": 0.3}, {"name": "a", "x": 0.2}, {"name": "c"}]
    columns = {"x": lambda result: result["x"]}
    lines = ["|  | x |", "| --- | ---: |", "| a | 15.0\u00a0±\u00a07.1 |", "| b | 30.0 |", "| c | – |"]
    assert table(results, "name", columns).splitlines() == lines
    plain = table(results, "name", columns, percent=False).splitlines()
    assert plain[2:] == ["| a | 0.150\u00a0±\u00a00.071 |", "| b | 0.300 |", "| c | – |"]
    assert table([], "n", {"x": None}) == "|  | x |\n| --- | ---: |"


@pytest.mark.parametrize(
    ("results", "bold"),
    [
        (of_seeds(a=[0.91, 0.92, 0.93], b=[0.85, 0.86, 0.87], c=[0.2]), "a"),  # ahead of all
        (of_seeds(a=[0.91, 0.92, 0.93], b=[0.88, 0.89, 0.90]), None),  # the intervals overlap
        (of_seeds(a=[0.91, 0.92, 0.93], b=[0.91, 0.92, 0.93], c=[0.1, 0.1, 0.1]), None),  # a tie
        (of_seeds(a=[0.91, 0.92], b=[0.1, 0.1, 0.1]), None),  # two seeds
        (of_seeds(a=[0.91, 0.92, 0.93], b=[0.7, 0.8]), None),  # the other has two, which say little
        (of_seeds(a=[0.91, 0.92, 0.93], b=[0.90]), None),  # one value inside of the interval
        (of_seeds(a=[0.91, 0.92, 0.93]), None),  # ahead of nobody
        ([*of_seeds(a=[0.91, 0.92, 0.93], b=[0.1]), {"name": "c"}], "a"),  # a row without the quantity does not count
    ],
)
def test_only_what_is_ahead_of_all_others_is_bold(results: list[dict[str, Any]], bold: str | None) -> None:
    text = table(results, lambda result: f"row {result['name']}", {"x": lambda result: result["x"]})
    assert [line.split(" | ")[0] for line in text.splitlines() if "**" in line] == [f"| row {bold}"] * bool(bold)
    assert "**" not in table(results, "name", {"x": lambda result: result["x"]}, best=False)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_intervals_are_those_of_students_t(n: int) -> None:
    values = [0.1 * number**2 for number in range(n)]
    sem = stats.sem(values)
    assert interval(values) == pytest.approx(stats.t.interval(0.95, n - 1, np.mean(values), sem), rel=1e-3)


def test_intervals_of_many_values_are_rather_too_wide() -> None:
    low, high = interval(range(100))
    exact_low, exact_high = stats.t.interval(0.95, 99, 49.5, stats.sem(range(100)))
    assert low < exact_low
    assert high > exact_high


def test_a_spread_is_a_mean_with_the_sample_deviation() -> None:
    assert spread([]) == "–"
    assert spread([1.25]) == "1.2"
    assert spread([0.5, 0.7], ".3f") == "0.600\u00a0±\u00a00.141"
    assert spread([1.0, 2.0, 3.0], ".0f") == "2\u00a0±\u00a01"


def test_results_without_a_quantity_are_left_out() -> None:
    assert quantities([{"x": 1}, {}, {"x": 3}], lambda result: result["x"]) == [1, 3]


def make_origin(**changes: str | int) -> dict:
    return {"date": "2026-01-02", "device": "AMD", "threads": 2, "torch": "2.4", "python": "3.11"} | changes


def test_the_origin_lists_all_values_that_differ() -> None:
    results = [
        {"seed": 10, "n_epochs": 20, "seconds": 3600, "made": make_origin()},
        {"seed": 2, "n_epochs": 7, "seconds": 1800, "made": make_origin(date="2026-01-01", threads=1)},
        {"seed": 2, "settings": {"n_epochs": 80}, "seconds": 0, "made": make_origin(torch="2.10")},
    ]
    assert origin(results, "some 12").splitlines() == [
        "- seeds: 2, 10",
        "- epochs: 7, 20, 80",
        "- training images: some 12",
        "- device: AMD, threads: 1, AMD, threads: 2",
        "- versions: torch 2.4, Python 3.11, torch 2.10, Python 3.11",
        "- dates: 2026-01-01, 2026-01-02",
        "- time to train, of 3 runs together: 1.5 hours",
    ]
