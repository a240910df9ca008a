import json
import math
from pathlib import Path

import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from siamese_triplet.trainer import History

EPOCHS = [{"train_loss": 0.123456, "val_loss": 2.0, "seconds": 1.0}, {"train_loss": 0.1, "val_loss": 1, "seconds": 12}]


def history() -> History:
    result = History()
    for epoch in EPOCHS:
        result.append(epoch)
    return result


def test_epochs_are_appended_and_come_back() -> None:
    assert history() == {"train_loss": [0.123456, 0.1], "val_loss": [2.0, 1.0], "seconds": [1.0, 12.0]}
    assert history().n_epochs == 2
    assert history().epochs() == EPOCHS
    assert all(type(value) is float for values in history().values() for value in values)


def test_an_empty_history_has_no_epochs() -> None:
    for empty in (History(), History(train_loss=[], seconds=[])):
        assert empty.n_epochs == 0
        assert empty.epochs() == []
        assert str(empty).startswith("epoch")


@pytest.mark.parametrize("other", [{"train_loss": 1.0}, {**EPOCHS[0], "train_accuracy": 1.0}, {}])
def test_an_epoch_with_other_names_is_an_error_and_changes_nothing(other: dict) -> None:
    result = history()
    with pytest.raises(ValueError, match=r"this history has train_loss, val_loss, seconds; an epoch with .* does not"):
        result.append(other)
    assert result == history()


def test_it_prints_as_a_table() -> None:
    assert str(history()).splitlines() == [
        "epoch  train loss  val loss  seconds",
        "    1      0.1235         2        1",
        "    2         0.1         1       12",
    ]


def test_a_leading_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    history().save("~/history.json")
    assert History.load("~/history.json") == history()
    assert (tmp_path / "history.json").exists()


def test_counts_of_empty_batches_are_zero_where_they_are_missing() -> None:
    result = history()
    result.append({**EPOCHS[0], "val_empty_batches": 2})
    result.append({**EPOCHS[0], "train_empty_batches": 1})
    assert (result["val_empty_batches"], result["train_empty_batches"]) == ([0, 0, 2, 0], [0, 0, 0, 1])
    assert {len(values) for values in result.values()} == {4}


def test_it_plots_the_curves_of_a_name() -> None:
    axes = history().plot()
    assert isinstance(axes, Axes)
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.123456, 0.1], [2.0, 1.0]]
    given = plt.figure().subplots()
    assert History(train_accuracy=[1.0]).plot("accuracy", ax=given) is given
    assert len(given.lines) == 1
    plt.close("all")


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "history.json"
    history().save(path)
    loaded = History.load(str(path))
    assert loaded == history()
    assert isinstance(loaded, History)
    assert list(loaded) == list(history())
    History().save(path)
    assert History.load(path) == {}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_saved_as_null(value: float, tmp_path: Path) -> None:
    History(train_loss=[1.0, value]).save(tmp_path / "history.json")
    assert json.loads((tmp_path / "history.json").read_text()) == {"train_loss": [1.0, None]}
    first, second = History.load(tmp_path / "history.json")["train_loss"]
    assert first == 1
    assert math.isnan(second)


@pytest.mark.parametrize(
    "text", ["[1, 2]", "3", "null", '"text"', '{"loss": 1}', '{"loss": ["a"]}', '{"loss": {"a": 1}}', '{"loss": [[1]]}']
)
def test_json_of_another_kind_is_an_error_naming_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json holds no history"):
        History.load(tmp_path / "other.json")


def test_lists_of_different_lengths_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "ragged.json").write_text('{"train_loss": [1, 2], "val_loss": [1]}')
    with pytest.raises(ValueError, match=r"ragged\.json holds no history: its lists differ in length"):
        History.load(tmp_path / "ragged.json")


@pytest.mark.parametrize("contents", [b"", b'{"loss": [1', b"\xff\xfe\x00"])
def test_a_file_that_is_not_json_is_an_error_naming_the_file(contents: bytes, tmp_path: Path) -> None:
    (tmp_path / "history.json").write_bytes(contents)
    with pytest.raises(ValueError, match=r"history\.json is not a history in JSON"):
        History.load(tmp_path / "history.json")


def test_a_history_that_cannot_be_saved_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history().save(tmp_path / "history.json")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        History(train_loss=[7.0]).save(tmp_path / "history.json")
    assert History.load(tmp_path / "history.json") == history()
