"""The experiment on Omniglot's official runs: on small archives, and the baseline on the real one if it is there."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from omniglot_archives import minimal, run_members, write_runs  # noqa: F401 - a fixture
from torch import Tensor

from siamese_triplet import few_shot_accuracy
from siamese_triplet.__main__ import main
from siamese_triplet.book import official
from siamese_triplet.book.hausdorff import hausdorff_errors, ink_points, modified_hausdorff
from siamese_triplet.book.official import (
    choice_runs,
    embed_turned,
    evaluate_official,
    evaluate_own,
    official_runs,
    official_table,
    reproduce_official,
    reproduce_references,
)
from siamese_triplet.book.official_settings import OfficialCharacters
from siamese_triplet.book.omniglot import embed_views, train_characters
from siamese_triplet.datasets import has_one_shot_runs, load_one_shot_runs

RESULTS = Path(__file__).parents[2] / "book" / "results"
SMALL = OfficialCharacters(
    n_epochs=1, n_classes=4, n_samples=3, embedding_size=8, image_size=16, width=4, warped=False, bfloat16=False
)


@pytest.fixture
def data(minimal: Path) -> Path:  # noqa: F811
    """A folder with small minimal sets and with one-shot runs made here."""
    write_runs(minimal, run_members())
    return minimal


# the baseline


def test_the_modified_hausdorff_distance_equals_plain_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (30, 40))

    def mean_nearest(points: list, others: list) -> float:
        return sum(min(math.dist(point, other) for other in others) for point in points) / len(points)

    expected = max(mean_nearest(*pair) for pair in ((left.tolist(), right.tolist()), (right.tolist(), left.tolist())))
    assert modified_hausdorff(left, right).item() == pytest.approx(expected, rel=1e-12)
    assert modified_hausdorff(left, left) == 0


def test_ink_is_measured_from_its_mean() -> None:
    drawing = torch.zeros(9, 9, dtype=torch.uint8)
    drawing[2, 3] = drawing[4, 7] = 255
    assert ink_points(drawing).tolist() == [[-1.0, -2.0], [1.0, 2.0]]
    assert torch.equal(ink_points(drawing), ink_points(drawing.roll((1, 1), (0, 1))))


def some_runs(root: Path | None, n: int) -> Any:
    images, support, queries = load_one_shot_runs(root)
    return official.OneShotRuns(images, support[:n], queries[:n])


def test_moved_drawings_have_no_hausdorff_error(tmp_path: Path) -> None:
    write_runs(tmp_path, run_members())
    runs = some_runs(tmp_path, 2)
    assert hausdorff_errors(runs).tolist() == [0, 0]
    swapped = runs._replace(queries=runs.queries.roll(1, 1))
    assert hausdorff_errors(swapped).tolist() == [1, 1]


@pytest.mark.skipif(not has_one_shot_runs(), reason="the official runs are not on this machine")
def test_the_baseline_of_the_repository_is_reproduced() -> None:
    [kept] = [row for row in json.loads((RESULTS / "omniglot-references.json").read_text()) if "errors" in row]
    assert kept["one_view"]["official"] == sum(kept["errors"]) / 20 == pytest.approx(0.3875)  # 38.8 %, as documented
    assert hausdorff_errors(some_runs(None, 2)).tolist() == kept["errors"][:2] == pytest.approx([0.45, 0.35])


# settings


def test_the_training_sets_have_no_alphabet_twice(data: Path) -> None:
    plain = dataclasses.replace(SMALL, turned=False, mirrored=False)
    small1 = plain.load(True, data)
    both = dataclasses.replace(plain, background="both").load(True, data)
    assert small1.group_names == ["Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"]
    assert both.group_names == [*small1.group_names, "Japanese_(katakana)", "Sanskrit", "Tagalog"]
    assert (len(small1.classes), len(both.classes), len(both)) == (10, 16, 320)
    for label, group in zip(both.targets.tolist(), both.groups.tolist(), strict=True):
        assert both.classes[label].split("/")[0] == both.group_names[group]
    assert torch.equal(both.data[:200], small1.data)


def test_the_alphabets_held_out_are_not_trained_on(data: Path) -> None:
    held_out = dataclasses.replace(SMALL, background="held out", turned=False, mirrored=False)
    train, val = held_out.load(True, data), held_out.load(False, data)
    assert train.group_names == ["Balinese", "Early_Aramaic", "Greek"]
    assert val.group_names == ["Korean", "Latin"]
    assert (train.targets.unique().tolist(), val.groups.unique().tolist()) == (list(range(6)), [0, 1])
    assert val.classes == ["Korean/character01", "Korean/character02", "Latin/character01", "Latin/character02"]


def test_mirrored_and_turned_characters_are_classes_of_their_own(data: Path) -> None:
    plain = dataclasses.replace(SMALL, turned=False, mirrored=False).load(True, data)
    images = SMALL.load(True, data)
    assert (len(images.classes), len(images), len(images.group_names)) == (80, 1600, 40)
    assert torch.equal(images.data[200:400], plain.data.flip(2))
    assert torch.equal(images.targets[200:400], plain.targets + 10)
    assert torch.equal(images.data[400 + 200 : 800], plain.data.flip(2).rot90(1, (1, 2)))
    assert images.classes[10] == "Balinese/character01 mirrored"
    assert len(SMALL.load(False, data)) == 120  # for the test, as they are


def test_the_runs_are_both_sets_with_every_seed_in_as_many_steps() -> None:
    runs = official_runs()
    assert [(settings.background, seed) for _, settings, seed in runs] == [
        (name, seed) for name in ("small1", "both") for seed in range(3)
    ]
    small1, both = (
        settings.n_epochs * n_batches for (_, settings, _), n_batches in zip(runs[::3], (108, 193), strict=True)
    )
    assert both == pytest.approx(small1, rel=0.05)
    assert len({dataclasses.replace(settings, n_epochs=1, background="") for _, settings, _ in runs}) == 1
    assert {settings.background for _, settings, _ in choice_runs()} == {"held out"}


# evaluation


def test_turns_are_embedded_side_by_side(data: Path) -> None:
    torch.manual_seed(0)
    model, images = SMALL.network(), load_one_shot_runs(data, image_size=16).images
    embeddings = embed_turned(model, images, n_views=1)
    assert embeddings.shape == (800, 32)
    for turn, part in enumerate(embeddings.chunk(4, dim=1)):
        turned = images.subset(range(800))
        turned.data = images.data.rot90(turn, (1, 2))
        torch.testing.assert_close(part, embed_views(model, turned)[0])


def one_hot(labels: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(labels).float()


def test_the_official_error_counts_wrong_answers(data: Path) -> None:
    runs = load_one_shot_runs(data, image_size=8)
    right = one_hot(runs.images.targets)
    assert evaluate_official(right, runs) == {"official": 0, "official_interval": (0, 0), "n_wrong": 0}
    wrong = right.clone()
    wrong[runs.queries[:2, 3, 0]] = right[runs.support[:2, 4, 0]]
    found = evaluate_official(wrong, runs)
    assert (found["official"], found["n_wrong"]) == (pytest.approx(2 / 400), 2)
    low, high = found["official_interval"]
    assert low < found["official"] < high


def test_our_own_protocol_is_that_of_the_chapter(data: Path) -> None:
    images = SMALL.load(False, data)
    embeddings = torch.randn(len(images), 4, generator=torch.Generator().manual_seed(0))
    expected = few_shot_accuracy(embeddings, images.targets, 20, 1, 5, 30, groups=images.groups, allow_fewer=True)
    assert evaluate_own(embeddings, images, 30)["within_20_way_1_shot"] == 1 - expected["prototype"]


# the whole experiment


def test_results_have_both_protocols_and_are_not_computed_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        (background, dataclasses.replace(SMALL, background=background), 0)
        for background in ("small1", "both", "held out")
    ]
    options = {"root": data, "device": "cpu", "n_views": 2, "n_episodes": 20, "verbose": False}
    results = reproduce_official(tmp_path / "official.json", tmp_path / "runs", runs, **options)
    measured = {result["name"]: set(result["many_views"]) for result in results}
    official_names = {"official", "official_interval", "n_wrong"}
    own_names = {"within_20_way_1_shot", "within_20_way_1_shot_interval"}
    assert measured == {"small1": official_names | own_names, "both": official_names, "held out": own_names}
    assert [result["train_classes"] for result in results] == [80, 128, 48]
    assert {result["n_views"] for result in results} == {8}
    monkeypatch.setattr(official, "train_characters", None)
    again = reproduce_official(tmp_path / "official.json", tmp_path / "runs", runs[::-1], **options)
    assert json.dumps(again) == json.dumps(results[::-1])
    more = [*runs, ("new", SMALL, 7)]
    assert len(reproduce_official(tmp_path / "official.json", None, more, **options, train=False)) == 3
    assert reproduce_official(None, None, more, **options, train=False) == []


def test_nets_of_all_seeds_are_evaluated_side_by_side(data: Path, tmp_path: Path) -> None:
    runs = [("small1", SMALL, seed) for seed in (0, 1)]
    options = {"root": data, "device": "cpu", "n_views": 1, "n_episodes": 20, "verbose": False}
    reproduce_official(None, tmp_path, runs, **options)
    options["side_by_side"] = True
    [found] = reproduce_official(tmp_path / "r.json", tmp_path, runs, **options)
    assert (found["name"], found["seed"], found["n_nets"]) == ("small1, the nets side by side", 0, 2)
    nets = []
    for seed in (0, 1):
        net, _ = train_characters(SMALL, SMALL.load(True, data), seed, device="cpu", verbose=False)
        nets.append(net)
    runs_of = load_one_shot_runs(data, image_size=16)
    both = torch.cat([embed_views(net, runs_of.images)[0] for net in nets], dim=1)
    assert found["one_view"]["official"] == pytest.approx(evaluate_official(both, runs_of)["official"])
    assert reproduce_official(tmp_path / "r.json", None, runs, **options) == [json.loads(json.dumps(found))]


def test_references_need_no_training(data: Path, tmp_path: Path) -> None:
    found = reproduce_references(tmp_path / "r.json", (0, 1), root=data, n_episodes=20, verbose=False)
    assert [(row["name"], row["seed"]) for row in found] == [
        ("modified Hausdorff distance", 0), ("pixels", 0), ("untrained network", 0), ("untrained network", 1),
    ]  # fmt: skip
    assert found[0]["errors"] == 20 * [0]
    assert found[2]["one_view"] != found[3]["one_view"]
    assert all("within_20_way_1_shot" in row["one_view"] for row in found[1:])
    own = reproduce_references(None, (0,), root=data, with_official=False, n_episodes=20, verbose=False)
    assert [row["name"] for row in own] == ["pixels", "untrained network"]
    runs = load_one_shot_runs(data, image_size=28)
    pixels = evaluate_official(runs.images.data.flatten(1).float(), runs)
    assert found[1]["one_view"]["official"] == pytest.approx(pixels["official"])


def test_the_table_has_a_dash_for_what_was_not_measured() -> None:
    results = [
        {"name": "a", "one_view": {"official": 0.125, "within_20_way_1_shot": 0.5}, "many_views": {"official": 0.0}},
        {"name": "a", "one_view": {"official": 0.375, "within_20_way_1_shot": 0.5}, "many_views": {"official": 0.0}},
        {"name": "b", "one_view": {"official": 0.25}},
    ]
    lines = official_table(results, "two").replace("\u00a0", " ").splitlines()
    assert lines[0] == "|  | official, one view | official, many views | two, one view |"  # nothing for many views
    assert lines[2:] == ["| a | 25.0 ± 17.7 | 0.0 ± 0.0 | 50.0 ± 0.0 |", "| b | 25.0 | – | – |"]


def test_one_command_runs_all(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("siamese_triplet.book.cli.official_runs", lambda seeds: [("small", SMALL, s) for s in seeds])
    monkeypatch.setattr("siamese_triplet.book.cli.choice_runs", list)
    monkeypatch.setattr(official, "EPISODES", 20)
    where = ["--results", str(tmp_path), "--out", str(tmp_path / "runs"), "--data", str(data), "--device", "cpu"]
    assert main(["omniglot", "--official", "--seeds", "1", *where]) == 0
    assert "| modified Hausdorff distance | 0.0 |" in capsys.readouterr().out
    assert {path.name for path in tmp_path.glob("*.json")} >= {"omniglot-official.json", "omniglot-references.json"}
