from pathlib import Path

import pytest
import torch

from siamese_triplet.book.example_photos import write_example_photos
from siamese_triplet.datasets import FolderImages


def test_twenty_kinds_in_six_colours_have_as_many_photos_as_requested(tmp_path: Path) -> None:
    photos = FolderImages(write_example_photos(tmp_path / "new", (1, 3)), 16)
    assert len(photos.classes) == 120
    assert len({name.rsplit("-", 1)[0] for name in photos.classes}) == 20
    assert {"sneaker-red", "t-shirt-top-black", "digit-7-blue"} <= set(photos.classes)
    sizes = photos.targets.bincount()
    assert (sizes.min(), sizes.max()) == (1, 3)


@pytest.mark.usefixtures("global_random_state_untouched")
def test_the_seed_decides_the_photos(tmp_path: Path) -> None:
    def data(name: str, seed: int) -> torch.Tensor:
        return FolderImages(write_example_photos(tmp_path / name, (1, 1), seed), 16).in_memory().data

    first = data("a", 0)
    assert torch.equal(first, data("b", 0))
    assert not torch.equal(first, data("c", 1))


def test_colours_can_be_told_apart(tmp_path: Path) -> None:
    photos = FolderImages(write_example_photos(tmp_path / "new", (2, 2)), 16).in_memory()
    darkest = photos.data.double().flatten(1, 2)  # (N, pixels, 3)
    least = darkest.gather(1, darkest.sum(dim=2).argmin(dim=1)[:, None, None].expand(-1, 1, 3))[:, 0]  # (N, 3)
    colour = [photos.classes[label].rsplit("-", 1)[1] for label in photos.targets.tolist()]
    for name, channel in (("red", 0), ("green", 1), ("blue", 2)):
        pixels = least[torch.tensor([one == name for one in colour])]
        assert (pixels.argmax(dim=1) == channel).double().mean() > 0.9


def test_existing_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty; name a new folder"):
        write_example_photos(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jpg"]


@pytest.mark.parametrize("n_photos", [(0, 3), (4, 3), (3, 101)])
def test_an_invalid_number_of_photos_raises(n_photos: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="from 1 to 100"):
        write_example_photos(tmp_path / "new", n_photos)
    assert not (tmp_path / "new").exists()
