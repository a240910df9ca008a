"""A test for a fault that was planted in the lists of results, and that no other test had found."""

import json
from pathlib import Path

import pytest

from siamese_triplet.book.results import collect, read_results


@pytest.mark.parametrize(
    "contents", ["", "[", '[{"a": 1}', '{"a": 1}', "[1, 2]", "null", "3", '[{"a": 1}, null]', "\x00"]
)
def test_a_damaged_list_of_results_is_an_error_and_stays_as_it_is(contents: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(contents)
    for read in (read_results, lambda path: collect(path, [{"a": 1}], lambda key: {"b": 2}, verbose=False)):
        with pytest.raises(ValueError, match=r"results\.json holds no list of results"):
            read(path)
    assert path.read_text() == contents


def test_a_missing_list_of_results_is_empty_and_a_whole_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert read_results(path) == []
    path.write_text(json.dumps([{"a": 1}]))
    assert read_results(path) == [{"a": 1}]
