"""The experiment on Omniglot: an embedding of characters from a few alphabets, evaluated on unseen alphabets.

Online triplets with many more classes than fit a batch: P × K batches from few alphabets at a time, a deeper net, and a
new warp of every drawing in every batch.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from siamese_triplet._devices import best_device, device_of
from siamese_triplet.book.one_cycle import fit_one_cycle
from siamese_triplet.book.results import check_complete, collect, table
from siamese_triplet.datasets import Images, RandomWarp
from siamese_triplet.datasets.omniglot import load_omniglot, rotations_as_classes
from siamese_triplet.distributed import Share
from siamese_triplet.evaluation import extract_embeddings, few_shot_accuracy
from siamese_triplet.evaluation.summary import among_themselves
from siamese_triplet.loader import TensorLoader
from siamese_triplet.methods import Method
from siamese_triplet.networks import ConvEmbeddingNet
from siamese_triplet.runs import provenance
from siamese_triplet.samplers import BalancedBatchSampler, GroupedBatchSampler
from siamese_triplet.trainer import Callback, History

TASKS = ((20, 1), (20, 5), (5, 1), (5, 5))  # n-way, k-shot
QUERIES, EPISODES = 5, 2000
SLIGHT: dict[str, Any] = {"degrees": 6, "shift": 0.04, "scale": 0.08, "shear": 0.08, "elastic": 0.015}


@dataclass(frozen=True)
class Characters:
    """The settings that decide the result of a training run on characters.

    `selector` and `margin` are those of online triplets, see `Method`. Batches are `n_classes` characters ×
    `n_samples` drawings; with `n_groups`, the characters are `n_classes` from each of `n_groups` alphabets, and a
    turned alphabet counts as another one.
    """

    selector: str = "batch-all"
    margin: float | str = 0.4
    n_epochs: int = 80
    n_classes: int = 40
    n_samples: int = 5
    n_groups: int | None = None
    embedding_size: int = 128
    unit_sphere: bool = True
    image_size: int = 32
    width: int = 64
    learning_rate: float = 3e-3
    turned: bool = True
    warped: bool = True
    bfloat16: bool = False

    def load(self, train: bool, root: str | os.PathLike | None = None, subset: str | None = "minimal") -> Images:
        """Load the characters to train or to test on. See `load_omniglot`."""
        images = load_omniglot(train, root, subset=subset, image_size=self.image_size)
        return rotations_as_classes(images) if train and self.turned else images

    def network(self) -> nn.Module:
        size = (1, self.image_size, self.image_size)
        return ConvEmbeddingNet(self.embedding_size, size, self.width, self.unit_sphere)

    def sampler(self, images: Images, seed: int) -> BalancedBatchSampler | GroupedBatchSampler:
        """Make the batch sampler. Raises ValueError if `n_groups` is set but the images have no groups."""
        if self.n_groups is None:
            return BalancedBatchSampler(images.targets, self.n_classes, self.n_samples, seed=seed)
        if images.groups is None:
            raise ValueError(f"n_groups={self.n_groups}, but the images have no groups; leave it out")
        return GroupedBatchSampler(images.targets, images.groups, self.n_groups, self.n_classes, self.n_samples, seed)

    def warp(self, seed: int) -> RandomWarp | None:
        return RandomWarp(seed=seed) if self.warped else None

    def loss(self, seed: int) -> nn.Module:
        return Method("online-triplet", selector=self.selector, margin=self.margin).loss(seed)


def train_characters(
    settings: Characters,
    train_set: Images,
    seed: int = 0,
    *,
    device: torch.device | str | None = None,
    checkpoint: str | os.PathLike | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: bool = True,
) -> tuple[nn.Module, History]:
    """Train a network on `train_set` by `fit_one_cycle`, and return it with its history.

    For the other arguments see `fit`.
    """
    device = best_device() if device is None else torch.device(device)
    torch.manual_seed(seed)
    model = settings.network().to(device)
    optimizer = AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=0, fused=device.type in ("cpu", "cuda")
    )
    sampler = settings.sampler(train_set, seed)
    history = fit_one_cycle(
        TensorLoader(train_set, batch_sampler=sampler, device=device, augment=settings.warp(seed)),
        model,
        settings.loss(seed),
        optimizer,
        settings.n_epochs,
        device=device,
        verbose=verbose,
        checkpoint=checkpoint,
        callbacks=callbacks,
        autocast=torch.bfloat16 if settings.bfloat16 else None,
    )
    return model, history


def embed_views(model: nn.Module, images: Images, n_views: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return embeddings (N, D) and labels (N,) of `images`, averaged over each image and `n_views − 1` slight warps.

    The mean is of the network's outputs, and is not normalised again.
    """
    device = device_of(model)
    warp = RandomWarp(**SLIGHT, seed=seed)
    views = [
        extract_embeddings(
            TensorLoader(images, 500, share=Share(), device=device, augment=warp if view else None), model
        )
        for view in range(n_views)
    ]
    return torch.stack([embeddings for embeddings, _ in views]).mean(dim=0), views[0][1]


