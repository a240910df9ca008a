"""Omniglot's official one-shot runs, from an archive made here, and from the real one if it is available."""

import hashlib
import io
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omniglot_archives import run_members, write_runs

from siamese_triplet.datasets import has_one_shot_runs, load_one_shot_runs, omniglot_runs

MEMBERS = run_members()
ITEM, LABELS = "run03/test/item05.png", "run03/class_labels.txt"


def test_each_query_is_paired_with_the_support_of_its_class(tmp_path: Path) -> None:
    write_runs(tmp_path, MEMBERS)
    images, support, queries = load_one_shot_runs(tmp_path)
    assert (len(images), len(images.classes), images.data.shape[1:]) == (800, 400, (105, 105))
    assert support.shape == queries.shape == (20, 20, 1)
    assert torch.cat([support, queries]).flatten().sort().values.tolist() == list(range(800))
    for run in range(20):
        for way in range(20):
            known, asked = int(support[run, way]), int(queries[run, way])
            assert images.targets[known] == images.targets[asked] == 20 * run + way
            assert images.groups[known] == images.groups[asked] == run
            assert torch.equal(images.data[known].roll((1, 1), (0, 1)), images.data[asked])  # the same cross, moved
    assert (images.classes[47], images.group_names[2]) == ("run03/class08", "run03")
    assert set(images.data.unique().tolist()) == {0, 255}
    assert images.data[0].double().mean() < 20  # ink is bright, and rare


def test_drawings_can_be_shrunk(tmp_path: Path) -> None:
    write_runs(tmp_path, MEMBERS)
    assert load_one_shot_runs(tmp_path, image_size=28).images.data.shape == (800, 28, 28)
    with pytest.raises(ValueError, match="image_size=7 of omniglot must be between 8 and 105"):
        load_one_shot_runs(tmp_path, image_size=7)


def labels(change: Callable[[str], str]) -> dict[str, bytes]:
    return MEMBERS | {LABELS: change(MEMBERS[LABELS].decode()).encode()}


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({name: MEMBERS[name] for name in MEMBERS if name != ITEM}, "it holds 799 drawings, not the 800"),
        ({name: MEMBERS[name] for name in MEMBERS if name != LABELS}, "no item named 'run03/class_labels.txt'"),
        (MEMBERS | {ITEM: b"no drawing"}, "cannot identify"),
        (MEMBERS | {ITEM: MEMBERS[ITEM] + bytes(2**17)}, "more than the 65,536 that a drawing may have"),
        (MEMBERS | {LABELS: bytes(2**15)}, "more than the 16,384 that it may have"),
        (labels(lambda text: text.replace("class08", "class09")), "does not name one test drawing for each"),
        (labels(lambda text: text.replace("item08", "item09")), "does not name one test drawing for each"),
        (labels(lambda text: text.replace("run03/training", "run04/training")), "does not name one test drawing"),
        (labels(lambda text: text[:200]), "does not name one test drawing"),
    ],
    ids=["missing", "no labels", "no drawing", "long", "long labels", "class twice", "item twice", "other run", "cut"],
)
def test_other_contents_raise_naming_the_archive(members: dict[str, bytes], problem: str, tmp_path: Path) -> None:
    write_runs(tmp_path, members)
    with pytest.raises(ValueError, match=rf"all_runs\.zip is truncated or corrupt: .*{problem}.*; delete it"):
        load_one_shot_runs(tmp_path)


def test_a_truncated_archive_raises_naming_it(tmp_path: Path) -> None:
    path = write_runs(tmp_path, MEMBERS)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"all_runs\.zip is truncated or corrupt"):
        load_one_shot_runs(tmp_path)


def test_missing_runs_raise_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_one_shot_runs(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no one-shot runs of omniglot: .*download=False"):
        load_one_shot_runs(tmp_path, download=False)

    def offline(url: str) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(omniglot_runs.urllib.request, "urlopen", offline)
    with pytest.raises(FileNotFoundError, match=r"was not downloaded: .*no network.*Connect once"):
        load_one_shot_runs(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_is_kept_only_with_the_official_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = write_runs(tmp_path / "elsewhere", MEMBERS).read_bytes()
    asked = []

    def answer(url: str) -> Any:
        asked.append(url)
        return io.BytesIO(contents)

    monkeypatch.setattr(omniglot_runs.urllib.request, "urlopen", answer)
    with pytest.raises(FileNotFoundError, match="other contents than the official runs"):
        load_one_shot_runs(tmp_path / "here")
    assert not (tmp_path / "here").exists()
    monkeypatch.setattr(omniglot_runs, "SHA256", hashlib.sha256(contents).hexdigest())
    assert len(load_one_shot_runs(tmp_path / "here").images) == 800
    assert len(load_one_shot_runs(tmp_path / "here").images) == 800
    assert asked == 2 * [omniglot_runs.URL]
    assert has_one_shot_runs(tmp_path / "here")


def test_the_environment_variable_can_name_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_runs(tmp_path, MEMBERS)
    monkeypatch.setenv("SIAMESE_TRIPLET_DATA", str(tmp_path))
    assert has_one_shot_runs()
    assert len(load_one_shot_runs(image_size=8).images) == 800


@pytest.mark.skipif(not has_one_shot_runs(), reason="the official runs are not on this machine")
def test_the_real_archive_is_the_official_one() -> None:
    path = (omniglot_runs.named_folder(None) or omniglot_runs.cache_directory()) / omniglot_runs.ARCHIVE
    assert hashlib.sha256(path.read_bytes()).hexdigest() == omniglot_runs.SHA256
    images, support, queries = load_one_shot_runs()
    assert images.targets.bincount().tolist() == [2] * 400
    assert images.targets[queries[0, 7, 0]] == images.targets[support[0, 7, 0]] == 7
    assert queries[0, 7, 0] == 20  # run01/test/item01.png belongs to run01/training/class08.png
