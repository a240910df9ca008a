"""Omniglot, from small archives made here, and from the real minimal ones if they are available."""

import contextlib
import io
import tracemalloc
from pathlib import Path

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from omniglot_archives import drawing, minimal, replace_drawing, write_archive  # noqa: F401 - a fixture
from PIL import Image, ImageFile

from siamese_triplet import Images, load
from siamese_triplet.datasets import omniglot
from siamese_triplet.datasets.omniglot import MINIMAL, Archive, has_omniglot, rotations_as_classes


def test_minimal_sets_have_no_alphabet_in_common(minimal: Path) -> None:  # noqa: F811
    train, test = (load("omniglot", train, minimal, subset="minimal", image_size=20) for train in (True, False))
    assert (len(train), len(train.classes), train.group_names) == (200, 10, list(MINIMAL[True]))
    assert (len(test), len(test.classes), test.group_names) == (120, 6, list(MINIMAL[False]))
    assert train.classes[:2] == ["Balinese/character01", "Balinese/character02"]
    assert torch.equal(train.groups, train.targets // 2)
    assert train.targets.bincount().tolist() == [20] * 10


def test_ink_is_bright_and_items_are_normalised_tensors(minimal: Path) -> None:  # noqa: F811
    images = load("omniglot", True, minimal, subset="minimal")
    assert images.data.shape == (200, 105, 105)
    assert images.data[0].max() == 0  # an empty drawing
    assert (images.data[4] == 255).double().mean() == pytest.approx(4 / 7, abs=0.01)
    image, label = images[0]
    assert (image.shape, image.dtype, label) == ((1, 105, 105), torch.float32, 0)
    small = load("omniglot", True, minimal, subset="minimal", image_size=28)
    assert small.data.shape == (200, 28, 28)
    assert small.data[4].float().mean() == pytest.approx(images.data[4].float().mean().item(), rel=0.05)


def test_without_a_subset_the_minimal_sets_are_used_if_there_are_no_others(minimal: Path, capsys) -> None:  # noqa: F811
    assert len(load("omniglot", False, minimal).classes) == 6
    assert "using the minimal set images_background_small2.zip" in capsys.readouterr().out


def test_the_minimal_sets_are_parts_of_the_background_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alphabets = ("Arcadian", *MINIMAL[True], *MINIMAL[False])
    archive = write_archive(Archive.full(tmp_path, True).path, alphabets)
    monkeypatch.setattr(Archive, "full", classmethod(lambda cls, root, train: Archive(archive, 18)))
    assert load("omniglot", False, tmp_path, subset="minimal").group_names == list(MINIMAL[False])
    assert len(load("omniglot", True, tmp_path).group_names) == 9


def test_the_minimal_sets_are_the_same_from_the_full_archive_and_their_own(minimal: Path, tmp_path: Path) -> None:  # noqa: F811
    from_own = [load("omniglot", train, minimal, subset="minimal", image_size=16) for train in (True, False)]
    full = Archive.full(tmp_path, True).path
    write_archive(full, tuple(sorted({"Arcadian", *MINIMAL[True], *MINIMAL[False]})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Archive, "full", classmethod(lambda cls, root, train: Archive(full, 18)))
        for train in (True, False):
            Archive.minimal(minimal, train).path.unlink()
        from_full = [load("omniglot", train, minimal, subset="minimal", image_size=16) for train in (True, False)]
    for ours, theirs in zip(from_full, from_own, strict=True):
        assert (ours.classes, ours.group_names) == (theirs.classes, theirs.group_names)
        assert torch.equal(ours.data, theirs.data)
        assert torch.equal(ours.targets, theirs.targets)
        assert torch.equal(ours.groups, theirs.groups)


def test_the_official_archives_have_their_paths_and_sizes(tmp_path: Path) -> None:
    found = [make(tmp_path, train) for make in (Archive.full, Archive.minimal) for train in (True, False)]
    assert [str(archive.path.relative_to(tmp_path)) for archive in found] == [
        "omniglot-py/images_background.zip",
        "omniglot-py/images_evaluation.zip",
        "omniglot-minimal/images_background_small1.zip",
        "omniglot-minimal/images_background_small2.zip",
    ]
    assert [archive.n_characters for archive in found] == [964, 659, 136, 156]


def test_both_splits_have_consistent_types_classes_and_groups(minimal: Path, capsys: pytest.CaptureFixture) -> None:  # noqa: F811
    for train in (True, False):
        images = load("omniglot", train, minimal, subset="minimal", image_size=8)
        assert images.train is train
        assert images.data.shape[1:] == (8, 8)
        assert (images.data.dtype, images.targets.dtype, images.groups.dtype) == (
            torch.uint8,
            torch.int64,
            torch.int64,
        )
        for label, group in zip(images.targets.tolist(), images.groups.tolist(), strict=True):
            assert images.classes[label].startswith(images.group_names[group] + "/character")
    assert capsys.readouterr().out == ""


def test_shrinking_is_antialiased(minimal: Path) -> None:  # noqa: F811
    whole, small = (load("omniglot", True, minimal, subset="minimal", image_size=size).data for size in (105, 21))
    assert set(whole.unique().tolist()) == {0, 255}
    middle = whole[:, 5:-5, 5:-5].float().mean(dim=(1, 2))
    torch.testing.assert_close(small[:, 1:-1, 1:-1].float().mean(dim=(1, 2)), middle, atol=3, rtol=0)
    assert len(small.unique()) > 5


def test_the_environment_variable_can_name_the_folder(minimal: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("SIAMESE_TRIPLET_DATA", str(minimal))
    assert has_omniglot("minimal")
    assert len(load("omniglot", subset="minimal", image_size=8)) == 200


def test_a_truncated_archive_raises_naming_it(minimal: Path) -> None:  # noqa: F811
    path = Archive.minimal(minimal, True).path
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match=r"images_background_small1.zip is truncated or corrupt: .*copy it again"):
        load("omniglot", True, minimal, subset="minimal")


def test_a_damaged_drawing_raises_naming_the_archive(minimal: Path) -> None:  # noqa: F811
    path = Archive.minimal(minimal, True).path
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 3] ^= 255
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"images_background_small1\.zip"):
        load("omniglot", True, minimal, subset="minimal")


