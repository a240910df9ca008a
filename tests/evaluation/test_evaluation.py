import math

import evaluation_reference
import pytest
import reference
import torch
from elsewhere import Elsewhere
from evaluation_reference import examples, random_set, sets
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from siamese_triplet.datasets import Images
from siamese_triplet.evaluation import (
    embed,
    extract_embeddings,
    few_shot_accuracy,
    knn_accuracy,
    knn_predictions,
    nearest,
    neighbours,
    retrieval_metrics,
    verification_metrics,
)
from siamese_triplet.evaluation.summary import seen_classes
from siamese_triplet.networks import ClassificationNet, EmbeddingNet, SiameseNet


def loader(n_images: int = 10, batch_size: int = 4) -> DataLoader:
    images = torch.rand(n_images, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(images, torch.arange(n_images) % 3), batch_size)


@pytest.mark.parametrize("wrap", [lambda net: net, SiameseNet, lambda net: ClassificationNet(net, 10)])
def test_embeddings_come_from_get_embedding_in_the_order_of_the_loader(wrap: type) -> None:
    model = wrap(EmbeddingNet(5))
    embeddings, labels = extract_embeddings(loader(), model)
    with torch.no_grad():
        torch.testing.assert_close(embeddings, model.get_embedding(loader().dataset.tensors[0]))
    assert torch.equal(labels, torch.arange(10) % 3)
    assert not embeddings.requires_grad
    assert (embeddings.device.type, labels.device.type) == ("cpu", "cpu")


def test_a_model_without_get_embedding_is_called() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 3))
    embeddings, _ = extract_embeddings(loader(), model)
    with torch.no_grad():
        torch.testing.assert_close(embeddings, model(loader().dataset.tensors[0]))


@pytest.mark.parametrize("training", [True, False])
def test_extraction_uses_evaluation_mode_and_restores_the_mode_of_every_module(training: bool) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(784, 3), nn.Dropout()).train(training)
    model[3].eval()  # frozen
    one, two = (extract_embeddings(loader(), model)[0] for _ in range(2))
    assert torch.equal(one, two)
    assert [module.training for module in model.modules()] == [training] * 4 + [False]


def test_a_loader_without_batches_raises() -> None:
    with pytest.raises(ValueError, match="no batches"):
        extract_embeddings([], EmbeddingNet())


