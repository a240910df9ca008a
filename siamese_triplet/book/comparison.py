"""The comparison of the five methods by the same metrics, on seen and on unseen classes.

Each part is a list of results in a JSON file: `seen` (all classes, test images) and `unseen` (trained on six classes,
tested on the other four and on the other data set).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet.book.results import Key, check_complete, collect
from siamese_triplet.datasets import Images, load
from siamese_triplet.evaluation import embed, few_shot_accuracy
from siamese_triplet.evaluation.summary import among_themselves, seen_classes
from siamese_triplet.methods import FULL_EPOCHS, METHODS, Method, Speed, fit_method
from siamese_triplet.runs import provenance
from siamese_triplet.trainer import History

DATASETS = ("mnist", "fashion-mnist")
INPUTS = {"siamese": 2, "triplet": 3}  # images through the network per image of an epoch
N_SEEN = 6
QUERIES, EPISODES = 15, 1000


@dataclass(frozen=True)
class Settings:
    """The settings shared by the runs of a comparison."""

    n_epochs: int = FULL_EPOCHS
    seeds: tuple[int, ...] = (0, 1, 2)
    subset: str | None = None  # for datasets.load
    root: str | None = None
    device: str | None = None
    speed: Speed = Speed()  # noqa: RUF009 - frozen
    verbose: bool = True

    def shared_key(self) -> Key:
        """Return the part of a key that all results with these settings share."""
        return {"subset": self.subset, "speed": str(self.speed)}

    def load(self, dataset: str) -> tuple[Images, Images]:
        train, test = (load(dataset, train, self.root, subset=self.subset) for train in (True, False))
        return train, test

    def fit(
        self,
        experiment: Method,
        train: Images,
        test: Images | None,
        seed: int,
        n_epochs: int,
        checkpoint: Path | None = None,
    ) -> tuple[nn.Module, History]:
        """Train a model and return it with its history. Raises KeyboardInterrupt if training is interrupted."""
        model, history = fit_method(
            experiment,
            train,
            test,
            n_epochs,
            seed,
            device=self.device,
            speed=self.speed,
            checkpoint=checkpoint,
            verbose=False,
        )
        check_complete(history, n_epochs)
        return model, history


def compare(path: Path | None, work: Path | None, settings: Settings) -> list[dict[str, Any]]:
    """Compare the methods on all classes (part `seen`), with equally many images through each network.

    A siamese net takes two images per image of an epoch and a triplet net three, so they train for a half and a third
    of the epochs. Checkpoints are kept in `work`, unless it is None.
    """

    def compute(key: Key) -> dict[str, Any]:
        train, test = settings.load(key["dataset"])
        speed = "-".join(key["speed"].replace(",", "").split())
        name = f"{key['dataset']}-{key['method']}-{key['n_epochs']}-{key['seed']}-{speed}"
        suffix = f"-{key['subset'].replace(':', '-')}" if key["subset"] else ""
        checkpoint = work and work / f"{name}{suffix}.pt"
        experiment = METHODS[key["method"]]
        model, history = settings.fit(experiment, train, test, key["seed"], key["n_epochs"], checkpoint)
        embedded_test = embed(model, test)
        metrics = seen_classes(embed(model, train), embedded_test) | one_shot(*embedded_test, n_way=10)
        return metrics | {"seconds": sum(history["seconds"]), "made": provenance(model)}

    keys = (
        {
            "dataset": dataset,
            "method": method,
            "seed": seed,
            "n_epochs": epochs_of(method, settings.n_epochs),
            **settings.shared_key(),
        }
        for seed in settings.seeds
        for dataset in DATASETS
        for method in METHODS
    )
    return collect(path, keys, compute, settings.verbose)


def compare_unseen(
    path: Path | None, settings: Settings, sizes: Sequence[int] = (2, 16), datasets: Sequence[str] = DATASETS
) -> list[dict[str, Any]]:
    """Compare the methods on unseen classes (part `unseen`): train on six, drawn from the seed, test on the other four.

    The untrained network and the pixels are compared too. `transfer` has the metrics of the same embedding on the other
    data set.
    """

    def compute(key: Key) -> dict[str, Any]:
        train, test = settings.load(key["dataset"])
        other = settings.load(next(name for name in DATASETS if name != key["dataset"]))[1]
        seen, unseen = split_classes(len(train.classes), key["seed"])
        started = time.perf_counter()
        embed_images, model = _embedder(key, settings, train.of_classes(seen), test.of_classes(seen))
        seconds = time.perf_counter() - started
        embedded_unseen, embedded_other = embed_images(test.of_classes(unseen)), embed_images(other)
        return {
            "unseen": among_themselves(embedded_unseen) | one_shot(*embedded_unseen, n_way=len(unseen)),
            "seen": among_themselves(embed_images(test.of_classes(seen))),
            "transfer": among_themselves(embedded_other) | one_shot(*embedded_other, n_way=10),
            "unseen_classes": [train.classes[number] for number in unseen],
            "seconds": seconds,
            "made": provenance(model),
        }

    keys = (
        {
            "dataset": dataset, "method": method, "seed": seed, "embedding_size": size,
            "n_epochs": epochs_of(method, settings.n_epochs), **settings.shared_key(),
        }
        for seed in settings.seeds
        for dataset in datasets
        for size in sizes
        for method in (*METHODS, "untrained", "pixels")
        if method != "pixels" or size == sizes[-1]
    )  # fmt: skip
    return collect(path, keys, compute, settings.verbose)


def epochs_of(method: str, n_epochs: int) -> int:
    """Return the epochs after which the network of `method` has seen as many images as a softmax in `n_epochs`."""
    return max(1, round(n_epochs / INPUTS.get(method, 1)))


def one_shot(embeddings: Tensor, labels: Tensor, n_way: int) -> dict[str, float]:
    """Compute the accuracy of `n_way` classification by prototypes from one and from five images per class."""
    return {
        name: few_shot_accuracy(embeddings, labels, n_way, k_shot, QUERIES, EPISODES)["prototype"]
        for name, k_shot in (("one_shot", 1), ("five_shot", 5))
    }


def split_classes(n_classes: int, seed: int, n_seen: int = N_SEEN) -> tuple[list[int], list[int]]:
    """Draw `n_seen` classes to train on from `seed`; return them and the others, both sorted."""
    order = torch.randperm(n_classes, generator=torch.Generator().manual_seed(seed)).tolist()
    return sorted(order[:n_seen]), sorted(order[n_seen:])


def _embedder(
    key: Key, settings: Settings, train: Images, test: Images
) -> tuple[Callable[[Images], tuple[Tensor, Tensor]], nn.Module]:
    """Train the model of `key`; return a function from images to embeddings and labels, and the model."""
    if key["method"] == "pixels":
        flat = nn.Flatten()
        return (lambda images: embed(flat, images)), nn.Linear(1, 1)
    untrained = key["method"] == "untrained"
    experiment = METHODS["siamese" if untrained else key["method"]]
    n_classes = min(experiment.n_classes, len(train.classes))
    experiment = replace(experiment, embedding_size=key["embedding_size"], n_classes=n_classes)
    model, _ = settings.fit(experiment, train, test, key["seed"], 0 if untrained else key["n_epochs"])
    return (lambda images: embed(model, images)), model
