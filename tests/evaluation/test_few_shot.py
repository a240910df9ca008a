"""Few-shot classification: episodes against loops, groups, errors."""

import math

import evaluation_reference
import pytest
import torch
from elsewhere import Elsewhere
from torch import Tensor

from siamese_triplet import bootstrap_interval, few_shot_accuracy
from siamese_triplet.evaluation import episode_accuracy, few_shot
from siamese_triplet.evaluation.few_shot import Episodes, _scores


def test_scores_equal_plain_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    images = torch.stack([torch.randperm(60, generator=generator)[:28].view(4, 7) for _ in range(5)])
    episodes = Episodes(*images.split([3, 4], dim=2))
    for episode, scores in enumerate(_scores(rows, episodes).tolist()):
        right = [0, 0]
        for own in range(4):
            for query in episodes.queries[episode, own].tolist():
                support = [rows[episodes.support[episode, way]] for way in range(4)]
                means = [math.dist(rows[query], images.mean(dim=0)) for images in support]
                nearest = [min(math.dist(rows[query], image) for image in images) for images in support]
                for kind, distances in enumerate((means, nearest)):
                    right[kind] += all(distances[own] < d for way, d in enumerate(distances) if way != own)
        assert scores == pytest.approx([right[0] / 16, right[1] / 16])


def test_a_perfect_embedding_is_always_right_and_a_collapsed_one_never() -> None:
    labels = torch.arange(60) % 6
    assert few_shot_accuracy(torch.eye(6)[labels], labels, 5, 1)["prototype"] == 1
    collapsed = few_shot_accuracy(torch.full((60, 4), 0.1), labels, 5, 2)
    assert (collapsed["prototype"], collapsed["neighbour"]) == (0, 0)


def test_random_embeddings_are_right_at_chance_level() -> None:
    embeddings = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    found = few_shot_accuracy(embeddings, torch.arange(400) % 20, 4, 1, n_episodes=2000)
    assert found["prototype"] == pytest.approx(0.25, abs=0.02)


def test_both_methods_agree_with_one_shot_and_more_shots_are_easier() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 20
    embeddings = torch.randn(20, 4, generator=generator)[labels] + torch.randn(400, 4, generator=generator)
    one, five = (few_shot_accuracy(embeddings, labels, 5, k) for k in (1, 5))
    assert one["prototype"] == one["neighbour"]
    assert five["prototype"] > one["prototype"]
    low, high = one["prototype_interval"]
    assert low < one["prototype"] < high


