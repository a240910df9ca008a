"""Names with `$`, `_`, markup and bytes that are no UTF-8, in the explorer's pictures, widgets and files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from explorer_cases import LONG, SMALL, clusters, parts_of, picture, small_explorer, snapshot_of, text_of
from toy_data import part

from siamese_triplet.explorer import explore, pick_triplets
from siamese_triplet.explorer.panel import status_html
from siamese_triplet.explorer.pictures import embedding_image
from siamese_triplet.explorer.records import FAILED, Outcome, as_html, export

NAMES = {
    "broken formula": r"$\frac{",
    "formula": "$x$",
    "underscore": "_a",
    "backslash": "a\\b",
    "lines": "two\nlines",
    "not UTF-8": "caf\udce9",
    "right to left": "שלום",
    "markup": "<img src=x onerror=alert(1)>\"'&",
}
UTF8 = "utf-8"


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_class_names_are_shown_as_they_are(name: str) -> None:
    assert picture(embedding_image(snapshot_of(classes=[name] * 10)))[0].std() > 0
    images = part(True, 8)
    images.classes = [f"{name}{label}" for label in range(10)]
    embeddings = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    picker = pick_triplets(embeddings, images.targets, images, n_classes=4, n_samples=5)
    shown = name.replace("\udce9", "\\udce9")
    assert f"anchor: {shown}" in picture(picker.examples_html.value)[1]
    for widget in parts_of(picker.widget):
        assert "<img src=x" not in str(getattr(widget, "value", "")).encode(UTF8).decode()
    assert shown in picker.to_figure().data["classes"][0].replace("\udce9", "\\udce9")
    picker.to_figure().to_html().encode(UTF8)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_messages_are_shown_as_they_are_and_can_be_kept_in_files(name: str, tmp_path: Path) -> None:
    shown = name.replace("\udce9", "\\udce9")
    assert text_of(status_html(name)).strip() == shown
    assert "<img src=x" not in status_html(name)
    runs = [Outcome(1, SMALL, FAILED, message=name)]
    table = as_html(runs)
    table.encode(UTF8)
    assert "<img src=x" not in table
    for ending in ("csv", "json"):
        export(runs, tmp_path / f"runs.{ending}")
        (tmp_path / f"runs.{ending}").read_bytes().decode(UTF8)


def test_an_error_that_names_such_a_file_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(settings: object) -> None:
        raise OSError("no file caf\udce9.png, <b>$5</b>")

    explorer = small_explorer()
    monkeypatch.setattr(explorer.datasets, "load", fail)
    monkeypatch.setattr(explorer.datasets, "class_sizes", lambda settings: [10] * 10)
    assert explorer.train()
    assert explorer.wait(LONG)
    for text in (
        explorer.status,
        explorer.runs[0].message,
        *(str(getattr(w, "value", "")) for w in parts_of(explorer.widget)),
    ):
        text.encode(UTF8)
    assert "no file caf\\udce9.png, &lt;b&gt;$5&lt;/b&gt;" in explorer.panel.status_text.value
    monkeypatch.setattr(explorer.datasets, "class_sizes", fail)
    explorer.controls.seed.value = 3
    assert "no file caf\\udce9.png" in text_of(explorer.message_html.value)
    assert "<b>$5" not in explorer.message_html.value
    explorer.message.encode(UTF8)


def test_runs_are_written_below_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    export([Outcome(1, SMALL)], "~/runs.csv")
    assert (tmp_path / "runs.csv").exists()


def test_a_name_that_only_begins_with_a_tilde_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    export([Outcome(1, SMALL)], "~$x.csv")
    assert (tmp_path / "~$x.csv").exists()


@pytest.mark.parametrize("labels", [["cat", "dog"] * 10, list("ab") * 10])
def test_labels_that_are_texts_are_an_error(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="pick_triplets: labels must be integers"):
        pick_triplets(clusters()[0], labels)


def test_the_explorer_takes_images_whose_classes_have_such_names() -> None:
    sets = part(True, 10), part(False, 5)
    for images in sets:
        images.classes = [*NAMES.values(), "", "last"]
    explorer = explore(sets, settings=replace(SMALL, n_epochs=1))
    assert explorer.train()
    assert explorer.wait(LONG)
    assert [run.ended for run in explorer.runs] == ["finished"]
    assert "<img alt=" in explorer.panel.embedding_html.value
