import math
from collections.abc import Callable

import pytest
import reference
import torch
from elsewhere import Elsewhere, Largest
from torch import Tensor, nn

import siamese_triplet._sorting
import siamese_triplet.distances
import siamese_triplet.losses.batch_all
from siamese_triplet.losses import BatchAllTripletLoss, OnlineTripletLoss
from siamese_triplet.selectors import AllTripletSelector

Margin = float | str

KINDS = [(margin, squared) for margin in (0.0, 1.0, "soft") for squared in (True, False)]
LABELS = {
    "uneven": [2, 0, 2, 2, 1, 0, 2, 5],
    "a singleton": [0, 0, 1],
    "singletons": [3, 1, 2, 0],
    "one class": [4, 4, 4],
    "one image": [7],
    "no image": [],
    "two classes": [1, 0, 0, 1, 1],
}
every_kind = pytest.mark.parametrize(("margin", "squared"), KINDS)
every_mean = pytest.mark.parametrize("mean_over", ["active", "all"])


def points(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def uneven_labels(n: int) -> Tensor:
    """Make classes of 1, 2, 3, … images, shuffled."""
    labels = torch.cat([torch.full((size,), size) for size in range(1, n)])[:n]
    return labels[torch.randperm(n, generator=torch.Generator().manual_seed(1))]


def evaluate(loss_fn: nn.Module, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute loss, count and gradient."""
    loss, count = loss_fn(embeddings, labels)
    (gradient,) = torch.autograd.grad(loss, embeddings)
    return loss.detach(), torch.as_tensor(count), gradient


def direct(
    embeddings: Tensor, labels: Tensor, margin: Margin, squared: bool = True, mean_over: str = "active"
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute by brute force over all triplets, with tensors, for batches too large for `reference`."""
    rows = embeddings.detach().requires_grad_()
    distances = (rows[:, None] - rows).square().sum(dim=2)  # (B, B)
    if not squared:
        distances = torch.where(distances > 0, distances, 1).sqrt() * (distances > 0)
    same = labels[:, None] == labels
    is_valid = (same & ~torch.eye(len(labels), dtype=torch.bool))[:, :, None] & ~same[:, None]  # (B, B, B)
    gaps = (distances[:, :, None] - distances[:, None])[is_valid]
    costs = -nn.functional.logsigmoid(-gaps) if margin == "soft" else (gaps + margin).relu()
    n_active = (costs > 0).sum() if margin != "soft" else torch.tensor(len(costs))
    loss = costs.sum() / max(1, n_active if mean_over == "active" else len(costs))
    (gradient,) = torch.autograd.grad(loss, rows)
    return loss.detach(), n_active, gradient


def assert_same(left: tuple[Tensor, ...], right: tuple[Tensor, ...], **tolerance: float) -> None:
    torch.testing.assert_close(left[0], right[0], **tolerance)
    assert left[1] == right[1]
    torch.testing.assert_close(left[2], right[2], **tolerance)


# value, count and gradient


@every_mean
@every_kind
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_loss_count_and_gradient_equal_brute_force(
    labels: list[int], margin: Margin, squared: bool, mean_over: str
) -> None:
    embeddings = points(len(labels), 3)
    loss_fn = BatchAllTripletLoss(margin, squared, mean_over)
    loss, count, gradient = evaluate(loss_fn, embeddings, torch.tensor(labels, dtype=torch.int64))

    def brute_force(rows: list[list[float]]) -> float:
        return reference.batch_all_loss(rows, labels, margin, squared, mean_over)[0]

    expected, expected_count = reference.batch_all_loss(embeddings.tolist(), labels, margin, squared, mean_over)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert count.item() == expected_count
    assert count.dtype == torch.int64
    expected_gradient = torch.tensor(reference.gradient(brute_force, embeddings.tolist()), dtype=torch.float64)
    torch.testing.assert_close(gradient, expected_gradient.reshape(gradient.shape), atol=1e-7, rtol=1e-5)


def test_the_loss_equals_values_computed_by_hand() -> None:
    embeddings, labels = torch.tensor([[0.0], [1.0], [-1.0]]), torch.tensor([0, 0, 1])
    # anchor 0: 1 + 4 − 1 = 4; anchor 1: 1 + 4 − 4 = 1; of plain distances the same and 1 + 4 − 2 = 3
    for squared, expected in ((True, 2.5), (False, 3.5)):
        loss, n_active = BatchAllTripletLoss(4.0, squared)(embeddings, labels)
        assert (loss.item(), n_active.item()) == (expected, 2)
    loss, n_active = BatchAllTripletLoss(3.0)(embeddings, labels)  # 3, and 0 of an inactive triplet
    assert (loss.item(), n_active.item()) == (3.0, 1)
    assert BatchAllTripletLoss(3.0, mean_over="all")(embeddings, labels)[0].item() == 1.5
    soft = BatchAllTripletLoss("soft")(embeddings, labels)[0].item()
    assert soft == pytest.approx((math.log(2) + math.log1p(math.exp(-3))) / 2)


@every_kind
def test_it_equals_the_online_loss_of_all_triplets(margin: Margin, squared: bool) -> None:
    embeddings, labels = points(40, 5), uneven_labels(40)
    over_all = evaluate(BatchAllTripletLoss(margin, squared, "all"), embeddings, labels)
    online = evaluate(OnlineTripletLoss(margin, AllTripletSelector(), squared), embeddings, labels)
    torch.testing.assert_close(over_all[0], online[0])
    torch.testing.assert_close(over_all[2], online[2])
    over_active = BatchAllTripletLoss(margin, squared)(embeddings, labels)
    assert over_active[1] == over_all[1]
    torch.testing.assert_close(over_active[0] * over_active[1], online[0] * online[1])  # the sums


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_columns", [3, 20])
@every_kind
def test_blocks_of_a_few_anchors_give_the_same_as_one_block(
    margin: Margin, squared: bool, n_columns: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings, labels = points(110, n_columns, dtype=dtype), uneven_labels(110)
    loss_fn = BatchAllTripletLoss(margin, squared)
    as_one = evaluate(loss_fn, embeddings, labels)
    monkeypatch.setattr(siamese_triplet.distances, "BLOCK", 1)  # at least 32 anchors: 32, 32, 32 and 14
    monkeypatch.setattr(siamese_triplet._sorting, "BLOCK", 1)
    in_blocks = evaluate(loss_fn, embeddings, labels)
    assert_same(in_blocks, as_one)
    if dtype == torch.float64:
        assert_same(in_blocks, direct(embeddings, labels, margin, squared), rtol=1e-9, atol=1e-12)


# precision


NOTHING = (
    1e-6,
    0.0,
    1e-6,
)  # negligible: relative error of the loss, miscounted triplets, relative error of the gradient
ONE_IN_FOUR = (1e-4, 0.25, 2e-3)  # the same with a few misjudged triplets, for margins close to float32's resolution
SPREAD: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[float, ...]]] = {  # where digits can be lost
    "centred": (lambda cloud, centres: cloud, NOTHING),
    "offset 1e3": (lambda cloud, centres: cloud + 1e3, NOTHING),
    "offset 1e4": (lambda cloud, centres: cloud + 1e4, NOTHING),
    "offset and tight": (lambda cloud, centres: 0.01 * cloud + 1e4, NOTHING),
    "in a plane": (lambda cloud, centres: cloud[:, :2] + 1e4, NOTHING),
    "clusters far apart": (lambda cloud, centres: 0.1 * cloud + 100 * centres, ONE_IN_FOUR),
    "one far outlier": (lambda cloud, centres: cloud + 1e4 * (torch.arange(36) == 0)[:, None], ONE_IN_FOUR),
}


@every_kind
@pytest.mark.parametrize(("spread", "floors"), SPREAD.values(), ids=SPREAD)
def test_float32_is_no_worse_than_brute_force_in_float32(
    spread: Callable[[Tensor, Tensor], Tensor], floors: tuple[float, ...], margin: Margin, squared: bool
) -> None:
    labels, seeds = torch.arange(36) % 6, range(12)
    our_errors, their_errors = torch.zeros(3), torch.zeros(3)
    for seed in seeds:
        cloud, centres = (points(n, 16, seed=seed + n, dtype=torch.float32).detach() for n in (36, 4))
        embeddings = spread(cloud, centres.repeat(9, 1)).requires_grad_()
        exact = direct(embeddings.double(), labels, margin, squared)
        our_errors += errors(evaluate(BatchAllTripletLoss(margin, squared), embeddings, labels), exact) / len(seeds)
        their_errors += errors(direct(embeddings, labels, margin, squared), exact) / len(seeds)
    assert (our_errors <= 1.5 * their_errors + torch.tensor(floors)).all(), (our_errors, their_errors)


def errors(found: tuple[Tensor, ...], exact: tuple[Tensor, ...]) -> Tensor:
    """Compute the relative error of the loss, the absolute of the count and the relative of the gradient, (3,)."""
    loss = abs(found[0] - exact[0]) / exact[0]
    gradient = (found[2] - exact[2]).norm() / exact[2].norm()
    return torch.stack([loss, abs(found[1] - exact[1]).double(), gradient]).float()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every_kind
def test_half_precision_is_computed_in_float32(margin: Margin, squared: bool, dtype: torch.dtype) -> None:
    half, labels = (30 * points(12, 4).detach()).to(dtype).requires_grad_(), torch.arange(12) % 3
    loss, count, gradient = evaluate(BatchAllTripletLoss(margin, squared), half, labels)
    expected = evaluate(BatchAllTripletLoss(margin, squared), half.detach().float().requires_grad_(), labels)
    assert loss.dtype == torch.float32
    assert gradient.dtype == dtype
    assert_same((loss, count, gradient.float()), (*expected[:2], expected[2].to(dtype).float()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_kind
def test_autocast_changes_nothing(margin: Margin, squared: bool, dtype: torch.dtype) -> None:
    embeddings, labels = points(40, 20, dtype=dtype), uneven_labels(40)
    expected = evaluate(BatchAllTripletLoss(margin, squared), embeddings, labels)
    with torch.autocast("cpu", torch.bfloat16):
        inside = evaluate(BatchAllTripletLoss(margin, squared), embeddings, labels)
    assert_same(inside, expected, rtol=0, atol=0)


@pytest.mark.parametrize("squared", [True, False])
def test_a_device_without_float64_is_nearly_as_precise(squared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = points(50, 20, dtype=torch.float32), uneven_labels(50)
    expected = evaluate(BatchAllTripletLoss(1.0, squared), embeddings, labels)
    for module in (siamese_triplet.distances, siamese_triplet.losses.batch_all):
        monkeypatch.setattr(module, "wide_dtype", lambda tensor: torch.float32)
    assert_same(evaluate(BatchAllTripletLoss(1.0, squared), embeddings, labels), expected, rtol=1e-4, atol=1e-6)


# gradients


@every_kind
def test_coinciding_points_give_a_finite_gradient(margin: Margin, squared: bool) -> None:
    labels = torch.tensor([0, 0, 0, 1, 1])
    for embeddings in (torch.ones(5, 2), torch.tensor([[0.0, 1.0], [0, 1], [2, 1], [0, 1], [3, 1]])):
        loss, _, gradient = evaluate(BatchAllTripletLoss(margin, squared), embeddings.requires_grad_(), labels)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        assert gradient.any() == (embeddings.std(dim=0).max() > 0)


@every_kind
def test_the_gradient_scales_with_the_loss(margin: Margin, squared: bool) -> None:
    embeddings, labels = points(8, 3), torch.arange(8) % 3
    loss_fn = BatchAllTripletLoss(margin, squared)
    (once,) = torch.autograd.grad(loss_fn(embeddings, labels)[0], embeddings)
    (loss_fn(embeddings, labels)[0] * 3 + 1).backward()
    torch.testing.assert_close(embeddings.grad, 3 * once)


def test_the_gradient_reaches_the_network() -> None:
    net, images, labels = nn.Linear(5, 3).double(), points(9, 5).detach(), torch.arange(9) % 3
    BatchAllTripletLoss(1.0)(net(images), labels)[0].backward()
    embeddings = net(images).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(BatchAllTripletLoss(1.0)(embeddings, labels)[0], embeddings)
    torch.testing.assert_close(net.weight.grad, gradient.T @ images)


@every_kind
def test_without_gradients_the_loss_is_the_same(margin: Margin, squared: bool) -> None:
    embeddings, labels = points(8, 3), torch.arange(8) % 3
    expected, n_active = BatchAllTripletLoss(margin, squared)(embeddings, labels)
    with torch.no_grad():
        without = [BatchAllTripletLoss(margin, squared)(embeddings, labels)]
    without.append(BatchAllTripletLoss(margin, squared)(embeddings.detach(), labels))
    for loss, count in without:
        assert not loss.requires_grad
        assert (loss, count) == (expected, n_active)


def test_the_count_has_no_gradient() -> None:
    loss, n_active = BatchAllTripletLoss(1.0)(points(8, 3), torch.arange(8) % 3)
    assert loss.requires_grad
    assert not n_active.requires_grad


@every_kind
def test_a_second_derivative_raises_but_create_graph_does_not(margin: Margin, squared: bool) -> None:
    embeddings, labels = points(6, 2), torch.arange(6) % 2
    loss, _ = BatchAllTripletLoss(margin, squared)(embeddings, labels)
    (gradient,) = torch.autograd.grad(loss, embeddings, create_graph=True)
    torch.testing.assert_close(gradient.detach(), direct(embeddings, labels, margin, squared)[2])
    with pytest.raises(RuntimeError, match=r"no second derivative.* use OnlineTripletLoss\(margin, AllTripletSelector"):
        (gradient + embeddings).square().sum().backward()


@every_kind
def test_the_online_loss_named_in_the_error_has_a_second_derivative(margin: Margin, squared: bool) -> None:
    loss_fn, labels = OnlineTripletLoss(margin, AllTripletSelector(), squared), torch.arange(6) % 2
    assert torch.autograd.gradgradcheck(lambda embeddings: loss_fn(embeddings, labels)[0], points(6, 2))


# memory and devices


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_columns", [2, 16])
@every_kind
def test_no_matrix_of_all_pairs_of_images_is_made(
    margin: Margin, squared: bool, n_columns: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (siamese_triplet.distances, siamese_triplet._sorting):
        monkeypatch.setattr(module, "BLOCK", 1)
    n_images = 400
    embeddings, labels = points(n_images, n_columns, dtype=dtype), torch.arange(n_images) % 100
    with Largest() as largest:
        BatchAllTripletLoss(margin, squared)(embeddings, labels)[0].backward()
    assert 32 * n_images <= largest.numel < n_images**2 / 8


@every_mean
@every_kind
def test_another_device_gives_the_same_and_the_host_does_not_wait(
    margin: Margin, squared: bool, mean_over: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There each anchor has room for B positives, as the host does not know the size of the largest class."""
    monkeypatch.setattr(siamese_triplet.distances, "BLOCK", 1)
    embeddings, labels = points(70, 12, dtype=torch.float32), uneven_labels(70)
    expected = evaluate(BatchAllTripletLoss(margin, squared, mean_over), embeddings, labels)
    with Elsewhere() as elsewhere:
        there = elsewhere.send(embeddings)
        loss, count = BatchAllTripletLoss(margin, squared, mean_over)(there, elsewhere.send(labels))
        loss.backward()
    assert loss.device == count.device == there.device != embeddings.device
    assert_same((loss.inner, count.inner, there.grad.inner), expected)
    if margin != "soft":
        assert elsewhere.syncs == []
    else:  # the number of positives, block by block
        assert set(elsewhere.syncs) == {"aten._local_scalar_dense.default"}


def test_another_device_gives_nan_for_embeddings_that_are_not_finite() -> None:
    embeddings, labels = points(6, 2).detach(), torch.arange(6) % 2
    embeddings[0, 0] = math.nan
    with Elsewhere() as elsewhere:
        loss, _ = BatchAllTripletLoss(1.0)(elsewhere.send(embeddings), elsewhere.send(labels))
    assert loss.inner.isnan()


def test_the_loss_does_not_warn_on_another_device(recwarn: pytest.WarningsRecorder) -> None:
    embeddings, labels = points(12, 2), torch.arange(12) % 3
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with Elsewhere() as elsewhere:
            there = elsewhere.send(embeddings)
            BatchAllTripletLoss(1.0)(there, elsewhere.send(labels))[0].backward()
    finally:
        torch.set_warn_always(before)
    assert [str(warning.message) for warning in recwarn] == []


# bad input


@every_kind
@pytest.mark.parametrize(("embeddings", "labels", "message"), reference.BAD_BATCHES.values(), ids=reference.BAD_BATCHES)
def test_bad_input_raises(embeddings: Tensor, labels: Tensor, message: str, margin: Margin, squared: bool) -> None:
    with pytest.raises(ValueError, match=message.replace("labels", "target")):
        BatchAllTripletLoss(margin, squared)(embeddings, labels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchAllTripletLoss(-1.0), "margin must be a finite number ≥ 0, got -1.0"),
        (lambda: BatchAllTripletLoss(math.nan), "margin must be a finite number ≥ 0, got nan"),
        (lambda: BatchAllTripletLoss(math.inf), "margin must be a finite number ≥ 0, got inf"),
        (lambda: BatchAllTripletLoss("hard"), "margin must be a finite number ≥ 0 or \"soft\", got 'hard'"),
        (lambda: BatchAllTripletLoss(1.0, mean_over="none"), 'mean_over must be "active" or "all", got \'none\''),
    ],
)
def test_a_bad_argument_raises(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.bool])
def test_labels_of_every_integer_type_give_the_same(dtype: torch.dtype) -> None:
    embeddings, labels = points(8, 3), torch.arange(8) % 2
    assert_same(
        evaluate(BatchAllTripletLoss(1.0), embeddings, labels.to(dtype)),
        evaluate(BatchAllTripletLoss(1.0), embeddings, labels),
    )
