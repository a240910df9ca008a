from collections.abc import Callable

import pytest
import reference
import torch
from torch import Tensor

from siamese_triplet.losses import ContrastiveLoss, OnlineContrastiveLoss, OnlineTripletLoss
from siamese_triplet.selectors import (
    AllPositivePairSelector,
    AllTripletSelector,
    BatchHardTripletSelector,
    HardestNegativeTripletSelector,
    HardNegativePairSelector,
)
from siamese_triplet.selectors.adapters import MinerPairSelector, MinerTripletSelector, SelectorMiner

pml = pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning is not installed")
from pytorch_metric_learning import distances, losses, miners  # noqa: E402

SQUARED = distances.LpDistance(normalize_embeddings=False, p=2, power=2)


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(20, 3, dtype=torch.float64, generator=generator).requires_grad_()
    return embeddings, torch.randint(0, 5, (20,), generator=generator)


# selectors as miners


def test_a_triplet_selector_as_a_miner_returns_its_triplets() -> None:
    embeddings, labels = batch()
    selector = BatchHardTripletSelector()
    mined = SelectorMiner(selector)(embeddings, labels)
    assert torch.equal(torch.stack(mined, dim=1), selector.get_triplets(embeddings, labels))
    assert not any(index.requires_grad for index in mined)


def test_a_pair_selector_as_a_miner_returns_its_pairs_in_both_orders() -> None:
    embeddings, labels = batch()
    positive, negative = HardNegativePairSelector().get_pairs(embeddings, labels)
    mined = SelectorMiner(HardNegativePairSelector())(embeddings, labels)
    for pairs, (left, right) in ((positive, mined[:2]), (negative, mined[2:])):
        expected = {(i, j) for i, j in pairs.tolist()} | {(j, i) for i, j in pairs.tolist()}
        assert set(reference.tuples(torch.stack([left, right], dim=1))) == expected


def test_a_peer_loss_learns_from_our_triplets() -> None:
    embeddings, labels = batch()
    selector = HardestNegativeTripletSelector(1.0)
    theirs = losses.TripletMarginLoss(margin=1.0, distance=SQUARED)
    loss = theirs(embeddings, labels, SelectorMiner(selector)(embeddings, labels))
    expected, n_triplets = OnlineTripletLoss(1.0, selector)(embeddings, labels)
    assert n_triplets > 0
    torch.testing.assert_close(loss, expected)  # both are means over triplets with a loss
    gradients = [torch.autograd.grad(value, embeddings)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients)


def test_a_peer_loss_learns_from_our_pairs() -> None:
    embeddings, labels = batch()
    miner = SelectorMiner(AllPositivePairSelector(balance=False))
    plain = distances.LpDistance(normalize_embeddings=False)
    default = losses.ContrastiveLoss(distance=plain)(embeddings, labels)  # of all pairs, in both orders
    torch.testing.assert_close(
        losses.ContrastiveLoss(distance=plain)(embeddings, labels, miner(embeddings, labels)), default
    )


@pytest.mark.parametrize("loss", [losses.MultiSimilarityLoss(), losses.NTXentLoss(), losses.CircleLoss()])
@pytest.mark.parametrize("selector", [BatchHardTripletSelector(), HardNegativePairSelector()])
def test_other_peer_losses_accept_our_selection(loss: torch.nn.Module, selector: object) -> None:
    embeddings, labels = batch()
    value = loss(embeddings, labels, SelectorMiner(selector)(embeddings, labels))
    value.backward()
    assert value.isfinite()
    assert embeddings.grad.isfinite().all()


def test_an_empty_batch_gives_no_indices() -> None:
    none = torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)
    assert [len(index) for index in SelectorMiner(AllTripletSelector())(*none)] == [0, 0, 0]
    assert [len(index) for index in SelectorMiner(HardNegativePairSelector())(*none)] == [0, 0, 0, 0]


