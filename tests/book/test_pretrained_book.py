"""The experiment with a pretrained network, in small."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from siamese_triplet import Images, load
from siamese_triplet.__main__ import main
from siamese_triplet.book import pretrained
from siamese_triplet.book.pretrained import (
    FROZEN,
    HEAD,
    PIXELS,
    TUNED,
    FineTuning,
    augmentation,
    checkpoint_name,
    compare_starts,
    fine_tune,
    from_scratch,
    prepared,
    starts_table,
    train_head,
)
from siamese_triplet.book.results import read_results
from siamese_triplet.evaluation import frozen_features
from siamese_triplet.networks import layers

TINY = FineTuning(image_size=32, n_steps=2, n_classes=4, n_samples=2, embedding_size=8)


@pytest.fixture(scope="module")
def train_set() -> Images:
    return load("emoji").of_classes(range(0, 1190, 170))


@pytest.fixture(scope="module")
def test_set() -> Images:
    return load("emoji", train=False).of_classes(range(0, 400, 50))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, train_set: Images, test_set: Images) -> None:
    monkeypatch.setattr(pretrained, "load_emoji", lambda train=True: train_set if train else test_set)


def test_images_are_normalised_for_the_network_and_white_stays_white(train_set: Images) -> None:
    backbone = TINY.backbone()
    images = prepared(train_set, backbone)
    assert images.transform.transforms[2].mean == list(backbone.preprocessing.mean)
    assert train_set.transform.transforms[2].mean != images.transform.transforms[2].mean  # a copy
    white = images.transform(torch.full((5, 3, 32, 32), 255, dtype=torch.uint8))
    torch.testing.assert_close(augmentation(TINY, backbone, 0)(white), white, atol=1e-4, rtol=0)
    drawings = torch.stack([images[index][0] for index in range(5)])
    assert not torch.allclose(augmentation(TINY, backbone, 0)(drawings), drawings, atol=0.1)


@pytest.mark.parametrize("n_frozen", [0, 5])
def test_all_but_the_frozen_layers_and_the_statistics_are_trained(train_set: Images, n_frozen: int) -> None:
    model, history = fine_tune(replace(TINY, n_frozen=n_frozen), train_set, device="cpu", verbose=False)
    assert history.n_epochs >= 1
    before = TINY.backbone()
    for number, (old, new) in enumerate(zip(layers(before), layers(model[1]), strict=True)):
        for name, value in new.state_dict().items():
            is_trained = number >= n_frozen and name.endswith(("weight", "bias"))
            assert torch.equal(value, old.state_dict()[name]) is not is_trained, (number, name)


def test_the_same_seed_trains_the_same_network(train_set: Images) -> None:
    heads = [fine_tune(TINY, train_set, seed, device="cpu", verbose=False)[0][2].fc.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_head_is_trained_on_features(train_set: Images) -> None:
    features = frozen_features(TINY.backbone(), train_set)
    head, _ = train_head(TINY, features, 1, verbose=False)
    torch.manual_seed(1)
    untrained = nn.Linear(1280, 8)
    assert head.fc.weight.shape == untrained.weight.shape
    assert not torch.allclose(head.fc.weight, untrained.weight, atol=1e-4)


def test_results_are_kept_and_not_computed_again(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pretrained.json"
    results = compare_starts(path, tmp_path / "runs", TINY, seeds=(0, 1), device="cpu", verbose=False)
    expected = [(PIXELS, 0), (FROZEN, 0), (HEAD, 0), (TUNED, 0), (HEAD, 1), (TUNED, 1)]
    assert [(result["name"], result["seed"]) for result in results] == expected
    assert read_results(path) == results
    assert {file.name for file in (tmp_path / "runs").glob("*.pt")} == {checkpoint_name(TINY, s) for s in (0, 1)}
    assert len({result["map_at_r"] for result in results}) == len(results)
    assert [result["seconds"] > 0 for result in results] == [False, False, True, True, True, True]
    monkeypatch.setattr(pretrained, "fine_tune", None)  # cannot be called
    assert compare_starts(path, tmp_path / "runs", TINY, seeds=(0, 1), device="cpu", verbose=False) == results


def test_other_settings_have_another_checkpoint() -> None:
    assert len({checkpoint_name(settings, 0) for settings in (TINY, replace(TINY, temperature=0.3))}) == 2


def test_the_table_has_costs_and_the_runs_from_scratch() -> None:
    result = {"recall_at_1": 0.5, "map_at_r": 0.25, "seconds": 0.0, "megabytes": 12.0}
    scratch = {"recall_at_1": 0.76, "map_at_r": 0.5, "seconds": 60.0}
    emoji = [{**scratch, "name": "all classes", "seed": 0}, {**scratch, "name": "10 classes", "seed": 0}]
    results = [
        {**result, "name": PIXELS},
        {**result, "name": PIXELS, "megabytes": 0.5},
        {**result, "name": TUNED, "seconds": 600.0, "megabytes": None},
    ]
    lines = starts_table([*results, *from_scratch(emoji)]).splitlines()[2:]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines] == [
        ["pixels", "50.0\u00a0±\u00a00.0", "25.0\u00a0±\u00a00.0", "–", "12"],
        ["small network from scratch", "76.0", "50.0", "1.0", "–"],
        ["whole network, fine-tuned", "50.0", "25.0", "10.0", "–"],
    ]


def test_the_command_prints_the_table(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in ("image_size", "n_classes", "n_samples"):
        monkeypatch.setattr(FineTuning.__init__, "__defaults__", _defaults(name, getattr(TINY, name)))
    folders = ["--results", str(tmp_path), "--out", str(tmp_path / "runs")]
    assert main(["pretrained", "--seeds", "1", "--steps", "1", "--device", "cpu", *folders]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"\| whole network, fine-tuned \| +[\d.]+ \|", printed)
    assert len(read_results(tmp_path / "pretrained.json")) == 4


def _defaults(name: str, value: object) -> tuple:
    fields = list(FineTuning.__dataclass_fields__)
    defaults = list(FineTuning.__init__.__defaults__)
    defaults[fields.index(name)] = value
    return tuple(defaults)