def evaluate_characters(
    embeddings: Tensor, labels: Tensor, groups: Tensor, seed: int = 0, n_episodes: int | None = None
) -> dict[str, Any]:
    """Compute the errors of few-shot classification by nearest prototype, and the retrieval metrics of all characters.

    `within_<n>_way_<k>_shot`: the classes of an episode come from one group, or are the whole group if it has fewer
    than n; `over_…`: from all groups. Each has its 95 % interval over the `n_episodes`, by default 2,000 (`EPISODES`).
    """
    n_episodes = EPISODES if n_episodes is None else n_episodes
    metrics: dict[str, Any] = {}
    for n_way, k_shot in TASKS:
        for where, within in (("within", groups), ("over", None)):
            accuracy = few_shot_accuracy(
                embeddings, labels, n_way, k_shot, QUERIES, n_episodes, seed, groups=within, allow_fewer=True
            )
            name = f"{where}_{n_way}_way_{k_shot}_shot"
            low, high = accuracy["prototype_interval"]
            metrics |= {name: 1 - accuracy["prototype"], f"{name}_interval": (1 - high, 1 - low)}
    return metrics | among_themselves((embeddings, labels))


def reproduce_characters(
    path: Path | None,
    work: Path | None,
    runs: Iterable[tuple[str, Characters, int]],
    *,
    root: str | os.PathLike | None = None,
    device: torch.device | str | None = None,
    n_views: int = 13,
    n_episodes: int | None = None,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Train and evaluate each of `runs` (name, settings, seed) without a result in the list `path`; return all results.

    Interrupted runs resume from their checkpoints in `work`. Without these paths nothing is kept.
    """

    def compute(key: dict[str, Any]) -> dict[str, Any]:
        settings, seed = by_key[key["name"], key["seed"]], key["seed"]
        train_set, test_set = settings.load(True, root), settings.load(False, root)
        checkpoint = work and work / checkpoint_name(key["name"], settings, seed)
        model, history = train_characters(
            settings, train_set, seed, device=device, checkpoint=checkpoint, verbose=verbose
        )
        check_complete(history, settings.n_epochs)
        assert test_set.groups is not None  # the alphabets
        metrics = {
            kind: evaluate_characters(*embed_views(model, test_set, views), test_set.groups, n_episodes=n_episodes)
            for kind, views in (("one_view", 1), ("many_views", n_views))
        }
        sizes = {"train_classes": len(train_set.classes), "test_groups": test_set.group_names}
        sizes |= {"n_views": n_views, "n_episodes": n_episodes or EPISODES}
        made = {"seconds": sum(history["seconds"]), "made": provenance(model), "loss": history["train_loss"]}
        return metrics | sizes | made

    by_key = {(name, seed): settings for name, settings, seed in runs}
    keys = ({"name": name, "seed": seed, "settings": asdict(settings)} for (name, seed), settings in by_key.items())
    return collect(path, keys, compute, verbose)


def checkpoint_name(name: str, settings: Characters, seed: int) -> str:
    """Name the checkpoint of a run; other settings give another name."""
    digest = hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
    return f"{name.replace(' ', '-').replace(',', '')}-{digest}-{seed}.pt"


def error_table(results: Sequence[Mapping[str, Any]], views: str = "many_views") -> str:
    """Format the errors of each run in per cent, mean ± standard deviation over its seeds, as a table in Markdown."""
    columns = {
        f"{where}, {n_way}-way {k_shot}-shot": (
            lambda result, name=f"{where}_{n_way}_way_{k_shot}_shot": result[views][name]
        )
        for where in ("within", "over")
        for n_way, k_shot in TASKS
    }
    return table(results, "name", columns, best=False)


def selection_runs(base: Characters, seeds: Iterable[int] = (0,)) -> list[tuple[str, Characters, int]]:
    """List runs that compare selectors and losses, to see where mining pays."""
    variants = {
        "batch-all": base,
        "batch-all, two alphabets per batch": replace(base, n_groups=2, n_classes=20),
        "semi-hard": replace(base, selector="semihard"),
        "random": replace(base, selector="random"),
        "hardest": replace(base, selector="hardest"),
        "batch-hard": replace(base, selector="batch-hard"),
        "batch-hard, soft margin": replace(base, selector="batch-hard", margin="soft"),
        "batch-all, soft margin": replace(base, margin="soft", unit_sphere=False),
        "batch-all, no warps": replace(base, warped=False),
        "batch-all, no turned characters": replace(base, turned=False, n_epochs=4 * base.n_epochs),
    }
    return [(name, settings, seed) for seed in seeds for name, settings in variants.items()]
