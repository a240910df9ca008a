import math
from collections.abc import Callable

import pytest
import reference
import torch
from torch import Tensor, nn

import siamese_triplet.losses.contrastive
import siamese_triplet.losses.triplet
import siamese_triplet.selectors.base
from siamese_triplet.distances import pairwise_distances
from siamese_triplet.losses import (
    BatchAllTripletLoss,
    ContrastiveLoss,
    OnlineContrastiveLoss,
    OnlineTripletLoss,
    TripletLoss,
)
from siamese_triplet.selectors import (
    AllPositivePairSelector,
    AllTripletSelector,
    HardestNegativeTripletSelector,
    HardNegativePairSelector,
    PairSelector,
    RandomNegativeTripletSelector,
    SemihardNegativeTripletSelector,
    TripletSelector,
)

MARGINS = (0.0, 1.0, 2.5)
ONLINE = [
    lambda: OnlineContrastiveLoss(1.0, AllPositivePairSelector()),
    lambda: OnlineContrastiveLoss(1.0, HardNegativePairSelector()),
    lambda: OnlineTripletLoss(1.0, AllTripletSelector()),
    lambda: OnlineTripletLoss(1.0, HardestNegativeTripletSelector(1.0)),
    lambda: OnlineTripletLoss(1.0, RandomNegativeTripletSelector(1.0)),
    lambda: OnlineTripletLoss(1.0, SemihardNegativeTripletSelector(1.0)),
]
MAKERS = [
    ContrastiveLoss,
    TripletLoss,
    lambda margin: OnlineContrastiveLoss(margin, AllPositivePairSelector()),
    lambda margin: OnlineTripletLoss(margin, AllTripletSelector()),
]


def points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def loss_of(loss_fn: nn.Module, embeddings: Tensor, labels: Tensor) -> Tensor:
    result = loss_fn(embeddings, labels)
    return result[0] if isinstance(result, tuple) else result


# offline


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("seed", range(5))
def test_contrastive_loss_and_gradient_equal_brute_force(seed: int, margin: float) -> None:
    left, right = points(6, 3, seed=seed), points(6, 3, seed=seed + 100)
    target = [1, 0, 0, 1, 0, 0]
    loss = ContrastiveLoss(margin)(left, right, torch.tensor(target))
    loss.backward()

    def brute_force(rows: list[list[float]]) -> float:
        return reference.contrastive_loss(rows[:6], rows[6:], target, margin)

    rows = left.tolist() + right.tolist()
    assert loss.item() == pytest.approx(brute_force(rows))
    expected = torch.tensor(reference.gradient(brute_force, rows), dtype=torch.float64)
    torch.testing.assert_close(torch.cat([left.grad, right.grad]), expected, atol=1e-7, rtol=1e-5)
    assert torch.autograd.gradcheck(lambda a, b: ContrastiveLoss(margin)(a, b, torch.tensor(target)), (left, right))


def test_contrastive_loss_by_hand() -> None:
    left, right = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.3, 0.4], [3.0, 4.0]])
    loss = ContrastiveLoss(1.0)
    assert loss(left[:1], right[:1], torch.tensor([1])).item() == pytest.approx(12.5)  # ½·25
    assert loss(left[1:2], right[1:2], torch.tensor([0])).item() == pytest.approx(0.125)  # ½·(1 − 0.5)²
    assert loss(left[2:], right[2:], torch.tensor([0])).item() == 0


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float32, torch.bool])
def test_a_contrastive_target_may_be_of_any_type(dtype: torch.dtype) -> None:
    left, right, target = points(4, 2), points(4, 2, seed=1), torch.tensor([1, 0, 0, 1])
    loss = ContrastiveLoss(1.0)
    assert loss(left, right, target.to(dtype)) == loss(left, right, target)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("seed", range(5))
def test_triplet_loss_and_gradient_equal_brute_force(seed: int, margin: float) -> None:
    images = [points(6, 3, seed=seed + 100 * i) for i in range(3)]
    loss = TripletLoss(margin)(*images)
    loss.backward()

    def brute_force(rows: list[list[float]]) -> float:
        return reference.triplet_loss(rows[:6], rows[6:12], rows[12:], margin)

    rows = [row for part in images for row in part.tolist()]
    assert loss.item() == pytest.approx(brute_force(rows))
    expected = torch.tensor(reference.gradient(brute_force, rows), dtype=torch.float64)
    torch.testing.assert_close(torch.cat([part.grad for part in images]), expected, atol=1e-7, rtol=1e-5)
    assert torch.autograd.gradcheck(TripletLoss(margin), images)


