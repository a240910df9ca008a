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


def test_an_unfinished_file_has_a_name_of_its_own_and_never_goes_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, victim, names = tmp_path / "folder", tmp_path / "victim", []
    folder.mkdir()
    victim.write_bytes(b"untouched")
    (folder / "file.partial").symlink_to(victim)
    replace = os.replace
    monkeypatch.setattr(_atomic_files.os, "replace", lambda old, new: names.append(old) or replace(old, new))
    for number in range(3):
        write_atomically(folder / "file", b"%d" % number)
    assert len(set(names)) == 3
    assert {path.parent for path in names} == {folder}

    monkeypatch.setattr(_atomic_files.secrets, "token_hex", lambda n: "guessed")
    for planted in (victim, tmp_path / "nowhere"):
        (folder / "file.guessed.partial").unlink(missing_ok=True)
        (folder / "file.guessed.partial").symlink_to(planted)
        with pytest.raises(FileExistsError):
            write_atomically(folder / "file", b"new")
    assert (folder / "file").read_bytes() == b"2"
    assert victim.read_bytes() == b"untouched"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_unfinished_file_is_removed(
    step: str, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(_atomic_files.os, step, fail)
        with pytest.raises(error):
            write_atomically(tmp_path / "file", b"contents")
    assert os.listdir(tmp_path) == []


def test_a_tilde_is_the_home_folder_and_a_link_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    write_atomically("~/new/file", b"contents")
    assert (tmp_path / "home" / "new" / "file").read_bytes() == b"contents"
    (tmp_path / "link").symlink_to(tmp_path / "home" / "new" / "file")
    write_atomically("link", b"newer")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "home" / "new" / "file").read_bytes() == b"newer"
    assert sorted(os.listdir(tmp_path)) == ["home", "link"]


def test_the_permissions_are_the_usual_ones_and_names_may_be_long(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("é" * 120), b"contents")
    (tmp_path / "usual").write_bytes(b"contents")
    assert (tmp_path / ("é" * 120)).stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a folder")
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file" / "below", b"contents")
    assert (tmp_path / "file").read_bytes() == b"not a folder"
