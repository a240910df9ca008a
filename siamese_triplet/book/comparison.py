"""Which method is better: the five methods by the same figures, on classes that were trained on and on others.

Two parts, each a list of results in one JSON file: `seen` (all classes, test images) and `unseen` (trained on six
classes, tested on the other four, and on the other data set).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet.book.results import Key, check_whole, collect
from siamese_triplet.datasets import Images, load
from siamese_triplet.evaluation import embed, few_shot_accuracy
from siamese_triplet.evaluation.summary import among_themselves, seen_classes
from siamese_triplet.methods import FULL_EPOCHS, METHODS, Method, Speed, fit_method
from siamese_triplet.runs import provenance
from siamese_triplet.trainer import History

DATASETS = ("mnist", "fashion-mnist")
INPUTS = {"siamese": 2, "triplet": 3}  # images that pass through the network for each image of an epoch
N_SEEN = 6
QUERIES, EPISODES = 15, 1000


@dataclass(frozen=True)
class Settings:
    """How long and on what to train."""

    n_epochs: int = FULL_EPOCHS
    seeds: tuple[int, ...] = (0, 1, 2)
    subset: str | None = None  # for datasets.load
    root: str | None = None
    device: str | None = None
    speed: Speed = Speed()  # noqa: RUF009 - frozen
    verbose: bool = True

    def in_key(self) -> Key:
        """What decides every result that is made with these settings."""
        return {"subset": self.subset, "speed": str(self.speed)}

    def load(self, dataset: str) -> tuple[Images, Images]:
        train, test = (load(dataset, train, self.root, subset=self.subset) for train in (True, False))
        return train, test

    def fit(
        self,
        experiment: Method,
        train: Images,
        test: Images,
        seed: int,
        n_epochs: int,
        checkpoint: Path | None = None,
    ) -> tuple[nn.Module, History]:
        """A trained model and its history. Raises KeyboardInterrupt where training was interrupted."""
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
        check_whole(history, n_epochs)
        return model, history


def compare(path: Path | None, work: Path | None, settings: Settings) -> list[dict[str, Any]]:
    """Part `seen`: each method on all classes, as many images through the network for each of them.

    Siamese nets see two images for each of an epoch and triplet nets three, so they have a half and a third of the
    epochs. `work` keeps the checkpoints, where it is not None.
    """

    def results(key: Key) -> dict[str, Any]:
        train, test = settings.load(key["dataset"])
        how = "-".join(key["speed"].replace(",", "").split())
        name = f"{key['dataset']}-{key['method']}-{key['n_epochs']}-{key['seed']}-{how}"
        part = f"-{key['subset'].replace(':', '-')}" if key["subset"] else ""
        checkpoint = work and work / f"{name}{part}.pt"
        experiment = METHODS[key["method"]]
        model, history = settings.fit(experiment, train, test, key["seed"], key["n_epochs"], checkpoint)
        of_test = embed(model, test)
        figures = seen_classes(embed(model, train), of_test) | one_shot(*of_test, n_way=10)
        return figures | {"seconds": sum(history["seconds"]), "made": provenance(model)}

    keys = (
        {
            "dataset": dataset,
            "method": method,
            "seed": seed,
            "n_epochs": epochs_of(method, settings.n_epochs),
            **settings.in_key(),
        }
        for seed in settings.seeds
        for dataset in DATASETS
        for method in METHODS
    )
    return collect(path, keys, results, settings.verbose)


def compare_unseen(
    path: Path | None, settings: Settings, sizes: Sequence[int] = (2, 16), datasets: Sequence[str] = DATASETS
) -> list[dict[str, Any]]:
    """Part `unseen`: each method on six classes, drawn from the seed; figures of test images of the other four.

    Beside the trained networks stand the untrained one and the pixels. `transfer` is what the same embedding does on
    the other data set.
    """

    def results(key: Key) -> dict[str, Any]:
        train, test = settings.load(key["dataset"])
        other = settings.load(next(name for name in DATASETS if name != key["dataset"]))[1]
        seen, unseen = split_classes(len(train.classes), key["seed"])
        started = time.perf_counter()
        embed_images, model = _embedder(key, settings, train.of_classes(seen), test.of_classes(seen))
        seconds = time.perf_counter() - started
        of_unseen, of_other = embed_images(test.of_classes(unseen)), embed_images(other)
        return {
            "unseen": among_themselves(of_unseen) | one_shot(*of_unseen, n_way=len(unseen)),
            "seen": among_themselves(embed_images(test.of_classes(seen))),
            "transfer": among_themselves(of_other) | one_shot(*of_other, n_way=10),
            "unseen_classes": [train.classes[number] for number in unseen],
            "seconds": seconds,
            "made": provenance(model),
        }

    keys = (
        {
            "dataset": dataset, "method": method, "seed": seed, "embedding_size": size,
            "n_epochs": epochs_of(method, settings.n_epochs), **settings.in_key(),
        }
        for seed in settings.seeds
        for dataset in datasets
        for size in sizes
        for method in (*METHODS, "untrained", "pixels")
        if method != "pixels" or size == sizes[-1]
    )  # fmt: skip
    return collect(path, keys, results, settings.verbose)


def epochs_of(method: str, n_epochs: int) -> int:
    """So many epochs that the network of `method` sees as many images as that of a softmax in `n_epochs`."""
    return max(1, round(n_epochs / INPUTS.get(method, 1)))


def one_shot(embeddings: Tensor, labels: Tensor, n_way: int) -> dict[str, float]:
    """`one_shot`, the accuracy of `n_way` classification from one image a class, and `five_shot`, by prototypes."""
    return {
        name: few_shot_accuracy(embeddings, labels, n_way, k_shot, QUERIES, EPISODES)["prototype"]
        for name, k_shot in (("one_shot", 1), ("five_shot", 5))
    }


def split_classes(n_classes: int, seed: int, n_seen: int = N_SEEN) -> tuple[list[int], list[int]]:
    """`n_seen` classes to train on, drawn from `seed`, and the others, both in order."""
    order = torch.randperm(n_classes, generator=torch.Generator().manual_seed(seed)).tolist()
    return sorted(order[:n_seen]), sorted(order[n_seen:])


def _embedder(
    key: Key, settings: Settings, train: Images, test: Images
) -> tuple[Callable[[Images], tuple[Tensor, Tensor]], nn.Module]:
    """What gives the embeddings and labels of images, and the model behind it."""
    if key["method"] == "pixels":
        flat = nn.Flatten()
        return (lambda images: embed(flat, images)), nn.Linear(1, 1)
    untrained = key["method"] == "untrained"
    experiment = METHODS["siamese" if untrained else key["method"]]
    n_classes = min(experiment.n_classes, len(train.classes))
    experiment = replace(experiment, embedding_size=key["embedding_size"], n_classes=n_classes)
    model, _ = settings.fit(experiment, train, test, key["seed"], 0 if untrained else key["n_epochs"])
    return (lambda images: embed(model, images)), model
