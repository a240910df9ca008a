"""A gallery: search, classify, save, load."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from siamese_triplet import EmbeddingNet, distances, knn_predictions, nearest
from siamese_triplet.evaluation import Neighbours, prepared
from siamese_triplet.evaluation.prepared import PreparedGallery
from siamese_triplet.gallery import Gallery


def gallery(n: int = 60) -> Gallery:
    generator = torch.Generator().manual_seed(0)
    return Gallery(torch.randn(n, 4, generator=generator), torch.arange(n) % 3, ["a", "b", "c"])


def test_search_and_classify_equal_the_functions_of_evaluation() -> None:
    known, queries = gallery(), torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(known.search(queries, 3).indices, nearest(queries, known.embeddings, 3).indices)
    assert torch.equal(known.classify(queries), knn_predictions(known.embeddings, known.labels, queries))
    assert len(known) == 60
    assert "60 images of 3 classes, embeddings of size 4" in repr(known)


def test_without_k_no_class_is_outvoted_for_having_few_images() -> None:
    embeddings = torch.tensor([[0.0], [0.2], [1.0], [1.1], [1.2], [1.3], [1.4]])
    labels = torch.tensor([0, 0, 1, 1, 1, 1, 1])
    known, query = Gallery(embeddings, labels), torch.tensor([[0.1]])
    assert known.classify(query).item() == 0
    assert known.classify(query, k=5).item() == 1
    assert known.prototypes().classify(torch.tensor([[0.0], [1.3]])).tolist() == [0, 1]


def test_a_search_of_no_queries_finds_nothing_and_too_many_neighbours_raise() -> None:
    assert gallery().search(torch.empty(0, 4)).indices.shape == (0, 5)
    with pytest.raises(ValueError, match="k=61 must be between 1 and the 60 images"):
        gallery().search(torch.zeros(1, 4), 61)
    with pytest.raises(ValueError, match="embeddings of one size"):
        gallery().search(torch.zeros(1, 3))


def test_labels_without_names_are_any_integers() -> None:
    known = Gallery(torch.tensor([[0.0, 0], [1, 0], [9, 9], [9, 8]]), torch.tensor([-7, -7, 300, 300]))
    assert known.classify(torch.tensor([[0.0, 1], [8, 8]]), k=1).tolist() == [-7, 300]
    prototypes = known.prototypes()
    assert (prototypes.labels.tolist(), prototypes.classes) == ([-7, 300], [])
    assert prototypes.embeddings.tolist() == [[0.5, 0], [9, 8.5]]
    assert known.few_labels(1).labels.tolist() == [-7, 300]


def test_half_precision_embeddings_are_kept_in_float32_without_a_gradient() -> None:
    embeddings = torch.randn(4, 2, requires_grad=True)
    known = Gallery(embeddings.bfloat16(), torch.arange(4))
    assert known.embeddings.dtype == torch.float32
    assert not known.embeddings.requires_grad


def test_prototypes_are_the_means_of_the_classes() -> None:
    known = gallery()
    prototypes = known.prototypes()
    assert prototypes.labels.tolist() == [0, 1, 2]
    torch.testing.assert_close(prototypes.embeddings[1], known.embeddings[known.labels == 1].mean(dim=0))


def test_a_few_labels_of_each_class_are_drawn_from_the_seed() -> None:
    few = gallery().few_labels(4, seed=1)
    assert few.labels.bincount().tolist() == [4, 4, 4]
    assert torch.equal(few.embeddings, gallery().few_labels(4, seed=1).embeddings)
    assert not torch.equal(few.embeddings, gallery().few_labels(4, seed=2).embeddings)
    assert few.classes == gallery().classes
    rows = set(map(tuple, few.embeddings.tolist()))
    assert len(rows) == 12
    for label in range(3):
        known = gallery().embeddings[gallery().labels == label].tolist()
        assert set(map(tuple, few.embeddings[few.labels == label].tolist())) <= set(map(tuple, known))


@pytest.mark.parametrize("n", [0, -1, 21])
def test_too_few_and_too_many_labels_raise(n: int) -> None:
    with pytest.raises(ValueError, match=f"n={n} images per class: class 0 has 20"):
        gallery().few_labels(n)


def test_a_saved_gallery_is_loaded(tmp_path: Path) -> None:
    gallery().save(tmp_path / "new" / "gallery.pt")
    again = Gallery.load(tmp_path / "new" / "gallery.pt")
    assert torch.equal(again.embeddings, gallery().embeddings)
    assert torch.equal(again.labels, gallery().labels)
    assert again.classes == ["a", "b", "c"]


def test_a_gallery_of_a_slice_is_saved_without_the_rest(tmp_path: Path) -> None:
    large, labels = torch.rand(100_000, 4), torch.arange(100_000)
    Gallery(large[:10], labels[:10]).save(tmp_path / "gallery.pt")
    assert (tmp_path / "gallery.pt").stat().st_size < 10_000
    assert torch.equal(Gallery.load(tmp_path / "gallery.pt").embeddings, large[:10])


def test_a_missing_device_is_not_reported_as_a_damaged_file(tmp_path: Path) -> None:
    gallery().save(tmp_path / "gallery.pt")
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises((RuntimeError, AssertionError), match=r"(?i)cuda|nvidia|device"):  # torch's own
        Gallery.load(tmp_path / "gallery.pt", device=missing)


def test_a_file_that_is_not_a_gallery_raises(tmp_path: Path) -> None:
    path = tmp_path / "gallery.pt"
    with pytest.raises(FileNotFoundError):
        Gallery.load(path)
    for contents in (
        {"format": "another"},
        {"format": "siamese_triplet.Gallery"},
        EmbeddingNet().state_dict(),
        [1, 2],
        EmbeddingNet(),
    ):
        torch.save(contents, path)
        with pytest.raises(ValueError, match=r"(?s)gallery\.pt is not a gallery, or is damaged: .*save it again"):
            Gallery.load(path)


def test_a_truncated_file_raises_at_any_length(tmp_path: Path) -> None:
    path = tmp_path / "gallery.pt"
    gallery().save(path)
    whole = path.read_bytes()
    for length in (0, 1, 10, 500, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"gallery\.pt is not a gallery, or is damaged"):
            Gallery.load(path)


@pytest.mark.parametrize("kind", ["text", "tensor", "no tensors", "damaged name"])
def test_every_other_file_raises(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "gallery.pt"
    if kind == "text":
        path.write_text("embeddings of yesterday")
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "no tensors":
        torch.save({"format": "siamese_triplet.Gallery", "embeddings": 1, "labels": 2, "classes": []}, path)
    else:
        gallery().save(path)
        contents = bytearray(path.read_bytes())
        contents[contents.index(b"embeddings")] ^= 255
        path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"gallery\.pt is not a gallery, or is damaged"):
        Gallery.load(path)


def test_a_flipped_byte_of_the_embeddings_is_noticed(tmp_path: Path) -> None:
    path, known = tmp_path / "gallery.pt", gallery()
    known.save(path)
    contents = bytearray(path.read_bytes())
    contents[contents.index(known.embeddings.numpy().tobytes())] ^= 1
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"gallery\.pt is not a gallery, or is damaged"):
        Gallery.load(path)


def test_a_failed_write_leaves_the_previous_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery().save(tmp_path / "gallery.pt")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        gallery(3).save(tmp_path / "gallery.pt")
    assert len(Gallery.load(tmp_path / "gallery.pt")) == 60


@pytest.mark.parametrize(
    ("embeddings", "labels", "classes", "message"),
    [
        (torch.empty(0, 2), torch.empty(0, dtype=torch.int64), (), "empty"),
        (torch.full((2, 2), torch.nan), torch.arange(2), (), "NaN"),
        (torch.rand(2, 2), torch.arange(3), (), "2 embeddings but 3 labels"),
        (torch.rand(2, 2), torch.arange(2), ["a"], "labels from 0 to 1 do not fit 1 classes"),
        (torch.rand(2, 2), torch.tensor([-1, 0]), ["a"], "labels from -1 to 0 do not fit 1 classes"),
        (torch.rand(3), torch.arange(3), (), "must be a matrix|shape"),
        (torch.rand(2, 2), torch.rand(2), (), "integer"),
    ],
)
def test_bad_input_raises(embeddings: torch.Tensor, labels: torch.Tensor, classes: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Gallery(embeddings, labels, classes)


def test_faiss_finds_the_same() -> None:
    pytest.importorskip("faiss", reason="faiss is not installed, the extra search")
    known, queries = gallery(), torch.randn(9, 4, generator=torch.Generator().manual_seed(2))
    squared, indices = known.to_faiss().search(queries.numpy(), 5)
    found = known.search(queries, 5)
    assert torch.equal(torch.from_numpy(indices), found.indices)
    torch.testing.assert_close(torch.from_numpy(squared), found.distances.square(), rtol=1e-4, atol=1e-5)


def test_without_faiss_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match="pip install faiss-cpu"):
        gallery().to_faiss()


CLOUDS = {
    "round": lambda cloud: cloud,
    "far from the origin": lambda cloud: cloud + 10,
    "so far that float32 tells nothing": lambda cloud: cloud + 1e5,
    "on the unit sphere": lambda cloud: cloud / cloud.norm(dim=1, keepdim=True),
    "coinciding points": lambda cloud: cloud.round(),
    "nearly coinciding points": lambda cloud: cloud.round() + 1e-7 * cloud,
    "tiny": lambda cloud: cloud * 1e-22,
    "smaller than float32 can square": lambda cloud: cloud * 1e-25,
    "small": lambda cloud: cloud * 1e-6,
    "large": lambda cloud: cloud * 1e12,
    "one far point": lambda cloud: torch.cat([cloud[:-1], cloud[-1:] * 1e6]),
    "zeros": lambda cloud: cloud * 0,
}


def everything_in_float64(queries: torch.Tensor, known: torch.Tensor, k: int) -> Neighbours:
    """Compute neighbours by the path for many queries."""
    many = queries.repeat(distances.FEW_ROWS // len(queries) + 1, 1)
    return Neighbours(*(part[: len(queries)] for part in nearest(many, known, k)))


@pytest.mark.parametrize("k", [1, 30])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_few_queries_find_the_same_as_many(cloud: str, k: int) -> None:
    generator = torch.Generator().manual_seed(k)
    points = CLOUDS[cloud](torch.randn(9006, 40, generator=generator))
    known = Gallery(points[:9000], torch.arange(9000) % 7)
    queries = torch.cat([points[:6], points[9000:]])
    found, expected = known.search(queries, k), everything_in_float64(queries, known.embeddings, k)
    torch.testing.assert_close(found.distances, expected.distances, rtol=1e-6, atol=0)
    torch.testing.assert_close(known.search(queries[:1], k).indices, found.indices[:1])
    if cloud != "nearly coinciding points":  # the last bit of their distances is open
        assert torch.equal(found.indices, expected.indices)


@pytest.mark.parametrize("known", [torch.float64, torch.float32, "inference"])
def test_any_gallery_can_be_searched(known: Any) -> None:
    points = torch.randn(3000, 12, dtype=torch.float64)
    if known == "inference":
        with torch.inference_mode():
            embeddings = points.float() * 1
    else:
        embeddings = points.to(known)
    found = Gallery(embeddings, torch.zeros(3000, dtype=torch.long)).search(points[5:6], 2)
    assert found.indices[0, 0] == 5


def test_a_search_follows_inference_tensors_that_have_changed() -> None:
    with torch.inference_mode():
        known, query = Gallery(torch.randn(3000, 12) * 1, torch.zeros(3000, dtype=torch.int64)), torch.zeros(1, 12)
        known.search(query)
        known.embeddings[1234] = 0
        assert known.search(query, 1).indices.item() == 1234


def test_a_gallery_of_candidates_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedGallery, "_choose", None)  # copies its candidates
    known = Gallery(torch.randn(3000, 40) + 1e5, torch.zeros(3000, dtype=torch.long))
    assert known.search(known.embeddings[7:8], 1).indices.item() == 7


def test_a_search_of_few_queries_looks_closely_at_few_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Gallery(torch.randn(9000, 40, generator=torch.Generator().manual_seed(0)), torch.arange(9000) % 7)
    sizes, centre = [], distances._Wide.centre
    monkeypatch.setattr(distances._Wide, "centre", lambda rows, *mean: sizes.append(len(rows)) or centre(rows, *mean))
    known.search(torch.zeros(3, 40))
    assert max(sizes) < 20
    nearest(torch.zeros(3, 40), known.embeddings)  # not prepared
    assert 20 < max(sizes) <= distances.TILE


def test_a_search_follows_embeddings_that_have_changed() -> None:
    known, query = Gallery(torch.randn(3000, 12), torch.zeros(3000, dtype=torch.int64)), torch.zeros(1, 12)
    known.search(query)
    known.embeddings[1234] = 0
    assert known.search(query, 1).indices.item() == 1234


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("cloud", ["round", "coinciding points", "large"])
def test_a_gallery_beyond_the_caches_is_searched_in_parts(
    cloud: str, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = CLOUDS[cloud](torch.randn(9003, 40, generator=torch.Generator().manual_seed(3)))
    known, query = Gallery(points[:9001], torch.arange(9001) % 7), points[9001:9002]
    expected = everything_in_float64(query, known.embeddings, 5)
    monkeypatch.setattr(prepared, "IN_CACHES", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    found = known.search(query, 5)
    assert torch.equal(found.indices, expected.indices)
    torch.testing.assert_close(found.distances, expected.distances, rtol=1e-6, atol=0)


@pytest.mark.parametrize("n", [2001, 5000, 30_000])
@pytest.mark.parametrize("order", ["random", "ascending", "descending", "equal"])
def test_a_threshold_is_reached_by_k_distances_and_by_few_more(n: int, order: str) -> None:
    distances = torch.randn(n, generator=torch.Generator().manual_seed(n))
    distances = {"random": distances, "equal": distances * 0}.get(order, distances.sort().values)
    distances = distances.flip(0) if order == "descending" else distances
    for k in (1, 5, 100, n):
        reached = int((distances <= prepared.threshold(distances, k)).sum())
        assert k <= reached
        assert order == "equal" or reached <= k + 5 + k // 10


def test_a_search_of_a_sorted_gallery_looks_closely_at_few_embeddings() -> None:
    points = torch.randn(9000, 40, generator=torch.Generator().manual_seed(0)).sort(dim=0).values
    assert len(PreparedGallery(points)._candidates(points[0], 5)) < 20
