"""The experiment on Omniglot's official one-shot runs, with training on one or both of the minimal sets.

Settings were chosen on two alphabets of the first minimal set, with training on its other three (`choice_runs`). The
last choice, between this net and a residual one in fewer steps, was made on the three alphabets that only the second
set has. The official error of one seed of each was known by then, and had no part in it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet.book.hausdorff import hausdorff_errors
from siamese_triplet.book.official_settings import OfficialCharacters
from siamese_triplet.book.omniglot import Characters, checkpoint_name, embed_views, train_characters
from siamese_triplet.book.results import (
    Key,
    Results,
    check_complete,
    collect,
    markdown_table,
    quantities,
    read_results,
    spread,
)
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
    """List the runs by which settings were chosen, on the alphabets held out; each has 448 batches of 200 images."""
    mirrored = OfficialCharacters(background="held out", n_epochs=8)
    plain = replace(mirrored, n_epochs=16, mirrored=False)
    residual = replace(mirrored, residual=True, width=32)
    variants = {
        "all triplets, 32 × 32": replace(plain, temperature=None, image_size=32),
        "supervised contrastive, 28 × 28": plain,
        "with mirrored characters": mirrored,
        "mirrored, residual": residual,
        "mirrored, residual, strong warps": replace(residual, strong=True),
    }
    return [(name, settings, seed) for seed in seeds for name, settings in variants.items()]


def reproduce_official(
    path: Path | None,
    work: Path | None,
    runs: Iterable[Run],
    *,
    side_by_side: bool = False,
    root: str | os.PathLike | None = None,
    device: torch.device | str | None = None,
    n_views: int = VIEWS,
    n_episodes: int | None = None,
    train: bool = True,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Train and evaluate each of `runs` (name, settings, seed) without a result in the list `path`; return all results.

    Nets that have seen only the first minimal set are evaluated on the official runs, and on the three alphabets that
    only the second set has; those that have seen both, on the official runs; those for the choice, on the alphabets
    held out, and nothing else. With `side_by_side`, the nets of runs with the same name are evaluated as one
    `SideBySide`, under the first seed. Interrupted runs resume from their checkpoints in `work`, and complete ones are
    read from there. Without these paths nothing is kept. With `train=False` runs without a result are left out. Raises
    the errors of `load_one_shot_runs`.
    """
    groups: dict[Any, list[Run]] = {}
    for name, settings, seed in runs:
        groups.setdefault(name if side_by_side else (name, seed), []).append((name, settings, seed))
    suffix = ", the nets side by side" if side_by_side else ""
    by_key = {(f"{group[0][0]}{suffix}", group[0][2]): group for group in groups.values()}
    keys = [{"name": name, "seed": seed, "settings": asdict(of[0][1])} for (name, seed), of in by_key.items()]

    def compute(key: Key) -> dict[str, Any]:
        group = by_key[key["name"], key["seed"]]
        nets, seconds = zip(*(_train(*run, work, root, device, verbose) for run in group), strict=True)
        model = SideBySide(nets) if side_by_side else nets[0]
        metrics = _measure(model, group[0][1], root, n_views, n_episodes)
        extent = {"n_nets": len(nets), "seconds": 0.0} if side_by_side else {"seconds": seconds[0]}  # each counts once
        return metrics | extent | {"made": provenance(model)}

    return collect(path, keys if train else _known(path, keys), compute, verbose)


def _known(path: Path | None, keys: Sequence[Key]) -> list[Key]:
    """List the keys with a result in the list `path`."""
    kept = [] if path is None else read_results(path)
    return [key for key in keys if any(all(result.get(name) == key[name] for name in key) for result in kept)]


