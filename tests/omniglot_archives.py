"""Small archives in the layout of Omniglot's."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamese_triplet.datasets.omniglot import MINIMAL, Archive


def drawing(number: int) -> bytes:
    image = Image.fromarray(np.where(np.arange(105 * 105).reshape(105, 105) % 7 < number % 5, 0, 255).astype("uint8"))
    file = io.BytesIO()
    image.convert("1").save(file, "PNG")
    return file.getvalue()


def replace_drawing(path: Path, contents: bytes) -> None:
    """Write an archive anew with other contents of its last drawing."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, old in members.items():
            file.writestr(name, contents if name == max(members) else old)


def write_archive(path: Path, alphabets: tuple[str, ...], n_characters: int = 2, n_drawings: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("folder/", b"")
        for alphabet in alphabets:
            for character in range(1, n_characters + 1):
                for number in range(n_drawings):
                    file.writestr(f"folder/{alphabet}/character{character:02}/0001_{number:02}.png", drawing(number))
    return path


@pytest.fixture
def minimal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with both minimal archives, two characters per alphabet; Greek and Latin are in both archives."""
    make_minimal = Archive.minimal.__func__

    def make_small(cls: type, folder: Path, train: bool) -> Archive:
        return Archive(make_minimal(cls, folder, train).path, 10)

    monkeypatch.setattr(Archive, "minimal", classmethod(make_small))
    write_archive(Archive.minimal(tmp_path, True).path, MINIMAL[True])
    write_archive(Archive.minimal(tmp_path, False).path, (*MINIMAL[False], "Greek", "Latin"))
    return tmp_path


def run_members() -> dict[str, bytes]:
    """Make the members of an archive of one-shot runs; test drawing i of run r belongs to class (i + r) mod 20."""
    members = {}
    for run in range(1, 21):
        lines = []
        for number in range(20):
            item, label = f"run{run:02}/test/item{number + 1:02}.png", (number + run) % 20
            members[f"run{run:02}/training/class{number + 1:02}.png"] = character(number, 0)
            members[item] = character(label, 1)
            lines.append(f"{item} run{run:02}/training/class{label + 1:02}.png\n")
        members[f"run{run:02}/class_labels.txt"] = "".join(lines).encode()
    return members


def character(number: int, shift: int) -> bytes:
    """Draw a cross of its own, in a place that `shift` moves a little."""
    ink = np.zeros((105, 105), dtype=bool)
    ink[10 + shift : 90 + shift, 10 + 4 * number + shift] = True
    ink[90 - 3 * number + shift, 10 + shift : 90 + shift] = True
    file = io.BytesIO()
    Image.fromarray(np.where(ink, 0, 255).astype("uint8")).convert("1").save(file, "PNG")
    return file.getvalue()


def write_runs(folder: Path, members: dict[str, bytes]) -> Path:
    """Write an archive of one-shot runs where a loader with the root `folder` looks for it."""
    path = folder / "omniglot-one-shot" / "all_runs.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, contents in members.items():
            file.writestr(name, contents)
    return path
