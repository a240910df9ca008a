"""The losses of the figure of the family, in Node, against the package, pytorch-metric-learning and autograd."""

import math
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from node import evaluate, planted
from torch import Tensor
from torch.nn import functional as F

from siamese_triplet import BatchAllTripletLoss, OnlineTripletLoss, TripletSelector
from siamese_triplet.live.playgrounds import FAMILY
from siamese_triplet.losses import ContrastiveLoss, SupervisedContrastiveLoss

CALL = "const { LOSSES, weightsOf } = await load('weights');"
SETTINGS = {  # temperatures and margins
    "pairs": [(1.0, 0.4), (1.0, 1.0), (1.0, 2.0)],
    "triplets": [(1.0, 0.0), (1.0, 0.2), (1.0, 1.5)],
    "semi-hard": [(1.0, 0.2), (1.0, 1.0)],
    "infonce": [(0.05, 0.0), (1.0, 0.0)],
    "supcon": [(0.05, 0.0), (1.0, 0.0)],
    "multisimilarity": [(0.02, 0.5), (0.1, 0.2)],
    "proxyanchor": [(1 / 32, 0.1), (0.5, 0.3)],
    "normalised": [(0.05, 0.0), (1.0, 0.0)],
    "cosface": [(1 / 64, 0.35), (0.5, 0.1)],
    "arcface": [(1 / 64, 0.5), (0.5, 0.8)],
}


def points(seed: int) -> tuple[Tensor, Tensor]:
    """Draw the cosines of two positives and four negatives, also far from the anchor."""
    generator = torch.Generator().manual_seed(seed)
    cosines = torch.cos(math.pi * torch.rand(6, generator=generator, dtype=torch.float64))
    if seed == 0:
        cosines[0] = -0.97  # where the margin of ArcFace reaches beyond the circle
    return cosines[:2], cosines[2:]


def unit(cosines: Tensor) -> Tensor:
    """Make unit vectors (N, 2) with these cosines to (1, 0)."""
    return torch.stack([cosines, (1 - cosines**2).sqrt()], dim=1)


def reference(name: str, p: Tensor, n: Tensor, temperature: float, margin: float) -> Tensor:
    """Compute a loss as its paper writes it."""
    d = (2 - 2 * n).sqrt()
    hinge = 2 * n[None] - 2 * p[:, None] + margin
    if name == "pairs":
        return torch.cat([1 - p, (margin - d).clamp(min=0) ** 2 / 2]).mean()
    if name == "triplets":
        return hinge[hinge > 0].mean() if (hinge > 0).any() else 0 * p.sum()
    if name == "semi-hard":
        means = [row[ok].mean() for row, ok in zip(hinge, (hinge > 0) & (hinge < margin), strict=True) if ok.any()]
        return torch.stack(means).mean() if means else 0 * p.sum()
    if name == "infonce":
        return torch.stack([against(own, n, temperature) for own in p]).mean()
    if name == "supcon":
        every = torch.cat([p, n]) / temperature
        return torch.stack([F.cross_entropy(every, torch.tensor(i)) for i in range(len(p))]).mean()
    if name == "multisimilarity":
        pull = (1 + (-2 * (p - margin)).exp().sum()).log() / 2
        return pull + temperature * (1 + ((n - margin) / temperature).exp().sum()).log()
    if name == "proxyanchor":
        pull = (1 + (-(p - margin) / temperature).exp().sum()).log()
        return pull + (1 + ((n + margin) / temperature).exp().sum()).log()
    own = p[0]
    if name == "cosface":
        own = own - margin
    if name == "arcface":
        own = torch.where(own > -math.cos(margin), torch.cos(torch.acos(own) + margin), own - margin * math.sin(margin))
    return against(own, n, temperature)


