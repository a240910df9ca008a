"""The experiment on Omniglot's official one-shot runs, with training on one or both of the minimal sets.

All settings were chosen on two alphabets of the first minimal set, with training on its other three (`held_out`). The
official runs had no part in the choice.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet.book.hausdorff import hausdorff_errors
from siamese_triplet.book.official_settings import OfficialCharacters
from siamese_triplet.book.omniglot import checkpoint_name, embed_views, train_characters
from siamese_triplet.book.results import check_complete, collect, markdown_table, quantities, spread
from siamese_triplet.datasets import Images, OneShotRuns, load_one_shot_runs, rotations_as_classes
from siamese_triplet.evaluation import episode_accuracy, few_shot_accuracy
from siamese_triplet.runs import provenance

HAUSDORFF, UNTRAINED = "modified Hausdorff distance", "untrained network"
NAMES = {"small1": "the first minimal set", "both": "both minimal sets"}
WAYS, QUERIES, EPISODES = 20, 5, 2000  # of the chapter's own protocol
VIEWS = 4  # of each of the four turns
Run = tuple[str, OfficialCharacters, int]  # name, settings and seed


def embed_turned(model: nn.Module, images: Images, n_views: int = VIEWS, seed: int = 0) -> Tensor:
    """Return the embeddings (N, 4 D) of `images`: of each of its four turns, side by side, the mean of `n_views`.

    Distances are then sums over the turns: four opinions of one network, which was trained on turned characters.
    """
    turned = rotations_as_classes(images)
    return torch.cat(embed_views(model, turned, n_views, seed)[0].chunk(4), dim=1)


def evaluate_official(embeddings: Tensor, runs: OneShotRuns) -> dict[str, Any]:
    """Compute the error over all official runs, its 95 % interval over the runs, and the number of wrong answers."""
    found = episode_accuracy(embeddings, runs.support, runs.queries)
    low, high = found["prototype_interval"]
    error = 1 - found["prototype"]
    return {"official": error, "official_interval": (1 - high, 1 - low), "n_wrong": round(error * runs.queries.numel())}


def evaluate_own(embeddings: Tensor, images: Images, n_episodes: int | None = None) -> dict[str, Any]:
    """Compute the error of 20-way 1-shot classification within an alphabet of `images`, in random episodes."""
    n_episodes = EPISODES if n_episodes is None else n_episodes
    found = few_shot_accuracy(
        embeddings, images.targets, WAYS, 1, QUERIES, n_episodes, groups=images.groups, allow_fewer=True
    )
    low, high = found["prototype_interval"]
    return {"within_20_way_1_shot": 1 - found["prototype"], "within_20_way_1_shot_interval": (1 - high, 1 - low)}


def official_runs(seeds: Iterable[int] = range(3)) -> list[Run]:
    """List the runs for the official figure: both training sets, in about as many steps, each with every seed."""
    sets = [OfficialCharacters(), OfficialCharacters(n_epochs=9, background="both")]
    return [(NAMES[settings.background], settings, seed) for settings in sets for seed in seeds]


def choice_runs(seeds: Iterable[int] = (0,)) -> list[Run]:
    """List the runs by which the settings were chosen, in a quarter of the steps, on the alphabets held out."""
    plain = OfficialCharacters(background="held out", mirrored=False)
    variants = {
        "all triplets, 32 × 32": replace(plain, temperature=None, image_size=32),
        "supervised contrastive, 28 × 28": plain,
        "and mirrored characters as classes": replace(plain, mirrored=True, n_epochs=plain.n_epochs // 2),
    }
    return [(name, settings, seed) for seed in seeds for name, settings in variants.items()]


def reproduce_official(
    path: Path | None,
    work: Path | None,
    runs: Iterable[Run],
    *,
    root: str | os.PathLike | None = None,
    device: torch.device | str | None = None,
    n_views: int = VIEWS,
    n_episodes: int | None = None,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Train and evaluate each of `runs` (name, settings, seed) without a result in the list `path`; return all results.

    Nets that have seen only the first minimal set are evaluated on the official runs, and on the three alphabets that
    only the second set has; those that have seen both, on the official runs; those for the choice, on the alphabets
    held out, and nothing else. Interrupted runs resume from their checkpoints in `work`. Without these paths nothing is
    kept. Raises the errors of `load_one_shot_runs`.
    """

    def compute(key: dict[str, Any]) -> dict[str, Any]:
        settings, seed = by_key[key["name"], key["seed"]], key["seed"]
        is_choice = settings.background == "held out"
        official = None if is_choice else load_one_shot_runs(root, image_size=settings.image_size)
        train_set = settings.load(True, root)
        checkpoint = work and work / checkpoint_name(key["name"], settings, seed)
        model, history = train_characters(
            settings, train_set, seed, device=device, checkpoint=checkpoint, verbose=verbose
        )
        check_complete(history, settings.n_epochs)
        own = None if settings.background == "both" else settings.load(False, root)
        metrics = evaluate_model(model, official, own, n_views, n_episodes)
        sizes = {"train_classes": len(train_set.classes), "train_images": len(train_set), "n_views": 4 * n_views}
        return metrics | sizes | {"seconds": sum(history["seconds"]), "made": provenance(model)}

    by_key = {(name, seed): settings for name, settings, seed in runs}
    keys = ({"name": name, "seed": seed, "settings": asdict(settings)} for (name, seed), settings in by_key.items())
    return collect(path, keys, compute, verbose)


