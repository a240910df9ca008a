"""The experiment on emoji, in small."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from siamese_triplet import Images, load
from siamese_triplet.__main__ import main
from siamese_triplet.book import many_classes
from siamese_triplet.book.many_classes import (
    UNSEEN_DESIGNS,
    Emoji,
    compare_numbers,
    emoji_runs,
    evaluate_emoji,
    metrics_table,
    train_emoji,
)
from siamese_triplet.book.results import read_results
from siamese_triplet.evaluation import embed, retrieval_metrics

TINY = Emoji(n_steps=3, n_classes=6, n_samples=3, width=4, embedding_size=8)


@pytest.fixture(scope="module")
def train_set() -> Images:
    return load("emoji").of_classes(range(0, 1200, 20))


@pytest.fixture(scope="module")
def test_set() -> Images:
    return load("emoji", train=False).of_classes(range(0, 400, 10))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, train_set: Images, test_set: Images) -> None:
    monkeypatch.setattr(many_classes, "load_emoji", lambda train=True: train_set if train else test_set)


def test_a_seed_draws_the_classes_and_another_draws_others(train_set: Images) -> None:
    drawn = [set(replace(TINY, n_train_classes=10).choose(train_set, seed).classes) for seed in (0, 0, 1)]
    assert [len(classes) for classes in drawn] == [10, 10, 10]
    assert drawn[0] == drawn[1] != drawn[2]


def test_more_classes_include_the_fewer_of_the_same_seed(train_set: Images) -> None:
    few, many = (set(replace(TINY, n_train_classes=n).choose(train_set, 5).classes) for n in (10, 30))
    assert few < many


def test_designs_that_are_left_out_are_not_trained_on(train_set: Images) -> None:
    kept = replace(TINY, left_out=UNSEEN_DESIGNS).choose(train_set, 0)
    assert 0 < len(kept) < len(train_set)
    assert not {kept.source_names[source] for source in kept.sources} & set(UNSEEN_DESIGNS)


def test_white_stays_white(train_set: Images) -> None:
    white = train_set.transform(torch.full((5, 3, 32, 32), 255, dtype=torch.uint8))
    changed = TINY.augment(train_set, seed=0)(white)
    torch.testing.assert_close(changed, white, atol=1e-4, rtol=0)
    drawings = torch.stack([train_set[index][0] for index in range(5)])
    assert not torch.allclose(TINY.augment(train_set, seed=0)(drawings), drawings, atol=0.1)


@pytest.mark.parametrize(("n", "n_steps"), [(None, 3), (4, 3)])
def test_the_number_of_steps_does_not_depend_on_the_number_of_classes(
    n: int | None, n_steps: int, train_set: Images
) -> None:
    steps = []
    settings = replace(TINY, n_train_classes=n, n_classes=60 if n is None else 6)
    train_emoji(settings, train_set, verbose=False, callbacks=[lambda epoch, history, model: steps.append(epoch)])
    chosen = settings.choose(train_set, 0)
    per_epoch = max(1, len(chosen) // (min(60, len(chosen.classes)) * 3))
    assert n_steps <= len(steps) * per_epoch < n_steps + per_epoch


def test_the_same_seed_trains_the_same_network(train_set: Images) -> None:
    nets = [train_emoji(replace(TINY, bfloat16=False), train_set, seed, verbose=False)[0] for seed in (1, 1, 2)]
    first, same, other = (net.fc.weight for net in nets)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_queries_of_designs_left_out_are_sought_among_the_other_designs(train_set: Images, test_set: Images) -> None:
    net = TINY.network()
    found = evaluate_emoji(net, replace(TINY, left_out=("noto",)), train_set, test_set)
    embeddings, labels = embed(net, test_set)
    assert found["map_at_r"] == retrieval_metrics(embeddings, labels)["map_at_r"]
    is_query = test_set.sources == 0
    across = retrieval_metrics(embeddings[is_query], labels[is_query], embeddings[~is_query], labels[~is_query])
    assert found["new_map_at_r"] == across["map_at_r"]
    assert found["known_map_at_r"] != found["new_map_at_r"]
    assert "new_map_at_r" not in evaluate_emoji(net, TINY, train_set, test_set)


def test_results_are_kept_and_not_computed_again(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [run for run in emoji_runs(TINY, seeds=(0, 1)) if run[0] in ("10 classes", "two designs left out")]
    results = compare_numbers(tmp_path / "emoji.json", runs, verbose=False)
    names = [(result["name"], result["seed"]) for result in results]
    assert names[:3] == [("pixels", 0), ("untrained network", 0), ("untrained network", 1)]
    assert len(names) == 7
    assert read_results(tmp_path / "emoji.json") == results
    monkeypatch.setattr(many_classes, "train_emoji", None)  # cannot be called
    assert compare_numbers(tmp_path / "emoji.json", runs, verbose=False) == results
    assert [line.split(" | ")[0].strip("| ") for line in metrics_table(results).splitlines()[2:]] == [
        "pixels",
        "untrained network",
        "10 classes",
        "two designs left out",
    ]
    assert "10 classes" not in metrics_table(results, "new_")


def test_the_runs_are_all_numbers_for_all_seeds() -> None:
    runs = emoji_runs(TINY)
    assert [name for name, _, seed in runs if seed == 2] == [
        "10 classes",
        "30 classes",
        "100 classes",
        "300 classes",
        "all classes",
        "two designs left out",
    ]
    assert {seed for _, _, seed in runs} == {0, 1, 2}


def test_the_command_writes_results_and_prints_the_table(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_classes, "NUMBERS", (4,))
    monkeypatch.setattr("siamese_triplet.book.cli.Emoji", lambda n_steps: replace(TINY, n_steps=n_steps))
    monkeypatch.setattr("siamese_triplet.book.cli.Emoji.n_steps", 3, raising=False)
    assert main(["emoji", "--steps", "2", "--seeds", "1", "--results", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "| 4 classes |" in printed
    assert {result["settings"]["n_steps"] for result in read_results(tmp_path / "emoji.json")} == {2}