def against(own: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Compute −log of the share of `own` in a softmax over it and the others."""
    return F.cross_entropy(torch.cat([own[None], others]) / temperature, torch.tensor(0))


def cases() -> list[dict]:
    found = []
    for name, settings in SETTINGS.items():
        for temperature, margin in settings:
            for seed in range(8):
                p, n = (part.requires_grad_() for part in points(seed))
                loss = reference(name, p, n, temperature, margin)
                loss.backward()
                gradients = [torch.zeros_like(part) if part.grad is None else part.grad for part in (p, n)]
                given = {"name": name, "settings": {"temperature": temperature, "margin": margin}}
                given |= {"positives": p.tolist(), "negatives": n.tolist(), "loss": loss.item()}
                found.append(given | {"gradients": [part.tolist() for part in gradients]})
    return found


def differences(folder: Path, library: Path | None = None) -> list[str]:
    """List the losses whose value or derivative in the page is not that of autograd."""
    body = CALL.replace(
        "load('weights')", f"import({library.as_uri() + '/weights.mjs'!r})" if library else "load('weights')"
    )
    body += "return given.map((c) => weightsOf(c.name, c.positives, c.negatives, c.settings));"
    expected = cases()
    wrong = []
    for case, found in zip(expected, evaluate(body, folder, expected), strict=True):
        values = torch.tensor([found["loss"], *found["positive"], *found["negative"]], dtype=torch.float64)
        right = torch.tensor([case["loss"], *case["gradients"][0], *case["gradients"][1]], dtype=torch.float64)
        if not torch.allclose(values, right, rtol=1e-6, atol=1e-8):
            wrong.append(case["name"])
    return wrong


def test_the_weights_in_the_page_are_the_derivatives_of_the_losses(tmp_path: Path) -> None:
    assert differences(tmp_path) == []


def test_no_two_points_open_at_one_place() -> None:
    script = (Path(__file__).parents[2] / "siamese_triplet" / "live" / "js" / "family.mjs").read_text()
    start = re.search(r"START = \{(.+?)\}", script)[1]
    cosines = sorted(math.cos(math.radians(float(degrees))) for degrees in re.findall(r": (\d+)", start))
    assert len(cosines) == 6
    assert min(b - a for a, b in pairwise(cosines)) > 0.12  # else one name covers the other


FAULTS = [
    ("(s) => 1 - s", "(s) => 2 - 2 * s", {"pairs"}),
    ("gap / distances[i] / n", "gap / n", {"pairs"}),
    ("n < p && 2", "2", {"semi-hard"}),
    ("[i, j, 1 / eligible.length]", "[i, j, 1]", {"semi-hard"}),
    ("(j === i ? [] : [j])", "[]", {"supcon"}),
    ("temperature * positives.length", "temperature", {"infonce", "supcon"}),
    ("(s + margin) / temperature", "(s - margin) / temperature", {"proxyanchor"}),
    ("push.loss * temperature", "push.loss", {"multisimilarity"}),
    ("return [s - margin, 1];", "return [s, 1];", {"cosface"}),
    (" / Math.sin(angle)", "", {"arcface"}),
    ("if (s <= Math.cos(Math.PI - margin)) return", "if (false) return", {"arcface"}),
    ("first: -sum(rest)", "first: -1", {"infonce", "supcon", "normalised", "cosface", "arcface"}),
]


@pytest.mark.parametrize(("right", "wrong", "found"), FAULTS)
def test_a_planted_fault_in_a_loss_is_found(right: str, wrong: str, found: set[str], tmp_path: Path) -> None:
    assert set(differences(tmp_path, planted(tmp_path, "weights", right, wrong))) == found


def test_the_figure_has_the_losses_that_python_names(tmp_path: Path) -> None:
    assert evaluate(f"{CALL} return Object.keys(LOSSES);", tmp_path) == list(FAMILY)


class _Given(TripletSelector):
    def __init__(self, margin: float) -> None:
        self.margin = margin

    def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return torch.tensor([[0, p, n] for p in (1, 2) for n in range(3, 7)])


def of_anchor(loss_fn: Callable[[Tensor, Tensor], Tensor], p: Tensor, n: Tensor) -> Tensor:
    """Compute a batch loss whose other images are no anchors with a positive of their own."""
    return loss_fn(
        torch.cat([torch.tensor([[1.0, 0.0]]).double(), unit(p), unit(n)]), torch.tensor([0, 0, 0, 1, 2, 3, 4])
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_formulas_are_those_of_the_package(seed: int) -> None:
    p, n = points(seed)
    anchor = torch.tensor([[1.0, 0.0]]).double()
    both = torch.cat([p, n])
    same = torch.tensor([1, 1, 0, 0, 0, 0])
    contrastive = ContrastiveLoss(1.0)(anchor.expand(6, 2), unit(both), same)
    assert torch.isclose(contrastive, reference("pairs", p, n, 1.0, 1.0))
    costs = OnlineTripletLoss(0.2, _Given(0.2))
    listed = of_anchor(lambda rows, labels: costs(rows, labels)[0], p, n)
    active = ((2 * n[None] - 2 * p[:, None] + 0.2) > 0).double().mean()
    assert torch.isclose(listed, reference("triplets", p, n, 1.0, 0.2) * active)


def test_one_positive_makes_supcon_and_batch_all_those_of_the_package() -> None:
    p, n = points(4)
    rows = torch.cat([torch.tensor([[1.0, 0.0]]).double(), unit(p[:1]), unit(n[:1])])
    labels = torch.tensor([0, 0, 1])
    both = (
        reference("supcon", p[:1], n[:1], 0.1, 0.0),
        reference("supcon", p[:1], unit(n[:1]) @ unit(p[:1])[0], 0.1, 0.0),
    )
    assert torch.isclose(SupervisedContrastiveLoss(0.1)(rows, labels), torch.stack(both).mean())
    from_positive = unit(n[:1]) @ unit(p[:1])[0]
    hinges = torch.stack([2 * other - 2 * p[:1] + 0.5 for other in (n[:1], from_positive)]).clamp(min=0)
    expected = hinges.sum() / (hinges > 0).sum().clamp(min=1)
    assert torch.isclose(BatchAllTripletLoss(0.5)(rows, labels)[0], expected)


@pytest.mark.parametrize("name", ["arcface", "cosface", "normalised", "proxyanchor", "multisimilarity"])
def test_the_formulas_are_those_of_the_library(name: str) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    p, n = points(5)
    p = (p.abs() - 0.4).abs()  # the library's ArcFace has no line where the margin reaches beyond the circle
    classes = unit(torch.cat([p[:1], n])).float()
    anchor, label = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    if name == "multisimilarity":
        loss_fn = losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5)
        rows = torch.cat([anchor, unit(torch.cat([p, n])).float()])
        indices = [torch.zeros(count, dtype=torch.int64) for count in (2, 4)]
        pairs = (indices[0], torch.tensor([1, 2]), indices[1], torch.arange(3, 7))
        found = loss_fn(rows, torch.tensor([0, 0, 0, 1, 1, 1, 1]), pairs) * 7  # the other rows are no anchors
        assert torch.isclose(found.double(), reference(name, p, n, 0.02, 0.5), rtol=1e-4)
        return
    if name == "proxyanchor":
        loss_fn = losses.ProxyAnchorLoss(num_classes=1, embedding_size=2, margin=0.1, alpha=32)
        loss_fn.proxies.data = anchor
        rows, labels = unit(p).float(), torch.tensor([0, 0])
        expected = reference(name, p, torch.empty(0).double(), 1 / 32, 0.1)
        assert torch.isclose(loss_fn(rows, labels).double(), expected, rtol=1e-3)
        return
    made = {
        "arcface": lambda: losses.ArcFaceLoss(5, 2, margin=math.degrees(0.5), scale=16),
        "cosface": lambda: losses.CosFaceLoss(5, 2, margin=0.35, scale=16),
        "normalised": lambda: losses.NormalizedSoftmaxLoss(5, 2, temperature=1 / 16),
    }[name]()
    made.W.data = classes.T.contiguous()
    expected = reference(name, p, n, 1 / 16, {"arcface": 0.5, "cosface": 0.35}.get(name, 0.0))
    assert torch.isclose(made(anchor, label).double(), expected, rtol=1e-3)