# online


@pytest.mark.parametrize("selector", [AllPositivePairSelector(balance=False), HardNegativePairSelector()])
@pytest.mark.parametrize("seed", range(40))
def test_online_contrastive_loss_equals_contrastive_loss_on_the_selected_pairs(
    seed: int, selector: PairSelector
) -> None:
    embeddings, labels = reference.batch(seed)
    embeddings.requires_grad_()
    positive, negative = selector.get_pairs(embeddings, labels)
    pairs = torch.cat([positive, negative])
    target = torch.tensor([1] * len(positive) + [0] * len(negative))
    online = OnlineContrastiveLoss(1.5, selector)(embeddings, labels)
    offline = ContrastiveLoss(1.5)(embeddings[pairs[:, 0]], embeddings[pairs[:, 1]], target)
    torch.testing.assert_close(online, offline)
    gradients = [torch.autograd.grad(loss, embeddings, allow_unused=True)[0] for loss in (online, offline)]
    torch.testing.assert_close(gradients[0], gradients[1])
    if len(pairs):
        rows = embeddings.tolist()
        left, right = [rows[i] for i, _ in pairs.tolist()], [rows[j] for _, j in pairs.tolist()]
        assert online.item() == pytest.approx(reference.contrastive_loss(left, right, target.tolist(), 1.5))


@pytest.mark.parametrize("seed", range(40))
def test_a_loss_tells_whether_its_batch_allows_a_pair(seed: int) -> None:
    embeddings, labels = reference.batch(seed)
    for chosen in (labels, torch.arange(len(labels)), torch.zeros_like(labels), labels[:1], labels[:0]):
        rows = embeddings[: len(chosen)]
        has_triplet = bool(reference.all_triplets(chosen.tolist()))
        for loss_fn in (
            OnlineTripletLoss(1.0, AllTripletSelector()),
            OnlineTripletLoss(0.0, HardestNegativeTripletSelector(0.0)),
            BatchAllTripletLoss(1.0),
        ):
            assert loss_fn(rows, chosen)[0] >= 0
            assert bool(loss_fn.is_empty) == (not has_triplet)
        of_pairs = OnlineContrastiveLoss(1.0, HardNegativePairSelector())
        of_pairs(rows, chosen)
        has_positive = bool(reference.positive_pairs(chosen.tolist()))
        assert bool(of_pairs.is_empty) == (not has_positive)


@pytest.mark.parametrize("n_rows", [0, 2])
def test_a_loss_of_given_pairs_tells_whether_there_were_any(n_rows: int) -> None:
    rows, pairs, triplets = torch.rand(n_rows, 2), ContrastiveLoss(1.0), TripletLoss(1.0)
    pairs(rows, rows, torch.ones(n_rows))
    triplets(rows, rows, rows)
    assert pairs.is_empty == triplets.is_empty == (not n_rows)


@pytest.mark.parametrize("both_anchors", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_online_triplet_loss_equals_brute_force_over_all_triplets(seed: int, both_anchors: bool) -> None:
    embeddings, labels = reference.batch(seed)
    rows = embeddings.tolist()
    expected = [
        max(0.0, reference.triplet_cost(rows, triplet, 1.5))
        for triplet in reference.all_triplets(labels.tolist(), both_anchors)
    ]
    loss, n_triplets = OnlineTripletLoss(1.5, AllTripletSelector(both_anchors))(embeddings, labels)
    assert loss.item() == pytest.approx(sum(expected) / len(expected) if expected else 0)
    assert n_triplets == len(expected)
    assert isinstance(n_triplets, int)


@pytest.mark.parametrize("seed", range(40))
def test_online_triplet_loss_uses_its_selector(seed: int) -> None:
    embeddings, labels = reference.batch(seed)
    triplets = reference.hardest_triplets(embeddings.tolist(), labels.tolist(), 1.5)
    costs = [max(0.0, reference.triplet_cost(embeddings.tolist(), triplet, 0.5)) for triplet in triplets]
    loss, n_triplets = OnlineTripletLoss(0.5, HardestNegativeTripletSelector(1.5))(embeddings, labels)
    assert n_triplets == len(triplets)
    assert loss.item() == pytest.approx(sum(costs) / len(costs) if costs else 0)


@pytest.mark.parametrize(
    "loss_fn",
    [
        OnlineContrastiveLoss(1.5, AllPositivePairSelector(balance=False)),
        OnlineContrastiveLoss(1.5, HardNegativePairSelector()),
        OnlineTripletLoss(1.5, AllTripletSelector()),
        OnlineTripletLoss(1.5, HardestNegativeTripletSelector(1.5)),
    ],
)
def test_online_gradients_equal_finite_differences(loss_fn: nn.Module) -> None:
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 2])
    assert torch.autograd.gradcheck(lambda embeddings: loss_of(loss_fn, embeddings, labels), points(7, 3))


