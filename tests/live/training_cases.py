"""Runs of training for the page's arithmetic, and the same runs by the package in float64."""

import base64
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam
from toy_data import part

from siamese_triplet import (
    AllPositivePairSelector,
    AllTripletSelector,
    ClassificationNet,
    ContrastiveLoss,
    Images,
    OnlineContrastiveLoss,
    OnlineTripletLoss,
    PairSelector,
    TripletLoss,
    TripletSelector,
)
from siamese_triplet.distances import pairwise_distances
from siamese_triplet.live.training import LARGE, SMALL, page_network
from siamese_triplet.selectors.by_name import BATCH_ALL, PAIR_SELECTORS, SELECTORS, TRIPLET_SELECTORS

MARGINS = {False: 0.15, True: 0.5}  # about the squared distances of the untrained network
MEAN, STD = 0.1307, 0.3081
NOISE = 120  # greys


def noisy_images() -> Images:
    """Make images of which no pixel is the same in all.

    A weight that only sees such pixels has a gradient of zero in theory, as distances ignore what all embeddings have
    in common; in practice it is rounding noise, and Adam makes whole steps of noise.
    """
    images = part(False, 6)
    noise = torch.randint(NOISE, images.data.shape, generator=torch.Generator().manual_seed(0))
    images.data = (images.data + noise).clamp(max=255).to(torch.uint8)
    return images


IMAGES = noisy_images()


@dataclass(frozen=True)
class Run:
    """A run: its settings in the package's words, and the number of steps."""

    method: str
    selector: str | None = None
    unit_sphere: bool = False
    network: str = SMALL
    kernel: str = "simd"
    n_steps: int = 20
    learning_rate: float = 2e-4

    def __str__(self) -> str:
        words = (self.method, self.selector, "sphere" if self.unit_sphere else "plane", self.network, self.kernel)
        return " ".join(word for word in words if word)

    @property
    def margin(self) -> float:
        margin = MARGINS[self.unit_sphere]
        return margin if "triplet" in self.method else margin**0.5  # pairs have plain distances

    @property
    def weight_decay(self) -> float:
        """Keep weights of the plane away from gradients of zero: Adam makes whole steps of their rounding noise."""
        return 0.0 if self.unit_sphere else 1e-3

    def for_page(self) -> dict[str, Any]:
        settings = {
            "method": self.method,
            "selector": self.selector,
            "unitSphere": self.unit_sphere,
            "network": self.network,
            "margin": self.margin,
            "nClasses": 5,
            "nSamples": 4,
            "batchSize": 8,
            "learningRate": self.learning_rate,
            "weightDecay": self.weight_decay,
            "seed": 4,
        }
        return {"settings": settings, "kernel": self.kernel, "nSteps": self.n_steps, "weights": floats(self.weights())}

    def weights(self) -> Tensor:
        return nn.utils.parameters_to_vector(self.model().parameters()).detach().float()

    def model(self) -> nn.Module:
        """Make the network, with embeddings spread out as if it were trained a little."""
        torch.manual_seed(11)
        net = page_network(self.network, self.unit_sphere)
        with torch.no_grad():
            net.fc[-1].weight *= 5
            hidden = net.fc[:-1](net.convnet(pixels(torch.arange(len(IMAGES))).float()).flatten(1))
            net.fc[-1].bias[:] = -(hidden @ net.fc[-1].weight.T).mean(dim=0)
        return (ClassificationNet(net, 10) if self.method == "softmax" else net).double()


def runs() -> list[Run]:
    """List every method and selector in both geometries with the small network, and a few with the large one."""
    every: list[tuple[str, str | None]] = [("softmax", None), ("siamese", None), ("triplet", None)]
    every += [("online-contrastive", name) for name in SELECTORS["pairs"]]
    every += [("online-triplet", name) for name in SELECTORS["triplets"]]
    kernels = itertools.cycle(("simd", "relaxed", "plain"))
    small = [Run(method, name, sphere, kernel=next(kernels)) for sphere in (False, True) for method, name in every]
    large = [
        Run("softmax", network=LARGE),
        Run("online-triplet", "batch-all", unit_sphere=True, network=LARGE, kernel="relaxed"),
        Run("online-contrastive", "hard", network=LARGE, kernel="plain", n_steps=2),
    ]
    return small + large


