"""What a page needs to train a network: packed images, packed weights, and the networks that it can train."""

import base64
import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from siamese_triplet._prelu import PReLU
from siamese_triplet.datasets import Images, load
from siamese_triplet.datasets.mnist import SOURCES
from siamese_triplet.networks import ClassificationNet, EmbeddingNet, EmbeddingNetL2

SMALL, LARGE = "8-16-64-64-2", "32-64-256-256-2"  # channels, channels, units, units, dimensions
NETWORKS = (SMALL, LARGE)  # as in `js/network.mjs`
LEVELS = {"mnist": 10, "fashion-mnist": 16}  # of grey, few to keep the pages small
PER_CLASS = {"train": 400, "shown": 50, "others": 50}  # images; the last two are test images
SCALE = 255


def page_network(name: str = SMALL, unit_sphere: bool = False) -> EmbeddingNet:
    """Make the network that a page calls `name`: `EmbeddingNet`, or one with fewer channels and units.

    Raises ValueError for an unknown name.

    >>> import torch
    >>> from siamese_triplet.live.training import page_network
    >>> page_network("8-16-64-64-2")(torch.rand(4, 1, 28, 28)).shape
    torch.Size([4, 2])
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; there are {', '.join(map(repr, NETWORKS))}")
    first, second, *units, size = map(int, name.split("-"))
    net = (EmbeddingNetL2 if unit_sphere else EmbeddingNet)(size)
    if name == SMALL:
        net.convnet = nn.Sequential(
            nn.Conv2d(1, first, 5), PReLU(), nn.MaxPool2d(2, stride=2),
            nn.Conv2d(first, second, 5), PReLU(), nn.MaxPool2d(2, stride=2),
        )  # fmt: skip
        net.fc = nn.Sequential(
            nn.Linear(second * 4 * 4, units[0]), PReLU(),
            nn.Linear(units[0], units[1]), PReLU(),
            nn.Linear(units[1], size),
        )  # fmt: skip
    return net


def page_images(name: str = "mnist") -> dict[str, Any]:
    """Pack images inside the package for a page: 4,000 to train on, 500 test images to show and 500 to measure.

    `name` is "mnist" or "fashion-mnist". The result can be written as JSON; `decodeImages` in `js/training_data.mjs`
    reads it. Greys are rounded to the levels of `LEVELS`. Raises ValueError for an unknown name.
    """
    if name not in LEVELS:
        raise ValueError(f"unknown data set {name!r}; a page has {', '.join(map(repr, LEVELS))}")
    train, test = (load(name, is_train, subset="embedded") for is_train in (True, False))
    n_shown = PER_CLASS["shown"]
    chosen = {
        "train": (train, _in_class(train, 0, PER_CLASS["train"])),
        "shown": (test, _in_class(test, 0, n_shown)),
        "others": (test, _in_class(test, n_shown, n_shown + PER_CLASS["others"])),
    }
    pixels = torch.cat([images.data[indices] for images, indices in chosen.values()])
    labels = torch.cat([images.targets[indices] for images, indices in chosen.values()])
    levels = (pixels.double() * (LEVELS[name] - 1) / SCALE).round().to(torch.uint8)
    return {
        "name": name,
        "images": _encode(zlib.compress(levels.numpy().tobytes(), 9)),
        "levels": LEVELS[name],
        "labels": _encode(labels.to(torch.uint8).numpy().tobytes()),
        "n": {part: len(indices) for part, (_, indices) in chosen.items()},
        "classes": train.classes,
        "nClasses": len(train.classes),
        "mean": SOURCES[name].mean,
        "std": SOURCES[name].std,
        "height": pixels.shape[1],
        "width": pixels.shape[2],
    }


def page_weights(model: nn.Module) -> dict[str, Any]:
    """Pack the weights of a network for a page, in 16 bits, with the settings of the network.

    `model` is one from `page_network`, an `EmbeddingNet` with embeddings in the plane, or `ClassificationNet` of one.
    Raises ValueError for other networks, and for weights that 16-bit floats cannot hold.
    """
    net = model.embedding_net if isinstance(model, ClassificationNet) else model
    name = _name_of(net) if isinstance(net, EmbeddingNet) else type(net).__name__
    if name not in NETWORKS:
        raise ValueError(f"a page cannot run the network {name}; it has {', '.join(NETWORKS)}, for images of 28 × 28")
    numbers = torch.cat([weights.detach().reshape(-1) for weights in model.parameters()]).cpu()  # channels last, too
    weights = numbers.half().numpy().astype("<f2")  # too large a number becomes infinite
    if not np.isfinite(weights).all():
        raise ValueError("the network has weights that are not finite in 16 bits; has it diverged?")
    return {
        "network": name,
        "unitSphere": isinstance(net, EmbeddingNetL2),
        "nClasses": model.n_classes if isinstance(model, ClassificationNet) else 0,
        "weights": _encode(zlib.compress(_in_planes(weights), 9)),
    }


def _in_planes(weights: np.ndarray) -> bytes:
    """Put the higher bytes of all 16-bit weights before the lower ones: they are alike, and can be compressed."""
    lower, higher = weights.view("u1").reshape(-1, 2).T
    return higher.tobytes() + lower.tobytes()


def _name_of(net: EmbeddingNet) -> str:
    """Name a network by its sizes, if it is for images of MNIST's size."""
    if net.input_size != (1, 28, 28):
        return f"for images of {net.input_size}"
    layers = [*net.convnet, *net.fc]
    sizes = [layer.weight.shape[0] for layer in layers if isinstance(layer, (nn.Conv2d, nn.Linear))]
    return "-".join(map(str, sizes))


def _in_class(images: Images, first: int, end: int) -> Tensor:
    """Return the indices of the images `first` to `end` − 1 of each class, in the order of the data set."""
    rank = nn.functional.one_hot(images.targets).cumsum(0).gather(1, images.targets[:, None])[:, 0] - 1  # (N,)
    return ((rank >= first) & (rank < end)).nonzero()[:, 0]


def _encode(contents: bytes) -> str:
    return base64.b64encode(contents).decode()
