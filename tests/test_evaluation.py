import math

import pytest
import reference
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from siamese_triplet.evaluation import extract_embeddings, knn_accuracy
from siamese_triplet.networks import ClassificationNet, EmbeddingNet, SiameseNet


def loader(n_images: int = 10, batch_size: int = 4) -> DataLoader:
    images = torch.rand(n_images, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(images, torch.arange(n_images) % 3), batch_size)


@pytest.mark.parametrize("wrap", [lambda net: net, SiameseNet, lambda net: ClassificationNet(net, 10)])
def test_embeddings_are_those_of_get_embedding_in_the_order_of_the_loader(wrap: type) -> None:
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
def test_extraction_is_in_evaluation_mode_and_restores_the_mode_of_every_module(training: bool) -> None:
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


def test_knn_accuracy_over_several_chunks_of_queries() -> None:
    gallery, labels = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
    queries = torch.arange(3000)[:, None] % 2 * 1.0
    query_labels = (torch.arange(3000) % 2).where(torch.arange(3000) >= 300, 5)
    assert knn_accuracy(gallery, labels, queries, query_labels, k=1) == pytest.approx(0.9)


def test_knn_accuracy_of_near_duplicates_far_from_the_origin_is_precise() -> None:
    points = 1000 + 1e-2 * torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60)
    assert knn_accuracy(points, labels, points, labels, k=1) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_knn_accuracy_of_half_precision_is_that_of_float32(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    points, labels = torch.randn(40, 8, generator=generator).to(dtype), torch.randint(0, 3, (40,), generator=generator)
    half = knn_accuracy(points[:30], labels[:30], points[30:], labels[30:])
    assert half == knn_accuracy(points[:30].float(), labels[:30], points[30:].float(), labels[30:])


def test_no_queries_give_nan() -> None:
    points, labels = torch.randn(6, 2), torch.arange(6)
    assert math.isnan(knn_accuracy(points, labels, points[:0], labels[:0]))


@pytest.mark.parametrize(
    ("queries", "labels", "k", "message"),
    [
        (torch.zeros(3, 2), torch.tensor([0, 1]), 5, "3 embeddings but 2 labels"),
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