def page_cases(chosen: list[Run]) -> dict[str, Any]:
    data = {
        "images": encoded(IMAGES.data.numpy()),
        "labels": encoded(IMAGES.targets.to(torch.uint8).numpy()),
        "nClasses": 10,
        "mean": MEAN,
        "std": STD,
        "height": 28,
        "width": 28,
    }
    return {"data": data, "runs": [run.for_page() for run in chosen]}


@dataclass
class Outcome:
    """What a run gives: per parameter the first gradient and the last weights, and and the first loss."""

    gradients: dict[str, Tensor]
    weights: dict[str, Tensor]
    loss: float  # of the first batch
    embeddings: Tensor


def by_package(run: Run, steps: list[dict[str, Any]]) -> Outcome:
    """Train by the package, on the batches and tuples of a run in the page.

    Its tuples are checked on their own, by `is_selection`: rounding may select others after some steps.
    """
    model = run.model()
    optimizer = Adam(model.parameters(), lr=run.learning_rate, weight_decay=run.weight_decay)
    with torch.no_grad():
        embeddings = model.get_embedding(pixels(torch.arange(len(IMAGES))))
    gradients: dict[str, Tensor] = {}
    first_loss = 0.0
    for step in steps:
        images = torch.tensor(step["images"])
        loss = loss_of(run, model, images, step["tuples"])
        optimizer.zero_grad()
        loss.backward()
        first_loss = first_loss or loss.item()
        gradients = gradients or {name: weight.grad.clone() for name, weight in model.named_parameters()}
        optimizer.step()
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    return Outcome(gradients, weights, first_loss, embeddings)


def loss_of(run: Run, model: nn.Module, images: Tensor, tuples: list[list[int]]) -> Tensor:
    """Compute the loss of a batch, of an online method that of the listed tuples."""
    labels = IMAGES.targets[images]
    outputs = model(pixels(images))
    if run.method == "softmax":
        return nn.NLLLoss()(outputs, labels)
    if run.method == "siamese":
        left, right = labels.chunk(2)
        return ContrastiveLoss(run.margin)(*outputs.chunk(2), (left == right).long())
    if run.method == "triplet":
        return TripletLoss(run.margin)(*outputs.chunk(3))
    if run.method == "online-contrastive":
        return OnlineContrastiveLoss(run.margin, Listed(tuples))(outputs, labels)
    return OnlineTripletLoss(run.margin, ListedTriplets(tuples))(outputs, labels)[0]


def is_selection(run: Run, step: dict[str, Any]) -> bool:
    """Tell whether the tuples of a step are those that the package selects, or may draw, from the page's embeddings."""
    labels = IMAGES.targets[torch.tensor(step["images"])]
    rows = decoded(step["rows"]).view(len(labels), -1)
    if run.method == "online-contrastive":
        return is_selection_of_pairs(str(run.selector), rows, labels, step["tuples"])
    found = torch.tensor(step["tuples"][0]).view(-1, 3)
    return is_selection_of_triplets(str(run.selector), rows, labels, run.margin, found)


def is_selection_of_pairs(name: str, rows: Tensor, labels: Tensor, found: list[list[int]]) -> bool:
    everything = AllPositivePairSelector(balance=False).get_pairs(rows, labels)
    expected = everything if name == "all" else PAIR_SELECTORS[name](torch.Generator()).get_pairs(rows, labels)
    positive, negative = (torch.tensor(pairs, dtype=torch.int64).view(-1, 2) for pairs in found)
    if not is_same_set(positive, expected[0]):
        return False
    if name != "all":
        return is_same_set(negative, expected[1])
    drawn = set(map(tuple, negative.tolist()))
    return len(drawn) == len(negative) == len(positive) and drawn <= set(map(tuple, everything[1].tolist()))


