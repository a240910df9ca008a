import sys
from types import ModuleType

import pytest
import torch

from siamese_triplet.book.recipes import choose
from siamese_triplet.datasets import Images


@pytest.fixture(autouse=True)
def _without_recipe_and_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIAMESE_TRIPLET_RECIPE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("name", "kind", "n_epochs", "subset"),
    [
        ("full", "full", 20, None),
        ("quick", "quick", 3, "embedded"),
        ("full:6", "full", 6, None),
        ("quick:1", "quick", 1, "embedded"),
        ("quick:2:60", "quick", 2, "embedded:60"),
    ],
)
@pytest.mark.parametrize("by", ["argument", "variable"])
def test_a_recipe_is_chosen_by_name_or_by_the_variable(
    by: str, name: str, kind: str, n_epochs: int, subset: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIAMESE_TRIPLET_RECIPE", name if by == "variable" else "full:11")
    recipe = choose(name if by == "argument" else None)
    assert (recipe.name, recipe.n_epochs, recipe.subset, recipe.device.type) == (kind, n_epochs, subset, "cpu")
    assert f"{kind} recipe" in str(recipe)
    assert ("60 per class" in str(recipe)) == (subset == "embedded:60")
    assert f"{n_epochs} epochs" in str(recipe)


@pytest.mark.parametrize(("has_gpu", "name", "device"), [(True, "full", "cuda"), (False, "quick", "cpu")])
def test_the_default_is_full_on_a_gpu_and_quick_without(
    has_gpu: bool, name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert choose().name == name
    assert choose().device.type == device


def test_in_colab_the_default_is_quick_on_a_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    assert choose().name == "quick"
    assert choose().device.type == "cuda"
    assert choose("full").name == "full"
    monkeypatch.setenv("SIAMESE_TRIPLET_RECIPE", "full")
    assert choose().name == "full"


@pytest.mark.parametrize(
    ("name", "step_size"), [("full", 8), ("full:10", 4), ("full:5", 2), ("quick", 1), ("full:1", 1)]
)
def test_the_learning_rate_falls_after_8_of_20_epochs(name: str, step_size: int) -> None:
    assert choose(name).step_size == step_size


@pytest.mark.parametrize(
    "name", ["fast", "full:0", "quick:-1", "full:two", "Full", "full:1:100", "quick:1:0", "quick:1:"]
)
def test_an_unknown_recipe_raises(name: str) -> None:
    with pytest.raises(ValueError, match=f"unknown recipe '{name}'; expected 'full' or 'quick'"):
        choose(name)


def test_an_unknown_recipe_in_the_variable_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAMESE_TRIPLET_RECIPE", "slow")
    with pytest.raises(ValueError, match="unknown recipe 'slow'"):
        choose()


def test_the_report_states_the_origin_of_the_outputs() -> None:
    images = Images(torch.zeros(6000, 2, 2, dtype=torch.uint8), torch.zeros(6000).long(), ["a"])
    report = choose("full:6").report(images, seed=3)
    for part in ("full, 6", "20", "6,000 training images", "seed       3", "cpu", torch.__version__, "min"):
        assert part in report
    assert "complete" not in choose("full").report(images, seed=3)
    assert "full, 2 epochs\n" in choose("full").report(images, seed=3, n_epochs=2)
    assert "full\n" in choose("full").report(images, seed=3, n_epochs=0)
