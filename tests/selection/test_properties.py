"""Every selector and every loss against brute force, on batches made by hypothesis."""

import functools
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import reference
import torch
from everything import WITH_GENERATOR, hardest_by_function, named, select, to_domain
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamese_triplet.losses import (
    BatchAllTripletLoss,
    ContrastiveLoss,
    OnlineContrastiveLoss,
    OnlineTripletLoss,
    TripletLoss,
)
from siamese_triplet.selectors import (
    AllPositivePairSelector,
    AllSemihardTripletSelector,
    AllTripletSelector,
    BatchHardPairSelector,
    BatchHardTripletSelector,
    DistanceWeightedPairSelector,
    DistanceWeightedTripletSelector,
    EasyPositiveTripletSelector,
    HardestNegativeTripletSelector,
    HardNegativePairSelector,
    PairSelector,
    TripletSelector,
)
from siamese_triplet.selectors.by_name import TRIPLET_SELECTORS

MARGINS = st.sampled_from([0.0, 2.0**-7, 1.0, 100.0])
UNNAMED = {  # selectors that `selectors/by_name.py` does not list, with loops as in `reference.TRIPLETS`
    "by function": (hardest_by_function, reference.hardest_triplets),
    "all": (
        lambda margin, both_anchors, squared: AllTripletSelector(both_anchors),
        lambda rows, labels, _, both, __: reference.all_triplets(labels, both),
    ),
    "easy positive, hard negative": (
        lambda margin, both_anchors, squared: EasyPositiveTripletSelector(semihard=False),
        lambda rows, labels, *_: reference.easy_positive_triplets(rows, labels, semihard=False),
    ),
}
NAMED = {name: (functools.partial(named, name), loop) for name, loop in reference.TRIPLETS.items()}
DETERMINISTIC = NAMED | UNNAMED
LEGAL_SELECTORS = [
    AllTripletSelector(both_anchors=False),
    AllSemihardTripletSelector(1.0),
    HardestNegativeTripletSelector(1.0),
    BatchHardTripletSelector(),
]
Batch = tuple[Tensor, Tensor]


def examples(number: int) -> settings:
    return settings(max_examples=number, deadline=None, derandomize=True, database=None)


@st.composite
def batches(draw: st.DrawFn, exact: bool | None = None, max_size: int = 12) -> Batch:
    """Draw 0 to `max_size` embeddings and labels: uneven classes and singletons, or one class, or only singletons.

    Half of the batches, or all `exact` ones, lie on a grid where squared distances are exact, and so are ties and zero
    losses; batches of integers are in float32 or float64. The others are normally distributed, in float64. In some
    batches embeddings coincide.
    """
    size = draw(st.sampled_from([*range(5), *range(5, max_size + 1), *range(5, max_size + 1)]))
    classes = draw(st.sampled_from([[3, 3, 3, -2, 0, 7], [3, 3, 3, -2, 0, 7], [3, 3, -2], [1, 0], [5], range(size)]))
    labels = draw(
        st.permutations(classes)
        if classes == range(size)
        else st.lists(st.sampled_from(classes), min_size=size, max_size=size)
    )
    n_columns = draw(st.integers(1, 3))
    seed = st.integers(0, 10**6)
    dtype = torch.float64
    if draw(st.booleans()) if exact is None else exact:
        number, unit = draw(st.sampled_from([(3, 1.0), (3, 1.0), (1000, 1 / 256)]))
        row = st.lists(st.integers(-number, number), min_size=n_columns, max_size=n_columns)
        rows = [[x * unit for x in row] for row in draw(st.lists(row, min_size=size, max_size=size))]
        if unit == 1:
            dtype = draw(st.sampled_from([torch.float32, torch.float64]))
            n_times = draw(st.sampled_from([1, 4, 12]))  # 12: more than `FEW_COLUMNS`
            rows = [row * n_times for row in rows]
    else:
        gauss = random.Random(draw(seed)).gauss
        rows = [[gauss(0, 0.8) for _ in range(n_columns)] for _ in range(size)]
    if exact is not False and draw(st.sampled_from([False, False, True])):
        choice = random.Random(draw(seed)).choice
        rows = [choice(rows) for _ in rows]
    points = torch.tensor(rows, dtype=dtype).reshape(size, len(rows[0]) if rows else n_columns)
    return points, torch.tensor(labels, dtype=torch.int64)


