"""Cases for the arithmetic of the book's figures: selections, losses and gradients of the package, as JSON."""

from typing import Any

import reference
import torch
from everything import named
from torch import Tensor

from siamese_triplet import (
    AllPositivePairSelector,
    AllTripletSelector,
    BatchAllTripletLoss,
    BatchHardPairSelector,
    ContrastiveLoss,
    HardNegativePairSelector,
    OnlineContrastiveLoss,
    OnlineTripletLoss,
    TripletLoss,
    TripletSelector,
)
from siamese_triplet.distances import pairwise_distances
from siamese_triplet.live.embeddings import bench_selectors

MARGINS = (0.0, 0.5, 1.0, 2.0)


class Listed(TripletSelector):
    """A selector of given triplets."""

    def __init__(self, triplets: Tensor) -> None:
        self.triplets = triplets

    def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return self.triplets


def batches() -> list[tuple[Tensor, Tensor]]:
    """Make batches with exact squared distances, and so exact ties: uneven classes, duplicates, one class, none."""
    generator = torch.Generator().manual_seed(0)

    def batch(n: int, n_classes: int, unit: float, reach: int, size: int = 2) -> tuple[Tensor, Tensor]:
        rows = torch.randint(-reach, reach + 1, (n, size), generator=generator).double() * unit
        return rows, torch.randint(n_classes, (n,), generator=generator)

    return [
        batch(12, 3, 1 / 64, 160),
        batch(15, 4, 0.25, 6),
        batch(10, 2, 1.0, 2),
        batch(14, 5, 1 / 64, 200, size=3),
        batch(6, 1, 0.5, 4),
        (torch.zeros(6, 2, dtype=torch.float64), torch.arange(6) % 3),
        (torch.eye(2, dtype=torch.float64), torch.tensor([0, 1])),
        (torch.empty(0, 2, dtype=torch.float64), torch.empty(0, dtype=torch.int64)),
    ]


def cases() -> dict[str, Any]:
    """Make the cases that `figure_checks.mjs` compares."""
    generator = torch.Generator().manual_seed(1)

    def rows(n: int) -> Tensor:
        return torch.randn(n, 2, generator=generator, dtype=torch.float64)

    return {
        "batches": [batch_case(rows, labels) for rows, labels in batches()],
        "pairs": [pair_case(*rows(2), same, m) for same in (0, 1) for m in MARGINS]
        + [pair_case(torch.zeros(2).double(), torch.zeros(2).double(), 0, 1.0)],
        "triplets": [triplet_case(*rows(3), m) for _ in range(6) for m in MARGINS],
    }


def batch_case(rows: Tensor, labels: Tensor) -> dict[str, Any]:
    distances = pairwise_distances(rows)
    everything = AllTripletSelector().get_triplets(rows, labels)
    cost = distances[everything[:, 0], everything[:, 1]] - distances[everything[:, 0], everything[:, 2]]
    triplets = {
        f"{name} {margin:g}": named(name, margin).get_triplets(rows, labels).tolist()
        for name in {*bench_selectors("triplets")} & {*reference.TRIPLETS}
        for margin in MARGINS
    } | {f"batch-all {margin:g}": everything[cost + margin > 0].tolist() for margin in MARGINS}
    drawn_from = {
        f"{name} {margin:g}": everything[chosen(cost + margin, margin)].tolist()
        for name, chosen in (
            ("random", lambda loss, _: loss > 0),
            ("semihard", lambda loss, m: (loss > 0) & (loss < m)),
            ("uniform", lambda loss, _: loss.isfinite()),
        )
        for margin in MARGINS
    }
    pairs = {
        "all": AllPositivePairSelector(balance=False),
        "hard": HardNegativePairSelector(),
        "batch-hard": BatchHardPairSelector(),
    }
    return {
        "rows": rows.tolist(),
        "labels": labels.tolist(),
        "distances": distances.tolist(),
        "triplets": triplets,
        "drawn_from": drawn_from,
        "pairs": {
            name: [pair.tolist() for pair in selector.get_pairs(rows, labels)] for name, selector in pairs.items()
        },
        "contrastive": [batch_loss_case(OnlineContrastiveLoss(m, pairs["all"]), rows, labels, m) for m in MARGINS],
        "all": [batch_loss_case(OnlineTripletLoss(m, Listed(everything)), rows, labels, m) for m in MARGINS],
        "active": [batch_loss_case(BatchAllTripletLoss(m), rows, labels, m) for m in MARGINS],
    }


def pair_case(left: Tensor, right: Tensor, same: int, margin: float) -> dict[str, Any]:
    rows = [left.requires_grad_(), right.requires_grad_()]
    loss = ContrastiveLoss(margin)(rows[0][None], rows[1][None], torch.tensor([same]))
    return {
        "rows": [row.tolist() for row in rows],
        "same": bool(same),
        "margin": margin,
        **loss_and_gradients(loss, rows),
    }


def triplet_case(*rows_and_margin: Any) -> dict[str, Any]:
    *rows, margin = rows_and_margin
    rows = [row.requires_grad_() for row in rows]
    loss = TripletLoss(margin)(*(row[None] for row in rows))
    return {"rows": [row.tolist() for row in rows], "margin": margin, **loss_and_gradients(loss, rows)}


def batch_loss_case(loss_fn: Any, rows: Tensor, labels: Tensor, margin: float) -> dict[str, Any]:
    rows = rows.clone().requires_grad_()
    loss = loss_fn(rows, labels)
    found = loss_and_gradients(loss[0] if isinstance(loss, tuple) else loss, [rows])
    return {"margin": margin, "loss": found["loss"], "gradient": found["gradients"][0]}


def loss_and_gradients(loss: Tensor, rows: list[Tensor]) -> dict[str, Any]:
    loss.backward()
    return {"loss": loss.item(), "gradients": [row.grad.tolist() for row in rows]}