def evaluate_model(
    model: nn.Module,
    official: OneShotRuns | None,
    own: Images | None,
    n_views: int = VIEWS,
    n_episodes: int | None = None,
) -> dict[str, Any]:
    """Evaluate `model` on the official runs and on the images `own`, with `one_view` and with `many_views` of each."""
    metrics = {}
    for kind, embed in (
        ("one_view", lambda images: embed_views(model, images)[0]),
        ("many_views", lambda images: embed_turned(model, images, n_views)),
    ):
        metrics[kind] = {} if official is None else evaluate_official(embed(official.images), official)
        metrics[kind] |= {} if own is None else evaluate_own(embed(own), own, n_episodes)
    return metrics


def reproduce_references(
    path: Path | None,
    seeds: Iterable[int] = range(3),
    *,
    root: str | os.PathLike | None = None,
    n_episodes: int | None = None,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Evaluate what needs no training, with one view: pixels, untrained nets, and the baseline of the data's authors.

    Pixels and nets are evaluated on the official runs and on the alphabets that only the second minimal set has; the
    modified Hausdorff distance on the official runs alone, in the original size. Results in the list `path` are not
    computed again. Raises the errors of `load_one_shot_runs`.
    """
    settings = OfficialCharacters()

    def compute(key: dict[str, Any]) -> dict[str, Any]:
        if key["name"] == HAUSDORFF:
            errors = hausdorff_errors(load_one_shot_runs(root))
            return {"one_view": {"official": errors.mean().item()}, "errors": errors.tolist()}
        official, own = load_one_shot_runs(root, image_size=settings.image_size), settings.load(False, root)
        torch.manual_seed(key["seed"])
        model = settings.network() if key["name"] == UNTRAINED else nn.Flatten()
        metrics = evaluate_official(embed_views(model, official.images)[0], official)
        return {"one_view": metrics | evaluate_own(embed_views(model, own)[0], own, n_episodes)}

    rows = [(HAUSDORFF, 0), ("pixels", 0), *((UNTRAINED, seed) for seed in seeds)]
    return collect(path, ({"name": name, "seed": seed} for name, seed in rows), compute, verbose)


def official_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Format the errors in per cent, mean ± standard deviation over the seeds, as a table in Markdown.

    The columns are the official runs and the alphabets that only the second minimal set has, with one view and many.
    """
    columns = {
        "official, one view": ("one_view", "official"),
        "official, many views": ("many_views", "official"),
        "our three alphabets, one view": ("one_view", "within_20_way_1_shot"),
        "our three alphabets, many views": ("many_views", "within_20_way_1_shot"),
    }
    rows = []
    for name in dict.fromkeys(result["name"] for result in results):
        group = [result for result in results if result["name"] == name]
        cells = [quantities(group, lambda result, at=at: result[at[0]][at[1]]) for at in columns.values()]
        rows.append([name, *map(_percent, cells)])
    return markdown_table(["", *columns], rows)


def _percent(errors: Sequence[float]) -> str:
    return spread([100 * error for error in errors])