@pytest.mark.parametrize("k", [1, 2, 5, 12])
@pytest.mark.parametrize("seed", range(10))
def test_knn_accuracy_equals_brute_force(seed: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    gallery, queries = (torch.randn(n, 2, dtype=torch.float64, generator=generator) for n in (12, 30))
    labels, query_labels = (torch.randint(-1, 3, (n,), generator=generator) for n in (12, 30))
    expected = reference.knn_accuracy(gallery.tolist(), labels.tolist(), queries.tolist(), query_labels.tolist(), k)
    accuracy = knn_accuracy(gallery, labels, queries, query_labels, k)
    assert accuracy == pytest.approx(expected)
    assert isinstance(accuracy, float)


def test_knn_accuracy_covers_several_chunks_of_queries() -> None:
    gallery, labels = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
    queries = torch.arange(3000)[:, None] % 2 * 1.0
    query_labels = (torch.arange(3000) % 2).where(torch.arange(3000) >= 300, 5)
    assert knn_accuracy(gallery, labels, queries, query_labels, k=1) == pytest.approx(0.9)


def test_knn_accuracy_of_near_duplicates_far_from_the_origin_is_precise() -> None:
    points = 1000 + 1e-2 * torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60)
    assert knn_accuracy(points, labels, points, labels, k=1) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_knn_accuracy_of_half_precision_equals_float32(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    points, labels = torch.randn(40, 8, generator=generator).to(dtype), torch.randint(0, 3, (40,), generator=generator)
    half = knn_accuracy(points[:30], labels[:30], points[30:], labels[30:])
    assert half == knn_accuracy(points[:30].float(), labels[:30], points[30:].float(), labels[30:])


def test_empty_sets_raise() -> None:
    points, labels = torch.randn(6, 2), torch.arange(6)
    with pytest.raises(ValueError, match="test_embeddings are empty"):
        knn_accuracy(points, labels, points[:0], labels[:0])
    with pytest.raises(ValueError, match="train_embeddings are empty"):
        knn_accuracy(points[:0], labels[:0], points, labels)


def test_neighbours_and_predictions_equal_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    gallery, queries = torch.randn(300, 5, generator=generator), torch.randn(70, 5, generator=generator)
    labels = torch.randint(0, 4, (300,), generator=generator)
    peer = KNeighborsClassifier(5).fit(gallery, labels)
    distances, indices = peer.kneighbors(queries)
    found = nearest(queries, gallery, 5)
    assert torch.equal(found.indices, torch.from_numpy(indices))
    torch.testing.assert_close(found.distances, torch.from_numpy(distances).float())
    assert torch.equal(knn_predictions(gallery, labels, queries), torch.from_numpy(peer.predict(queries)))


def test_at_equal_distances_the_first_in_the_gallery_comes_first() -> None:
    gallery = torch.tensor([[1.0], [0.0], [-1.0], [1.0], [0.0]])
    found = nearest(torch.zeros(1, 1), gallery, 4)
    assert found.indices.tolist() == [[1, 4, 0, 2]]
    assert nearest(gallery, k=4).indices[1].tolist() == [4, 0, 2, 3]  # itself excluded


def test_no_queries_have_no_neighbours() -> None:
    found = nearest(torch.empty(0, 2), torch.rand(4, 2), 3)
    assert found.distances.shape == found.indices.shape == (0, 3)


@pytest.mark.parametrize(
    ("queries", "labels", "k", "message"),
    [
        (torch.zeros(3, 2), torch.tensor([0, 1]), 5, "3 test_embeddings but 2 test_labels"),
        (torch.zeros(2, 2), torch.tensor([0.0, 1.0]), 5, "labels must be integers"),
        (torch.full((2, 2), math.nan), torch.tensor([0, 1]), 5, "2 of 2 rows hold NaN"),
        (torch.zeros(2, 2), torch.tensor([0, 1]), 7, "k=7 must be between 1 and the 6 images"),
        (torch.zeros(2, 2), torch.tensor([0, 1]), 0, "k=0"),
        (torch.zeros(2, 3), torch.tensor([0, 1]), 5, "2.*3|3.*2"),
    ],
    ids=["lengths", "float labels", "NaN", "k too large", "k too small", "embedding sizes"],
)
def test_bad_input_raises(queries: Tensor, labels: Tensor, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        knn_accuracy(torch.randn(6, 2), torch.arange(6), queries, labels, k)


# ties


@examples(100)
@given(sets(least=2), st.data())
def test_nearest_among_the_others_equals_brute_force(images: tuple[Tensor, Tensor], data: st.DataObject) -> None:
    embeddings, k = images[0], data.draw(st.integers(1, len(images[0]) - 1))
    found, rows = nearest(embeddings, k=k), embeddings.tolist()
    assert found.indices.tolist() == evaluation_reference.nearest(rows, None, k)
    for query, (indices, distances) in enumerate(zip(found.indices.tolist(), found.distances.tolist(), strict=True)):
        assert distances == pytest.approx([math.dist(rows[query], rows[index]) for index in indices])


@examples(100)
@given(sets(n_columns=2), sets(n_columns=2, most=20), st.data())
def test_nearest_and_predictions_in_a_gallery_equal_brute_force(
    queries: tuple[Tensor, Tensor], gallery: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(gallery[0])))
    rows, others = queries[0].tolist(), gallery[0].tolist()
    expected = evaluation_reference.knn_predictions(others, gallery[1].tolist(), rows, k)
    assert nearest(queries[0], gallery[0], k).indices.tolist() == evaluation_reference.nearest(rows, others, k)
    assert knn_predictions(*gallery, queries[0], k).tolist() == expected
    n_right = sum(a == b for a, b in zip(expected, queries[1].tolist(), strict=True))
    assert knn_accuracy(*gallery, *queries, k) == pytest.approx(n_right / len(rows))


@pytest.mark.parametrize("n_columns", [2, 9])
def test_ties_in_many_blocks_of_queries_equal_brute_force(n_columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 1)  # blocks of 32 queries
    embeddings = torch.randint(-1, 2, (110, n_columns), generator=torch.Generator().manual_seed(0)).float()
    rows = embeddings.tolist()
    assert nearest(embeddings, k=7).indices.tolist() == evaluation_reference.nearest(rows, None, 7)
    found = nearest(embeddings[:70], embeddings[30:], 7)
    assert found.indices.tolist() == evaluation_reference.nearest(rows[:70], rows[30:], 7)


def test_another_device_finds_the_same_neighbours() -> None:
    embeddings, labels = random_set(0)
    embeddings = embeddings.round()
    expected = nearest(embeddings), knn_predictions(embeddings, labels, embeddings)
    with Elsewhere() as elsewhere:
        there, labels = elsewhere.send(embeddings), elsewhere.send(labels)
        found, predictions = nearest(there), knn_predictions(there, labels, there)
    torch.testing.assert_close(found.distances.inner, expected[0].distances)
    assert torch.equal(found.indices.inner, expected[0].indices)
    assert torch.equal(predictions.inner, expected[1])


def test_an_empty_set_has_no_neighbours_and_neighbours_have_no_gradient() -> None:
    assert nearest(torch.empty(0, 2)).indices.shape == (0, 5)
    assert not nearest(torch.rand(9, 2, requires_grad=True)).distances.requires_grad


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32])
def test_labels_of_every_integer_type_give_the_same(dtype: torch.dtype) -> None:
    embeddings, labels = random_set(0)
    labels = labels % 2
    assert knn_predictions(embeddings, labels.to(dtype), embeddings).dtype == dtype
    for metric in (
        lambda labels: knn_accuracy(embeddings, labels, embeddings[:9], labels[:9]),
        lambda labels: retrieval_metrics(embeddings, labels),
        lambda labels: retrieval_metrics(embeddings, labels, embeddings[:20], labels[:20]),
        lambda labels: verification_metrics(embeddings, labels, max_pairs=100)["auc"],
        lambda labels: few_shot_accuracy(embeddings, labels, 2, 1, n_episodes=20),
    ):
        assert metric(labels.to(dtype)) == metric(labels)