class SideBySide(nn.Module):
    """Several nets as one: the embeddings of all, side by side, so that squared distances add up."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([net(x) for net in self.nets], dim=1)

    def get_embedding(self, x: Tensor) -> Tensor:
        return self(x)


def _train(
    name: str,
    settings: OfficialCharacters,
    seed: int,
    work: Path | None,
    root: str | os.PathLike | None,
    device: torch.device | str | None,
    verbose: bool,
) -> tuple[nn.Module, float]:
    """Train a run, or read it from its complete checkpoint; return the net and the seconds."""
    checkpoint = work and work / checkpoint_name(name, settings, seed)
    train_set = settings.load(True, root)
    model, history = train_characters(settings, train_set, seed, device=device, checkpoint=checkpoint, verbose=verbose)
    check_complete(history, settings.n_epochs)
    return model, sum(history["seconds"])


def _measure(
    model: nn.Module,
    settings: OfficialCharacters,
    root: str | os.PathLike | None,
    n_views: int,
    n_episodes: int | None,
) -> dict[str, Any]:
    is_choice, is_both = (settings.background == background for background in ("held out", "both"))
    official = None if is_choice else load_one_shot_runs(root, image_size=settings.image_size)
    own = None if is_both else settings.load(False, root)
    metrics = evaluate_model(model, official, own, n_views, n_episodes)
    return metrics | {"train_classes": len(settings.load(True, root).classes), "n_views": 4 * n_views}


def evaluate_model(
    model: nn.Module,
    official: OneShotRuns | None,
    own: Images | None,
    n_views: int = VIEWS,
    n_episodes: int | None = None,
) -> dict[str, Any]:
    """Evaluate `model` on the official runs and on the images `own`, with `one_view` and with `many_views` of each."""

    def measure(embed: Callable[[Images], Tensor]) -> dict[str, Any]:
        of_official = {} if official is None else evaluate_official(embed(official.images), official)
        return of_official | ({} if own is None else evaluate_own(embed(own), own, n_episodes))

    return {
        "one_view": measure(lambda images: embed_views(model, images)[0]),
        "many_views": measure(lambda images: embed_turned(model, images, n_views)),
    }


def reproduce_references(
    path: Path | None,
    seeds: Iterable[int] = range(3),
    *,
    root: str | os.PathLike | None = None,
    with_official: bool = True,
    n_episodes: int | None = None,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Evaluate what needs no training, with one view: pixels, untrained nets, and the baseline of the data's authors.

    Pixels and nets are evaluated on the official runs, by the settings of `OfficialCharacters`, and on the alphabets
    that only the second minimal set has, by those of `Characters`; the modified Hausdorff distance on the official runs
    alone, in the original size. `with_official=False` leaves the official runs out. Results in the list `path` are not
    computed again. Raises the errors of `load_one_shot_runs`.
    """

    def compute(key: dict[str, Any]) -> dict[str, Any]:
        if key["name"] == HAUSDORFF:
            errors = hausdorff_errors(load_one_shot_runs(root))
            return {"one_view": {"official": errors.mean().item()}, "errors": errors.tolist()} | made

        def embed(settings: Characters, images: Images) -> Tensor:
            torch.manual_seed(key["seed"])
            return embed_views(settings.network() if key["name"] == UNTRAINED else nn.Flatten(), images)[0]

        own = Characters().load(False, root)
        metrics = evaluate_own(embed(Characters(), own), own, n_episodes)
        if with_official:
            official = load_one_shot_runs(root, image_size=OfficialCharacters.image_size)
            metrics |= evaluate_official(embed(OfficialCharacters(), official.images), official)
        return {"one_view": metrics} | made

    made = {"seconds": 0.0, "made": provenance(Characters().network())}
    rows = [(HAUSDORFF, 0)] * with_official + [("pixels", 0), *((UNTRAINED, seed) for seed in seeds)]
    return collect(path, ({"name": name, "seed": seed} for name, seed in rows), compute, verbose)


def official_table(results: Results, alphabets: str = "our three alphabets") -> str:
    """Format the errors in per cent, mean ± standard deviation over the seeds, as a table in Markdown.

    The columns are the official runs and the `alphabets` of the other errors, with one view and many; those without any
    result are left out.
    """
    columns = {
        f"{test}, {views}": (views.replace(" ", "_"), name)
        for test, name in (("official", "official"), (alphabets, "within_20_way_1_shot"))
        for views in ("one view", "many views")
    }
    columns = {title: at for title, at in columns.items() if _found(results, *at)}
    rows = []
    for name in dict.fromkeys(result["name"] for result in results):
        group = [result for result in results if result["name"] == name]
        cells = [_found(group, *at) for at in columns.values()]
        rows.append([name, *map(_percent, cells)])
    return markdown_table(["", *columns], rows)


def _found(results: Results, views: str, name: str) -> list[float]:
    return quantities(results, lambda result: result[views][name])


def _percent(errors: Sequence[float]) -> str:
    return spread([100 * error for error in errors])