def triplets_of(selector: TripletSelector, batch: Batch) -> set[tuple[int, ...]]:
    return set(reference.tuples(selector.get_triplets(*batch)))


def plain(batch: Batch) -> tuple[list[list[float]], list[int]]:
    return batch[0].tolist(), batch[1].tolist()


# selectors


def test_every_selector_of_the_list_has_a_reference() -> None:
    assert {*reference.TRIPLETS, *reference.IS_CANDIDATE} == {*TRIPLET_SELECTORS}


@pytest.mark.parametrize("name", DETERMINISTIC)
@examples(300)
@given(batch=batches(), margin=MARGINS, both_anchors=st.booleans(), squared=st.booleans())
def test_triplets_equal_brute_force(name: str, batch: Batch, margin: float, both_anchors: bool, squared: bool) -> None:
    make, brute_force = DETERMINISTIC[name]
    selector = make(margin=margin, both_anchors=both_anchors, squared=squared)
    assert triplets_of(selector, batch) == brute_force(*plain(batch), margin, both_anchors, squared)


@pytest.mark.parametrize("name", reference.IS_CANDIDATE)
@examples(300)
@given(batch=batches(), margin=MARGINS, both_anchors=st.booleans(), squared=st.booleans())
def test_random_triplets_are_one_legal_candidate_per_pair_that_has_any(
    name: str, batch: Batch, margin: float, both_anchors: bool, squared: bool
) -> None:
    selector = named(name, margin, both_anchors=both_anchors, squared=squared)
    triplets = triplets_of(selector, batch)
    legal = reference.candidates(*plain(batch), reference.IS_CANDIDATE[name](margin), margin, both_anchors, squared)
    assert sorted(triplet[:2] for triplet in triplets) == sorted(legal)
    assert all(negative in legal[anchor, positive] for anchor, positive, negative in triplets)


@examples(300)
@given(batch=batches())
def test_pairs_equal_brute_force(batch: Batch) -> None:
    rows, labels = plain(batch)
    expected = reference.positive_pairs(labels), reference.negative_pairs(labels)
    assert pairs_of(AllPositivePairSelector(balance=False), batch) == expected
    assert pairs_of(BatchHardPairSelector(), batch) == reference.batch_hard_pairs(rows, labels)


@examples(300)
@given(batch=batches())
def test_balanced_pairs_are_all_positives_and_as_many_random_or_nearest_negatives(batch: Batch) -> None:
    rows, labels = plain(batch)

    def distances(pairs: set[tuple[int, ...]]) -> list[float]:
        return sorted(reference.squared_distance(rows[i], rows[j]) for i, j in pairs)

    for selector in (AllPositivePairSelector(), HardNegativePairSelector()):
        positive, negative = pairs_of(selector, batch)
        all_negative = reference.negative_pairs(labels)
        assert positive == reference.positive_pairs(labels)
        assert negative <= all_negative
        assert len(negative) == min(len(positive), len(all_negative))
    assert distances(negative) == distances(all_negative)[: len(positive)]


@examples(300)
@given(batch=batches(), both_anchors=st.booleans(), embedding_size=st.integers(2, 64), far=st.sampled_from([0.9, 1.4]))
def test_distance_weighted_negatives_have_a_weight_above_zero(
    batch: Batch, both_anchors: bool, embedding_size: int, far: float
) -> None:
    on_sphere = to_domain("distance-weighted", batch[0]), batch[1]
    rows, labels = plain(on_sphere)

    def has_weight(pair: tuple[int, int]) -> bool:
        return reference.distance_weight(rows[pair[0]], rows[pair[1]], embedding_size, 0.5, far) > 0

    triplets = triplets_of(DistanceWeightedTripletSelector(embedding_size, 0.5, far, both_anchors), on_sphere)
    legal = {triplet for triplet in reference.all_triplets(labels, both_anchors) if has_weight(triplet[::2])}
    assert triplets <= legal
    assert sorted(triplet[:2] for triplet in triplets) == sorted({triplet[:2] for triplet in legal})
    positive, negative = pairs_of(DistanceWeightedPairSelector(embedding_size, 0.5, far), on_sphere)
    legal_pairs = {pair for pair in reference.negative_pairs(labels) if has_weight(pair)}
    assert positive == reference.positive_pairs(labels)
    assert negative <= legal_pairs
    assert len(negative) == min(len(positive), len(legal_pairs))