# the metrics of the book


@pytest.mark.parametrize(("n_images", "k"), [(1, 1), (4, 4), (5, 5), (12, 5)])
def test_few_training_images_are_all_neighbours_and_of_many_five(n_images: int, k: int) -> None:
    points, labels = random_set(0, n_images + 20, 3)
    train, test = (points[:n_images], labels[:n_images]), (points[n_images:], labels[n_images:])
    metrics = seen_classes(train, test)
    assert metrics["k"] == k
    assert metrics["knn_accuracy"] == knn_accuracy(*train, *test, k=k)
    assert list(metrics) == ["knn_accuracy", "k", "recall_at_1", "r_precision", "map_at_r", "mrr", "auc", "eer"]


def test_no_training_images_raise() -> None:
    points, labels = random_set(0, 20, 3)
    with pytest.raises(ValueError, match="train_embeddings are empty"):
        seen_classes((points[:0], labels[:0]), (points, labels))


@pytest.mark.parametrize("wrap", [nn.DataParallel, nn.Sequential, torch.compile])
def test_a_wrapped_model_gives_the_same_embeddings(wrap: type) -> None:
    model = ClassificationNet(EmbeddingNet(5), 10)
    assert torch.equal(extract_embeddings(loader(), wrap(model))[0], extract_embeddings(loader(), model)[0])


IMAGES = torch.rand(2, 1, 28, 28)
BATCHES = {
    "dict": {"images": IMAGES, "labels": torch.zeros(2)},
    "images alone": IMAGES,
    "three parts": (IMAGES, torch.zeros(2), torch.zeros(2)),
    "text": (IMAGES, ("cat", "dog")),
    "pairs": ((IMAGES, IMAGES), torch.zeros(2)),
    "a number": (IMAGES, torch.tensor(1)),
    "fewer labels": (IMAGES, torch.zeros(1)),
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_a_batch_of_another_form_raises(batch: object) -> None:
    with pytest.raises(ValueError, match=r"a batch must be \(images, labels\).*got .*without labels"):
        extract_embeddings([batch], EmbeddingNet())


def test_a_model_that_returns_no_rows_raises() -> None:
    class Dictionary(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"embeddings": x.flatten(1)}

    for model, output in ((Dictionary(), "a dict of 1"), (nn.Flatten(0), r"a tensor of shape \(1568,\)")):
        with pytest.raises(ValueError, match=rf"shape \(2, D\), got {output}"):
            extract_embeddings([(IMAGES, torch.zeros(2))], model)


def test_images_that_are_not_in_memory_raise() -> None:
    images = Images(torch.zeros(4, 28, 28, dtype=torch.uint8), torch.arange(4), list("abcd"))
    with pytest.raises(ValueError, match=r"embed needs images in memory.*DataLoader.*Subset lacks data.*in_memory\(\)"):
        embed(EmbeddingNet(), torch.utils.data.Subset(images, [0, 1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_columns", [3, 20])
def test_metrics_of_tiny_embeddings_are_those_of_others(n_columns: int, dtype: torch.dtype) -> None:
    rows, labels = random_set(0, n_columns=n_columns)
    rows, factor = rows.to(dtype), 2.0**-100 if dtype == torch.float32 else 2.0**-900
    tiny = rows * factor
    assert retrieval_metrics(tiny, labels) == retrieval_metrics(rows, labels)
    assert retrieval_metrics(tiny, labels, tiny[:30], labels[:30]) == retrieval_metrics(
        rows, labels, rows[:30], labels[:30]
    )
    found, expected = nearest(tiny, k=4), nearest(rows, k=4)
    assert torch.equal(found.indices, expected.indices)
    assert torch.equal(found.distances, expected.distances * factor)
    found, expected = (verification_metrics(each, labels) for each in (tiny, rows))
    assert torch.equal(found.pop("roc").threshold, expected.pop("roc").threshold * factor)
    expected["threshold"] *= factor
    assert found == expected


def test_embeddings_of_zeros_and_none_have_no_scale() -> None:
    assert nearest(torch.zeros(3, 2), k=1).distances.tolist() == [[0.0]] * 3
    assert nearest(torch.zeros(3, 0), k=1).distances.tolist() == [[0.0]] * 3
