"""The folder of emoji that a chapter writes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamese_triplet import load
from siamese_triplet.book.example_emoji import write_example_emoji


def test_a_folder_has_the_drawings_of_some_test_classes(tmp_path: Path) -> None:
    root, emoji = write_example_emoji(tmp_path / "x", n_classes=5, seed=1), load("emoji", train=False)
    folders = sorted(root.iterdir())
    assert len(folders) == 5
    for folder in folders:
        rows = (emoji.targets == emoji.classes.index(folder.name)).nonzero()[:, 0].tolist()
        names = {emoji.source_names[emoji.sources[row]]: row for row in rows}
        assert {path.stem for path in folder.iterdir()} == set(names)
        for path in folder.iterdir():
            assert (np.asarray(Image.open(path)) == emoji.data[names[path.stem]].numpy()).all()
    again, other = (write_example_emoji(tmp_path / str(seed), 5, seed) for seed in (1, 2))
    assert [folder.name for folder in sorted(again.iterdir())] == [folder.name for folder in folders]
    assert [folder.name for folder in sorted(other.iterdir())] != [folder.name for folder in folders]


def test_a_folder_in_use_and_too_many_classes_raise(tmp_path: Path) -> None:
    write_example_emoji(tmp_path, n_classes=1)
    with pytest.raises(FileExistsError, match="is not empty"):
        write_example_emoji(tmp_path, n_classes=1)
    with pytest.raises(ValueError, match="n_classes=401 must be from 1 to 400"):
        write_example_emoji(tmp_path / "y", n_classes=401)
