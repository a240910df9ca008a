"""Cases for the arithmetic of the book's figures: what the package selects, costs and derives, as JSON."""

from typing import Any

import torch
from torch import Tensor

from siamese_triplet import (
    AllPositivePairSelector,
    AllSemihardTripletSelector,
    AllTripletSelector,
    BatchAllTripletLoss,
    BatchHardPairSelector,
    BatchHardTripletSelector,
    ContrastiveLoss,
    EasyPositiveTripletSelector,
    HardestNegativeTripletSelector,
    HardestSemihardTripletSelector,
    HardNegativePairSelector,
    NearestBeyondPositiveTripletSelector,
    OnlineContrastiveLoss,
    OnlineTripletLoss,
    TripletLoss,
    TripletSelector,
)
from siamese_triplet.distances import pairwise_distances

TRIPLET_SELECTORS = {
    "all-semihard": AllSemihardTripletSelector,
    "hardest-semihard": HardestSemihardTripletSelector,
    "hardest": HardestNegativeTripletSelector,
    "nearest-beyond-positive": lambda margin: NearestBeyondPositiveTripletSelector(),
    "batch-hard": lambda margin: BatchHardTripletSelector(),
    "easy-positive": lambda margin: EasyPositiveTripletSelector(),
}
MARGINS = (0.0, 0.5, 1.0, 2.0)


class Listed(TripletSelector):
    """Triplets that are known already."""

    def __init__(self, triplets: Tensor) -> None:
        self.triplets = triplets

    def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return self.triplets


def batches() -> list[tuple[Tensor, Tensor]]:
    """Batches whose squared distances are exact, so that ties are: uneven classes, duplicates, one class, none."""
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
    """What the checker in `figure_checks.mjs` compares."""
    generator = torch.Generator().manual_seed(1)

    def rows(n: int) -> Tensor:
        return torch.randn(n, 2, generator=generator, dtype=torch.float64)

    return {
        "batches": [of_batch(rows, labels) for rows, labels in batches()],
        "pairs": [of_pair(*rows(2), same, m) for same in (0, 1) for m in MARGINS]
        + [of_pair(torch.zeros(2).double(), torch.zeros(2).double(), 0, 1.0)],
        "triplets": [of_triplet(*rows(3), m) for _ in range(6) for m in MARGINS],
    }


def of_batch(rows: Tensor, labels: Tensor) -> dict[str, Any]:
    distances = pairwise_distances(rows)
    everything = AllTripletSelector().get_triplets(rows, labels)
    cost = distances[everything[:, 0], everything[:, 1]] - distances[everything[:, 0], everything[:, 2]]
    triplets = {
        f"{name} {margin:g}": make(margin).get_triplets(rows, labels).tolist()
        for name, make in TRIPLET_SELECTORS.items()
        for margin in MARGINS
    } | {f"batch-all {margin:g}": everything[cost + margin > 0].tolist() for margin in MARGINS}
    drawn_from = {
        f"{name} {margin:g}": everything[chosen(cost + margin, margin)].tolist()
        for name, chosen in (
            ("random", lambda loss, _: loss > 0),
            ("semihard", lambda loss, m: (loss > 0) & (loss < m)),
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
        "pairs": {name: [of.tolist() for of in selector.get_pairs(rows, labels)] for name, selector in pairs.items()},
        "contrastive": [with_gradient(OnlineContrastiveLoss(m, pairs["all"]), rows, labels, m) for m in MARGINS],
        "all": [with_gradient(OnlineTripletLoss(m, Listed(everything)), rows, labels, m) for m in MARGINS],
        "active": [with_gradient(BatchAllTripletLoss(m), rows, labels, m) for m in MARGINS],
    }


def of_pair(left: Tensor, right: Tensor, same: int, margin: float) -> dict[str, Any]:
    rows = [left.requires_grad_(), right.requires_grad_()]
    loss = ContrastiveLoss(margin)(rows[0][None], rows[1][None], torch.tensor([same]))
    return {"rows": [row.tolist() for row in rows], "same": bool(same), "margin": margin, **derived(loss, rows)}


def of_triplet(*rows_and_margin: Any) -> dict[str, Any]:
    *rows, margin = rows_and_margin
    rows = [row.requires_grad_() for row in rows]
    loss = TripletLoss(margin)(*(row[None] for row in rows))
    return {"rows": [row.tolist() for row in rows], "margin": margin, **derived(loss, rows)}


def with_gradient(loss_fn: Any, rows: Tensor, labels: Tensor, margin: float) -> dict[str, Any]:
    rows = rows.clone().requires_grad_()
    loss = loss_fn(rows, labels)
    found = derived(loss[0] if isinstance(loss, tuple) else loss, [rows])
    return {"margin": margin, "loss": found["loss"], "gradient": found["gradients"][0]}


def derived(loss: Tensor, rows: list[Tensor]) -> dict[str, Any]:
    loss.backward()
    return {"loss": loss.item(), "gradients": [row.grad.tolist() for row in rows]}
