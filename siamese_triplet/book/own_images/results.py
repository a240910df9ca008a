"""The test of a network on the parts of a plan: on new classes, or on new images of the classes trained on."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from siamese_triplet.book.own_images.start import ReadParts
from siamese_triplet.datasets import FolderImages, FolderPlan
from siamese_triplet.evaluation import (
    bootstrap_interval,
    embed,
    extract_embeddings,
    few_shot_accuracy,
    retrieval_values,
)

TEST, VALIDATION = "test", "validation"


def embeddings_of(model: nn.Module, images: Any) -> Tensor:
    """Embed `images`, in memory or on disk, as (N, D); no images give (0, 0)."""
    if not len(images):
        return torch.empty(0, 0)
    if isinstance(images, FolderImages):
        return extract_embeddings(DataLoader(images, batch_size=128), model)[0]
    return embed(model, images)[0]


def query_values(plan: FolderPlan, parts: ReadParts, model: nn.Module, of: str = TEST) -> dict[str, Tensor]:
    """Compute recall@1 and MAP@R of each image of a part, float64 (Q,), its `labels` (Q,) and `embeddings` (Q, D).

    An image is searched among the others of its part if all its classes are new, and otherwise among the training
    images and those alone in their class. Without a pair to find the result is empty.
    """
    queries = getattr(parts, of)
    embeddings, labels = embeddings_of(model, queries), queries.targets
    gallery: tuple[Tensor, ...] = ()
    if len(queries) and is_known(plan, of):
        sets = [part for part in (parts.training, parts.singles) if len(part)]
        gallery = torch.cat([embeddings_of(model, part) for part in sets]), torch.cat([part.targets for part in sets])
    if len(queries) < 2 and not gallery:
        return {}
    values = retrieval_values(embeddings, labels, *gallery, ks=(1,))
    if values["map_at_r"].isnan().all():
        return {}
    return {**values, "labels": labels, "embeddings": embeddings}


def is_known(plan: FolderPlan, of: str = TEST) -> bool:
    """Say whether the classes of a part are trained on."""
    part: FolderImages = getattr(plan.parts, of)
    names = {part.classes[label] for label in part.targets.unique().tolist()}
    trained = plan.parts.training
    return bool(names & {trained.classes[label] for label in trained.targets.unique().tolist()})


def score(plan: FolderPlan, parts: ReadParts, model: nn.Module) -> float | None:
    """Compute the mean MAP@R of the validation, None where there is nothing to compute it from."""
    values = query_values(plan, parts, model, VALIDATION)
    return float(values["map_at_r"].nanmean()) if values else None


def results_table(plan: FolderPlan, contenders: dict[str, tuple[nn.Module, ReadParts]]) -> str:
    """Format the test of several models, each with its input: means over classes, with 95 % intervals over classes."""
    rows = {name: query_values(plan, parts, model) for name, (model, parts) in contenders.items()}
    if not all(rows.values()):
        return "no test: " + plan.reasons.get("no split", "no image of the test has another one of its class")
    labels = next(iter(rows.values()))["labels"]
    kind = "classes that were trained on, searched among the training images" if is_known(plan) else "new classes"
    lines = [f"{len(labels):,} test images of {len(labels.unique()):,} {kind}"]
    ways = f"{plan.n_way}-way {plan.k_shot}-shot" if plan.n_way else ""
    lines.append(f"{'':<18}{'recall@1':<20}{'MAP@R':<20}{ways}")
    for name, values in rows.items():
        columns = [over_classes(values[metric], values["labels"]) for metric in ("recall_at_1", "map_at_r")]
        cells = "".join(f"{mean:.2f} ({low:.2f} to {high:.2f})".ljust(20) for mean, low, high in columns)
        lines.append(f"{name:<18}{cells}{_few_shot(plan, values)}".rstrip())
    return "\n".join(lines)


def over_classes(values: Tensor, labels: Tensor) -> tuple[float, float, float]:
    """Compute the mean of the class means of `values` (Q,) and its 95 % interval; classes of NaN alone are left out."""
    means = torch.stack([values[labels == label].nanmean() for label in labels.unique()])
    means = means[~means.isnan()]
    low, high = bootstrap_interval(means)
    return float(means.mean()), low, high


def _few_shot(plan: FolderPlan, values: dict[str, Tensor]) -> str:
    if not plan.n_way:
        return ""
    labels = values["labels"]
    enough = labels.bincount()[labels] >= plan.k_shot + plan.n_queries
    episodes = few_shot_accuracy(
        values["embeddings"][enough], labels[enough], plan.n_way, plan.k_shot, plan.n_queries, n_episodes=300
    )
    return f"{episodes['prototype']:.2f}"
