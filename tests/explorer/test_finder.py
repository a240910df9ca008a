"""The widget of `find_images`, with the values of `FileUpload` in ipywidgets 7 and since 8."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import torch
from explorer_cases import text_of
from PIL import Image
from torch import nn

from siamese_triplet.explorer import find_images
from siamese_triplet.explorer.finder import Finder, uploaded_file
from siamese_triplet.live import IN_BOOK
from siamese_triplet.networks import Preprocessing
from siamese_triplet.search import Index

COLOURS = ("red", "lime", "blue", "white", "black")


class MeanColour(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


def colours(folder: Path) -> Index:
    for name in COLOURS:
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (20, 20), name).save(folder / name / "1.png")
    preprocessing = Preprocessing(16, 3, (0.0,) * 3, (1.0,) * 3)
    return Index.from_folder(folder, MeanColour(), preprocessing, progress=False)


def since_8(name: str, contents: bytes) -> Any:
    return ({"name": name, "type": "image/png", "size": len(contents), "content": memoryview(contents)},)


def of_7(name: str, contents: bytes) -> Any:
    return {name: {"metadata": {"name": name, "type": "image/png"}, "content": contents}}


FORMS = pytest.mark.parametrize("form", [since_8, of_7])


def upload(finder: Finder, value: Any) -> None:
    """Do what happens when the browser has sent a file; `value` need not be of the installed version's form."""
    finder._take(value)


@FORMS
def test_an_uploaded_image_shows_its_neighbours(form: Any, tmp_path: Path) -> None:
    finder = find_images(colours(tmp_path / "x"), k=2)
    assert "Index of 5 images of 5 classes" in text_of(finder.status_html.value)
    Image.new("RGB", (8, 30), (0, 0, 250)).save(tmp_path / "night.png")
    upload(finder, form("night.png", (tmp_path / "night.png").read_bytes()))
    assert finder.answer is not None
    assert [match.class_name for match in finder.answer] == ["blue", "black"]
    assert "night.png: blue" in text_of(finder.status_html.value)
    assert finder.found_html.value.count("<img") == 3  # the query, too
    finder.neighbours.value = 4
    assert len(finder.answer) == 4


@FORMS
def test_what_is_like_nothing_is_none_of_these(form: Any, tmp_path: Path) -> None:
    index = colours(tmp_path / "x")
    index.threshold = 0.1
    finder = find_images(index)
    Image.new("RGB", (20, 20), "grey").save(tmp_path / "grey.png")
    upload(finder, form("grey.png", (tmp_path / "grey.png").read_bytes()))
    assert "grey.png: none of these" in text_of(finder.status_html.value)
    assert finder.found_html.value.count("beyond the threshold, 0.100") == 1


@FORMS
def test_a_file_that_is_no_image_is_a_message(form: Any, tmp_path: Path) -> None:
    finder = find_images(colours(tmp_path / "x"))
    upload(finder, form("<b>notes.txt", b"no image"))
    assert "notes.txt: the image is not an image" in text_of(finder.status_html.value)
    assert "<b>notes" not in finder.status_html.value
    assert (finder.answer, finder.found_html.value) == (None, "")


def test_the_upload_of_the_installed_version_is_understood(tmp_path: Path) -> None:
    finder = find_images(colours(tmp_path / "x"))
    contents = (tmp_path / "x" / "red" / "1.png").read_bytes()
    own = of_7 if isinstance(finder.upload.value, dict) else since_8
    sent = own("1.png", contents)
    if own is since_8:
        sent[0]["last_modified"] = datetime.now(timezone.utc)
    finder.upload.set_trait("value", sent)
    assert finder.answer is not None
    assert finder.answer.class_name == "red"


@pytest.mark.parametrize("nothing", [{}, (), []])
def test_no_upload_is_nothing(nothing: Any) -> None:
    assert uploaded_file(nothing) is None


def test_of_several_files_the_last_counts() -> None:
    assert uploaded_file(of_7("a", b"1") | of_7("b", b"2")) == ("b", b"2")
    assert uploaded_file((*since_8("a", b"1"), *since_8("b", b"2"))) == ("b", b"2")


def test_an_empty_index_and_no_neighbours_raise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the index is empty"):
        find_images(Index())
    with pytest.raises(ValueError, match="k=0 must be at least 1"):
        find_images(colours(tmp_path / "x"), k=0)


def test_the_book_shows_words_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    for module in ("output", "finder"):
        monkeypatch.setattr(f"siamese_triplet.explorer.{module}.display", lambda what, **_: shown.append(what))
    finder = find_images(colours(tmp_path / "x"))
    finder._ipython_display_()
    monkeypatch.setenv(IN_BOOK, "1")
    finder._ipython_display_()
    assert len(shown[0]) == 2
    assert list(shown[1]) == ["text/plain"]