@pytest.mark.parametrize("make", ONLINE)
def test_distances_are_computed_once_per_online_loss(
    make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*args: object, **options: object) -> Tensor:
        calls.append(args)
        return pairwise_distances(*args, **options)

    for module in (siamese_triplet.losses.contrastive, siamese_triplet.losses.triplet, siamese_triplet.selectors.base):
        monkeypatch.setattr(module, "pairwise_distances", counted)
    make()(points(8, 2), torch.arange(4).repeat(2))
    assert len(calls) == 1


# edge cases


@pytest.mark.parametrize("make", ONLINE)
def test_gradient_is_finite_where_embeddings_coincide(make: Callable[[], nn.Module]) -> None:
    embeddings = torch.zeros(8, 2, requires_grad=True)
    loss = loss_of(make(), embeddings, torch.arange(4).repeat(2))
    loss.backward()
    assert loss.isfinite()
    assert embeddings.grad.isfinite().all()


def test_online_contrastive_gradient_is_finite_where_two_of_the_embeddings_coincide() -> None:
    embeddings = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.5, 2.0], [1.0, 2.0]], requires_grad=True)
    loss = OnlineContrastiveLoss(1.0, AllPositivePairSelector(balance=False))(embeddings, torch.tensor([0, 0, 0, 1]))
    loss.backward()
    assert embeddings.grad.isfinite().all()
    assert embeddings.grad.abs().sum() > 0


def test_offline_gradients_are_finite_where_embeddings_coincide() -> None:
    same = torch.ones(4, 2, requires_grad=True)
    (
        ContrastiveLoss(1.0)(same, same.detach(), torch.tensor([1, 0, 1, 0])) + TripletLoss(1.0)(same, same, same)
    ).backward()
    assert same.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 300.0])
@pytest.mark.parametrize("make", ONLINE)
def test_half_precision_gives_the_loss_of_float32_and_finite_gradients(
    make: Callable[[], nn.Module], scale: float, dtype: torch.dtype
) -> None:
    half = (scale * points(12, 2).detach()).to(dtype).requires_grad_()
    labels = torch.arange(3).repeat(4)
    loss = loss_of(make(), half, labels)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    torch.testing.assert_close(loss, loss_of(make(), half.detach().float(), labels))
    assert half.grad.dtype == dtype
    assert half.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_offline_losses_are_finite(dtype: torch.dtype) -> None:
    images = [(300 * points(6, 2, seed=seed).detach()).to(dtype).requires_grad_() for seed in range(3)]
    for loss in (
        ContrastiveLoss(1.0)(images[0], images[1], torch.tensor([1, 0, 1, 0, 1, 0])),
        TripletLoss(1.0)(*images),
    ):
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        loss.backward()
    assert all(image.grad.isfinite().all() for image in images)


@pytest.mark.parametrize("make", ONLINE)
def test_autocast_gives_a_finite_loss_and_gradient(make: Callable[[], nn.Module]) -> None:
    net = nn.Linear(4, 2)
    images, labels = points(12, 4).detach().float(), torch.arange(3).repeat(4)
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = net(images)
        loss = loss_of(make(), embeddings, labels)
    assert embeddings.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, loss_of(make(), embeddings.detach().float(), labels))
    loss.backward()
    assert net.weight.grad.isfinite().all()


