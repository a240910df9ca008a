"""The experiment on emoji, in small."""

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

from siamese_triplet import Images, load
from siamese_triplet.__main__ import main
from siamese_triplet.book import emoji_figures, many_classes
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
    monkeypatch.setattr("siamese_triplet.book.cli.load_emoji", lambda train=True: train_set if train else test_set)


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


def test_results_are_kept_and_not_computed_again(
    train_set: Images, test_set: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run for run in emoji_runs(TINY, seeds=(0, 1)) if run[0] in ("10 classes", "two designs left out")]
    results = compare_numbers(tmp_path / "emoji.json", runs, train_set, test_set, verbose=False)
    names = [(result["name"], result["seed"]) for result in results]
    assert names[:3] == [("pixels", 0), ("untrained network", 0), ("untrained network", 1)]
    assert len(names) == 7
    assert read_results(tmp_path / "emoji.json") == results
    monkeypatch.setattr(many_classes, "train_emoji", None)  # cannot be called
    assert compare_numbers(tmp_path / "emoji.json", runs, train_set, test_set, verbose=False) == results
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
        "10 classes, a twentieth of the steps",
        "two designs left out",
    ]
    assert {settings.n_steps for name, settings, _ in emoji_runs(Emoji()) if "steps" in name} == {100}
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
    assert {result["settings"]["n_steps"] for result in read_results(tmp_path / "emoji.json")} == {1, 2}


# figures


def test_a_gap_stands_where_a_designer_drew_nothing(test_set: Images) -> None:
    counts = test_set.targets.bincount()
    full, gap = (test_set.classes[int((counts == n).nonzero()[0])] for n in (7, 4))
    figure = emoji_figures.plot_designs(test_set, [full, gap])
    n_pictures = [len(ax.images) for ax in figure.axes]
    assert (sum(n_pictures[:7]), sum(n_pictures[7:])) == (7, 4)
    assert [ax.get_title().replace("\n", "-") for ax in figure.axes[:7]] == test_set.source_names
    missing = n_pictures[7:].index(0)
    of_gap = test_set.sources[test_set.targets == test_set.classes.index(gap)]
    assert missing not in of_gap.tolist()
    plt.close(figure)


def result(name: str, n: int, seed: int, recall: float, left_out: tuple = ()) -> dict:
    return {"name": name, "n_classes": n, "seed": seed, "recall_at_1": recall, "settings": {"left_out": left_out}}


def test_errors_stand_over_the_number_of_classes_beside_what_was_not_trained() -> None:
    results = [
        result("pixels", 1226, 0, 0.5, UNSEEN_DESIGNS),
        result("untrained network", 1226, 0, 0.4, UNSEEN_DESIGNS),
        result("untrained network", 1226, 1, 0.6, UNSEEN_DESIGNS),
        result("10 classes", 10, 0, 0.5),
        result("10 classes", 10, 1, 0.7),
        result("10 classes, a twentieth of the steps", 10, 0, 0.8),
        result("all classes", 1226, 0, 0.9),
        result("two designs left out", 1226, 0, 0.1, UNSEEN_DESIGNS),
    ]
    ax = emoji_figures.plot_numbers(results)
    marks = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert [(list(line.get_xdata()), list(map(round, line.get_ydata()))) for line in marks] == [
        ([10, 10], [50, 30]),
        ([1226], [10]),
    ]
    by_label = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert [round(value) for value in by_label["trained"]] == [40, 10]
    assert [round(by_label[name][0]) for name in ("untrained network", "pixels")] == [50, 50]
    plt.close(ax.figure)


def test_confusions_count_wrong_nearest_neighbours_by_group() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    groups = torch.tensor([0, 0, 0, 0, 1, 1])
    data = torch.zeros(6, 8, 8, dtype=torch.uint8)
    images = Images(data, labels, ["a", "b", "c"], groups=groups, group_names=["x", "y"])
    places = torch.tensor([[0.0], [0.1], [5.0], [9.0], [9.2], [5.1]])  # 2 is nearest to 5, 3 to 4, and back
    counts = emoji_figures.confusions(places, images)
    assert counts.tolist() == [[0, 2], [2, 0]]
    ax = emoji_figures.plot_confusions(places, images)
    assert [text.get_text() for text in ax.texts] == ["0", "50", "100", "0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["x", "y"]
    plt.close(ax.figure)


def test_two_images_on_one_point_are_each_others_neighbours_and_never_their_own() -> None:
    images = Images(torch.zeros(2, 8, 8, dtype=torch.uint8), [0, 1], ["a", "b"], groups=[0, 1], group_names=["x", "y"])
    assert emoji_figures.confusions(torch.zeros(2, 3), images).tolist() == [[0, 1], [1, 0]]
