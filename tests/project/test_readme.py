"""The example in the README runs as it stands, and its table lists the modules in an order of reading."""

import re
from pathlib import Path

import pytest
import torch
from test_layers import PACKAGE, imported_rooms
from toy_data import part

import siamese_triplet

README = (Path(__file__).parents[2] / "README.md").read_text()
MODULES = re.findall(r"^\| `(\w+)` \|", README.partition("## The package")[2], re.MULTILINE)


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.setattr(siamese_triplet, "load", lambda name, train=True: part(train, 50))
    torch.manual_seed(0)
    exec(code, {})
    assert 0.2 < float(capsys.readouterr().out.splitlines()[-1]) < 1


@pytest.mark.parametrize("module", MODULES)
def test_a_module_stands_below_those_that_it_imports(module: str) -> None:
    path = PACKAGE / module
    files = [*path.rglob("*.py")] or [path.with_suffix(".py")]
    imported = {room for file in files for room in imported_rooms(file.read_text())} - {module}
    assert {room for room in imported if not room.startswith("_")} <= set(MODULES[: MODULES.index(module)])


def test_every_module_is_listed() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(MODULES) == {room for room in rooms if not room.startswith("_")} - {"utils"}