def test_the_same_seed_gives_the_same_episodes(global_random_state_untouched: None) -> None:
    embeddings, labels = torch.rand(60, 3, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 6
    first, again, other = (few_shot_accuracy(embeddings, labels, 3, 1, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_classes_of_an_episode_come_from_one_group() -> None:
    labels = torch.arange(80) % 8
    groups = labels // 4
    group_alone = torch.eye(2)[groups]  # tells groups apart, but not their classes
    within = few_shot_accuracy(group_alone, labels, 4, 1, groups=groups)
    over = few_shot_accuracy(group_alone + 1e-3 * torch.rand(80, 2), labels, 2, 1)
    assert within["prototype"] == 0
    assert over["prototype"] > 0.6


def test_a_group_with_fewer_classes_may_use_all_of_them() -> None:
    labels = torch.arange(70) % 7
    groups = (labels >= 4).long()  # four classes and three
    embeddings = torch.eye(7)[labels]
    found = few_shot_accuracy(embeddings, labels, 4, 1, groups=groups, allow_fewer=True)
    assert found["n_way_of_groups"] == {0: 4, 1: 3}
    with pytest.raises(ValueError, match="group 1 has 3 classes, fewer than n_way=4"):
        few_shot_accuracy(embeddings, labels, 4, 1, groups=groups)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((5, 1), {}, "there are 4 classes, fewer than n_way=5"),
        ((2, 6), {"n_queries": 5}, "class 0 has 10 images, fewer than the k_shot . n_queries = 11"),
        ((1, 1), {}, "n_way=1"),
        ((2, 0), {}, "k_shot=0"),
        ((2, 1), {"n_episodes": 0}, "n_episodes=0"),
        ((2, 1), {"groups": torch.arange(40)}, "a class has images in two groups"),
        ((2, 1), {"groups": torch.arange(3)}, "groups must be one integer per image"),
    ],
)
def test_bad_input_raises(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        few_shot_accuracy(torch.rand(40, 2), torch.arange(40) % 4, *arguments, **options)


@pytest.mark.parametrize(
    ("embeddings", "message"), [(torch.empty(0, 2), "empty"), (torch.full((4, 2), math.inf), "infinite")]
)
def test_embeddings_that_are_missing_or_not_finite_raise(embeddings: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        few_shot_accuracy(embeddings, torch.zeros(len(embeddings), dtype=torch.int64), 2, 1)


Scored = list[tuple[Episodes, Tensor]]


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Scored:
    """Record all episodes and their scores, chunk by chunk."""
    chunks: Scored = []

    def spy(rows: Tensor, episodes: Episodes) -> Tensor:
        chunks.append((episodes, _scores(rows, episodes)))
        return chunks[-1][1]

    monkeypatch.setattr(few_shot, "_scores", spy)
    return chunks


@pytest.mark.parametrize("n_columns", [1, 2, 9])
@pytest.mark.parametrize("k_shot", [1, 2, 3])
def test_a_query_as_near_to_another_class_counts_as_wrong(k_shot: int, n_columns: int, scored: Scored) -> None:
    generator = torch.Generator().manual_seed(k_shot)
    embeddings = torch.randint(-2, 3, (31, n_columns), generator=generator)
    found = few_shot_accuracy(embeddings.float(), torch.arange(31) % 4, 3, k_shot, 2, 60)
    ((episodes, scores),) = scored
    expected = [
        evaluation_reference.few_shot_scores(embeddings.tolist(), support, queries)
        for support, queries in zip(*(part.tolist() for part in episodes), strict=True)
    ]
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float64))
    assert (found["prototype"], found["neighbour"]) == pytest.approx(scores.mean(dim=0).tolist())


def test_an_episode_has_distinct_images_and_one_class_per_row(scored: Scored) -> None:
    labels = torch.randint(0, 5, (80,), generator=torch.Generator().manual_seed(0))
    few_shot_accuracy(torch.rand(80, 2), labels, 4, 3, 2, 200)
    images = torch.cat([torch.cat(episodes, dim=2) for episodes, _ in scored])
    assert images.shape == (200, 4, 5)
    assert all(len(set(episode.flatten().tolist())) == 20 for episode in images)
    assert (labels[images] == labels[images[..., :1]]).all()
    assert all(len(set(labels[episode[:, 0]].tolist())) == 4 for episode in images)
    assert set(images.flatten().tolist()) == set(range(80))


def test_groups_get_equally_many_episodes_and_the_first_ones_one_more(scored: Scored) -> None:
    labels = torch.arange(96) % 12
    groups = labels // 4 + 5
    few_shot_accuracy(torch.rand(96, 2), labels, 3, 1, n_episodes=8, groups=groups)
    episode_groups = [groups[episode].unique().tolist() for episodes, _ in scored for episode in episodes.support]
    assert episode_groups == [[5]] * 3 + [[6]] * 3 + [[7]] * 2


def test_chunks_of_episodes_change_nothing(monkeypatch: pytest.MonkeyPatch, scored: Scored) -> None:
    embeddings, labels = evaluation_reference.random_set(0, 200, classes=range(5))
    whole = few_shot_accuracy(embeddings, labels, 3, 1, n_episodes=50)
    monkeypatch.setattr(few_shot, "CHUNK", 1)
    assert few_shot_accuracy(embeddings, labels, 3, 1, n_episodes=50) == whole
    assert len(scored) == 1 + 50


def test_fewer_episodes_than_groups_come_from_the_first_groups() -> None:
    labels = torch.arange(40) % 4
    found = few_shot_accuracy(torch.eye(4)[labels], labels, 2, 1, n_episodes=1, groups=labels // 2)
    assert found["prototype"] == 1


@pytest.mark.parametrize("with_groups", [False, True])
def test_another_device_gives_the_same_accuracy(with_groups: bool) -> None:
    labels = torch.arange(120) % 12
    embeddings = torch.randn(120, 5, generator=torch.Generator().manual_seed(0)) + labels[:, None] / 4
    groups = labels % 2 if with_groups else None
    expected = few_shot_accuracy(embeddings, labels, 4, 2, n_episodes=30, groups=groups)
    with Elsewhere() as elsewhere:
        sent = None if groups is None else elsewhere.send(groups)
        found = few_shot_accuracy(elsewhere.send(embeddings), elsewhere.send(labels), 4, 2, n_episodes=30, groups=sent)
    assert found == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", [-1000, -120, -80, 40, 480])
def test_accuracies_do_not_depend_on_the_scale(exponent: int, dtype: torch.dtype) -> None:
    if dtype == torch.float32 and not -130 < exponent < 50:
        pytest.skip("no numbers of this size")
    generator = torch.Generator().manual_seed(0)
    embeddings, labels = torch.randn(60, 5, generator=generator, dtype=dtype), torch.arange(60) % 6
    expected = few_shot_accuracy(embeddings, labels, 3, 2, n_episodes=30)
    assert few_shot_accuracy(embeddings * 2.0**exponent, labels, 3, 2, n_episodes=30) == expected
    assert expected["prototype"] > 0


# given episodes


def random_episodes(n_way: int, k_shot: int, n_queries: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n_way)
    embeddings = torch.randn(60, 3, generator=generator)
    n_images = k_shot + n_queries
    images = torch.stack([torch.randperm(60, generator=generator)[: n_way * n_images] for _ in range(7)])
    return embeddings, *images.view(7, n_way, n_images).split([k_shot, n_queries], dim=2)


@pytest.mark.parametrize(("n_way", "k_shot", "n_queries"), [(4, 3, 4), (20, 1, 1), (2, 1, 5)])
def test_given_episodes_equal_plain_loops(n_way: int, k_shot: int, n_queries: int) -> None:
    embeddings, support, queries = random_episodes(n_way, k_shot, n_queries)
    expected = {"prototype": [], "neighbour": []}
    for known, asked in zip(support.tolist(), queries.tolist(), strict=True):
        means = [embeddings[images].double().mean(dim=0) for images in known]
        right = dict.fromkeys(expected, 0)
        for own in range(n_way):
            for query in asked[own]:
                row = embeddings[query].double()
                to_means = [math.dist(row, mean) for mean in means]
                to_nearest = [min(math.dist(row, embeddings[image].double()) for image in images) for images in known]
                right["prototype"] += to_means.index(min(to_means)) == own
                right["neighbour"] += to_nearest.index(min(to_nearest)) == own
        for name, number in right.items():
            expected[name].append(number / (n_way * n_queries))
    found = episode_accuracy(embeddings, support, queries)
    for name, accuracies in expected.items():
        assert found[name] == pytest.approx(sum(accuracies) / 7)
        assert found[f"{name}_interval"] == pytest.approx(bootstrap_interval(accuracies))
    assert 0 < found["prototype"] < 1


def test_given_episodes_may_be_processed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    episodes = random_episodes(4, 2, 3)
    expected = episode_accuracy(*episodes)
    monkeypatch.setattr(few_shot, "CHUNK", 1)
    assert episode_accuracy(*episodes) == expected


def test_a_tie_counts_against_the_embedding_in_given_episodes() -> None:
    embeddings = torch.tensor([[0.0], [2.0], [1.0], [1.5]])
    support, queries = torch.tensor([[[0], [1]]]), torch.tensor([[[2], [3]]])
    assert episode_accuracy(embeddings, support, queries)["prototype"] == 0.5


@pytest.mark.parametrize(
    ("support", "queries", "message"),
    [
        ([[[0], [1]]], [[[2], [1]]], "a query is in the support of its own episode"),
        ([[[0], [1]]], [[[2], [4]]], "queries must be indices from 0 to 3"),
        ([[[-1], [1]]], [[[2], [3]]], "support must be indices from 0 to 3"),
        ([[[0], [1]]], [[[2], [3], [0]]], "as many classes"),
        ([[[0]]], [[[2]]], "at least two"),
        ([[[], []]], [[[2], [3]]], "support must be"),
        ([[0], [1]], [[2], [3]], "integer indices"),
        ([[[0.0], [1.0]]], [[[2.0], [3.0]]], "integer indices"),
    ],
)
def test_bad_episodes_raise(support: list, queries: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        episode_accuracy(torch.rand(4, 2), torch.tensor(support), torch.tensor(queries))


def test_a_query_may_be_in_the_support_of_another_episode() -> None:
    support, queries = torch.tensor([[[0], [1]], [[2], [3]]]), torch.tensor([[[2], [3]], [[0], [1]]])
    assert 0 <= episode_accuracy(torch.rand(4, 2), support, queries)["prototype"] <= 1


def test_given_episodes_on_another_device_score_the_same() -> None:
    embeddings, support, queries = random_episodes(4, 2, 3)
    expected = episode_accuracy(embeddings, support, queries)
    with Elsewhere() as elsewhere:
        assert episode_accuracy(elsewhere.send(embeddings), support, queries) == expected