def pairs_of(selector: PairSelector, batch: Batch) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    positive, negative = selector.get_pairs(*batch)
    return set(reference.tuples(positive)), set(reference.tuples(negative))


# random choices

LINE = torch.tensor([[0.0], [1.0], [0.5], [-0.5], [1.5], [-1.5], [2.0], [2.25], [-2.0], [2.5], [9.0], [1.25]])
LINE_LABELS = torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1])


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("name", reference.IS_CANDIDATE)
def test_random_negatives_are_uniform_among_the_candidates(name: str, squared: bool) -> None:
    margin = 5.0 if squared else 1.5
    legal = reference.candidates(
        LINE.tolist(), LINE_LABELS.tolist(), reference.IS_CANDIDATE[name](margin), margin, squared=squared
    )
    selector = named(name, margin, squared=squared)
    drawn: dict[tuple[int, int], list[int]] = {pair: [] for pair in legal}
    for _ in range(1000):
        for anchor, positive, negative in selector.get_triplets(LINE, LINE_LABELS).tolist():
            drawn[anchor, positive].append(negative)
    assert name == "uniform" or len({len(negatives) for negatives in legal.values()}) > 1
    for pair, negatives in legal.items():
        assert len(drawn[pair]) == 1000
        reference.assert_uniform(drawn[pair], negatives)
    assert_independent(*list(drawn.values())[:2])


def assert_independent(left: list[int], right: list[int]) -> None:
    """Check that draws on the left are independent of the draws beside them on the right."""
    both = itertools.product(Counter(left).items(), Counter(right).items())
    weights = {(i, j): float(n * m) for (i, n), (j, m) in both}
    reference.assert_drawn_with_weights(zip(left, right, strict=True), weights)


@pytest.mark.parametrize(
    "labels",
    [[0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 2], [0, 0, 1, 1, 2]],
    ids=["7 positive pairs of 8 negative ones", "3 of 7", "2 of 8, a few of many"],
)
def test_every_set_of_balanced_negative_pairs_is_equally_likely(labels: list[int]) -> None:
    selector, batch = AllPositivePairSelector(), (torch.zeros(len(labels), 1), torch.tensor(labels))
    drawn = [frozenset(reference.tuples(selector.get_pairs(*batch)[1])) for _ in range(2000)]
    n_positive, n_negative = len(reference.positive_pairs(labels)), len(reference.negative_pairs(labels))
    assert {len(pairs) for pairs in drawn} == {n_positive}
    assert len(set(drawn)) == math.comb(n_negative, n_positive)
    reference.assert_drawn_with_weights(drawn, dict.fromkeys(drawn, 1.0))


ANGLES = torch.tensor([0.0, 0.2, 0.35, 0.7, 1.0, 1.3, 1.5, 1.6, 2.5, 3.1], dtype=torch.float64)  # 1.55: d ≈ 1.4
CIRCLE = torch.stack([ANGLES.cos(), ANGLES.sin(), torch.zeros_like(ANGLES)], dim=1)
CIRCLE_LABELS = torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 7, 8])


