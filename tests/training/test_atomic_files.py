import os
from pathlib import Path

import pytest

from siamese_triplet import _atomic_files
from siamese_triplet._atomic_files import write_atomically


def test_contents_are_written_and_replaced_in_new_folders_too(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.bin"
    for contents in (b"first\r\n\0", b"", b"second"):
        write_atomically(path, contents)
        assert path.read_bytes() == contents
    write_atomically(str(path), b"third")
    assert path.read_bytes() == b"third"
    assert os.listdir(path.parent) == ["file.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_when_writing_fails_the_old_file_is_whole(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    path = tmp_path / "file"
    write_atomically(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(_atomic_files.os, step, fail)
        with pytest.raises(OSError, match="disk full"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer"


def test_the_new_contents_are_on_disk_before_they_take_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, events = tmp_path / "file", []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(_atomic_files.os, "fsync", lambda number: events.append("fsync") or fsync(number))
    monkeypatch.setattr(_atomic_files.os, "replace", lambda old, new: events.append("replace") or replace(old, new))
    write_atomically(path, b"contents")
    assert events[:2] == ["fsync", "replace"]


def test_leftovers_of_a_process_that_died_while_writing_are_harmless(tmp_path: Path) -> None:
    (tmp_path / "file.partial").write_bytes(b"half of something much longer")
    write_atomically(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a folder")
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file" / "below", b"contents")
    assert (tmp_path / "file").read_bytes() == b"not a folder"
