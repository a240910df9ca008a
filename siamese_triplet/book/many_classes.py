"""The experiment on emoji: how the error on unseen classes falls with the number of training classes.

Online triplets in batches of many classes with a few drawings each, new warps and colours of every drawing in every
batch, and always the same number of steps.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torchvision.transforms import v2

from siamese_triplet._devices import best_device
from siamese_triplet.book.one_cycle import fit_one_cycle
from siamese_triplet.book.results import Results, check_complete, collect, table
from siamese_triplet.datasets import Images, RandomColour, RandomWarp
from siamese_triplet.evaluation import embed, retrieval_metrics
from siamese_triplet.loader import TensorLoader
from siamese_triplet.methods import Method
from siamese_triplet.networks import ResidualEmbeddingNet
from siamese_triplet.runs import provenance
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.trainer import Callback, History

NUMBERS = (10, 30, 100, 300, None)  # of training classes, None for all
UNSEEN_DESIGNS = ("twemoji", "fxemoji")
PIXELS, UNTRAINED, FEW_STEPS = "pixels", "untrained network", "a twentieth of the steps"


@dataclass(frozen=True)
class Emoji:
    """The settings that decide the result of a training run on emoji.

    - `n_train_classes`: train on so many classes, drawn by the seed of the run; None for all.
    - `left_out`: designs whose drawings are not trained on.
    - `n_classes`, `n_samples`: the batch; with fewer training classes it has all of them.
    - `selector` and `margin` are those of online triplets, see `Method`.
    """

    n_train_classes: int | None = None
    left_out: tuple[str, ...] = ()
    n_steps: int = 2000
    n_classes: int = 60
    n_samples: int = 4
    selector: str = "semihard"
    margin: float = 0.2
    embedding_size: int = 128
    width: int = 32
    learning_rate: float = 3e-3
    colour: float = 0.15
    mirrored: float = 0.5
    bfloat16: bool = True

    def choose(self, images: Images, seed: int) -> Images:
        """Select the images to train on."""
        if self.left_out:
            assert images.sources is not None
            numbers = torch.tensor([images.source_names.index(design) for design in self.left_out])
            images = images.subset(~torch.isin(images.sources, numbers))
        if self.n_train_classes is None:
            return images
        order = torch.randperm(len(images.classes), generator=torch.Generator().manual_seed(seed)).tolist()
        return images.of_classes(sorted(order[: self.n_train_classes]))

    def plain(self) -> dict[str, Any]:
        """Return the settings as they are in JSON."""
        return json.loads(json.dumps(asdict(self)))

    def network(self) -> ResidualEmbeddingNet:
        return ResidualEmbeddingNet(self.embedding_size, (3, 32, 32), self.width)

    def augment(self, images: Images, seed: int) -> v2.Compose:
        """Make the random changes of a batch of normalised images; white stays white."""
        [normalize] = [step for step in images.transform.transforms if isinstance(step, v2.Normalize)]
        white = [(1 - mean) / std for mean, std in zip(normalize.mean, normalize.std, strict=True)]
        warp = RandomWarp(shear=0.2, elastic=0.02, mirrored=self.mirrored, seed=seed)
        return v2.Compose([warp, RandomColour(self.colour, white, seed=seed)])


def train_emoji(
    settings: Emoji,
    images: Images,
    seed: int = 0,
    *,
    device: torch.device | str | None = None,
    verbose: bool = True,
    callbacks: Sequence[Callback] = (),
    checkpoint: Path | None = None,
) -> tuple[ResidualEmbeddingNet, History]:
    """Train a network on what `settings` choose of `images` by `fit_one_cycle`, and return it with its history.

    The last epoch may go beyond the number of steps. For the other arguments see `fit`.
    """
    device = best_device() if device is None else torch.device(device)
    chosen = settings.choose(images, seed)
    n_classes = min(settings.n_classes, int((chosen.targets.bincount() > 0).sum()))
    sampler = BalancedBatchSampler(chosen.targets, n_classes, settings.n_samples, replacement=True, seed=seed)
    n_epochs = math.ceil(settings.n_steps / len(sampler))
    torch.manual_seed(seed)
    model = settings.network().to(device)
    optimizer = AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0)
    history = fit_one_cycle(
        TensorLoader(chosen, batch_sampler=sampler, device=device, augment=settings.augment(images, seed)),
        model,
        Method("online-triplet", selector=settings.selector, margin=settings.margin).loss(seed),
        optimizer,
        n_epochs,
        device=device,
        verbose=verbose,
        checkpoint=checkpoint,
        callbacks=callbacks,
        autocast=torch.bfloat16 if settings.bfloat16 else None,
    )
    check_complete(history, n_epochs)
    return model, history


def evaluate_emoji(model: nn.Module, settings: Emoji, images: Images, test_set: Images) -> dict[str, float]:
    """Compute recall@1 and MAP@R of the test classes, every drawing a query among all others.

    With designs left out of the training, also `known_…` and `new_…`: their drawings are the queries, and the gallery
    is those of the other designs, of the training classes and of the test classes.
    """
    metrics = retrieval_metrics(*embed(model, test_set), ks=(1,))
    found = {name: metrics[name] for name in ("recall_at_1", "map_at_r")}
    if settings.left_out:
        for name, part in (("known", images), ("new", test_set)):
            assert part.sources is not None
            numbers = torch.tensor([part.source_names.index(design) for design in settings.left_out])
            is_query = torch.isin(part.sources, numbers)
            embeddings, labels = embed(model, part)
            gallery = (embeddings[~is_query], labels[~is_query])
            across = retrieval_metrics(embeddings[is_query], labels[is_query], *gallery, ks=(1,))
            found |= {f"{name}_{metric}": across[metric] for metric in ("recall_at_1", "map_at_r")}
    return found


def emoji_runs(base: Emoji, seeds: Iterable[int] = (0, 1, 2)) -> list[tuple[str, Emoji, int]]:
    """List the runs: all numbers of training classes, the least of them with fewer steps too, and designs left out."""
    variants = {number_name(number): replace(base, n_train_classes=number) for number in NUMBERS}
    least = number_name(NUMBERS[0])
    variants[f"{least}, {FEW_STEPS}"] = replace(variants[least], n_steps=math.ceil(base.n_steps / 20))
    variants["two designs left out"] = replace(base, left_out=UNSEEN_DESIGNS)
    return [(name, settings, seed) for seed in seeds for name, settings in variants.items()]


def number_name(number: int | None) -> str:
    return "all classes" if number is None else f"{number} classes"


def compare_numbers(
    path: Path | None,
    runs: Iterable[tuple[str, Emoji, int]],
    train_set: Images,
    test_set: Images,
    *,
    device: torch.device | str | None = None,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Train and evaluate each of `runs` (name, settings, seed) without a result in the list `path`; return all results.

    The results of the pixels and of the untrained network of each seed come first. Without a path nothing is kept.
    """

    def compute(key: dict[str, Any]) -> dict[str, Any]:
        settings, seed = by_key[key["name"], key["seed"]], key["seed"]
        torch.manual_seed(seed)
        model, seconds = settings.network(), 0.0
        if key["name"] not in (PIXELS, UNTRAINED):
            model, history = train_emoji(settings, train_set, seed, device=device, verbose=verbose)
            seconds = sum(history["seconds"])
        embedding = nn.Flatten() if key["name"] == PIXELS else model
        sizes = {"n_classes": settings.n_train_classes or len(train_set.classes)}
        made = {"seconds": seconds, "made": provenance(model)}
        return evaluate_emoji(embedding, settings, train_set, test_set) | sizes | made

    listed = list(runs)
    seeds = sorted({seed for _, _, seed in listed})
    base = replace(listed[0][1], n_train_classes=None, left_out=UNSEEN_DESIGNS)
    untrained = [(PIXELS, base, seeds[0]), *((UNTRAINED, base, seed) for seed in seeds)]
    by_key = {(name, seed): settings for name, settings, seed in [*untrained, *listed]}
    keys = ({"name": name, "seed": seed, "settings": settings.plain()} for (name, seed), settings in by_key.items())
    return collect(path, keys, compute, verbose)


def metrics_table(results: Results, of: str = "") -> str:
    """Format recall@1 and MAP@R, mean ± standard deviation over the seeds, as a table in Markdown.

    `of` is "known_" or "new_" for the queries by other designers, see `evaluate_emoji`.
    """
    columns = {
        "recall@1": lambda result: result[f"{of}recall_at_1"],
        "MAP@R": lambda result: result[f"{of}map_at_r"],
    }
    return table([result for result in results if f"{of}map_at_r" in result], "name", columns, best=False)
