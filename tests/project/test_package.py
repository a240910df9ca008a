import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import siamese_triplet

SELECTORS = [
    "PairSelector",
    "AllPositivePairSelector",
    "HardNegativePairSelector",
    "TripletSelector",
    "AllTripletSelector",
    "HardestNegativeTripletSelector",
    "RandomNegativeTripletSelector",
    "SemihardNegativeTripletSelector",
    "FunctionNegativeTripletSelector",
]
CONTRACT = {
    "datasets": ["SiameseMNIST", "TripletMNIST", "BalancedBatchSampler"],
    "samplers": ["BalancedBatchSampler"],
    "networks": ["EmbeddingNet", "EmbeddingNetL2", "ClassificationNet", "SiameseNet", "TripletNet"],
    "losses": ["ContrastiveLoss", "TripletLoss", "OnlineContrastiveLoss", "OnlineTripletLoss"],
    "selectors": SELECTORS,
    "utils": SELECTORS,
    "trainer": ["fit"],
    "metrics": ["AccumulatedAccuracyMetric", "AverageNonzeroTripletsMetric"],
    "evaluation": ["extract_embeddings"],
    "plots": ["plot_embeddings"],
}
ARGUMENTS = {
    "SiameseMNIST": ["dataset"],
    "TripletMNIST": ["dataset"],
    "BalancedBatchSampler": ["labels", "n_classes", "n_samples"],
    "ClassificationNet": ["embedding_net", "n_classes"],
    "SiameseNet": ["embedding_net"],
    "TripletNet": ["embedding_net"],
    "ContrastiveLoss": ["margin"],
    "TripletLoss": ["margin"],
    "OnlineContrastiveLoss": ["margin", "pair_selector"],
    "OnlineTripletLoss": ["margin", "triplet_selector"],
    "AllPositivePairSelector": ["balance"],
    "HardestNegativeTripletSelector": ["margin"],
    "RandomNegativeTripletSelector": ["margin"],
    "SemihardNegativeTripletSelector": ["margin"],
    "FunctionNegativeTripletSelector": ["margin", "negative_selection_fn"],
    "fit": ["train_loader", "val_loader", "model", "loss_fn", "optimizer", "scheduler", "n_epochs"],
    "extract_embeddings": ["dataloader", "model"],
    "plot_embeddings": ["embeddings", "targets"],
}


def run_fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in CONTRACT.items() for name in names])
def test_a_contract_name_can_be_imported_from_its_module_and_from_the_root(module: str, name: str) -> None:
    in_module = getattr(importlib.import_module(f"siamese_triplet.{module}"), name)
    assert getattr(siamese_triplet, name) is in_module
    assert name in siamese_triplet.__all__


@pytest.mark.parametrize("name", ARGUMENTS)
def test_contract_arguments_come_first_in_their_order(name: str) -> None:
    parameters = inspect.signature(getattr(siamese_triplet, name)).parameters
    assert list(parameters)[: len(ARGUMENTS[name])] == ARGUMENTS[name]
    assert all(p.default is not inspect.Parameter.empty for p in list(parameters.values())[len(ARGUMENTS[name]) :])


def test_the_package_imports_neither_matplotlib_nor_ipywidgets_until_it_plots() -> None:
    code = """
import sys, siamese_triplet, siamese_triplet.book.check, siamese_triplet.book.diagrams
siamese_triplet.book.diagrams.balanced_batch()
print(sorted({'matplotlib', 'ipywidgets'} & set(sys.modules)))
from siamese_triplet import plot_embeddings
print(plot_embeddings.__module__.startswith('siamese_triplet.plots'))
"""
    assert run_fresh(code).split() == ["[]", "True"]


def test_every_exported_name_exists_and_an_unknown_one_raises() -> None:
    assert all(hasattr(siamese_triplet, name) for name in siamese_triplet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        siamese_triplet.no_such_name  # noqa: B018


def test_no_function_of_the_package_has_a_mutable_default() -> None:
    for found in pkgutil.walk_packages(siamese_triplet.__path__, "siamese_triplet."):
        module = importlib.import_module(found.name)
        functions = [f for _, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == module.__name__]
        classes = [c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__]
        functions += [f for c in classes for _, f in inspect.getmembers(c, inspect.isfunction)]
        for function in functions:
            for parameter in inspect.signature(function).parameters.values():
                assert not isinstance(parameter.default, (list, dict, set)), f"{function.__qualname__}: {parameter}"


EMBEDDINGS, LABELS = torch.eye(4), torch.tensor([0, 0, 1, 1])
MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "arrays": (
        lambda: siamese_triplet.nearest(EMBEDDINGS.numpy()),
        "queries must be a floating-point tensor .*, got ndarray, of which torch.as_tensor makes a tensor",
    ),
    "lists": (
        lambda: siamese_triplet.AllTripletSelector().get_triplets(EMBEDDINGS, LABELS.tolist()),
        "labels must be integers .*, got list, of which torch.as_tensor makes a tensor",
    ),
    "no margin": (lambda: siamese_triplet.TripletLoss(None), "margin must be a finite number ≥ 0, got None"),
    "arguments in the wrong order": (
        lambda: siamese_triplet.OnlineTripletLoss(siamese_triplet.AllTripletSelector(), 1.0),
        "margin must be a finite number ≥ 0, got <.*AllTripletSelector",
    ),
    "the other kind of selector": (
        lambda: siamese_triplet.OnlineTripletLoss(1.0, siamese_triplet.HardNegativePairSelector()),
        "the method get_triplets, got <.*HardNegativePairSelector.* have a loss each",
    ),
    "a selector's class": (
        lambda: siamese_triplet.SelectorMiner(siamese_triplet.AllTripletSelector),
        "expected a selector, an object with the method get_pairs or get_triplets, got <class",
    ),
    "a loss's class": (
        lambda: siamese_triplet.evaluate([], nn.Identity(), siamese_triplet.BatchAllTripletLoss),
        r"BatchAllTripletLoss is a class, which must be called first: BatchAllTripletLoss\(…\)",
    ),
    "a metric's class": (
        lambda: siamese_triplet.evaluate(
            [], nn.Identity(), siamese_triplet.TripletLoss(1.0), metrics=[siamese_triplet.AccumulatedAccuracyMetric]
        ),
        "AccumulatedAccuracyMetric is a class, which must be called first",
    ),
    "height and width": (
        lambda: siamese_triplet.EmbeddingNet(2, (28, 28)),
        r"input_size=\(28, 28\) must be at least \(1, 16, 16\), as \(channels, height, width\)",
    ),
    "height and width, again": (
        lambda: siamese_triplet.ConvEmbeddingNet(2, (28, 28)),
        r"input_size=\(28, 28\) must be at least \(1, 16, 16\), as \(channels, height, width\)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_a_helpful_message(name: str) -> None:
    make, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("folder", ["datasets/embedded", "datasets/embedded/emoji"])
def test_the_embedded_files_are_at_most_5_mb_together(folder: str) -> None:
    files = Path(siamese_triplet.__file__).parent.glob(f"{folder}/*")
    assert 0 < sum(file.stat().st_size for file in files if file.is_file()) <= 5_000_000
