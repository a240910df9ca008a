"""A figure that trains a network in the page, without a kernel."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from siamese_triplet._validation import check_margin
from siamese_triplet.datasets.mnist import SOURCES
from siamese_triplet.live.element import IN_BOOK, LiveFigure
from siamese_triplet.live.embeddings import bench_selectors
from siamese_triplet.live.training import LARGE, LEVELS, SMALL, page_images, page_weights
from siamese_triplet.methods import METHODS

TITLES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
NETWORKS = {"small": SMALL, "EmbeddingNet": LARGE}
BESIDE = {  # a setting of `train_in_page`, and its name in the page
    "method": "method",
    "selector": "selector",
    "margin": "margin",
    "unit_sphere": "geometry",
    "learning_rate": "rate",
}
MOST_CLASSES, MOST_IMAGES = 10, 32  # of a batch
GREATEST_MARGIN = 100.0
SEEDS = 1000
REMEDY = "Begin with random or semi-hard negatives, or with batch-all, and with a lower learning rate."
ORIGIN = (
    "It trains in this page, in JavaScript and WebAssembly, on 4,000 images; the points are 500 test images, and the "
    "accuracy is that of 500 others, whose neighbours are sought among 1,000 training images."
)


def train_in_page(
    method: str = "online-triplet",
    selector: str | None = None,
    margin: float = 1.0,
    *,
    data: str = "mnist",
    unit_sphere: bool = False,
    n_classes: int = 10,
    n_samples: int = 16,
    learning_rate: float = 1e-3,
    network: str = "small",
    seed: int = 0,
    beside: Mapping[str, Any] | None = None,
    data_sets: Sequence[str] = tuple(TITLES),
    name: str = "training",
    title: str = "Train it here",
) -> LiveFigure:
    """Show a figure that trains a network in the page, whose reader can change every setting, and compare two runs.

    The arguments are the first state. `method` is a key of `METHODS`; `selector` one of `bench_selectors`, by default
    the method's own. Embeddings have two dimensions; with `unit_sphere` they lie on the circle. Online methods take
    batches of `n_classes` × `n_samples` images. `network` is "small", with 8 and 16 channels, or "EmbeddingNet".
    `beside` is what a second run has otherwise, such as `{"selector": "hardest"}`: one of method, selector, margin,
    unit_sphere and learning_rate. A notebook holds the images of `data_sets`, about a megabyte each; pages of the book
    load them when they are chosen. `name`: see `triplet_playground`. Raises ValueError for settings that do not go
    together.

    >>> from siamese_triplet.live import train_in_page
    >>> train_in_page("online-triplet", "hardest").data["start"]["selector"]
    'hardest'
    """
    if data not in data_sets or not set(data_sets) <= set(TITLES):
        raise ValueError(f"{data=} must be among data_sets={list(data_sets)}, and these among {list(TITLES)}")
    if network not in NETWORKS:
        raise ValueError(f"unknown {network=}; there are {', '.join(map(repr, NETWORKS))}")
    if not (2 <= n_classes <= MOST_CLASSES and 2 <= n_samples <= MOST_IMAGES):
        raise ValueError(
            f"{n_classes=} must be from 2 to {MOST_CLASSES}, {n_samples=} from 2 to {MOST_IMAGES}; a page has ten "
            "classes and little time"
        )
    if not 0 < learning_rate <= 1 or not 0 <= seed < SEEDS:
        raise ValueError(f"{learning_rate=} must be above 0 and at most 1, {seed=} from 0 to {SEEDS - 1}")
    if check_margin(margin) > GREATEST_MARGIN:
        raise ValueError(f"{margin=:g} is too large; take one up to {GREATEST_MARGIN:g}")
    start = {
        "data": data,
        "method": method,
        "selector": _check_selector(method, selector),
        "margin": margin,
        "geometry": "circle" if unit_sphere else "plane",
        "batch": f"{n_classes} × {n_samples}",
        "rate": learning_rate,
        "network": NETWORKS[network],
        "seed": seed,
        **_second_run(beside, method),
    }
    alt = (
        "a network that trains in the page: embeddings of 500 test images in the plane, which move as it learns, with "
        "curves of its loss, of the pairs or triplets with a loss, and of the accuracy of neighbours. A second run "
        "with another setting can be trained beside it, and a digit can be drawn."
    )
    shown = {"dataSets": _data_sets(data_sets), "start": start, "remedy": REMEDY, "origin": ORIGIN}
    return LiveFigure("training", name, title, shown, alt)


def digit_pad(model: nn.Module, name: str = "digit", title: str = "Draw a digit") -> LiveFigure:
    """Show a pad to draw a digit on, and where `model` places it among test images of MNIST.

    `model` is an `EmbeddingNet` or `EmbeddingNetL2` with embeddings in the plane, or a `ClassificationNet` of one,
    trained on MNIST normalised as by `load`. Its weights, rounded to 16 bits, become part of the figure. `name`: see
    `triplet_playground`. Raises ValueError for other networks, and for weights that 16-bit floats cannot hold.
    """
    alt = (
        "a pad to draw a digit on, and the place of the drawing among the embeddings of 500 test images in the plane, "
        "with the eight images nearest to it."
    )
    data_set = {"name": "mnist", **_data_sets(["mnist"])["mnist"]}
    return LiveFigure("drawing", name, title, {"weights": page_weights(model), "dataSet": data_set}, alt)


def _check_selector(method: str, selector: str | None) -> str:
    """Return the selector to begin with, "" for a method without one."""
    if method not in METHODS:
        raise ValueError(f"unknown {method=}; there are {', '.join(map(repr, METHODS))}")
    kind = {"online-contrastive": "pairs", "online-triplet": "triplets"}.get(method)
    if kind is None:
        if selector is not None:
            raise ValueError(f"{method} uses no selector, got {selector=}; leave it out")
        return ""
    selector = METHODS[method].selector if selector is None else selector
    if selector not in bench_selectors(kind):
        raise ValueError(f"unknown {selector=} for {method}; a page has {', '.join(bench_selectors(kind))}")
    return selector


def _second_run(beside: Mapping[str, Any] | None, method: str) -> dict[str, str]:
    """Return the setting in which a second run differs, and its value, as the page names them; "" for no second run."""
    if beside is None:
        return {"beside": "", "value": ""}
    if len(beside) != 1 or not set(beside) <= set(BESIDE):
        raise ValueError(
            f"beside={dict(beside)} must have one of {', '.join(BESIDE)}, with its value in the second run"
        )
    [(setting, value)] = beside.items()
    if setting == "selector":
        _check_selector(method, value)
    elif setting == "unit_sphere":
        value = "circle" if value else "plane"
    elif setting != "method":
        value = f"{check_margin(value) if setting == 'margin' else value:g}"
    return {"beside": BESIDE[setting], "value": value}


def _data_sets(names: Sequence[str]) -> dict[str, Any]:
    """Describe the data sets; their images are left out for a page of the book, which has them in files."""
    in_book = IN_BOOK in os.environ
    return {
        name: {
            "title": TITLES[name],
            "classes": list(SOURCES[name].torchvision_class.classes),
            "digits": name == "mnist",
            "packed": None if in_book else page_images(name),
        }
        for name in names
    }


def data_files() -> dict[str, str]:
    """Return the scripts that hold the images for pages of the book, by their file names."""
    store = "window.siameseTripletImages"
    packed = {name: json.dumps({name: page_images(name)}) for name in LEVELS}
    return {f"siamese-triplet-{name}.js": f"{store} = {{ ...{store}, ...{text} }};\n" for name, text in packed.items()}
