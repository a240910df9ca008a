"""An index of images: search, additions, removals, updates."""

import io
import math
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_folders import broken_files, draw, flat, with_splits, write_class
from PIL import Image
from search_cases import SMALL, small_folder, small_index, small_net

from siamese_triplet import EmbeddingNet, nearest
from siamese_triplet.datasets import read_photo
from siamese_triplet.networks import PretrainedNet
from siamese_triplet.search import Index, embedder
from siamese_triplet.search import index as index_module


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return small_index(tmp_path / "photos")


def embedded(paths: list[Path]) -> torch.Tensor:
    """Embed files one by one."""
    transform = SMALL.transform()
    with torch.no_grad():
        return torch.cat([small_net().eval()(transform(read_photo(path, 16, 3))[None]) for path in paths])


def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of the files that are read from now on."""
    read, read_photos = [], embedder.read_photos

    def record(paths: list[Path], *given: Any) -> dict[int, str]:
        read.extend(path.name for path in paths)
        return read_photos(paths, *given)

    monkeypatch.setattr(embedder, "read_photos", record)
    return read


def test_an_index_has_the_embeddings_paths_and_classes_of_a_folder(index: Index) -> None:
    assert (len(index), index.classes) == (30, ["ape", "bee", "cat", "dog", "eel"])
    assert index.paths[:2] == ["ape/000.png", "ape/001.jpg"]
    assert index.class_names[5:7] == ["ape", "bee"]
    assert index.labels.tolist() == [label for label in range(5) for _ in range(6)]
    expected = embedded([index.file_of(path) for path in index.paths])
    torch.testing.assert_close(index.embeddings, expected, rtol=1e-4, atol=1e-5)
    assert repr(index) == "Index of 30 images of 5 classes, embeddings of size 8"


def test_a_search_finds_what_nearest_finds(index: Index) -> None:
    path = index.file_of("cat/002.png")
    answer = index.search(path, k=4)
    found = nearest(embedded([path]), index.embeddings, 4)
    assert [match.path for match in answer] == [index.paths[i] for i in found.indices[0]]
    assert [match.distance for match in answer] == pytest.approx(found.distances[0].tolist(), abs=1e-4)
    assert (answer[0].path, answer[0].class_name, answer[0].file) == ("cat/002.png", "cat", path)
    assert (len(answer), answer.query, answer.file) == (4, str(path), path)
    assert "cat  cat/002.png" in str(answer)


def test_a_query_may_be_of_any_kind(index: Index) -> None:
    path = index.file_of("dog/004.png")
    image = Image.open(path)
    pixels = np.asarray(image.convert("RGB"))
    network_input = SMALL.transform()(read_photo(path, 16, 3))
    row = index.paths.index("dog/004.png")
    kinds = [
        str(path), path.read_bytes(), image, image.convert("RGBA"), pixels,
        torch.from_numpy(pixels.copy()).permute(2, 0, 1), network_input, network_input[None],
        index.embeddings[row], index.embeddings[[row]], index.embeddings[row].numpy(), index.embeddings[row].double(),
    ]  # fmt: skip
    expected = [match.path for match in index.search(path)]
    for query in kinds:
        answer = index.search(query)
        assert [match.path for match in answer] == expected
        assert answer[0].distance == pytest.approx(0, abs=1e-4)
    together = index.search_all([kinds[0], kinds[2], kinds[8]], k=10)
    assert [[match.path for match in answer] for answer in together] == [expected] * 3
    assert [answer.query for answer in together] == [str(path), "an image", "an embedding"]
    assert len(index.search_all(index.embeddings[:7], k=2)) == 7
    assert index.search_all([]) == []


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK", "I;16", "F", "YCbCr", "HSV"])
def test_an_image_of_any_mode_is_a_query(mode: str, index: Index) -> None:
    made = {"F": Image.fromarray(np.full((20, 30), 0.5, dtype=np.float32)), "I;16": Image.new("I;16", (30, 20), 300)}
    image = made[mode] if mode in made else draw(1, random.Random(0)).convert(mode)
    assert len(index.search(image, 2)) == 2


def test_a_photo_that_lies_on_its_side_is_turned(index: Index) -> None:
    picture, exif = Image.open(index.file_of("bee/000.png")), Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    picture.transpose(Image.Transpose.ROTATE_90).save(stream, "PNG", exif=exif)
    for query in (stream.getvalue(), Image.open(stream)):
        assert index.search(query, 1)[0].distance == pytest.approx(0, abs=1e-4)


def test_more_neighbours_than_there_are_give_all_of_them(index: Index) -> None:
    assert len(index.search(index.embeddings[0], k=10_000)) == 30
    assert len({match.path for match in index.search(index.embeddings[0], k=30)}) == 30


def test_of_equally_near_images_the_first_comes_first() -> None:
    index = Index()
    index.add(torch.tensor([[1.0], [0.0], [1.0], [-1.0]]), paths=["c", "b", "a", "d"])
    assert [match.path for match in index.search(torch.tensor([0.0]), 4)] == ["b", "c", "a", "d"]


@pytest.mark.parametrize(
    ("query", "k", "message"),
    [
        ("nowhere.jpg", 1, r"there is no file .*nowhere\.jpg"),
        (b"no image", 1, "the image is not an image, or is truncated"),
        (torch.zeros(9), 1, "embeddings of one size"),
        (torch.full((8,), torch.nan), 1, "NaN"),
        (torch.zeros(2, 8), 1, "search takes one query, got 2 embeddings; search_all"),
        (torch.zeros(8), 0, "k=0 must be at least 1"),
        (torch.zeros(4, 4, dtype=torch.int64), 1, "pixels must be uint8"),
        (np.zeros((4, 4)), 1, "one query, got 4 embeddings"),
        (np.zeros((4, 4), dtype=np.int32), 1, r"must be uint8 \(H, W\)"),
    ],
)
def test_a_query_that_cannot_be_searched_raises(query: Any, k: int, message: str, index: Index) -> None:
    with pytest.raises(ValueError, match=message):
        index.search(query, k)


def test_an_empty_index_and_one_without_a_network_say_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the index is empty"):
        Index().search(torch.zeros(2))
    index = Index()
    index.add(torch.zeros(1, 2), paths=["a"])
    with pytest.raises(ValueError, match="has no network"):
        index.search(small_folder(tmp_path / "x") / "ape" / "000.png")
    with pytest.raises(ValueError, match="made without a folder"):
        Index(small_net(), SMALL).update()
    with pytest.raises(ValueError, match=r"pass preprocessing="):
        Index(EmbeddingNet())
    with pytest.raises(ValueError, match="takes a list"):
        index.search_all("query.jpg")


def test_a_pretrained_network_is_compared_by_cosine() -> None:
    class Backbone(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean(dim=(2, 3)) * 7 + 1

    net = PretrainedNet("own", Backbone(), 3, SMALL)
    index = Index(net)
    index.add([Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")], paths=["r", "b"])
    assert index.cosine
    assert index.embeddings.norm(dim=1).tolist() == pytest.approx([1, 1])
    assert index.search(torch.tensor([100.0, 0, 0]), 1)[0].path == "r"
    assert not Index(net, cosine=False).cosine
    assert Index(cosine=True).cosine


# images come and go


def test_embeddings_and_images_are_added_under_names(index: Index) -> None:
    assert index.add(torch.zeros(2, 8), "fox", paths=["x", "y"]).added == ["x", "y"]
    assert index.add([Image.open(index.file_of("ape/000.png"))], ["ape"], paths=["z"]).added == ["z"]
    assert (len(index), index.class_names[-3:]) == (33, ["fox", "fox", "ape"])
    torch.testing.assert_close(index.embeddings[-1], index.embeddings[0], rtol=1e-4, atol=1e-5)
    changes = index.add(torch.ones(1, 8), [None], paths=["x"])
    assert (changes.added, changes.changed, len(index)) == ([], ["x"], 33)
    assert index.search(torch.ones(8), 1)[0].path == "x"
    assert index.search(torch.ones(8), 1)[0].file is None


def test_files_are_added_with_their_classes(index: Index, tmp_path: Path) -> None:
    inside = write_class(index.file_of("fox"), 7, 2)
    outside = write_class(tmp_path / "elsewhere", 8, 2)
    (tmp_path / "bad.jpg").write_text("no image")
    changes = index.add([*inside, *outside, tmp_path / "bad.jpg"])
    assert changes.added == ["fox/000.png", "fox/001.jpg", *map(str, outside)]
    assert list(changes.broken) == [str(tmp_path / "bad.jpg")]
    assert index.class_names[-4:] == ["fox", "fox", None, None]
    index.add(outside[0], "gnu")
    assert (index.class_names[-1], len(index)) == ("gnu", 34)
    assert index.search(outside[0], 1)[0].file == outside[0]
    assert "0 changed" in str(index.update(progress=False))  # images from elsewhere stay
    assert len(index) == 34


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((torch.zeros(2, 8),), {}), "need names: paths="),
        (((torch.zeros(2, 8),), {"paths": ["a"]}), "got 2 images, 1 paths and 1 classes"),
        (((torch.zeros(2, 8), ["a"]), {"paths": ["a", "b"]}), "2 paths and 1 classes"),
        (((torch.zeros(2, 8),), {"paths": ["a", "a"]}), "twice there is 'a'"),
        (((torch.zeros(1, 9),), {"paths": ["a"]}), r"embeddings of size 8, got \(1, 9\)"),
        (((torch.full((1, 8), torch.inf),), {"paths": ["a"]}), "NaN or infinite"),
    ],
)
def test_what_cannot_be_added_raises_and_changes_nothing(given: tuple, message: str, index: Index) -> None:
    with pytest.raises(ValueError, match=message):
        index.add(*given[0], **given[1])
    assert len(index) == 30


def test_images_are_removed_by_either_path(index: Index) -> None:
    index.remove("ape/000.png")
    index.remove([index.file_of("ape/001.jpg"), "bee/000.png"])
    assert (len(index), index.paths[0]) == (27, "ape/002.png")
    assert index.class_names[3:5] == ["ape", "bee"]
    with pytest.raises(ValueError, match=r"no image 'ape/000\.png'; index\.paths lists"):
        index.remove(["ape/002.png", "ape/000.png"])
    assert len(index) == 27
    index.remove(index.paths)
    assert (len(index), index.classes) == (0, [])
    assert index.update(progress=False).added == index.paths


def test_an_update_reads_only_what_has_changed(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    read, folder = files_read(monkeypatch), index.folder
    assert folder is not None
    assert str(index.update(progress=False)) == "0 added, 0 changed, 0 removed"
    assert read == []
    before = index.embeddings[index.paths.index("bee/001.jpg")].clone()
    (folder / "ape" / "000.png").unlink()
    write_class(folder / "fox", 7, 1)
    draw(3, random.Random(9)).save(folder / "bee" / "001.jpg")
    (folder / "cat" / "005.jpg").write_bytes(b"")  # was whole
    (folder / "dog" / "bad.png").write_text("never was")
    changes = index.update(progress=False)
    assert sorted(read) == ["000.png", "001.jpg", "005.jpg", "bad.png"]
    assert (changes.added, changes.changed) == (["fox/000.png"], ["bee/001.jpg"])
    assert sorted(changes.removed) == ["ape/000.png", "cat/005.jpg"]
    assert list(changes.broken) == ["cat/005.jpg", "dog/bad.png"]
    assert "left out as they cannot be read: 2, 'cat/005.jpg', 'dog/bad.png'" in str(changes)
    assert not torch.equal(index.embeddings[index.paths.index("bee/001.jpg")], before)
    assert (len(index), set(index.broken)) == (29, {"cat/005.jpg", "dog/bad.png"})
    read.clear()
    index.update(progress=False)
    assert read == []  # broken files are not read again
    (folder / "dog" / "bad.png").unlink()
    draw(2, random.Random(1)).save(folder / "cat" / "005.jpg")
    index.update(progress=False)
    assert (read, index.broken, len(index)) == (["005.jpg"], {}, 30)


def test_a_file_of_the_same_size_has_changed_with_its_time(index: Index) -> None:
    file = index.file_of("ape/000.png")
    facts = os.stat(file)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000))
    assert index.update(progress=False).changed == ["ape/000.png"]


def test_a_folder_that_is_gone_or_empty_leaves_the_index(index: Index, tmp_path: Path) -> None:
    folder = index.folder
    assert folder is not None
    folder.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        index.update()
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match=r"no image in .*, where the index has 30; is the drive there"):
        index.update()
    assert len(index) == 30
    with pytest.raises(FileNotFoundError, match="there is no image"):
        Index.from_folder(folder, small_net(), SMALL)


def test_an_interruption_keeps_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamese_triplet.search.collection.CHUNK", 8)
    index = Index(small_net(), SMALL, folder=small_folder(tmp_path / "x"))
    embed, calls = embedder.Embedder.embed_files, []

    def interrupted(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(*given)

    monkeypatch.setattr(embedder.Embedder, "embed_files", interrupted)
    with pytest.raises(KeyboardInterrupt):
        index.update(progress=False)
    assert len(index) == 16
    assert len(index.update(progress=False).added) == 14


def test_broken_files_are_left_out_with_their_problems(tmp_path: Path) -> None:
    index = Index.from_folder(broken_files(tmp_path / "x"), small_net(), SMALL, progress=False)
    assert (len(index), len(index.broken)) == (114, 6)
    assert "0003/003.jpg is not an image" in index.broken["0003/003.jpg"]
    nothing = Index(small_net(), SMALL)
    assert nothing.add(index.file_of("0003/003.jpg")).added == []
    assert len(nothing) == 0


def test_a_flat_folder_has_no_classes_until_they_are_set(tmp_path: Path) -> None:
    index = Index.from_folder(flat(tmp_path / "x"), small_net(), SMALL, progress=False)
    assert (set(index.class_names), index.classes, index.labels.unique().tolist()) == ({None}, [], [-1])
    answer = index.search(index.file_of("IMG_0000.jpg"), 2)
    assert (answer.class_name, answer.is_none) == (None, False)
    with pytest.raises(ValueError, match="label some images with set_class"):
        index.choose_threshold()
    index.set_class(["IMG_0000.jpg", index.file_of("IMG_0008.jpg")], "kind 0")
    index.set_class(["IMG_0001.jpg", "IMG_0009.jpg"], ["kind 5", "kind 6"])
    assert index.classes == ["kind 0", "kind 5", "kind 6"]
    assert index.search(index.file_of("IMG_0000.jpg"), 1).class_name == "kind 0"
    os.utime(index.file_of("IMG_0000.jpg"))
    index.update(progress=False)
    assert index.class_names[index.paths.index("IMG_0000.jpg")] == "kind 0"
    with pytest.raises(ValueError, match="got 1 paths and 2 classes"):
        index.set_class("IMG_0000.jpg", ["a", "b"])
    with pytest.raises(ValueError, match="no image 'nowhere'"):
        index.set_class(["IMG_0000.jpg", "nowhere"], "a")
    assert "a" not in index.classes


def test_the_classes_of_splits_are_their_sub_folders(tmp_path: Path) -> None:
    index = Index.from_folder(with_splits(tmp_path / "x"), small_net(), SMALL, progress=False)
    assert index.classes == [f"class {number}" for number in range(8)]
    assert index.class_names[index.paths.index("val/class 3/000.png")] == "class 3"


# similar images, thresholds


def test_similar_images_are_found_without_the_image_itself(index: Index) -> None:
    answer = index.similar("cat/001.jpg", k=3)
    expected = [match.path for match in index.search(index.embeddings[index.paths.index("cat/001.jpg")], 4)]
    assert [match.path for match in answer] == expected[1:]
    assert (answer.query, answer.file) == ("cat/001.jpg", index.file_of("cat/001.jpg"))
    assert len(index.similar("cat/001.jpg", k=100)) == 29
    one = Index()
    one.add(torch.zeros(1, 2), paths=["a"])
    assert len(one.similar("a")) == 0


def test_near_duplicates_are_pairs_within_a_distance() -> None:
    index = Index()
    index.add(torch.tensor([[0.0], [5.0], [0.1], [9.0], [9.05]]), paths=list("abcde"))
    found = index.near_duplicates(most=0.3)
    assert [(one, other) for one, other, _ in found] == [("d", "e"), ("a", "c")]
    assert [distance for *_, distance in found] == pytest.approx([0.05, 0.1], abs=1e-5)
    assert index.near_duplicates(most=0.01) == []
    assert Index().near_duplicates() == []
    with pytest.raises(ValueError, match="at least 0"):
        index.near_duplicates(most=-1)


def test_beyond_the_threshold_is_none_of_these(index: Index) -> None:
    answer = index.search(index.file_of("cat/002.png"), 10)
    index.threshold = (answer[2].distance + answer[3].distance) / 2
    again = index.search(index.file_of("cat/002.png"), 10)
    assert [match.is_accepted for match in again] == [True] * 3 + [False] * 7
    assert (again.is_none, again.threshold) == (False, index.threshold)
    assert str(again).count("beyond the threshold") == 7
    far = index.search(torch.full((8,), 9.0), 3)
    assert (far.is_none, far.class_name) == (True, None)
    assert "none of these" in str(far)


def test_the_class_of_an_answer_is_that_of_the_nearest_match_within_the_threshold_that_has_one() -> None:
    index = Index(threshold=3.5)
    index.add(torch.arange(1.0, 6)[:, None], [None, *"abbb"], paths=list("12345"))
    assert index.search(torch.tensor([0.0]), 5).class_name == "a"  # not the most frequent
    assert index.search(torch.tensor([9.0]), 5).class_name is None
    index.threshold = 1.5
    found = index.search(torch.tensor([0.0]), 5)
    assert (found.is_none, found.class_name) == (False, None)
    index.threshold = None
    assert index.search(torch.tensor([9.0]), 5).class_name == "b"


def test_a_threshold_is_chosen_on_classes_that_were_not_trained_on(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def record(embeddings: torch.Tensor, labels: torch.Tensor, share: float, seed: int) -> Any:
        given.append((labels.tolist(), share, seed))
        return index_module.Threshold(0.7, 0.1, 0.9, 0.8)

    monkeypatch.setattr(index_module, "choose_threshold", record)
    assert index.choose_threshold().distance == 0.7
    assert (index.threshold, index.false_accepts) == (0.7, 0.05)
    index.trained_classes = ["ape", "dog"]
    index.choose_threshold(None, seed=4)
    index.choose_threshold(0.1, classes=["ape"])
    every = index.labels.tolist()
    assert given[0] == (every, 0.05, 0)
    assert given[1] == ([label if label in (1, 2, 4) else -1 for label in every], None, 4)
    assert given[2] == ([label if label == 0 else -1 for label in every], 0.1, 0)
    index.trained_classes = index.classes
    with pytest.raises(ValueError, match="not trained on"):
        index.choose_threshold()


def test_the_chosen_threshold_holds_its_promise_on_the_classes_it_was_chosen_on(index: Index) -> None:
    index.choose_threshold(0.2)
    assert index.threshold is not None
    accepted = [not index.search(query, 1).is_none for query in index.embeddings]
    assert all(accepted)  # each finds itself
    assert not math.isnan(index.choose_threshold(0.2).false_accepts)


def test_faiss_finds_the_same(index: Index) -> None:
    pytest.importorskip("faiss", reason="faiss is not installed, the extra search")
    query = index.embeddings[7:8] + 0.01
    _, rows = index.to_faiss().search(query.numpy(), 5)
    assert [index.paths[row] for row in rows[0]] == [match.path for match in index.search(query, 5)]
    _, rows = index.to_faiss("HNSW8").search(query.numpy(), 1)
    assert index.paths[rows[0, 0]] == index.search(query, 1)[0].path
    with pytest.raises(ValueError, match=r"faiss cannot make an index 'Nonsense' of 30 embeddings"):
        index.to_faiss("Nonsense")
    with pytest.raises(ValueError, match="faiss cannot make an index 'IVF64,Flat'"):
        index.to_faiss("IVF64,Flat")
