"""Agreement with pytorch-metric-learning, where both define the same thing."""

from collections.abc import Callable

import pytest
import reference
import torch
from torch import Tensor

from siamese_triplet.losses import BatchAllTripletLoss, OnlineTripletLoss
from siamese_triplet.selectors import (
    AllSemihardTripletSelector,
    AllTripletSelector,
    BatchHardPairSelector,
    BatchHardTripletSelector,
    EasyPositiveTripletSelector,
    HardestNegativeTripletSelector,
    HardestSemihardTripletSelector,
    NearestBeyondPositiveTripletSelector,
    RandomNegativeTripletSelector,
    SemihardNegativeTripletSelector,
    TripletSelector,
)

pytest.importorskip("pytorch_metric_learning")
from pytorch_metric_learning import distances, losses, miners, reducers

MARGINS = (0.0, 0.3, 1.0, 4.0)
every_batch = pytest.mark.parametrize("seed", range(20))
Triplets = set[tuple[int, ...]]


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """Make 4 to 23 embeddings of uneven classes in general position, as peers may treat ties differently."""
    generator = torch.Generator().manual_seed(seed)
    size = 4 + seed
    embeddings = torch.randn(size, 3, dtype=torch.float64, generator=generator)
    return embeddings, torch.randint(0, 6, (size,), generator=generator) ** 2 // 4


def lp(squared: bool) -> distances.LpDistance:
    return distances.LpDistance(normalize_embeddings=False, p=2, power=2 if squared else 1)


def mined(kind: str, margin: float, squared: bool, seed: int) -> Triplets:
    miner = miners.TripletMarginMiner(margin=margin, type_of_triplets=kind, distance=lp(squared))
    return as_set(miner(*batch(seed)))


def as_set(columns: tuple[Tensor, ...]) -> Triplets:
    return set(reference.tuples(torch.stack(columns, dim=1)))


def selected(selector: TripletSelector, seed: int) -> Triplets:
    return set(reference.tuples(selector.get_triplets(*batch(seed))))


def pairs(triplets: Triplets) -> list[tuple[int, ...]]:
    return sorted({triplet[:2] for triplet in triplets})


# miners


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("margin", MARGINS)
@every_batch
def test_our_selectors_choose_among_the_triplets_of_triplet_margin_miner(
    seed: int, margin: float, squared: bool
) -> None:
    violating, hard, semihard = (mined(kind, margin, squared, seed) for kind in ("all", "hard", "semihard"))
    options = {"margin": margin, "squared": squared}
    assert selected(AllSemihardTripletSelector(**options), seed) == semihard
    everything = selected(AllTripletSelector(), seed)
    assert violating == hard | semihard <= everything
    assert BatchAllTripletLoss(margin, squared)(*batch(seed))[1] == len(violating)
    for one_each, candidates in (
        (selected(RandomNegativeTripletSelector(**options), seed), violating),
        (selected(HardestNegativeTripletSelector(**options), seed), violating),
        (selected(SemihardNegativeTripletSelector(**options), seed), semihard),
        (selected(HardestSemihardTripletSelector(**options), seed), semihard),
    ):
        assert one_each <= candidates
        assert pairs(one_each) == pairs(candidates)
        assert len(one_each) == len(pairs(candidates))


@every_batch
def test_nearest_beyond_the_positive_is_semihard_without_a_margin(seed: int) -> None:
    """With an unlimited margin, "semihard" are all negatives beyond the positive, "hard" all before it."""
    beyond = mined("semihard", 1e9, True, seed)
    nearest = selected(NearestBeyondPositiveTripletSelector(), seed)
    assert nearest & beyond == selected(HardestSemihardTripletSelector(1e9), seed)
    assert pairs(nearest) == pairs(selected(AllTripletSelector(), seed))
    assert nearest - beyond <= mined("hard", 1e9, True, seed)


@pytest.mark.parametrize(
    ("miner", "selector"),
    [
        (miners.BatchHardMiner, BatchHardTripletSelector()),
        (lambda **options: easy_positive("hard", **options), EasyPositiveTripletSelector(semihard=False)),
        (lambda **options: easy_positive("semihard", **options), EasyPositiveTripletSelector()),
    ],
    ids=["batch-hard", "easy positive, hard negative", "easy positive, semihard negative"],
)
@every_batch
def test_miners_of_one_triplet_per_anchor_find_the_same(
    seed: int, miner: Callable[..., miners.BaseMiner], selector: TripletSelector
) -> None:
    assert selected(selector, seed) == as_set(miner(distance=lp(squared=True))(*batch(seed)))


def easy_positive(negative: str, **options: object) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
    """Make a miner that leaves out the second column of anchors, a copy of the first."""
    miner = miners.BatchEasyHardMiner(pos_strategy="easy", neg_strategy=negative, **options)
    return lambda *batch: tuple(column for i, column in enumerate(miner(*batch)) if i != 2)


@every_batch
def test_batch_hard_pairs_are_the_hardest_of_each_image(seed: int) -> None:
    for strategies, index in ((("hard", "all"), 0), (("all", "hard"), 1)):
        miner = miners.BatchEasyHardMiner(*strategies, distance=lp(squared=True))
        columns = miner(*batch(seed))[2 * index : 2 * index + 2]
        ours = BatchHardPairSelector().get_pairs(*batch(seed))[index]
        unordered = {(min(pair), max(pair)) for pair in zip(*(column.tolist() for column in columns), strict=True)}
        assert set(reference.tuples(ours)) == unordered


# losses


def assert_same_loss(ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor], embeddings: Tensor) -> None:
    """Compare value and gradient."""
    results = []
    for loss_fn in (ours, theirs):
        leaf = embeddings.clone().requires_grad_()
        loss = loss_fn(leaf)
        loss.backward()
        results.append((loss.detach(), leaf.grad))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize(
    ("mean_over", "reducer"), [("active", reducers.AvgNonZeroReducer), ("all", reducers.MeanReducer)]
)
@pytest.mark.parametrize("margin", [*MARGINS, "soft"])
@every_batch
def test_batch_all_equals_triplet_margin_loss_of_all_triplets(
    seed: int, margin: float | str, mean_over: str, reducer: type, squared: bool
) -> None:
    embeddings, labels = batch(seed)
    theirs = peer_loss(margin, squared, reducer())
    ours = BatchAllTripletLoss(margin, squared, mean_over)
    assert_same_loss(lambda leaf: ours(leaf, labels)[0], lambda leaf: theirs(leaf, labels), embeddings)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize(
    "make",
    [BatchHardTripletSelector, AllTripletSelector, NearestBeyondPositiveTripletSelector],
    ids=lambda m: m.__name__,
)
@pytest.mark.parametrize("margin", [*MARGINS, "soft"])
@every_batch
def test_the_online_loss_equals_triplet_margin_loss_of_our_triplets(
    seed: int, margin: float | str, make: type, squared: bool
) -> None:
    embeddings, labels = batch(seed)
    triplets = make().get_triplets(embeddings, labels)
    theirs, ours = peer_loss(margin, squared, reducers.MeanReducer()), OnlineTripletLoss(margin, make(), squared)
    assert_same_loss(
        lambda leaf: ours(leaf, labels)[0],
        lambda leaf: theirs(leaf, labels, indices_tuple=tuple(triplets.T)),
        embeddings,
    )


def peer_loss(margin: float | str, squared: bool, reducer: reducers.BaseReducer) -> losses.TripletMarginLoss:
    is_soft = margin == "soft"
    return losses.TripletMarginLoss(
        0 if is_soft else margin, smooth_loss=is_soft, distance=lp(squared), reducer=reducer
    )
