"""The common contract of all selectors and losses, above all in edge cases."""

import random
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import reference
import torch
from elsewhere import Elsewhere, Largest
from everything import WITH_MARGIN, losses, pair_selectors, select, selectors, to_domain, triplet_selectors
from torch import Tensor

from siamese_triplet.losses import OnlineTripletLoss

SIZES = (0, 1, 2, 3, 4, 6, 9, 12, 20)
HALVES = (torch.float16, torch.bfloat16)
SCALES = {  # powers of ten; gradients of half precision are in half precision
    torch.float64: (-150, 140),
    torch.float32: (-35, 13),
    torch.float16: (-6, 3),
    torch.bfloat16: (-35, 13),
}
every_selector = pytest.mark.parametrize("name", selectors())
every_loss = pytest.mark.parametrize("name", losses())


def edge_case(rng: random.Random, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Draw embeddings and labels: empty, single, one class, singletons, ties, duplicates, any scale, off the origin."""
    generator = torch.Generator().manual_seed(rng.randrange(2**32))
    size, n_columns = rng.choice(SIZES), rng.choice([1, 2, 3, 12])
    kind = rng.choice(["normal", "grid", "duplicates", "coinciding", "zero", "one outlier"])
    points = torch.randn(size, n_columns, dtype=torch.float64, generator=generator)
    if kind == "grid":
        points = points.round()
    elif kind == "duplicates":
        points = points[torch.randint(0, max(1, size // 2), (size,), generator=generator)]
    elif kind == "coinciding":
        points = points[:1].expand(size, -1)
    elif kind == "zero":
        points = torch.zeros_like(points)
    elif kind == "one outlier":
        points[:1] *= 1e3
    points = (points + rng.choice([0, 0, 1])) * 10 ** rng.uniform(*rng.choice([(0, 0), SCALES[dtype]]))
    largest = torch.finfo(dtype).max / 10 if dtype == torch.float16 else torch.inf
    labels = {
        "uneven": torch.randint(0, 4, (size,), generator=generator) ** 2 // 3,
        "pairs": torch.arange(size) // 2 - 3,
        "singletons": torch.randperm(size, generator=generator),
        "one class": torch.full((size,), 5),
    }[rng.choice(["uneven", "uneven", "pairs", "singletons", "one class"])]
    return points.clamp(-largest, largest).to(dtype), labels


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", SCALES)
def test_ten_thousand_edge_cases_give_valid_indices_and_finite_losses_and_gradients(
    dtype: torch.dtype, autocast: bool
) -> None:
    """1250 batches per dtype, inside and outside autocast, each for the next selector and the next loss."""
    every_selector, every_loss = selectors(), losses()
    rng = random.Random(f"{dtype}, {autocast}")
    for i in range(1250):
        embeddings, labels = edge_case(rng, dtype)
        name, loss_name = (list(names)[i % len(names)] for names in (every_selector, every_loss))
        with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
            selection = select(every_selector[name], to_domain(name, embeddings), labels)
            leaf = to_domain(loss_name, embeddings).requires_grad_()
            loss = every_loss[loss_name](leaf, labels)
        loss.backward()
        assert_valid(selection, labels.tolist())
        where = f"batch {i}: {loss_name}, {embeddings.tolist()}, {labels.tolist()}"
        assert loss.shape == (), where
        assert loss.dtype == (torch.float32 if dtype in HALVES else dtype), where
        assert loss.isfinite(), where
        assert leaf.grad.dtype == dtype, where
        assert leaf.grad.isfinite().all(), where


def assert_valid(selection: list[Tensor], labels: list[int]) -> None:
    """Check positive and negative pairs, each listed once with the smaller index first, or triplets."""
    assert all(indices.dtype == torch.int64 for indices in selection)
    if len(selection) == 1:
        assert selection[0].shape[1:] == (3,)
        assert set(reference.tuples(selection[0])) <= reference.all_triplets(labels)
        return
    positive, negative = selection
    assert positive.shape[1:] == negative.shape[1:] == (2,)
    assert set(reference.tuples(positive)) <= reference.positive_pairs(labels)
    assert set(reference.tuples(negative)) <= reference.negative_pairs(labels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_embeddings_that_nearly_overflow_raise_or_have_a_finite_loss_and_gradient(dtype: torch.dtype) -> None:
    labels, generator = torch.arange(12) % 3, torch.Generator().manual_seed(0)
    points = torch.rand(12, 2, dtype=torch.float64, generator=generator) - 0.5
    not_finite = []
    for exponent in range(12):
        embeddings = (points * torch.finfo(dtype).max ** 0.5 / 2**exponent).to(dtype)
        for name, loss_fn in losses().items():
            leaf = to_domain(name, embeddings).clone().requires_grad_()
            try:
                loss = loss_fn(leaf, labels)
            except ValueError:  # "values whose squares overflow"
                continue
            loss.backward()
            if not (loss.isfinite() and leaf.grad.isfinite().all()):
                not_finite.append((name, exponent))
    assert not_finite == []


@every_loss
@pytest.mark.parametrize("labels", [[], [3], [0, 1, 2]], ids=["no image", "one image", "singletons"])
def test_a_batch_without_positives_or_near_negatives_gives_a_differentiable_zero(name: str, labels: list[int]) -> None:
    embeddings = to_domain(name, 9.0 * torch.eye(len(labels), 3)).requires_grad_()
    if not name.startswith(("triplet", "contrastive")):  # those two take the batch as ready-made triplets or pairs
        loss = losses()[name](embeddings, torch.tensor(labels, dtype=torch.int64))
        loss.backward()
        assert loss.item() == 0
        assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


@every_selector
def test_selection_copies_nothing_to_the_cpu_and_has_no_gradient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = to_domain(name, torch.randn(12, 2, generator=torch.Generator().manual_seed(0)))

    def forbidden(*_args: object, **_options: object) -> None:
        raise AssertionError("a copy to the CPU")

    for method in ("cpu", "numpy", "tolist", "__array__"):
        monkeypatch.setattr(torch.Tensor, method, forbidden)
    selection = select(selectors()[name], embeddings.requires_grad_(), torch.arange(4).repeat(3))
    assert all(len(indices) and not indices.requires_grad for indices in selection)


@pytest.mark.parametrize("name", [name for name in selectors() if "by function" not in name])
def test_selection_takes_no_more_memory_than_batch_matrices_and_its_result(name: str) -> None:
    embeddings, labels = to_domain(name, grid(96, 3)), torch.arange(96) % 6  # 96 · 15 · 96 is 15 · 96²
    with Largest() as largest:
        selection = select(selectors()[name], embeddings, labels)
    assert largest.numel <= max(2 * 96**2, *(3 * len(indices) for indices in selection))


@every_selector
@pytest.mark.parametrize("n_columns", [2, 12])
def test_another_device_selects_the_same(name: str, n_columns: int) -> None:
    embeddings, labels = to_domain(name, grid(40, n_columns)), torch.arange(40) % 7
    expected = select(selectors()[name], embeddings, labels)
    with Elsewhere() as elsewhere:
        selection = select(selectors()[name], elsewhere.send(embeddings), elsewhere.send(labels))
    assert all(indices.device.type == "meta" for indices in selection)
    assert [indices.inner.tolist() for indices in selection] == [indices.tolist() for indices in expected]


@every_selector
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_selects_the_same_as_float32(name: str, dtype: torch.dtype) -> None:
    embeddings, labels = to_domain(name, grid(12, 4)).to(dtype), torch.arange(3).repeat(4)
    half, full = (select(selectors()[name], rows, labels) for rows in (embeddings, embeddings.float()))
    assert [indices.tolist() for indices in half] == [indices.tolist() for indices in full]


@pytest.mark.parametrize("name", [name for name in selectors() if "one anchor" not in name])
def test_the_order_of_a_batch_does_not_change_the_number_of_pairs_and_triplets(name: str) -> None:
    """Without random choices and ties, the pairs and triplets are the same."""
    generator = torch.Generator().manual_seed(2)
    embeddings, labels = torch.randn(20, 3, dtype=torch.float64, generator=generator), torch.arange(20) % 6
    embeddings = to_domain(name, embeddings)
    order = torch.randperm(20, generator=generator)
    before = select(selectors()[name], embeddings[order], labels[order])
    after = select(selectors()[name], embeddings, labels)
    assert [len(indices) for indices in before] == [len(indices) for indices in after]
    if not hasattr(selectors()[name], "generator") or name == "all pairs":
        for left, right in zip(before, after, strict=True):
            moved = order[left] if left.shape[1] == 3 else order[left].sort(dim=1).values
            assert set(reference.tuples(moved)) == set(reference.tuples(right))


@every_selector
@pytest.mark.parametrize(("embeddings", "labels", "message"), reference.BAD_BATCHES.values(), ids=reference.BAD_BATCHES)
def test_bad_input_raises_in_every_selector(name: str, embeddings: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select(selectors()[name], embeddings, labels)


@pytest.mark.parametrize("name", [*pair_selectors(), *(f"{name}, 1.0" for name in triplet_selectors())])
@pytest.mark.parametrize(("embeddings", "labels", "message"), reference.BAD_BATCHES.values(), ids=reference.BAD_BATCHES)
def test_bad_input_raises_in_every_online_loss(name: str, embeddings: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("labels", "target")):
        losses()[name](embeddings, labels)


@pytest.mark.parametrize("margin", [-1.0, float("nan"), float("inf"), "soft"])
@pytest.mark.parametrize("name", WITH_MARGIN)
def test_a_bad_margin_raises_in_every_selector(name: str, margin: float | str) -> None:
    with pytest.raises(ValueError, match="margin must be a finite number ≥ 0, got"):
        WITH_MARGIN[name](margin)


@pytest.mark.parametrize("make", WITH_MARGIN.values(), ids=WITH_MARGIN)
def test_a_selector_of_plain_distances_in_a_loss_of_squared_distances_raises(make: Callable) -> None:
    for squared in (True, False):
        OnlineTripletLoss(1.0, make(1.0, squared=squared), squared)
        with pytest.raises(ValueError, match=f"has squared={squared} but the loss squared={not squared}"):
            OnlineTripletLoss(1.0, make(1.0, squared=squared), not squared)


def grid(*shape: int) -> Tensor:
    """Make points with ties that are exact in half precision."""
    return torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(3)).float()