@pytest.mark.parametrize("make", ONLINE)
@pytest.mark.parametrize("labels", [[], [3], [0, 1, 2]], ids=["no image", "one image", "singletons"])
def test_an_empty_selection_gives_a_differentiable_zero(make: Callable[[], nn.Module], labels: list[int]) -> None:
    embeddings = torch.randn(len(labels), 2, requires_grad=True)
    result = make()(embeddings, torch.tensor(labels, dtype=torch.int64))
    if isinstance(result, tuple):
        assert result[1] == 0
    loss = result[0] if isinstance(result, tuple) else result
    assert loss.item() == 0
    loss.backward()
    assert torch.equal(embeddings.grad, torch.zeros(len(labels), 2))


def test_a_single_class_gives_positive_pairs_and_no_triplets() -> None:
    embeddings, labels = points(3, 2), torch.tensor([1, 1, 1])
    assert OnlineTripletLoss(1.0, AllTripletSelector())(embeddings, labels)[0].item() == 0
    pairs = reference.positive_pairs(labels.tolist())
    rows = embeddings.tolist()
    expected = sum(reference.squared_distance(rows[i], rows[j]) / 2 for i, j in pairs) / 3
    assert OnlineContrastiveLoss(1.0, HardNegativePairSelector())(embeddings, labels).item() == pytest.approx(expected)


def test_no_pairs_and_no_triplets_give_a_differentiable_zero() -> None:
    none = torch.zeros(0, 2, requires_grad=True)
    loss = ContrastiveLoss(1.0)(none, none, torch.zeros(0)) + TripletLoss(1.0)(none, none, none)
    loss.backward()
    assert loss.item() == 0


# custom selectors