def is_selection_of_triplets(name: str, rows: Tensor, labels: Tensor, margin: float, found: Tensor) -> bool:
    if name not in (BATCH_ALL, "random", "semihard", "uniform"):
        selector = TRIPLET_SELECTORS[name](margin, torch.Generator())
        return is_same_set(found, selector.get_triplets(rows, labels))
    everything = AllTripletSelector().get_triplets(rows, labels)
    distances = pairwise_distances(rows)
    loss = distances[everything[:, 0], everything[:, 1]] - distances[everything[:, 0], everything[:, 2]] + margin
    least = -torch.inf if name == "uniform" else 0
    eligible = everything[(loss > least) & (loss < (margin if name == "semihard" else torch.inf))]
    if name == BATCH_ALL:
        return is_same_set(found, eligible)
    is_one_a_pair = is_same_set(found[:, :2], eligible[:, :2].unique(dim=0))
    return is_one_a_pair and set(map(tuple, found.tolist())) <= set(map(tuple, eligible.tolist()))


def is_same_set(found: Tensor, expected: Tensor) -> bool:
    return sorted(found.tolist()) == sorted(expected.tolist())


class Listed(PairSelector):
    """A selector of given pairs, as flat lists of the positive and the negative ones."""

    def __init__(self, tuples: list[list[int]]) -> None:
        self.pairs = [torch.tensor(pairs, dtype=torch.int64).view(-1, 2) for pairs in tuples]

    def get_pairs(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return self.pairs[0], self.pairs[1]


class ListedTriplets(TripletSelector):
    """A selector of given triplets, as a flat list."""

    def __init__(self, tuples: list[list[int]]) -> None:
        self.triplets = torch.tensor(tuples[0], dtype=torch.int64).view(-1, 3)

    def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return self.triplets


def by_page(run: Run, result: dict[str, Any]) -> Outcome:
    """Read the result of `training_checks.mjs`."""
    model = run.model()
    return Outcome(
        named_tensors(model, result["gradients"]),
        named_tensors(model, result["weights"]),
        result["steps"][0]["loss"],
        decoded(result["embeddings"]).view(len(IMAGES), -1),
    )


def differences(run: Run, page: Outcome, package: Outcome) -> list[str]:
    """List what differs: gradients by 1e-4, weights by 1e-3, both of the greatest number of their tensor."""
    found = []
    distance = (page.embeddings - package.embeddings).abs().max() / package.embeddings.abs().max()
    if not distance < 1e-4:
        found.append(f"{run}: embeddings {distance:.1e}")
    for kind, tolerance in (("gradients", 1e-4), ("weights", 1e-3)):
        mine, expected = compared(run, getattr(page, kind)), compared(run, getattr(package, kind))
        for name, tensor in expected.items():
            difference = error(mine[name], tensor)
            if not difference <= tolerance:
                found.append(f"{run}: {kind} of {name} {difference:.1e}")
    if not abs(page.loss - package.loss) <= 1e-5 * package.loss:
        found.append(f"{run}: loss {page.loss} instead of {package.loss}")
    return found


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))


def compared(run: Run, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Collect what is compared: all slopes as one tensor, as each is a sum that may cancel, and not the last bias in
    the plane, which distances ignore: its gradient is rounding noise, and Adam makes whole steps of noise."""
    slopes = {name: tensor for name, tensor in tensors.items() if tensor.numel() == 1}
    free = "fc.4.bias" if run.method != "softmax" and not run.unit_sphere else ""
    others = {name: tensor for name, tensor in tensors.items() if name not in (*slopes, free)}
    return {**others, "slopes": torch.cat([slope.view(1) for slope in slopes.values()])}


def named_tensors(model: nn.Module, text: str) -> dict[str, Tensor]:
    numbers = decoded(text)
    sizes = [weight.numel() for weight in model.parameters()]
    return {
        name: values.view_as(weight)
        for (name, weight), values in zip(model.named_parameters(), numbers.split(sizes), strict=True)
    }


def pixels(images: Tensor) -> Tensor:
    return ((IMAGES.data[images].double() / 255 - MEAN) / STD)[:, None]


def floats(numbers: Tensor) -> str:
    return encoded(numbers.numpy())


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def decoded(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), dtype="<f4").copy()).double()