@pytest.mark.parametrize("embedding_size", [2, 3, 16])
def test_distance_weighted_negatives_are_drawn_with_their_weights(embedding_size: int) -> None:
    selector = DistanceWeightedTripletSelector(embedding_size)
    drawn: list[list[int]] = [[], []]
    for _ in range(3000):
        for anchor, _, negative in selector.get_triplets(CIRCLE, CIRCLE_LABELS).tolist():
            drawn[anchor].append(negative)
    for anchor in range(2):
        weights = {i: weight(anchor, i, embedding_size) for i in range(2, len(CIRCLE))}
        assert 0.0 in weights.values()
        most = max(weights.values())
        rare = {i for i in weights if 0 < weights[i] < most / 100}  # too rare for χ²
        assert not rare or embedding_size == 16
        assert len(drawn[anchor]) == 3000
        likely = {i: w for i, w in weights.items() if i not in rare}
        reference.assert_drawn_with_weights((i for i in drawn[anchor] if i not in rare), likely)
    if embedding_size < 16:
        assert_independent(*drawn)


@pytest.mark.parametrize("embedding_size", [2, 3, 6])
@pytest.mark.parametrize("n_positive", [1, 2])
def test_distance_weighted_pairs_are_drawn_with_their_weights_without_replacement(
    n_positive: int, embedding_size: int
) -> None:
    """The probability of a set {i, j} drawn one after the other is wᵢwⱼ/W · (1/(W − wᵢ) + 1/(W − wⱼ))."""
    labels = [0, 0, 1, 2] if n_positive == 1 else [0, 0, 1, 1]
    points = CIRCLE[[0, 3, 6, 5]]
    weights = {
        (i, j): reference.distance_weight(points[i].tolist(), points[j].tolist(), embedding_size, 0.5, 1.4)
        for i, j in reference.negative_pairs(labels)
    }
    weights = {pair: w for pair, w in weights.items() if w > 0}
    total = sum(weights.values())
    expected = {frozenset([pair]): w for pair, w in weights.items()}
    if n_positive == 2:
        expected = {
            frozenset([i, j]): v * w / total * (1 / (total - v) + 1 / (total - w))
            for i, v in weights.items()
            for j, w in weights.items()
            if i < j
        }
    selector = DistanceWeightedPairSelector(embedding_size)
    drawn = (frozenset(reference.tuples(selector.get_pairs(points, torch.tensor(labels))[1])) for _ in range(3000))
    assert len({round(w, 6) for w in expected.values()}) > 1
    reference.assert_drawn_with_weights(drawn, expected)


def weight(i: int, j: int, embedding_size: int) -> float:
    return reference.distance_weight(CIRCLE[i].tolist(), CIRCLE[j].tolist(), embedding_size, 0.5, 1.4)


@pytest.mark.usefixtures("global_random_state_untouched")
@pytest.mark.parametrize("name", WITH_GENERATOR)
def test_a_random_choice_depends_on_its_generator_alone(name: str) -> None:
    batch = to_domain(name, torch.randn(30, 3, generator=torch.Generator().manual_seed(5))), torch.arange(30) % 5

    def two_draws(**options: torch.Generator) -> list[list]:
        selector = WITH_GENERATOR[name](**options)
        return [select(selector, *batch)[-1].tolist() for _ in range(2)]

    seeded = [two_draws(generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]
    assert two_draws() == two_draws() == two_draws(generator=torch.Generator().manual_seed(0))
    assert two_draws()[0] != two_draws()[1]  # another choice for the next batch


@pytest.mark.parametrize("make", [DistanceWeightedTripletSelector, DistanceWeightedPairSelector])
def test_distance_weighted_selection_requires_the_unit_sphere_and_valid_arguments(make: Callable) -> None:
    labels = torch.tensor([0, 0, 1])
    with pytest.raises(ValueError, match=r"embeddings on the unit sphere, but two of these are 2.1 apart; normalise"):
        select(make(2), torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, -1.1]]), labels)
    half = torch.tensor([[0.0, 1.004], [1.0, 0.0], [0.0, -1.004]])  # as far off the sphere as half precision can be
    assert len(select(make(2, 0.5, 2.0), half, labels)[-1]) > 0
    for size in (1, 0, -3):
        with pytest.raises(ValueError, match=f"embedding_size must be at least 2, got {size}"):
            make(size)
    for cutoffs in ((0.0, 1.4), (-0.5, 1.4), (1.4, 0.5), (1.0, 1.0), (0.5, 2.01), (math.nan, 1.4), (0.5, math.nan)):
        with pytest.raises(
            ValueError, match=f"0 < cutoff < nonzero_loss_cutoff ≤ 2, got {cutoffs[0]} and {cutoffs[1]}"
        ):
            make(2, *cutoffs)