def test_reference_embeddings_and_other_objects_than_selectors_raise() -> None:
    embeddings, labels = batch()
    with pytest.raises(ValueError, match="within one batch"):
        SelectorMiner(AllTripletSelector())(embeddings, labels, embeddings, labels)
    with pytest.raises(ValueError, match="expected a selector"):
        SelectorMiner(torch.nn.Identity())


# miners as selectors


def test_a_triplet_miner_works_as_a_selector_in_our_loss() -> None:
    embeddings, labels = batch()
    selector = MinerTripletSelector(miners.BatchHardMiner(distance=SQUARED))
    ours = BatchHardTripletSelector()
    assert set(reference.tuples(selector.get_triplets(embeddings, labels))) == set(
        reference.tuples(ours.get_triplets(embeddings, labels))
    )
    (loss, n_triplets), (expected, n_expected) = (
        OnlineTripletLoss(1.0, either)(embeddings, labels) for either in (selector, ours)
    )
    torch.testing.assert_close(loss, expected)
    assert n_triplets == n_expected
    loss.backward()
    assert embeddings.grad.abs().sum() > 0


def test_a_pair_miner_as_a_selector_lists_each_pair_once() -> None:
    embeddings, labels = batch()

    def everything(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        return SelectorMiner(AllPositivePairSelector(balance=False))(embeddings, labels)

    positive, negative = MinerPairSelector(everything).get_pairs(embeddings, labels)
    assert set(reference.tuples(positive)) == reference.positive_pairs(labels.tolist())
    assert set(reference.tuples(negative)) == reference.negative_pairs(labels.tolist())
    ours = OnlineContrastiveLoss(1.0, AllPositivePairSelector(balance=False))(embeddings, labels)
    torch.testing.assert_close(OnlineContrastiveLoss(1.0, MinerPairSelector(everything))(embeddings, labels), ours)


def test_a_pair_miner_of_the_peer_works_in_our_loss() -> None:
    embeddings, labels = batch()
    selector = MinerPairSelector(miners.PairMarginMiner(pos_margin=0.1, neg_margin=1.5, distance=SQUARED))
    positive, negative = selector.get_pairs(embeddings, labels)
    assert len(positive)
    assert len(negative)
    pairs = torch.cat([positive, negative])
    target = torch.tensor([1] * len(positive) + [0] * len(negative))
    expected = ContrastiveLoss(1.0)(embeddings[pairs[:, 0]], embeddings[pairs[:, 1]], target)
    torch.testing.assert_close(OnlineContrastiveLoss(1.0, selector)(embeddings, labels), expected)


@pytest.mark.parametrize("n_images", [0, 1, 3])
def test_a_batch_without_triplets_gives_a_differentiable_zero(n_images: int) -> None:
    embeddings = torch.randn(n_images, 2, requires_grad=True)
    labels = torch.zeros(n_images, dtype=torch.int64)
    loss, n_triplets = OnlineTripletLoss(1.0, MinerTripletSelector(miners.BatchHardMiner()))(embeddings, labels)
    loss.backward()
    assert (loss.item(), n_triplets) == (0, 0)


@pytest.mark.parametrize(
    ("make", "miner", "message"),
    [
        (
            MinerTripletSelector,
            miners.PairMarginMiner(),
            "returns 3 tensors .* PairMarginMiner returned 4 .* MinerPairS",
        ),
        (MinerPairSelector, miners.BatchHardMiner(), "returns 4 tensors .* BatchHardMiner returned 3 .* MinerTripletS"),
        (MinerTripletSelector, lambda embeddings, labels: None, "returned NoneType"),
    ],
)
def test_a_miner_of_the_other_kind_raises(make: Callable, miner: Callable, message: str) -> None:
    embeddings, labels = batch()
    selector = make(miner)
    select = selector.get_pairs if make is MinerPairSelector else selector.get_triplets
    with pytest.raises(ValueError, match=message):
        select(embeddings, labels)