def test_an_old_style_pair_selector_with_get_pairs_only_works() -> None:
    class FirstTwo(PairSelector):
        def get_pairs(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            assert not embeddings.requires_grad
            return torch.tensor([[0, 1]]), torch.tensor([[0, 2]])

    embeddings = points(3, 2)
    loss = OnlineContrastiveLoss(1.0, FirstTwo())(embeddings, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(loss, ContrastiveLoss(1.0)(embeddings[[0, 0]], embeddings[[1, 2]], torch.tensor([1, 0])))
    loss.backward()
    assert embeddings.grad.abs().sum() > 0


def test_an_old_style_triplet_selector_with_get_triplets_only_works() -> None:
    class FirstThree(TripletSelector):
        def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
            assert not embeddings.requires_grad
            return torch.tensor([[0, 1, 2]])

    embeddings = points(3, 2)
    loss, n_triplets = OnlineTripletLoss(5.0, FirstThree())(embeddings, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(loss, TripletLoss(5.0)(*embeddings.split(1)))
    assert n_triplets == 1
    loss.backward()
    assert embeddings.grad.abs().sum() > 0


def test_an_old_style_selector_derived_from_one_of_ours_works() -> None:
    class Reversed(AllTripletSelector):
        def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
            return super().get_triplets(embeddings, labels)[:1]

    assert OnlineTripletLoss(5.0, Reversed())(points(4, 2), torch.tensor([0, 0, 1, 1]))[1] == 1


def test_a_pair_selector_with_select_works() -> None:
    class Everything(PairSelector):
        def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
            assert not distances.requires_grad
            return is_positive.triu().nonzero(), is_negative.triu().nonzero()

    embeddings, labels = points(6, 2), torch.tensor([0, 0, 1, 1, 2, 2])
    expected = OnlineContrastiveLoss(1.0, AllPositivePairSelector(balance=False))(embeddings, labels)
    torch.testing.assert_close(OnlineContrastiveLoss(1.0, Everything())(embeddings, labels), expected)
    assert len(Everything().get_pairs(embeddings, labels)[0]) == 3


def test_a_triplet_selector_with_select_works_and_sees_squared_distances() -> None:
    embeddings, labels = points(6, 2), torch.tensor([0, 0, 1, 1, 2, 2])

    class Nearest(TripletSelector):
        def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
            assert not distances.requires_grad
            torch.testing.assert_close(distances, pairwise_distances(embeddings.detach()))
            anchor, positive = is_positive.nonzero(as_tuple=True)
            negative = distances.masked_fill(~is_negative, math.inf).argmin(dim=1)[anchor]
            return torch.stack([anchor, positive, negative], dim=1)

    ours = HardestNegativeTripletSelector(100.0).get_triplets(embeddings, labels)
    assert Nearest().get_triplets(embeddings, labels).tolist() == ours.tolist()
    assert OnlineTripletLoss(1.0, Nearest())(embeddings, labels)[1] == 6


def test_a_pair_selector_in_the_online_loss_sees_squared_distances() -> None:
    embeddings, labels = points(6, 2), torch.tensor([0, 0, 1, 1, 2, 2])

    class Checked(PairSelector):
        def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
            torch.testing.assert_close(distances, pairwise_distances(embeddings.detach()))
            return is_positive.nonzero(), is_negative.nonzero()

    OnlineContrastiveLoss(1.0, Checked())(embeddings, labels)


# bad input


@pytest.mark.parametrize("margin", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("make", MAKERS)
def test_a_bad_margin_raises_in_every_loss(make: Callable[[float], nn.Module], margin: float) -> None:
    with pytest.raises(ValueError, match=f"margin must be a finite number ≥ 0, got {margin}"):
        make(margin)


@pytest.mark.parametrize(
    ("right", "target", "message"),
    [
        (torch.zeros(2, 2), torch.ones(3), r"same shape, got \(3, 2\) and \(2, 2\)"),
        (torch.zeros(3, 1), torch.ones(3), r"same shape, got \(3, 2\) and \(3, 1\)"),
        (torch.zeros(3), torch.ones(3), r"out2 must be .* of shape \(3,\)"),
        (torch.zeros(3, 2, device="meta"), torch.ones(3), "out1 is on cpu, out2 on meta"),
        (torch.full((3, 2), math.nan), torch.ones(3), "out2: 3 of 3 rows hold NaN"),
        (torch.zeros(3, 2), torch.ones(2), r"3 pairs but a target of shape \(2,\)"),
        (torch.zeros(3, 2), torch.ones(3, 1), r"3 pairs but a target of shape \(3, 1\)"),
        (torch.zeros(3, 2), torch.tensor([0, 1, 2]), r"1 for a pair of one class .* got \[0, 1, 2\]"),
        (torch.zeros(3, 2), torch.tensor([0, 1, math.nan]), "target must be 1"),
        (torch.zeros(3, 2), torch.ones(3, device="meta"), "on cpu, the target on meta"),
    ],
)
def test_bad_input_raises_in_contrastive_loss(right: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContrastiveLoss(1.0)(torch.zeros(3, 2), right, target)


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        (torch.zeros(2, 2), torch.zeros(3, 2), r"anchor and positive .* \(3, 2\) and \(2, 2\)"),
        (torch.zeros(3, 2), torch.zeros(3, 1), r"anchor and negative .* \(3, 2\) and \(3, 1\)"),
        (torch.zeros(3, 2), torch.zeros(3, 2, device="meta"), "anchor is on cpu, negative on meta"),
        (torch.zeros(3, 2), torch.full((3, 2), math.inf), "negative: 3 of 3 rows hold NaN or infinite"),
        (torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, 2), "positive must be a floating-point tensor"),
    ],
)
def test_bad_input_raises_in_triplet_loss(positive: Tensor, negative: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TripletLoss(1.0)(torch.zeros(3, 2), positive, negative)


@pytest.mark.parametrize("wrong", [HardNegativePairSelector, HardestNegativeTripletSelector, None, "semihard"])
@pytest.mark.parametrize("loss", [OnlineContrastiveLoss, OnlineTripletLoss])
def test_a_loss_of_anything_but_a_selector_raises_at_once(loss, wrong) -> None:
    with pytest.raises(
        ValueError, match=r"expected a selector, an object with the method get_.*a class must be called"
    ):
        loss(1.0, wrong)


@pytest.mark.parametrize(("loss", "n_inputs"), [(ContrastiveLoss(1.0), 2), (TripletLoss(1.0), 3)])
def test_the_originals_size_average_is_an_error_that_says_so(loss: nn.Module, n_inputs: int) -> None:
    inputs, target = [torch.zeros(4, 2)] * n_inputs, [torch.ones(4)] * (n_inputs == 2)
    with pytest.raises(TypeError, match="`size_average` is gone: the loss is a mean"):
        loss(*inputs, *target, size_average=False)
    assert loss(*inputs, *target) >= 0