# losses

Margin = float | str
MARGINS_AND_SOFT = st.one_of(MARGINS, st.just("soft"))


@examples(500)
@given(batch=batches(), margin=MARGINS_AND_SOFT, squared=st.booleans(), mean_over=st.sampled_from(["active", "all"]))
def test_batch_all_loss_and_count_equal_brute_force(
    batch: Batch, margin: Margin, squared: bool, mean_over: str
) -> None:
    loss, n_active = BatchAllTripletLoss(margin, squared, mean_over)(*batch)
    expected, expected_active = reference.batch_all_loss(*plain(batch), margin, squared, mean_over)
    assert loss.item() == close_to(expected, batch)
    assert n_active.item() == expected_active


@pytest.mark.parametrize("selector", LEGAL_SELECTORS, ids=lambda selector: type(selector).__name__)
@examples(120)
@given(batch=batches(), margin=MARGINS_AND_SOFT)
def test_online_triplet_loss_equals_brute_force(selector: TripletSelector, batch: Batch, margin: Margin) -> None:
    squared = {True, getattr(selector, "squared", False)}  # selectors without a margin go with both
    triplets = selector.get_triplets(*batch).tolist()
    rows, _ = plain(batch)
    for is_squared in squared:
        loss, n_triplets = OnlineTripletLoss(margin, selector, is_squared)(*batch)
        assert n_triplets == len(triplets)
        assert loss.item() == close_to(mean_triplet_loss(rows, triplets, margin, is_squared), batch)


@pytest.mark.parametrize(
    "selector", [AllPositivePairSelector(balance=False), BatchHardPairSelector()], ids=["all", "hard"]
)
@examples(120)
@given(batch=batches(), margin=MARGINS)
def test_online_contrastive_loss_equals_brute_force(selector: PairSelector, batch: Batch, margin: float) -> None:
    loss = OnlineContrastiveLoss(margin, selector)(*batch)
    pairs = [indices.tolist() for indices in selector.get_pairs(*batch)]
    assert loss.item() == close_to(mean_contrastive_loss(plain(batch)[0], pairs, margin), batch)


@examples(200)
@given(batch=batches(), margin=MARGINS_AND_SOFT, squared=st.booleans())
def test_offline_losses_equal_brute_force(batch: Batch, margin: Margin, squared: bool) -> None:
    rows, labels = batch
    images = rows, rows.roll(1, 0), rows.roll(2, 0)
    lists = [image.tolist() for image in images]
    expected = reference.triplet_loss(*lists, margin, squared) if len(labels) else 0.0
    assert TripletLoss(margin, squared)(*images).item() == close_to(expected, batch)
    if margin != "soft":
        target = (labels == labels.roll(1)).long()
        expected = reference.contrastive_loss(*lists[:2], target.tolist(), margin) if len(labels) else 0.0
        assert ContrastiveLoss(margin)(*images[:2], target).item() == close_to(expected, batch)


def close_to(expected: float, batch: Batch) -> object:
    return pytest.approx(expected, rel=1e-5 if batch[0].dtype == torch.float32 else 1e-10, abs=1e-12)


def mean_triplet_loss(
    rows: reference.Rows, triplets: Sequence[Sequence[int]], margin: Margin, squared: bool = True
) -> float:
    columns = [[rows[triplet[i]] for triplet in triplets] for i in range(3)]
    return reference.triplet_loss(*columns, margin, squared) if triplets else 0.0


def mean_contrastive_loss(rows: reference.Rows, pairs: Sequence[Sequence[Sequence[int]]], margin: float) -> float:
    both = [*pairs[0], *pairs[1]]
    target = [1] * len(pairs[0]) + [0] * len(pairs[1])
    sides = [[rows[pair[i]] for pair in both] for i in range(2)]
    return reference.contrastive_loss(*sides, target, margin) if both else 0.0


# gradients