@pytest.mark.parametrize("length", [0, 100, 5000])
def test_an_archive_cut_to_its_first_bytes_raises_naming_it(length: int, minimal: Path) -> None:  # noqa: F811
    path = Archive.minimal(minimal, False).path
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"images_background_small2\.zip is truncated or corrupt: .*; delete it"):
        load("omniglot", False, minimal, subset="minimal")


@pytest.mark.parametrize("broken", [b"", b"not a drawing", drawing(1)[:60]])
def test_an_intact_archive_with_a_broken_drawing_raises_naming_it(broken: bytes, minimal: Path) -> None:  # noqa: F811
    path = Archive.minimal(minimal, True).path
    replace_drawing(path, broken)
    with pytest.raises(ValueError, match=r"images_background_small1\.zip is truncated or corrupt"):
        load("omniglot", True, minimal, subset="minimal")


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("1", (width, height)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (png(50, 105), "has 50 × 105 pixels, not 105 × 105"),
        (png(3000, 3000), "has 3000 × 3000 pixels, not 105 × 105"),
        (drawing(1) + bytes(2**24), "has 16,777,.* bytes, more than the 65,536 that a drawing may have"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 105 105\n%%EndComments\n%%EOF\n", "cannot identify"),
    ],
    ids=["narrow", "large", "long", "PostScript"],
)
def test_what_is_no_drawing_is_refused_before_it_is_unpacked_or_decoded(
    contents: bytes,
    problem: str,
    minimal: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = Archive.minimal(minimal, True).path
    replace_drawing(path, contents)
    sizes, load_pixels = [], ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: sizes.append(image.size) or load_pixels(image))
    with pytest.raises(ValueError, match=rf"images_background_small1\.zip is truncated or corrupt: .*{problem}"):
        load("omniglot", True, minimal, subset="minimal")
    assert set(sizes) == {(105, 105)}


