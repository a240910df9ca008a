"""The experiment on characters, on small archives and on crosses in place of characters."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omniglot_archives import minimal  # noqa: F401 - a fixture

from siamese_triplet import BalancedBatchSampler, Images, TensorLoader, extract_embeddings
from siamese_triplet.__main__ import main
from siamese_triplet.book import omniglot
from siamese_triplet.book.omniglot import (
    SLIGHT,
    TASKS,
    Characters,
    checkpoint_name,
    embed_views,
    error_table,
    evaluate_characters,
    reproduce_characters,
    selection_runs,
    train_characters,
)
from siamese_triplet.datasets import RandomWarp, normalization
from siamese_triplet.samplers import GroupedBatchSampler
from siamese_triplet.trainer import epoch as epochs

SMALL = Characters(
    n_epochs=1, n_classes=4, n_samples=3, embedding_size=8, image_size=16, width=4, turned=False, warped=False
)
ERRORS = {f"{where}_{n_way}_way_{k_shot}_shot" for where in ("within", "over") for n_way, k_shot in TASKS}


def characters(train: bool = True, n_classes: int = 12) -> Images:
    """Make classes of 20 noisy crosses each, in groups of four."""
    generator = torch.Generator().manual_seed(int(train))
    targets = torch.arange(n_classes).repeat_interleave(20)
    data = torch.randint(0, 60, (len(targets), 16, 16), generator=generator)
    for number, label in enumerate(targets.tolist()):
        data[number, 2 + label] += 190
        data[number, :, 13 - label] += 3
    names = [f"character {label}" for label in range(n_classes)]
    transform = normalization(0.2, 0.3)
    return Images(data.byte(), targets, names, train, transform, targets // 4, ["x", "y", "z"][: -(-n_classes // 4)])


def train(settings: Characters, seed: int = 0, **options: Any) -> tuple:
    return train_characters(settings, characters(), seed, device="cpu", verbose=False, **options)


@pytest.fixture
def few_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omniglot, "EPISODES", 30)


@pytest.fixture
def load_calls(few_episodes: None, monkeypatch: pytest.MonkeyPatch) -> list:
    """Replace Omniglot by `characters`, and record the arguments of each load."""
    calls = []

    def load_omniglot(train: bool, root: str | None, **options: Any) -> Images:
        calls.append((train, root, options))
        return characters(train)

    monkeypatch.setattr(omniglot, "load_omniglot", load_omniglot)
    return calls


# data and batches


def test_training_characters_are_turned_and_test_characters_are_not(minimal: Path) -> None:  # noqa: F811
    settings = Characters(image_size=20)
    train_set, test_set = (settings.load(train, minimal) for train in (True, False))
    assert (len(train_set.classes), len(train_set), len(train_set.group_names)) == (40, 800, 20)
    assert (len(test_set.classes), len(test_set), len(test_set.group_names)) == (6, 120, 3)
    assert train_set.data.shape[1:] == test_set.data.shape[1:] == (20, 20)
    assert len(dataclasses.replace(settings, turned=False).load(True, minimal).classes) == 10


def test_the_settings_reach_the_data_and_the_network(load_calls: list) -> None:
    settings = dataclasses.replace(SMALL, image_size=24, turned=True)
    assert len(settings.load(True, "somewhere").classes) == 48
    assert len(settings.load(False, subset=None).classes) == 12
    assert load_calls == [
        (True, "somewhere", {"subset": "minimal", "image_size": 24}),
        (False, None, {"subset": None, "image_size": 24}),
    ]
    net = dataclasses.replace(settings, unit_sphere=False).network()
    assert (net.embedding_size, net.input_size, net.unit_sphere) == (8, (1, 24, 24), False)
    assert net.convnet[0].out_channels == 4


def test_batches_come_from_all_groups_or_a_few() -> None:
    images = characters()
    plain = SMALL.sampler(images, 3)
    assert isinstance(plain, BalancedBatchSampler)
    assert list(plain) == list(BalancedBatchSampler(images.targets, 4, 3, seed=3))
    few = dataclasses.replace(SMALL, n_groups=2).sampler(images, 3)
    assert isinstance(few, GroupedBatchSampler)
    assert list(few) == list(GroupedBatchSampler(images.targets, images.groups, 2, 4, 3, 3))
    images.groups = None
    with pytest.raises(ValueError, match="n_groups=2, but the images have no groups"):
        dataclasses.replace(SMALL, n_groups=2).sampler(images, 0)


# training


@pytest.mark.parametrize("changes", [{}, {"n_groups": 2, "n_classes": 2}, {"warped": True}, {"bfloat16": True}])
def test_an_epoch_changes_the_network_and_the_seed_decides_the_result(changes: dict) -> None:
    settings = dataclasses.replace(SMALL, **changes)
    model, history = train(settings)
    torch.manual_seed(9)
    again, other = train(settings), train(settings, seed=1)
    assert history.n_epochs == 1
    assert history["train_loss"] == again[1]["train_loss"] != other[1]["train_loss"]
    torch.testing.assert_close(model.state_dict(), again[0].state_dict(), rtol=0, atol=0)
    torch.manual_seed(0)
    assert not torch.equal(model.fc.weight, settings.network().fc.weight)


def test_training_warps_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []
    monkeypatch.setattr(omniglot, "RandomWarp", lambda **given: seeds.append(given) or RandomWarp(**given))
    train(SMALL, 5)
    assert seeds == []
    train(dataclasses.replace(SMALL, warped=True), 5)
    assert seeds == [{"seed": 5}]


def test_the_learning_rate_rises_and_then_falls_to_zero() -> None:
    settings, rates = dataclasses.replace(SMALL, n_epochs=20), []
    train(settings, callbacks=[lambda epoch, history, model: rates.append(history["learning_rate"][-1])])
    assert max(rates) == pytest.approx(settings.learning_rate, rel=0.02)
    assert rates.index(max(rates)) in (1, 2)
    assert rates[0] < settings.learning_rate / 3
    assert rates[-1] < settings.learning_rate / 50
    assert rates[3:] == sorted(rates[3:], reverse=True)


@pytest.mark.parametrize("n_epochs", [1, 8, 9, 10, 19])
def test_any_number_of_epochs_has_a_schedule(n_epochs: int) -> None:
    history = train(dataclasses.replace(SMALL, n_epochs=n_epochs, width=1))[1]
    assert max(history["learning_rate"]) <= SMALL.learning_rate * 1.001
    assert history["learning_rate"][-1] < max(history["learning_rate"]) or n_epochs == 1


def test_a_resumed_training_continues_its_warps(tmp_path: Path) -> None:
    settings = dataclasses.replace(SMALL, n_epochs=3, warped=True)
    whole, expected = train(settings)
    path = tmp_path / "run.pt"
    assert train(settings, checkpoint=path, callbacks=[lambda epoch, *_: epoch == 1])[1].n_epochs == 1
    resumed, history = train(settings, checkpoint=path)
    assert history["train_loss"] == expected["train_loss"]
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict(), rtol=0, atol=0)


@pytest.mark.usefixtures("few_episodes")
@pytest.mark.parametrize("changes", [{}, {"n_groups": 2, "n_classes": 2}])
def test_the_error_falls_far_below_chance(changes: dict) -> None:
    model, _ = train(dataclasses.replace(SMALL, n_epochs=4, width=8, **changes))
    errors = evaluate_characters(*embed_views(model, characters(False)), characters().groups)
    assert errors["over_5_way_1_shot"] < 0.2  # 0.8 by chance
    assert errors["within_5_way_5_shot"] < 0.2


# evaluation


def test_one_view_is_the_plain_embedding() -> None:
    model, images = SMALL.network(), characters(False)
    embeddings, labels = embed_views(model, images)
    expected = extract_embeddings(TensorLoader(images, 500, device="cpu"), model)
    assert torch.equal(embeddings, expected[0])
    assert torch.equal(labels, images.targets)


def test_many_views_are_averaged_over_the_image_and_its_warps() -> None:
    model, images = SMALL.network(), characters(False)
    embeddings, labels = embed_views(model, images, 3, seed=4)
    warp = RandomWarp(**SLIGHT, seed=4)
    views = [
        extract_embeddings(TensorLoader(images, 500, device="cpu", augment=augment), model)[0]
        for augment in (None, warp, warp)
    ]
    assert not torch.allclose(views[1], views[2])
    torch.testing.assert_close(embeddings, torch.stack(views).mean(dim=0))
    assert torch.equal(labels, images.targets)
    assert not torch.equal(embeddings, embed_views(model, images, 3, seed=5)[0])
    assert model.training


@pytest.mark.usefixtures("few_episodes")
def test_a_perfect_embedding_makes_no_errors_and_noise_errs_like_chance() -> None:
    labels = torch.arange(60).repeat_interleave(20)
    groups = labels // 20
    noise = torch.randn(1200, 8, generator=torch.Generator().manual_seed(0))
    perfect = evaluate_characters(torch.nn.functional.one_hot(labels).float() + 1e-3 * noise[:, :1], labels, groups)
    chance = evaluate_characters(noise, labels, groups)
    metrics = {"recall_at_1", "r_precision", "map_at_r", "mrr", "auc", "eer"}
    assert set(perfect) == set(chance) == ERRORS | {f"{name}_interval" for name in ERRORS} | metrics
    assert all(perfect[name] == 0 for name in ERRORS)
    assert all(perfect[f"{name}_interval"] == (0, 0) for name in ERRORS)
    assert perfect["map_at_r"] == pytest.approx(1)
    for name in ERRORS:
        n_way = int(name.split("_")[1])
        low, high = chance[f"{name}_interval"]
        assert 0 <= low <= chance[name] <= high <= 1
        assert chance[name] == pytest.approx(1 - 1 / n_way, abs=0.1)


@pytest.mark.usefixtures("few_episodes")
def test_episodes_within_a_group_are_harder_if_its_classes_look_alike() -> None:
    labels = torch.arange(40).repeat_interleave(20)
    groups = labels // 8  # fewer classes than 20
    noise = torch.randn(800, 5, generator=torch.Generator().manual_seed(0))
    errors = evaluate_characters(10 * torch.nn.functional.one_hot(groups).float() + noise, labels, groups)
    assert errors["within_5_way_1_shot"] > errors["over_5_way_1_shot"] + 0.2
    assert errors == evaluate_characters(10 * torch.nn.functional.one_hot(groups).float() + noise, labels, groups)


# the whole experiment


def test_results_are_stored_and_not_computed_again(
    load_calls: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [("plain, small", SMALL, seed) for seed in (0, 1)]
    options = {"root": "somewhere", "device": "cpu", "n_views": 2, "n_episodes": 20, "verbose": False}
    results = reproduce_characters(tmp_path / "new" / "results.json", tmp_path / "runs", runs, **options)
    assert [(result["name"], result["seed"]) for result in results] == [("plain, small", 0), ("plain, small", 1)]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        checkpoint_name("plain, small", SMALL, seed) for seed in (0, 1)
    ]
    for result in results:
        assert result["settings"] == dataclasses.asdict(SMALL)
        assert set(result["one_view"]) == set(result["many_views"]) >= ERRORS
        assert (result["train_classes"], result["test_groups"]) == (12, ["x", "y", "z"])
        assert (result["n_views"], result["n_episodes"]) == (2, 20)
        assert len(result["loss"]) == 1
        assert result["seconds"] > 0
    assert {root for _, root, _ in load_calls} == {"somewhere"}
    monkeypatch.setattr(omniglot, "train_characters", None)
    again = reproduce_characters(tmp_path / "new" / "results.json", tmp_path / "runs", runs[::-1], **options)
    assert json.dumps(again) == json.dumps(results[::-1])


LONGER = dataclasses.replace(SMALL, n_epochs=3)


def run_longer(folder: Path | None = None) -> list[dict]:
    path, runs = folder and folder / "results.json", [("batch-all", LONGER, 0)]
    return reproduce_characters(path, folder, runs, device="cpu", n_views=1, verbose=False)


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> list:
    """Press Ctrl-C in the epoch after `after` of them; the list returned grows with each epoch."""
    train_epoch, done = epochs.train_epoch, []

    def epoch(*given: Any) -> dict:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(1)
        return train_epoch(*given)

    monkeypatch.setattr(epochs, "train_epoch", epoch)
    return done


@pytest.mark.usefixtures("load_calls")
def test_an_interrupted_experiment_resumes_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [expected] = run_longer()
    train(
        LONGER, checkpoint=tmp_path / checkpoint_name("batch-all", LONGER, 0), callbacks=[lambda epoch, *_: epoch == 2]
    )
    done = interrupt(monkeypatch, after=99)
    [result] = run_longer(tmp_path)
    assert len(done) == 1
    assert (result["loss"], result["one_view"]) == (expected["loss"], expected["one_view"])


@pytest.mark.usefixtures("load_calls")
def test_an_interrupted_run_has_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, after=2)
    with pytest.raises(KeyboardInterrupt):
        run_longer(tmp_path)
    assert not (tmp_path / "results.json").exists()


@pytest.mark.usefixtures("load_calls")
def test_a_run_with_other_settings_is_trained_again(tmp_path: Path) -> None:
    slow = dataclasses.replace(SMALL, learning_rate=1e-5)
    losses = [
        reproduce_characters(None, tmp_path, [("x", settings, 0)], device="cpu", n_views=1, verbose=False)[0]["loss"]
        for settings in (SMALL, slow)
    ]
    assert losses[1] == train(slow)[1]["train_loss"] != losses[0]


@pytest.mark.usefixtures("load_calls")
def test_without_paths_nothing_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reproduce_characters(None, None, [("x", SMALL, 0)], device="cpu", n_views=1, verbose=False)
    assert list(tmp_path.iterdir()) == []


def test_the_comparison_of_selectors_has_ten_valid_settings() -> None:
    runs = selection_runs(SMALL, seeds=(0, 1))
    names = list(dict.fromkeys(name for name, _, _ in runs))
    assert [(name, seed) for name, _, seed in runs] == [(name, seed) for seed in (0, 1) for name in names]
    assert len(names) == 10
    assert [name for name in names if "," not in name] == ["batch-all", "semi-hard", "random", "hardest", "batch-hard"]
    by_name = {name: settings for name, settings, _ in runs}
    assert by_name["batch-all"] == SMALL
    assert by_name["batch-all, no turned characters"].n_epochs == 4 * SMALL.n_epochs  # as many images
    two_alphabets = by_name["batch-all, two alphabets per batch"]
    assert (two_alphabets.n_groups, two_alphabets.n_classes) == (2, 20)
    assert not by_name["batch-all, no warps"].warped
    embeddings = torch.randn(24, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for _, settings, seed in runs:
        loss = settings.loss(seed)(embeddings, torch.arange(24) // 4)[0]
        [gradient] = torch.autograd.grad(loss, embeddings)
        assert loss.isfinite()
        assert gradient.isfinite().all()


def test_the_table_has_the_errors_of_the_runs() -> None:
    def result(name: str, many: float, one: float) -> dict:
        views = {"many_views": dict.fromkeys(ERRORS, many), "one_view": dict.fromkeys(ERRORS, one)}
        views["many_views"]["over_5_way_5_shot"] = 0.0
        return {"name": name} | views

    results = [result("a", 0.125, 0.25), result("b", 0.5, 1), result("a", 0.375, 0.25)]
    tasks = [f"{n_way}-way {k_shot}-shot" for n_way, k_shot in ((20, 1), (20, 5), (5, 1), (5, 5))]
    assert error_table(results).splitlines() == [
        "|  | " + " | ".join(f"{where}, {task}" for where in ("within", "over") for task in tasks) + " |",
        "| --- |" + " ---: |" * 8,
        "| a |" + " 25.0\u00a0±\u00a017.7 |" * 7 + " 0.0\u00a0±\u00a00.0 |",
        "| b |" + " 50.0 |" * 7 + " 0.0 |",
    ]
    assert error_table(results, "one_view").splitlines()[2] == "| a |" + " 25.0\u00a0±\u00a00.0 |" * 8


@pytest.mark.usefixtures("few_episodes")
def test_omniglot_runs_from_the_command_line(
    minimal: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    make: Callable[..., Characters] = lambda n_epochs: dataclasses.replace(SMALL, n_epochs=n_epochs)  # noqa: E731
    make.n_epochs = 1
    monkeypatch.setattr("siamese_triplet.book.cli.Characters", make)
    folders = ["--data", str(minimal), "--results", str(tmp_path), "--out", str(tmp_path / "runs")]
    assert main(["omniglot", "--seeds", "1", "--device", "cpu", *folders]) == 0
    assert "| batch-all |" in capsys.readouterr().out
    [result] = json.loads((tmp_path / "omniglot.json").read_text())
    assert (result["train_classes"], result["settings"]["n_epochs"]) == (10, 1)
    assert result["test_groups"] == ["Japanese_(katakana)", "Sanskrit", "Tagalog"]