@examples(80)
@given(
    batch=batches(exact=False, max_size=7),
    margin=MARGINS_AND_SOFT,
    squared=st.booleans(),
    over=st.sampled_from(["active", "all"]),
)
def test_batch_all_gradient_equals_finite_differences(batch: Batch, margin: Margin, squared: bool, over: str) -> None:
    assume_away_from_kinks(batch, margin, squared)
    labels = batch[1].tolist()
    assert_gradient(
        lambda embeddings: BatchAllTripletLoss(margin, squared, over)(embeddings, batch[1])[0],
        lambda rows: reference.batch_all_loss(rows, labels, margin, squared, over)[0],
        batch,
    )


@pytest.mark.parametrize("selector", LEGAL_SELECTORS, ids=lambda selector: type(selector).__name__)
@examples(40)
@given(batch=batches(exact=False, max_size=7), margin=MARGINS_AND_SOFT)
def test_online_triplet_gradient_equals_finite_differences(
    selector: TripletSelector, batch: Batch, margin: Margin
) -> None:
    squared = getattr(selector, "squared", False)
    assume_away_from_kinks(batch, margin, squared)
    triplets = selector.get_triplets(*batch).tolist()
    assert_gradient(
        lambda embeddings: OnlineTripletLoss(margin, selector, squared)(embeddings, batch[1])[0],
        lambda rows: mean_triplet_loss(rows, triplets, margin, squared),
        batch,
    )


@pytest.mark.parametrize(
    "selector", [AllPositivePairSelector(balance=False), BatchHardPairSelector()], ids=["all", "hard"]
)
@examples(40)
@given(batch=batches(exact=False, max_size=7), margin=MARGINS)
def test_online_contrastive_gradient_equals_finite_differences(
    selector: PairSelector, batch: Batch, margin: float
) -> None:
    assume_away_from_kinks(batch, margin, squared=False)
    pairs = [indices.tolist() for indices in selector.get_pairs(*batch)]
    assert_gradient(
        lambda embeddings: OnlineContrastiveLoss(margin, selector)(embeddings, batch[1]),
        lambda rows: mean_contrastive_loss(rows, pairs, margin),
        batch,
    )


@examples(40)
@given(batch=batches(exact=False, max_size=7), margin=MARGINS_AND_SOFT, squared=st.booleans())
def test_offline_triplet_gradient_equals_finite_differences(batch: Batch, margin: Margin, squared: bool) -> None:
    assume(len(batch[1]) > 2)
    assume_away_from_kinks((batch[0], torch.arange(len(batch[0]))), margin, squared)
    triplets = [(i, i - 1, i - 2) for i in range(len(batch[0]))]
    assume(
        all(
            abs(reference.triplet_cost(batch[0].tolist(), t, 0 if margin == "soft" else margin, squared)) > 1e-3
            for t in triplets
        )
    )
    assert_gradient(
        lambda e: TripletLoss(margin, squared)(e, e.roll(1, 0), e.roll(2, 0)),
        lambda rows: mean_triplet_loss(rows, triplets, margin, squared),
        batch,
    )


def assume_away_from_kinks(batch: Batch, margin: Margin, squared: bool) -> None:
    """Assume that no finite difference makes a triplet active or inactive, and that no distance is close to zero."""
    rows, labels = plain(batch)
    for i, row in enumerate(rows):
        for other in rows[:i]:
            distance = reference.distance(row, other, squared=False)
            assume(distance > 1e-2 and (margin == "soft" or abs(distance - margin) > 1e-3))
    if margin != "soft":
        for triplet in reference.all_triplets(labels):
            assume(abs(reference.triplet_cost(rows, triplet, margin, squared)) > 1e-3)


def assert_gradient(
    loss: Callable[[Tensor], Tensor], brute_force: Callable[[list[list[float]]], float], batch: Batch
) -> None:
    embeddings = batch[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(embeddings), embeddings)
    expected = torch.tensor(reference.gradient(brute_force, embeddings.tolist()), dtype=torch.float64)
    torch.testing.assert_close(gradient, expected.reshape(gradient.shape), atol=1e-7, rtol=1e-5)