def test_a_member_that_unpacks_to_more_than_it_declares_is_not_read_to_its_end(
    minimal: Path,  # noqa: F811
) -> None:
    path = Archive.minimal(minimal, True).path
    replace_drawing(path, drawing(1) + bytes(2**26))
    contents = path.read_bytes()
    declared = (len(drawing(1)) + 2**26).to_bytes(4, "little")
    assert contents.count(declared) == 2  # in the member's header and in the directory
    path.write_bytes(contents.replace(declared, (300).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"images_background_small1\.zip is truncated or corrupt"):
        load("omniglot", True, minimal, subset="minimal")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize(("n_drawings", "n_found"), [(19, 190), (21, 210)])
def test_too_few_or_too_many_drawings_raise(n_drawings: int, n_found: int, minimal: Path) -> None:  # noqa: F811
    write_archive(Archive.minimal(minimal, True).path, MINIMAL[True], n_drawings=n_drawings)
    with pytest.raises(
        ValueError, match=rf"small1\.zip .*holds {n_found} drawings, not the 200 of the official archive"
    ):
        load("omniglot", True, minimal, subset="minimal")


def test_missing_data_without_a_download_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="download=False"):
        load("omniglot", True, tmp_path, download=False)

    def offline(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(omniglot, "Omniglot", type("Omniglot", (), {"folder": "omniglot-py", "__init__": offline}))
    with pytest.raises(FileNotFoundError, match=r"no omniglot data: .*was not downloaded: no network\. Connect once"):
        load("omniglot", True, tmp_path)
    assert not has_omniglot("minimal", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_only_the_message_of_missing_data(tmp_path: Path) -> None:
    shell = InteractiveShell()
    with pytest.raises(FileNotFoundError) as caught:
        load("omniglot", root=tmp_path, download=False)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        shell.showtraceback((caught.type, caught.value, caught.tb))
    assert shown.getvalue().startswith("MissingDataError: no omniglot data")
    assert "_find" not in shown.getvalue()


@pytest.mark.parametrize("subset", [None, "minimal"])
@pytest.mark.parametrize("train", [True, False])
def test_missing_archives_are_downloaded(
    train: bool, subset: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class FakeOmniglot:
        folder = "omniglot-py"

        def __init__(self, root: Path, background: bool, download: bool) -> None:
            asked.append((root, background, download))
            write_archive(Archive.full(root, background).path, (*MINIMAL[True], *MINIMAL[False]))

    full = Archive.full.__func__
    monkeypatch.setattr(omniglot, "Omniglot", FakeOmniglot)
    monkeypatch.setattr(Archive, "full", classmethod(lambda cls, *args: Archive(full(cls, *args).path, 16)))
    for _ in range(2):
        images = load("omniglot", train, tmp_path, subset=subset, image_size=8)
        assert images.group_names == sorted(MINIMAL[train] if subset else (*MINIMAL[True], *MINIMAL[False]))
    assert asked == [(tmp_path, train or subset == "minimal", True)]


def test_has_omniglot_needs_both_splits(minimal: Path) -> None:  # noqa: F811
    assert has_omniglot("minimal", minimal)
    assert has_omniglot(None, minimal)
    Archive.minimal(minimal, False).path.unlink()
    assert not has_omniglot("minimal", minimal)
    assert not has_omniglot(None, minimal)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("omniglot", {"subset": "embedded"}, "unknown subset='embedded' of omniglot"),
        ("omniglot", {"subset": "small1"}, "unknown subset='small1' of omniglot"),
        ("omniglot", {"image_size": 0}, "image_size=0"),
        ("omniglot", {"image_size": 7}, "image_size=7"),
        ("omniglot", {"image_size": 106}, "image_size=106"),
        ("mnist", {"image_size": 28}, "image_size=28 is for Omniglot"),
        ("fashion-mnist", {"image_size": 32, "subset": "embedded"}, "image_size=32 is for Omniglot"),
    ],
)
def test_bad_input_raises(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(name, **options)


def test_turned_characters_are_new_classes(minimal: Path) -> None:  # noqa: F811
    images = load("omniglot", False, minimal, subset="minimal", image_size=16)
    turned = rotations_as_classes(images)
    assert (len(turned), len(turned.classes), len(turned.group_names)) == (480, 24, 12)
    assert torch.equal(turned.data[120 + 7], images.data[7].rot90())
    assert turned.targets[120 + 7] == images.targets[7] + 6
    assert turned.groups[240 + 7] == images.groups[7] + 6
    assert turned.classes[6 + int(images.targets[7])] == f"{images.classes[images.targets[7]]} turned by 90°"
    for turn in range(4):
        part = slice(120 * turn, 120 * (turn + 1))
        assert torch.equal(turned.data[part], images.data.rot90(turn, (1, 2)))
        assert torch.equal(turned.targets[part], images.targets + 6 * turn)
        assert torch.equal(turned.groups[part], images.groups + 3 * turn)
    for label, group in zip(turned.targets.tolist(), turned.groups.tolist(), strict=True):
        alphabet, _, turn = turned.group_names[group].partition(" ")
        assert turned.classes[label].startswith(alphabet + "/")
        assert turned.classes[label].endswith(turn)
    assert turned.targets.bincount().tolist() == [20] * 24
    assert (turned.train, turned.transform) == (images.train, images.transform)


def test_turned_images_without_groups_have_none() -> None:
    data = torch.arange(9, dtype=torch.uint8).reshape(1, 3, 3)
    turned = rotations_as_classes(Images(data, torch.zeros(1, dtype=torch.int64), ["a"]))
    assert (turned.groups, turned.group_names) == (None, [])
    assert turned.classes == ["a", "a turned by 90°", "a turned by 180°", "a turned by 270°"]
    assert turned.data[1].tolist() == [[2, 5, 8], [1, 4, 7], [0, 3, 6]]  # anticlockwise


@pytest.mark.skipif(not has_omniglot("minimal"), reason="Omniglot is not in the folder that SIAMESE_TRIPLET_DATA names")
def test_the_real_minimal_sets_have_136_and_106_characters() -> None:
    train, test = (load("omniglot", train, subset="minimal", image_size=28) for train in (True, False))
    assert (len(train.classes), len(test.classes)) == (136, 106)
    assert len(train) + len(test) == 4840
    assert not set(train.group_names) & set(test.group_names)
    ink = train.data.float() / 255
    assert (ink.mean().item(), ink.std().item()) == pytest.approx((omniglot.MEAN, omniglot.STD), abs=2e-3)
