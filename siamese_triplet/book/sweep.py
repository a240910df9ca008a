"""Sweeps of online triplets, one setting at a time: selector, margin, embedding size and batch."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from siamese_triplet.book.comparison import Settings
from siamese_triplet.book.results import Key, collect
from siamese_triplet.evaluation import embed
from siamese_triplet.evaluation.summary import seen_classes
from siamese_triplet.methods import METHODS
from siamese_triplet.runs import provenance
from siamese_triplet.selectors.by_name import BATCH_ALL

SWEPT: dict[str, Sequence[dict[str, Any]]] = {
    "selector": [
        {"selector": selector}
        for selector in ("random", "semihard", "hardest-semihard", "hardest", "batch-hard", "easy-positive", BATCH_ALL)
    ],
    "margin": [{"margin": margin} for margin in (0.1, 0.3, 1.0, 3.0, 10.0)],
    "margin, unit sphere": [
        {"margin": margin, "embedding_size": 16, "unit_sphere": True} for margin in (0.1, 0.5, 1.0, 2.0, 4.0)
    ],
    "embedding size": [{"embedding_size": size} for size in (2, 3, 8, 16, 64)],
    "P × K": [{"n_classes": p, "n_samples": k} for p, k in ((10, 2), (10, 5), (10, 10), (10, 25), (10, 50), (5, 50))],
    "P × K, learning rate": [
        {"n_classes": 10, "n_samples": k, "learning_rate": rate} for k in (5, 50) for rate in (3e-4, 3e-3)
    ],
}


def sweep(
    path: Path | None,
    settings: Settings,
    dataset: str = "fashion-mnist",
    swept: Mapping[str, Sequence[dict[str, Any]]] | None = None,
) -> list[dict[str, Any]]:
    """Train online triplets with each change in `swept` alone, by default those in `SWEPT`."""

    def compute(key: Key) -> dict[str, Any]:
        train, test = settings.load(dataset)
        experiment = replace(METHODS["online-triplet"], **key["change"])
        started = time.perf_counter()
        model, _ = settings.fit(experiment, train, test, key["seed"], key["n_epochs"])
        seconds = time.perf_counter() - started
        metrics = seen_classes(embed(model, train), embed(model, test))
        return metrics | {"seconds": seconds, "made": provenance(model)}

    keys = (
        {
            "dataset": dataset,
            "swept": name,
            "change": change,
            "seed": seed,
            "n_epochs": settings.n_epochs,
            **settings.shared_key(),
        }
        for seed in settings.seeds
        for name, changes in (SWEPT if swept is None else swept).items()
        for change in changes
    )
    return collect(path, keys, compute, settings.verbose)
