import hashlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import transforms

from siamese_triplet.datasets import downloads, load, mnist

FULL_DATA = os.environ.get("SIAMESE_TRIPLET_DATA")
needs_full_data = pytest.mark.skipif(not FULL_DATA, reason="SIAMESE_TRIPLET_DATA does not name a folder with the data")
NAMES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
STATISTICS = {"mnist": (0.1307, 0.3081), "fashion-mnist": (0.2860, 0.3530)}


@pytest.fixture(autouse=True)
def _no_data_and_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Name no data folder, empty the cache directory, and take the network away."""
    monkeypatch.delenv("SIAMESE_TRIPLET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    fake_network(monkeypatch, lambda folder, file: (_ for _ in ()).throw(URLError("no network in tests")))


def fake_network(monkeypatch: pytest.MonkeyPatch, answer: Callable[[Path, str], None]) -> list[str]:
    """Make torchvision's downloads call `answer(folder, file name)`; return the list of requested files."""
    asked = []

    def download(url: str, download_root: str, filename: str, md5: str) -> None:
        asked.append(filename)
        answer(Path(download_root), filename.removesuffix(".gz"))

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", download)
    return asked


def idx(array: Tensor) -> bytes:
    """Encode `array` in the format of MNIST's files."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.numpy().tobytes()


def write(folder: Path, n_images: int, name: str = "mnist", train: bool = False) -> tuple[Path, Path]:
    """Write a small data set to `folder`, laid out as torchvision does; return the files of images and labels."""
    raw = folder / NAMES[name] / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    images, labels = (raw / f"{'train' if train else 't10k'}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    generator = torch.Generator().manual_seed(n_images)
    images.write_bytes(idx(torch.randint(0, 256, (n_images, 28, 28), dtype=torch.uint8, generator=generator)))
    labels.write_bytes(idx(torch.arange(n_images, dtype=torch.uint8) % 10))
    return images, labels


# the embedded subset


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("train", "per_class"), [(True, 600), (False, 100)])
def test_embedded_subset_is_balanced_and_normalised(name: str, train: bool, per_class: int) -> None:
    images = load(name, train=train, subset="embedded")
    assert len(images) == 10 * per_class
    assert images.data.shape == (10 * per_class, 28, 28)
    assert (images.data.dtype, images.targets.dtype, images.train) == (torch.uint8, torch.int64, train)
    assert images.targets.bincount().tolist() == [per_class] * 10
    assert len(set(images.classes)) == 10
    mean, std = STATISTICS[name]
    transform = transforms.Compose([transforms.ToPILImage(), transforms.ToTensor(), transforms.Normalize(mean, std)])
    image, label = images[7]
    torch.testing.assert_close(image, transform(images.data[7]), rtol=0, atol=5e-7)
    assert (image.shape, image.dtype, label) == ((1, 28, 28), torch.float32, int(images.targets[7]))


@pytest.mark.parametrize("name", NAMES)
def test_embedded_subset_needs_neither_a_folder_nor_a_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAMESE_TRIPLET_DATA", "/nowhere")
    asked = fake_network(monkeypatch, lambda *_: None)
    assert len(load(name, root="/nowhere", subset="embedded")) == 6_000
    assert asked == []


@pytest.mark.parametrize(("train", "per_class"), [(True, 250), (False, 100)])
def test_embedded_with_a_number_gives_the_first_images_of_each_class(train: bool, per_class: int) -> None:
    whole, part = (load("fashion-mnist", train, subset=subset) for subset in ("embedded", "embedded:250"))
    assert part.targets.bincount().tolist() == [per_class] * 10
    for label in range(10):
        assert torch.equal(part.data[part.targets == label], whole.data[whole.targets == label][:per_class])
    assert part[0][0].shape == (1, 28, 28)


def test_class_names_are_torchvisions() -> None:
    assert load("mnist", subset="embedded").classes[3] == "3 - three"
    assert load("fashion-mnist", subset="embedded").classes[9] == "Ankle boot"


@pytest.mark.parametrize("contents", [b"garbage", None])
def test_a_damaged_installation_names_the_embedded_file(
    contents: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mnist, "EMBEDDED", tmp_path)
    if contents:
        (tmp_path / "mnist.npz").write_bytes(contents)
    with pytest.raises(ValueError, match=r"mnist\.npz is missing or corrupt: .*; reinstall"):
        load("mnist", subset="embedded")


# the full data


@needs_full_data
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("train", "n_images"), [(True, 60_000), (False, 10_000)])
def test_full_data_is_loaded_and_contains_the_embedded_images(
    name: str, train: bool, n_images: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("SIAMESE_TRIPLET_DATA", FULL_DATA)
    full, subset = load(name, train=train), load(name, train=train, subset="embedded")
    assert capsys.readouterr().out == ""
    assert full.data.shape == (n_images, 28, 28)
    assert full.targets.shape == (n_images,)
    mean, std = STATISTICS[name]
    if train:
        pixels = full.data.float() / 255
        assert pixels.mean().item() == pytest.approx(mean, abs=1e-4)
        assert pixels.std().item() == pytest.approx(std, abs=1e-4)
    labels_by_image = {}
    for image, label in zip(full.data.numpy(), full.targets.tolist(), strict=True):
        labels_by_image.setdefault(hashlib.md5(image.tobytes()).digest(), set()).add(label)
    for image, label in zip(subset.data.numpy(), subset.targets.tolist(), strict=True):
        assert label in labels_by_image[hashlib.md5(image.tobytes()).digest()]


@needs_full_data
@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_one_flipped_bit_in_a_file_of_full_size_raises(kind: str, tmp_path: Path) -> None:
    source, copy = Path(FULL_DATA) / "MNIST/raw", tmp_path / "MNIST/raw"
    copy.mkdir(parents=True)
    for file in source.glob("t10k-*-ubyte"):
        (copy / file.name).write_bytes(file.read_bytes())
    assert len(load("mnist", train=False, root=tmp_path)) == 10_000
    file = copy / f"t10k-{kind}-ubyte"
    contents = bytearray(file.read_bytes())
    contents[-1] ^= 1
    file.write_bytes(contents)
    with pytest.raises(ValueError, match=f"{file} is corrupt"):
        load("mnist", train=False, root=tmp_path)


def test_files_of_full_size_that_are_not_the_official_ones_raise(tmp_path: Path) -> None:
    write(tmp_path, 20)
    labels = tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte"
    labels.write_bytes(idx(torch.zeros(10_000, dtype=torch.uint8)))
    with pytest.raises(ValueError, match=f"{labels} is corrupt: its checksum"):
        load("mnist", train=False, root=tmp_path)
    images, _ = write(tmp_path, 10_000)
    with pytest.raises(ValueError, match=f"{images} is corrupt: its checksum"):
        load("mnist", train=False, root=tmp_path)


# where the data is looked up


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("train", [True, False])
def test_a_small_but_consistent_pair_of_files_is_loaded(
    name: str, train: bool, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write(tmp_path, 20, name, train)
    images = load(name, train=train, root=tmp_path)
    generator = torch.Generator().manual_seed(20)
    assert torch.equal(images.data, torch.randint(0, 256, (20, 28, 28), dtype=torch.uint8, generator=generator))
    assert images.targets.tolist() == list(range(10)) * 2
    assert images.targets.dtype == torch.int64
    assert images.train == train
    assert capsys.readouterr().out == ""


def test_root_takes_precedence_over_the_variable_and_the_variable_over_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "root", 20)
    write(tmp_path / "variable", 21)
    write(tmp_path / "cache/siamese_triplet", 22)
    assert len(load("mnist", train=False)) == 22
    monkeypatch.setenv("SIAMESE_TRIPLET_DATA", str(tmp_path / "variable"))
    assert len(load("mnist", train=False)) == 21
    assert len(load("mnist", train=False, root=str(tmp_path / "root"))) == 20


def test_without_xdg_the_cache_is_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    write(tmp_path / "home/.cache/siamese_triplet", 23)
    assert len(load("mnist", train=False)) == 23


@pytest.mark.parametrize("how", ["root", "variable", "cache"])
def test_a_tilde_is_the_home_folder(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "home/data" / ("siamese_triplet" if how == "cache" else ""), 26)
    if how != "root":
        monkeypatch.setenv("SIAMESE_TRIPLET_DATA" if how == "variable" else "XDG_CACHE_HOME", "~/data")
    assert len(load("mnist", train=False, root="~/data" if how == "root" else None)) == 26
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("name", ["mnist", "omniglot"])
def test_messages_about_a_folder_that_is_no_utf_8_can_be_printed(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load(name, root=os.fsencode(tmp_path).decode() + "/caf\udce9", download=False)
    assert "caf\\udce9" in str(caught.value).encode("utf-8").decode()


def test_missing_data_is_downloaded_to_the_named_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def deliver(folder: Path, file: str) -> None:
        write(folder.parent.parent, 24, train=file.startswith("train"))

    asked = fake_network(monkeypatch, deliver)
    assert len(load("mnist", train=False, root=tmp_path / "new")) == 24
    assert len(asked) == 4
    assert len(load("mnist", train=True, root=tmp_path / "new")) == 24
    assert len(asked) == 4
    assert (tmp_path / "new/MNIST/raw/t10k-images-idx3-ubyte").is_file()
    assert capsys.readouterr().out == ""


def test_download_false_does_not_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_network(monkeypatch, lambda *_: None)
    with pytest.raises(FileNotFoundError, match="download=False"):
        load("mnist", root=tmp_path, download=False)
    assert len(load("mnist", download=False)) == 6_000
    assert asked == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("train", "n_images"), [(True, "6,000"), (False, "1,000")])
def test_without_a_named_folder_and_a_network_the_embedded_subset_is_used_and_one_line_says_so(
    name: str, train: bool, n_images: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail(folder: Path, file: str) -> None:
        print(f"Downloading {file}")  # as torchvision does
        raise URLError("no network in tests")

    fake_network(monkeypatch, fail)
    images = load(name, train=train)
    expected = load(name, train=train, subset="embedded")
    assert torch.equal(images.data, expected.data)
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert err == ""
    for part in (name, n_images, "embedded subset", "no network in tests", "SIAMESE_TRIPLET_DATA"):
        assert part in out


@pytest.mark.parametrize("error", [URLError("name resolution failed"), RuntimeError("File not found or corrupted.")])
@pytest.mark.parametrize("named_by", ["root", "variable"])
def test_a_named_folder_without_the_data_raises_with_the_reason_why_the_download_failed(
    named_by: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail(folder: Path, file: str) -> None:
        raise error

    place = tmp_path / "nowhere"
    fake_network(monkeypatch, fail)
    if named_by == "variable":
        monkeypatch.setenv("SIAMESE_TRIPLET_DATA", str(place))
    reason = "name resolution failed" if isinstance(error, URLError) else "File not found or corrupted"
    with pytest.raises(FileNotFoundError, match=f"(?s){place}.*{reason}.*root=.*subset='embedded'"):
        load("mnist", root=place if named_by == "root" else None)
    assert capsys.readouterr().out == ""
    assert not place.exists()


def test_downloads_in_other_threads_run_one_at_a_time_and_leave_stdout_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    running, n_running, before = [], [], (sys.stdout, socket.getdefaulttimeout())

    def fetch() -> None:
        running.append(1)
        n_running.append(len(running))
        time.sleep(0.2)
        running.pop()

    threads = [threading.Thread(target=downloads.download, args=(fetch, tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    print("still heard")
    for thread in threads:
        thread.join()
    assert n_running == [1, 1, 1]
    assert (sys.stdout, socket.getdefaulttimeout()) == before
    assert capsys.readouterr().out == "still heard\n"


def test_files_finished_before_a_download_fails_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_for_test_files(folder: Path, file: str) -> None:
        if file.startswith("t10k"):
            raise URLError("connection lost")
        write(folder.parent.parent, 25, train=True)

    fake_network(monkeypatch, fail_for_test_files)
    with pytest.raises(FileNotFoundError, match="connection lost"):
        load("mnist", train=False, root=tmp_path / "new")
    assert len(load("mnist", train=True, root=tmp_path / "new")) == 25


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(FileNotFoundError, match="Not a directory"):
        load("mnist", root=tmp_path / "file")


def test_a_download_has_a_timeout_and_restores_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fail(folder: Path, file: str) -> None:
        seen.append(socket.getdefaulttimeout())
        raise URLError("slow")

    fake_network(monkeypatch, fail)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(123)
    load("mnist")
    after = socket.getdefaulttimeout()
    socket.setdefaulttimeout(before)
    assert after == 123
    assert all(0 < timeout <= 60 for timeout in seen)
    assert seen


# damaged files


@pytest.mark.parametrize("which", [0, 1], ids=["images", "labels"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda contents: contents[:-1],
        lambda contents: contents[: len(contents) // 2],
        lambda contents: contents[:10],
        lambda contents: contents[:2],
        lambda contents: b"",
        lambda contents: contents + b"\0",
        lambda contents: b"<html>not found</html>" * 40,
        lambda contents: np.random.default_rng(0).bytes(len(contents)),
    ],
    ids=["last byte", "half", "header only", "two bytes", "empty", "too long", "html", "garbage"],
)
@pytest.mark.parametrize("named", [True, False])
def test_a_truncated_or_garbage_file_raises_naming_it_instead_of_falling_back(
    named: bool,
    damage: Callable[[bytes], bytes],
    which: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    place = tmp_path / ("data" if named else "cache/siamese_triplet")
    file = write(place, 20)[which]
    file.write_bytes(damage(file.read_bytes()))
    if named:
        monkeypatch.setenv("SIAMESE_TRIPLET_DATA", str(place))
    with pytest.raises(ValueError, match=f"{file} is truncated or corrupt"):
        load("mnist", train=False)
    assert capsys.readouterr().out == ""


def test_images_and_labels_of_different_lengths_raise_naming_a_file(tmp_path: Path) -> None:
    _, labels = write(tmp_path, 20)
    labels.write_bytes(idx(torch.zeros(19, dtype=torch.uint8)))
    with pytest.raises(ValueError, match="t10k"):
        load("mnist", train=False, root=tmp_path)


@pytest.mark.parametrize("label", [10, 255])
def test_labels_beyond_the_classes_raise_naming_the_file(label: int, tmp_path: Path) -> None:
    _, labels = write(tmp_path, 20)
    labels.write_bytes(idx(torch.full((20,), label, dtype=torch.uint8)))
    with pytest.raises(ValueError, match=str(labels)):
        load("mnist", train=False, root=tmp_path)


# bad input


@pytest.mark.parametrize("name", ["cifar10", "MNIST", ""])
def test_an_unknown_name_raises_and_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=f"unknown data set '{name}'; .*'mnist', 'fashion-mnist'"):
        load(name)


@pytest.mark.parametrize(
    "subset", ["half", "", "embedded:", "embedded:0", "embedded:601", "embedded:-1", "minimal", 60]
)
def test_an_unknown_subset_raises(subset: object) -> None:
    with pytest.raises(ValueError, match=rf"unknown subset={subset!r}; .*'embedded', or 'embedded:60' .*most 600"):
        load("mnist", subset=subset)
