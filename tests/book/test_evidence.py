"""The controlled comparisons on small data."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_comparison import bars

from siamese_triplet import Images
from siamese_triplet.book import comparison, evidence, plane
from siamese_triplet.book.comparison import Settings, compare
from siamese_triplet.book.evidence import (
    ARMS,
    MINING,
    RECOMMENDED,
    UNTRAINED,
    Arm,
    compare_arms,
    evidence_results,
    evidence_table,
    measure_costs,
    measure_references,
    on_the_sphere,
    reference_results,
)
from siamese_triplet.book.plane import Plane, measure_plane
from siamese_triplet.methods import METHODS


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Settings:
    def load(name: str, train: bool, root: str | None, subset: str | None) -> Images:
        return bars(train, transposed=name == "fashion-mnist")

    monkeypatch.setattr(comparison, "load", load)
    return Settings(n_epochs=1, seeds=(0,), device="cpu", verbose=False)


def test_the_arms_of_mining_differ_in_selection_alone() -> None:
    for unmined, mined in (
        ("pairs, online unmined", "pairs, online mined"),
        ("triplets, online unmined", "triplets, online random with a loss"),
        ("triplets, online unmined", "triplets, online semi-hard"),
    ):
        selector = MINING[mined].method.selector
        assert replace(MINING[unmined].method, selector=selector) == MINING[mined].method
        assert MINING[unmined].share == MINING[mined].share


def test_recommended_runs_have_as_many_images_and_steps() -> None:
    settings, train = Settings(n_epochs=20), bars(n_per_class=600)
    steps, images = [], []
    for name, arm in RECOMMENDED.items():
        assert (arm.method.embedding_size, arm.method.unit_sphere) == (16, True)
        if name == UNTRAINED:
            assert arm.n_epochs(settings) == 0
            continue
        n_epochs = arm.n_epochs(settings)
        steps.append(n_epochs * len(arm.method.loader(train)))
        images.append(n_epochs * len(train) * comparison.INPUTS.get(arm.method.method, 1))
    assert max(steps) < 1.1 * min(steps)
    assert max(images) < 1.1 * min(images)


def test_a_share_of_the_epochs_replaces_equal_images() -> None:
    triplet, pairs = METHODS["triplet"], METHODS["siamese"]
    settings = Settings(n_epochs=20)
    assert [Arm(triplet).n_epochs(settings), Arm(pairs).n_epochs(settings)] == [7, 10]
    assert Arm(triplet, evidence.AT_EQUAL_STEPS).n_epochs(settings) == 10
    assert Arm(triplet, 0.01).n_epochs(settings) == 1
    assert Arm(triplet, 0.0).n_epochs(settings) == 0


def test_arms_are_trained_once_and_kept(tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mining.json"
    arms = {name: MINING[name] for name in ("triplets, offline random", "triplets, online unmined")}
    results = compare_arms(path, arms, tiny, tmp_path / "work")
    offline, online = results
    assert [result["name"] for result in results] == list(arms)
    assert (offline["n_steps"], offline["n_images"]) == (2, 3 * 250)
    assert (online["n_steps"], online["n_images"]) == (1, 250)
    assert all(0 < result["map_at_r"] <= 1 for result in results)
    assert json.loads(path.read_text()) == results == evidence_results(tmp_path, "mining")
    assert evidence_results(tmp_path, "mining", ["triplets, online unmined"]) == [online]
    monkeypatch.setattr(comparison, "fit_method", None)
    assert compare_arms(path, arms, tiny) == results


def test_a_run_of_the_comparison_is_taken_over(tiny: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "METHODS", {"triplet": METHODS["triplet"]})
    stored = compare(None, None, tiny)
    arms = {name: MINING[name] for name in ("triplets, offline random", "triplets, offline random, as many steps")}
    monkeypatch.setattr(comparison, "fit_method", None)  # nothing can be trained
    [kept, _] = compare_arms(None, arms, tiny, stored=stored)
    fashion = next(result for result in stored if result["dataset"] == "fashion-mnist")
    assert {name: kept[name] for name in fashion if name != "method"} == {
        name: value for name, value in fashion.items() if name != "method"
    }
    for other in ({"seeds": (1,)}, {"n_epochs": 4}, {"subset": "embedded"}):
        with pytest.raises(TypeError):
            compare_arms(None, arms, replace(tiny, **other), stored=stored)
    changed = {"other margin": Arm(replace(METHODS["triplet"], margin=2.0))}
    with pytest.raises(TypeError):
        compare_arms(None, changed, tiny, stored=stored)


def test_references_have_pixels_an_untrained_network_and_the_cosine(tiny: Settings) -> None:
    results = measure_references(None, tiny)
    assert [(result["name"], result["dataset"]) for result in results] == [
        (name, dataset) for name in ("pixels", "untrained network", "softmax") for dataset in ("mnist", "fashion-mnist")
    ]
    assert [("cosine" in result) for result in results] == [False] * 4 + [True] * 2
    for result in results[4:]:
        assert result["cosine"]["map_at_r"] != result["map_at_r"]


def test_stored_references_are_those_of_one_data_set(tmp_path: Path) -> None:
    stored = [{"name": name, "dataset": dataset} for name in ("pixels", "softmax") for dataset in comparison.DATASETS]
    (tmp_path / "references.json").write_text(json.dumps(stored))
    assert reference_results(tmp_path) == [stored[1]]
    assert reference_results(tmp_path, ["softmax"], "mnist") == [stored[2]]
    assert reference_results(None) == []


def test_on_the_sphere_a_ray_is_a_point() -> None:
    rays = torch.tensor([[1.0, 1.0], [30.0, 30.0], [0.0, 2.0]])
    embeddings, labels = on_the_sphere((rays, torch.arange(3)))
    assert torch.allclose(embeddings[0], embeddings[1])
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(3))
    assert labels.tolist() == [0, 1, 2]


def test_the_table_shows_steps_and_images() -> None:
    result: dict[str, Any] = {"name": "a", "n_steps": 4690, "n_images": 1_200_000, "map_at_r": 0.5}
    untrained = [{"name": "pixels", "map_at_r": 0.3}, {"name": "b", "n_steps": 0, "n_images": 0, "map_at_r": 0.2}]
    lines = evidence_table([result, *untrained], {"MAP@R": "map_at_r"}).splitlines()
    assert lines[2:] == ["| a: 4,690 steps, 1.2 million images | 50.0 |", "| pixels | 30.0 |", "| b | 20.0 |"]
    assert evidence_results(None, "mining") == []
    assert set(ARMS) == {"mining", "steps", "early", "recommended"}


def test_the_network_of_the_plane_is_trained_once_and_kept(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, chosen = tmp_path / "plane.json", Plane(n_epochs=2, n_samples=5, width=4)
    [result] = measure_plane(path, chosen, tiny, tmp_path / "work")
    assert (result["n_steps"], result["n_images"]) == (10, 500)
    assert (tmp_path / "work" / "plane-2-0.pt").exists()
    monkeypatch.setattr(plane, "train_plane", None)
    assert measure_plane(path, chosen, tiny) == [result] == json.loads(path.read_text())
    with pytest.raises(TypeError):
        measure_plane(path, replace(chosen, margin=2.0), tiny)


def test_the_embeddings_of_the_plane_depend_on_seed_and_images_alone() -> None:
    chosen = Plane(n_epochs=1, n_samples=5, width=4)
    embedded = []
    for seed in (0, 0, 1):
        model, _ = plane.train_plane(chosen, bars(), seed, device="cpu", verbose=False)
        embedded.append(evidence.embed(model, bars(train=False))[0])
    assert embedded[0].shape == (250, 2)
    assert torch.equal(embedded[0], embedded[1])
    assert not torch.equal(embedded[0], embedded[2])


def test_pairs_and_classes_train_the_features_and_each_its_own_part() -> None:
    images = bars()
    net = plane.PlaneNet((1, 16, 16), 10, Plane(width=4))
    points, logits = net(torch.stack([images[number][0] for number in range(0, 250, 10)]))
    assert (points.shape, logits.shape) == ((25, 2), (25, 10))
    target = torch.as_tensor(images.targets)[::10]
    loss = plane.PairsAndClasses(1.0)
    classes = torch.nn.functional.cross_entropy(logits, target)
    assert torch.allclose(loss(points, logits, target), loss.pairs(points, target) + classes)
    loss(points, logits, target).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())


def test_costs_are_the_seconds_of_training_alone(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {
        "mining": {name: MINING[name] for name in ("pairs, offline random", "pairs, online mined")},
        "early": evidence.EARLY,
        "recommended": {UNTRAINED: RECOMMENDED[UNTRAINED]},
    }
    monkeypatch.setattr(evidence, "ARMS", arms)
    seconds, trained = iter(range(100)), []

    def fit(self: Settings, method: Any, train: Images, test: None, seed: int, n_epochs: int) -> tuple[None, dict]:
        trained.append((method.method, len(method.loader(train)), test, n_epochs))
        return None, {"seconds": [len(method.loader(train)) * next(seconds)]}

    monkeypatch.setattr(Settings, "fit", fit)
    results = measure_costs(tmp_path / "costs.json", tiny, n_steps=1, n_rounds=3)
    assert trained == [("siamese", 1, None, 1), ("online-contrastive", 1, None, 1)] * 4
    assert [result["seconds"] for result in results] == [4, 5]  # of 2, 4, 6 and of 3, 5, 7; the first warms up
    assert measure_costs(tmp_path / "costs.json", tiny) == results
    assert len(trained) == 8
