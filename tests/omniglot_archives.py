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
