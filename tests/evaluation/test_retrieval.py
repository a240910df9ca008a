import math
from collections.abc import Iterator

import evaluation_reference
import numpy as np
import pytest
import reference
import torch
from elsewhere import Elsewhere, Largest
from evaluation_reference import DTYPES, examples, random_set, sets
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from siamese_triplet.evaluation import bootstrap_interval, neighbours, retrieval_metrics, retrieval_values
from siamese_triplet.evaluation.neighbours import ONE_OF, candidates, ordered_keys, smallest

GRID = torch.tensor([[0.0], [1], [1], [3], [3], [4]])
GRID_LABELS = torch.tensor([0, 0, 1, 1, 0, 2])
METRICS = ["precision_at_1", "recall_at_1", "r_precision", "map_at_r", "mrr"]


@pytest.fixture
def little_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks of 32 queries, whatever the size of the gallery."""
    monkeypatch.setattr(neighbours, "BLOCK", 1)


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def assert_equal_brute_force(
    embeddings: Tensor,
    labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    ks: tuple[int, ...] = (1,),
) -> None:
    lists = [None if given is None else given.tolist() for given in (embeddings, labels, gallery, gallery_labels)]
    expected = evaluation_reference.retrieval(*lists, ks)
    values = retrieval_values(embeddings, labels, gallery, gallery_labels, ks)
    counted = [query for query in expected if query]
    for name, column in values.items():
        assert column.tolist() == pytest.approx(
            [query[name] if query else math.nan for query in expected], rel=1e-6, nan_ok=True
        )
    assert all(list(values) == list(query) for query in counted)
    assert all(column.dtype == torch.float64 for column in values.values())
    if not counted:
        with pytest.raises(ValueError, match="none of the"):
            retrieval_metrics(embeddings, labels, gallery, gallery_labels, ks)
        return
    metrics = retrieval_metrics(embeddings, labels, gallery, gallery_labels, ks)
    assert (metrics.pop("n_queries"), metrics.pop("n_excluded")) == (len(counted), len(expected) - len(counted))
    assert metrics == pytest.approx(
        {name: sum(query[name] for query in counted) / len(counted) for name in values}, rel=1e-6
    )


@examples(150)
@given(sets(least=2), st.data())
def test_each_image_among_the_others_equals_brute_force(images: tuple[Tensor, Tensor], data: st.DataObject) -> None:
    ks = data.draw(st.lists(st.integers(1, len(images[0]) - 1), max_size=3).map(tuple))
    assert_equal_brute_force(*images, ks=ks)


@examples(150)
@given(sets(n_columns=2), sets(n_columns=2, most=20), st.data())
def test_queries_in_a_gallery_equal_brute_force(
    queries: tuple[Tensor, Tensor], gallery: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    ks = data.draw(st.lists(st.integers(1, len(gallery[0])), max_size=3).map(tuple))
    assert_equal_brute_force(*queries, *gallery, ks=ks)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_columns", [4, 20])
@pytest.mark.parametrize("seed", range(3))
def test_images_in_general_position_equal_brute_force(seed: int, n_columns: int, dtype: torch.dtype) -> None:
    embeddings, labels = random_set(seed, n_columns=n_columns)
    embeddings = embeddings.to(dtype)
    assert_equal_brute_force(embeddings, labels, ks=(1, 5, 59))
    assert_equal_brute_force(embeddings[:20], labels[:20], embeddings[20:], labels[20:], ks=(40, 3))


def test_a_small_example_equals_values_computed_by_hand() -> None:
    """The image at 3 with label 1 finds its class in place 4: after those at 3, at 4 and, in a tie, the other at 1."""
    values = retrieval_values(GRID, GRID_LABELS, ks=(1, 2, 3, 4))
    assert values["mrr"][3].item() == pytest.approx(1 / 4)
    assert values["recall_at_3"][3] == 0
    assert values["recall_at_4"][3] == 1
    assert values["mrr"][0].item() == pytest.approx(1 / 2)
    assert values["r_precision"][0].item() == pytest.approx(1 / 2)
    assert values["map_at_r"][0].item() == pytest.approx(1 / 4)
    assert [name for name, column in values.items() if not column[5].isnan()] == []


@pytest.mark.parametrize("n_columns", [2, 16])
@pytest.mark.parametrize("with_gallery", [False, True])
def test_a_collapsed_embedding_finds_nothing(with_gallery: bool, n_columns: int) -> None:
    embeddings, labels = torch.full((60, n_columns), 0.1), torch.arange(60) % 3
    gallery = (embeddings + 1, labels) if with_gallery else ()
    metrics = retrieval_metrics(embeddings, labels, *gallery, ks=(1, 30))
    n_others = 40  # of other classes, all of which come first
    assert metrics == {
        "precision_at_1": 0,
        "recall_at_1": 0,
        "recall_at_30": 0,
        "r_precision": 0,
        "map_at_r": 0,
        "mrr": pytest.approx(1 / (n_others + 1)),
        "n_queries": 60,
        "n_excluded": 0,
    }


def test_classes_far_apart_are_found_completely() -> None:
    labels = torch.tensor([0] * 20 + [1] * 3 + [7] * 2)
    embeddings = 100.0 * labels[:, None] + torch.rand(25, 3, generator=torch.Generator().manual_seed(0))
    metrics = retrieval_metrics(embeddings, labels, ks=(1, 24))
    assert {name: metrics[name] for name in METRICS} == dict.fromkeys(METRICS, 1)


def test_queries_without_an_image_of_their_class_are_left_out_and_counted() -> None:
    embeddings, labels = torch.tensor([[0.0], [1], [5], [9]]), torch.tensor([0, 0, 1, 2])
    metrics = retrieval_metrics(embeddings, labels, ks=(1,))
    assert (metrics["n_queries"], metrics["n_excluded"], metrics["precision_at_1"]) == (2, 2, 1)
    metrics = retrieval_metrics(embeddings, labels, embeddings[2:], labels[2:], ks=(1,))
    assert (metrics["n_queries"], metrics["n_excluded"], metrics["precision_at_1"]) == (2, 2, 1)


def test_a_gallery_of_the_same_images_holds_the_query_itself() -> None:
    embeddings, labels = random_set(0)
    assert retrieval_metrics(embeddings, labels, embeddings, labels)["precision_at_1"] == 1
    assert retrieval_metrics(embeddings, labels)["precision_at_1"] < 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_columns", [2, 9])
def test_many_blocks_of_tied_images_equal_brute_force(n_columns: int, dtype: torch.dtype, little_blocks: None) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randint(-2, 3, (101, n_columns), generator=generator).to(dtype)
    labels = torch.randint(0, 6, (101,), generator=generator) ** 2 // 4
    assert_equal_brute_force(embeddings, labels, ks=(1, 10, 100))
    assert_equal_brute_force(embeddings[:70], labels[:70], embeddings[50:], labels[50:], ks=(1, 51))


def test_a_gallery_much_larger_than_a_block_gives_the_same_as_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, gallery_labels = random_set(0, 5000, 12)
    queries, labels = random_set(1, 150, 12)
    expected = retrieval_values(queries, labels, gallery, gallery_labels)
    monkeypatch.setattr(neighbours, "BLOCK", 2**12)
    with Largest() as largest:
        values = retrieval_values(queries, labels, gallery, gallery_labels)
    for name, column in values.items():
        torch.testing.assert_close(column, expected[name], rtol=0, atol=0)
    assert largest.numel <= 32 * 5000


def test_threads_share_the_blocks(little_blocks: None, two_threads: None) -> None:
    embeddings, labels = random_set(0, 200)
    values = retrieval_values(embeddings.requires_grad_(), labels)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    expected = retrieval_values(embeddings.detach(), labels)
    assert all(torch.equal(column, expected[name]) for name, column in values.items())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_every_integer_type_is_a_label(dtype: torch.dtype) -> None:
    embeddings, labels = random_set(0)
    expected = retrieval_metrics(embeddings, labels)
    assert retrieval_metrics(embeddings, labels.to(dtype)) == expected
    assert retrieval_metrics(embeddings, labels.to(dtype), embeddings, labels)["mrr"] == 1


def test_embeddings_and_labels_are_left_unchanged() -> None:
    embeddings, labels = random_set(0, n_columns=2)
    copies = embeddings.clone(), labels.clone()
    retrieval_metrics(embeddings, labels, embeddings, labels)
    assert torch.equal(embeddings, copies[0])
    assert torch.equal(labels, copies[1])


def test_intervals_cover_only_the_queries_that_count(global_random_state_untouched: None) -> None:
    embeddings, labels = random_set(0)
    labels[0] = 1000
    metrics = retrieval_metrics(embeddings, labels, n_resamples=50, seed=3)
    values = retrieval_values(embeddings, labels)
    for name, column in values.items():
        assert metrics[f"{name}_interval"] == pytest.approx(bootstrap_interval(column[1:], 50, seed=3))
    assert not [name for name in retrieval_metrics(embeddings, labels) if name.endswith("_interval")]


@pytest.mark.parametrize("with_gallery", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_metrics_equal_pytorch_metric_learning(seed: int, with_gallery: bool) -> None:
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    names = {
        "precision_at_1": "precision_at_1",
        "r_precision": "r_precision",
        "mean_average_precision_at_r": "map_at_r",
        "mean_reciprocal_rank": "mrr",
    }
    calculator = AccuracyCalculator(
        include=tuple(names),
        k=None if with_gallery else "max_bin_count",
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
        device=torch.device("cpu"),
    )
    queries, labels = random_set(seed)
    gallery = random_set(seed + 100, 90) if with_gallery else ()
    theirs = calculator.get_accuracy(queries, labels, *(gallery or (None, None)))
    ours = retrieval_metrics(queries, labels, *gallery)
    compared = [
        name for name in names if with_gallery or name != "mean_reciprocal_rank"
    ]  # theirs sees only the k nearest
    assert {name: ours[names[name]] for name in compared} == pytest.approx({name: theirs[name] for name in compared})


def test_another_device_gives_the_same_values() -> None:
    embeddings, labels = random_set(0)
    embeddings = embeddings.round()
    expected = retrieval_values(embeddings, labels), retrieval_values(embeddings, labels, embeddings[:30], labels[:30])
    with Elsewhere() as elsewhere:
        images = elsewhere.send(embeddings), elsewhere.send(labels)
        gallery = elsewhere.send(embeddings[:30]), elsewhere.send(labels[:30])
        there = retrieval_values(*images), retrieval_values(*images, *gallery)
    for values, cpu_values in zip(there, expected, strict=True):
        for name, column in values.items():
            torch.testing.assert_close(column.inner, cpu_values[name], rtol=0, atol=0, equal_nan=True)


# keys


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keys_sort_like_the_distances_and_their_last_bit_breaks_ties(dtype: torch.dtype) -> None:
    tiny, huge = torch.finfo(dtype).smallest_normal, torch.finfo(dtype).max
    distances = [0.0, tiny / 4, tiny, 1.0, torch.tensor(1.0).nextafter(torch.tensor(2.0)).item(), 3.5, huge, math.inf]
    pairs = [(distance, is_last) for distance in distances for is_last in (False, True)]
    distances, is_last = (list(column) for column in zip(*pairs, strict=True))
    keys = ordered_keys(torch.tensor([distances], dtype=dtype))[0]
    assert (keys & 1).sum() == 0
    assert (keys | torch.tensor(is_last)).diff().min() > 0


def long_rows(kind: str, dtype: torch.dtype) -> torch.Tensor:
    info, generator = torch.iinfo(dtype), torch.Generator().manual_seed(0)
    keys = torch.randint(info.min, info.max, (8, 4000), generator=generator, dtype=dtype)
    if kind == "ascending":
        keys = keys.sort(dim=1).values
    elif kind == "many equal":
        keys[:, ::2] = 3
    elif kind == "all equal":
        keys[:] = 3
    elif kind == "one row of equals":
        keys[5] = info.max
    elif kind == "few small":  # all of them outside the sample
        sampled = np.random.default_rng(0).integers(4000, size=4000 // ONE_OF)
        keys.fill_(3)[:, sorted(set(range(4000)) - set(sampled))[:100]] = 1
    return keys


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("k", [1, 20, 400, 1500, 3999])
@pytest.mark.parametrize("kind", ["random", "ascending", "many equal", "all equal", "one row of equals", "few small"])
def test_the_smallest_of_long_rows_equal_a_sort(kind: str, k: int, dtype: torch.dtype) -> None:
    keys = long_rows(kind, dtype)
    expected = keys.sort(dim=1).values[:, :k]
    assert torch.equal(smallest(keys.clone(), k), expected)


def test_only_some_keys_of_long_rows_are_sorted_if_possible() -> None:
    random, equal = (long_rows(kind, torch.int32).numpy() for kind in ("random", "one row of equals"))
    assert 400 <= candidates(random, 400).shape[1] < 1000
    assert candidates(equal, 400) is None
    assert candidates(random, 3000) is None


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("k", [1, 2, 7, 49, 50])
def test_the_smallest_keys_equal_topk_and_are_in_order(k: int, dtype: torch.dtype) -> None:
    info, generator = torch.iinfo(dtype), torch.Generator().manual_seed(k)
    keys = torch.randint(info.min, info.max, (20, 50), generator=generator, dtype=dtype)
    keys[:, ::3] = keys[:, :1]
    expected = keys.topk(k, dim=1, largest=False).values
    with Elsewhere() as elsewhere:
        there = smallest(elsewhere.send(keys), k)
    assert torch.equal(there.inner, expected)
    assert torch.equal(expected, keys.sort(dim=1).values[:, :k])
    assert torch.equal(smallest(keys, k), expected)


# errors


@pytest.mark.parametrize("case", reference.BAD_BATCHES)
@pytest.mark.parametrize("in_gallery", [False, True])
def test_a_bad_set_raises(case: str, in_gallery: bool) -> None:
    embeddings, labels, message = reference.BAD_BATCHES[case]
    arguments = (embeddings, labels, torch.zeros(2, 2), torch.tensor([0, 1]))
    if in_gallery:
        message = message.replace("labels", "gallery_labels").replace("embeddings ", "gallery ")
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(*(arguments[2:] + arguments[:2] if in_gallery else arguments), ks=(1,))


@pytest.mark.parametrize("ks", [(1, 6), (0,), (-1,)])
def test_a_k_out_of_range_raises(ks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"k={ks[-1]} must be between 1 and the 5 images of the gallery"):
        retrieval_metrics(GRID, GRID_LABELS, ks=ks)
    if ks[-1] < 1:
        with pytest.raises(ValueError, match=f"k={ks[-1]} must be between 1 and the 6 images of the gallery"):
            retrieval_metrics(GRID, GRID_LABELS, GRID, GRID_LABELS, ks=ks)
    else:
        retrieval_metrics(GRID, GRID_LABELS, GRID, GRID_LABELS, ks=ks)


def test_empty_sets_raise() -> None:
    with pytest.raises(ValueError, match=r"embeddings are empty, shape \(0, 1\)"):
        retrieval_metrics(GRID[:0], GRID_LABELS[:0])
    with pytest.raises(ValueError, match=r"embeddings are empty, shape \(0, 1\)"):
        retrieval_metrics(GRID[:0], GRID_LABELS[:0], GRID, GRID_LABELS)
    with pytest.raises(ValueError, match=r"gallery are empty, shape \(0, 1\)"):
        retrieval_metrics(GRID, GRID_LABELS, GRID[:0], GRID_LABELS[:0])


@pytest.mark.parametrize("gallery", [(GRID, None), (None, GRID_LABELS)])
def test_a_gallery_without_labels_or_labels_without_a_gallery_raise(gallery: tuple[Tensor | None, ...]) -> None:
    with pytest.raises(ValueError, match="give both gallery and gallery_labels, or neither"):
        retrieval_metrics(GRID, GRID_LABELS, *gallery)


def test_a_gallery_of_another_embedding_size_raises() -> None:
    with pytest.raises(ValueError, match=r"embeddings of one size, got \(6, 2\) and \(6, 1\)"):
        retrieval_metrics(GRID, GRID_LABELS, GRID.expand(6, 2), GRID_LABELS)


def test_no_query_with_an_image_of_its_class_raises() -> None:
    with pytest.raises(ValueError, match="none of the 6 queries has another image of its class"):
        retrieval_metrics(GRID, torch.arange(6), ks=(1,))
    with pytest.raises(ValueError, match="none of the 6 queries has an image of its class"):
        retrieval_metrics(GRID, GRID_LABELS, GRID, GRID_LABELS + 3, ks=(1,))


# groups


def without_own_group(
    query: int, queries: tuple[Tensor, Tensor, Tensor], gallery: tuple[Tensor, Tensor, Tensor]
) -> dict[str, float]:
    """Compute the metrics of one query in the gallery that is left for it, by plain loops."""
    label, group = queries[1][query], queries[2][query]
    is_left = ~((gallery[1] == label) & (gallery[2] == group))
    rows, labels = gallery[0][is_left].tolist(), gallery[1][is_left].tolist()
    if not labels:
        return {}
    [found] = evaluation_reference.retrieval([queries[0][query].tolist()], [int(label)], rows, labels, (1,))
    return found


@pytest.mark.parametrize("with_gallery", [False, True])
@pytest.mark.parametrize("n_columns", [1, 12])
@pytest.mark.parametrize("seed", range(4))
def test_images_of_the_class_and_group_of_a_query_are_left_out(
    seed: int, n_columns: int, with_gallery: bool, little_blocks: None
) -> None:
    generator = torch.Generator().manual_seed(seed)
    embeddings, labels = random_set(seed, n_columns=n_columns)
    embeddings = (2 * embeddings).round()  # with ties
    groups = torch.randint(-1, 3, (len(labels),), generator=generator)
    sets = [(embeddings[part], labels[part], groups[part]) for part in (slice(25), slice(25, None))]
    queries, gallery = sets if with_gallery else [(embeddings, labels, groups)] * 2
    arguments = (*queries[:2], *gallery[:2]) if with_gallery else queries[:2]
    named = {"groups": queries[2], **({"gallery_groups": gallery[2]} if with_gallery else {})}
    values = retrieval_values(*arguments, ks=(1,), **named)
    expected = [without_own_group(query, queries, gallery) for query in range(len(queries[0]))]
    assert any(expected)
    for name, column in values.items():
        assert column.tolist() == pytest.approx(
            [query[name] if query else math.nan for query in expected], rel=1e-6, nan_ok=True
        )
    metrics = retrieval_metrics(*arguments, ks=(1,), **named)
    assert metrics["n_queries"] == sum(map(bool, expected))


def test_a_camera_that_gives_itself_away_is_no_match() -> None:
    """Each image lies beside that of another class from its own camera, and an image of its class from there."""
    labels, cameras = torch.arange(40) // 8, torch.arange(40) % 2
    embeddings = 100.0 * cameras[:, None] + 10 * labels[:, None] + torch.arange(40)[:, None] / 40
    assert retrieval_metrics(embeddings, labels)["recall_at_1"] == 1
    assert retrieval_metrics(embeddings, labels, groups=cameras)["recall_at_1"] == 0


def test_queries_that_stand_in_the_gallery_do_not_find_themselves_if_numbered() -> None:
    embeddings, labels = random_set(0)
    chosen = torch.arange(0, len(labels), 3)
    whole = retrieval_values(embeddings, labels)
    found = retrieval_values(
        embeddings[chosen], labels[chosen], embeddings, labels, groups=chosen, gallery_groups=torch.arange(len(labels))
    )
    for name, column in found.items():
        assert torch.equal(column.nan_to_num(-1), whole[name][chosen].nan_to_num(-1))


def test_groups_that_do_not_fit_raise() -> None:
    zeros = torch.zeros_like(GRID_LABELS)
    for named in ({"gallery_groups": zeros}, {"groups": zeros, "gallery_groups": zeros}):
        with pytest.raises(ValueError, match="give groups alone without a gallery"):
            retrieval_metrics(GRID, GRID_LABELS, ks=(1,), **named)
    with pytest.raises(ValueError, match="with one, both groups and gallery_groups"):
        retrieval_metrics(GRID, GRID_LABELS, GRID, GRID_LABELS, ks=(1,), groups=zeros)
    for groups in (zeros[:3], zeros.float(), zeros[:, None]):
        with pytest.raises(ValueError, match="groups must be one integer per image"):
            retrieval_metrics(GRID, GRID_LABELS, ks=(1,), groups=groups)
    with pytest.raises(ValueError, match="and of another group"):
        retrieval_metrics(GRID, GRID_LABELS, ks=(1,), groups=zeros)


def test_a_default_k_above_the_number_of_images_names_the_argument() -> None:
    with pytest.raises(ValueError, match=r"k=10 must be between 1 and the 5 images .*pass another ks"):
        retrieval_metrics(GRID, GRID_LABELS)
    with pytest.raises(ValueError, match=r"k=9 must be between 1 and the 5 images .*pass another k$"):
        neighbours.nearest(GRID, k=9)
