"""The folder of emoji that the chapter on your own images writes."""

from pathlib import Path

import pytest
from PIL import Image

from siamese_triplet.book.emoji_folder import SIDES, Planted, family, write_emoji_folder
from siamese_triplet.datasets import FolderImages
from siamese_triplet.evaluation import near_duplicates


def test_families_are_drawn_with_all_their_classes(tmp_path: Path) -> None:
    write_emoji_folder(tmp_path / "new", n_families=60)
    photos = FolderImages(tmp_path / "new")
    assert len({family(name) for name in photos.classes}) == 60 < len(photos.classes)
    assert photos.targets.bincount().min() >= 3  # one of four may have been moved
    for path in photos.paths[::20]:
        if path.suffix == ".png" and path.stat().st_size > 50:
            with Image.open(path) as image:
                assert SIDES[0] <= image.width == image.height <= SIDES[1]


@pytest.mark.usefixtures("global_random_state_untouched")
def test_the_seed_decides_the_files(tmp_path: Path) -> None:
    def contents(name: str, seed: int) -> dict[str, bytes]:
        write_emoji_folder(tmp_path / name, 5, seed)
        return {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}

    first = contents("a", 0)
    assert first == contents("b", 0)
    assert first != contents("c", 1)


def test_faults_are_planted_and_can_be_found(tmp_path: Path) -> None:
    planted = write_emoji_folder(tmp_path / "new", n_families=60)
    photos = FolderImages(tmp_path / "new")
    assert set(photos.unreadable()) == planted.broken
    assert len(planted.misplaced) == len(planted.copies) >= 2
    assert planted.misplaced | planted.copies < set(photos.paths)
    whole = photos.subset([n for n, path in enumerate(photos.paths) if path not in planted.broken])
    pairs = [{whole.paths[one], whole.paths[other]} for one, other in near_duplicates(whole.in_memory())]
    for copied in planted.copies:
        [original] = next(pair for pair in pairs if copied in pair) - {copied}
        assert family(original.parent.name) != family(copied.parent.name)
    assert str(planted) == f"{len(planted.misplaced)} misplaced, {len(planted.copies)} copied, 1 broken"
    assert str(Planted()) == "0 misplaced, 0 copied, 0 broken"


@pytest.mark.parametrize("n_families", [1, 10_000])
def test_an_impossible_number_of_families_raises(n_families: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be from 2 to the"):
        write_emoji_folder(tmp_path / "new", n_families)
    assert not (tmp_path / "new").exists()


def test_existing_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty; name a new folder"):
        write_emoji_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jpg"]
