import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import reference
import torch
from torch import Tensor

from siamese_triplet import SelectorMiner
from siamese_triplet.selectors import (
    AllPositivePairSelector,
    AllSemihardTripletSelector,
    AllTripletSelector,
    FunctionNegativeTripletSelector,
    HardestNegativeTripletSelector,
    HardestSemihardTripletSelector,
    HardNegativePairSelector,
    PairSelector,
    RandomNegativeTripletSelector,
    SemihardNegativeTripletSelector,
    TripletSelector,
    UniformNegativeTripletSelector,
    pairs_of,
    triplets_of,
)
from siamese_triplet.selectors.negatives import ALL_PAIRS

SEEDS = range(80)
MARGINS = (0.0, 1.0, 2.5)
MARGIN_SELECTORS = [
    HardestNegativeTripletSelector,
    RandomNegativeTripletSelector,
    SemihardNegativeTripletSelector,
    lambda margin, **options: FunctionNegativeTripletSelector(margin, greatest_loss, **options),
]


def greatest_loss(losses: Tensor) -> Tensor:
    """Choose the hardest negative, as a reader would write it."""
    if not losses.numel():
        return losses.new_full((len(losses),), -1, dtype=torch.int64)
    value, column = losses.max(dim=1)
    return torch.where(value > 0, column, -1)


def is_semihard(margin: float) -> Callable[[float], bool]:
    return lambda cost: 0 < cost < margin


def is_violating(cost: float) -> bool:
    return cost > 0


def select(selector: PairSelector | TripletSelector, embeddings: Tensor, labels: Tensor) -> list[Tensor]:
    if isinstance(selector, PairSelector):
        return list(selector.get_pairs(embeddings, labels))
    return [selector.get_triplets(embeddings, labels)]


def every_selector() -> list[PairSelector | TripletSelector]:
    return [
        AllPositivePairSelector(),
        AllPositivePairSelector(balance=False),
        HardNegativePairSelector(),
        AllTripletSelector(),
        AllTripletSelector(both_anchors=False),
        *(selector(1.0) for selector in MARGIN_SELECTORS),
    ]


# pairs


@pytest.mark.parametrize("seed", SEEDS)
def test_all_pairs_equal_brute_force(seed: int) -> None:
    embeddings, labels = reference.batch(seed)
    positive, negative = AllPositivePairSelector(balance=False).get_pairs(embeddings, labels)
    assert set(reference.tuples(positive)) == reference.positive_pairs(labels.tolist())
    assert set(reference.tuples(negative)) == reference.negative_pairs(labels.tolist())


@pytest.mark.parametrize("seed", SEEDS)
def test_balanced_pairs_are_all_positives_and_at_most_as_many_negatives(seed: int) -> None:
    embeddings, labels = reference.batch(seed)
    positive, negative = AllPositivePairSelector().get_pairs(embeddings, labels)
    all_negative = reference.negative_pairs(labels.tolist())
    assert set(reference.tuples(positive)) == reference.positive_pairs(labels.tolist())
    assert set(reference.tuples(negative)) <= all_negative
    assert len(negative) == min(len(positive), len(all_negative))


@pytest.mark.parametrize("seed", SEEDS)
def test_hard_negative_pairs_are_the_closest(seed: int) -> None:
    embeddings, labels = reference.batch(seed)
    rows = embeddings.tolist()

    def distances(pairs: set[tuple[int, ...]]) -> list[float]:
        return sorted(reference.squared_distance(rows[i], rows[j]) for i, j in pairs)

    positive, negative = HardNegativePairSelector().get_pairs(embeddings, labels)
    all_negative = reference.negative_pairs(labels.tolist())
    assert set(reference.tuples(positive)) == reference.positive_pairs(labels.tolist())
    assert set(reference.tuples(negative)) <= all_negative
    assert distances(set(reference.tuples(negative))) == distances(all_negative)[: len(positive)]


def test_hard_negative_pairs_with_more_positives_than_negatives_are_all_negatives() -> None:
    labels = torch.tensor([0, 0, 0, 0, 0, 1])
    positive, negative = HardNegativePairSelector().get_pairs(torch.randn(6, 2), labels)
    assert len(positive) == 10
    assert set(reference.tuples(negative)) == {(i, 5) for i in range(5)}


def test_balanced_negative_pairs_are_chosen_uniformly() -> None:
    labels = torch.tensor([0, 0, 1, 2, 3])  # one positive pair, nine negative pairs
    selector = AllPositivePairSelector()
    drawn = [selector.get_pairs(torch.zeros(5, 1), labels)[1][0].tolist() for _ in range(1800)]
    reference.assert_uniform((10 * i + j for i, j in drawn), {2, 3, 4, 12, 13, 14, 23, 24, 34})


# triplets


@pytest.mark.parametrize("both_anchors", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_triplets_equal_brute_force(seed: int, both_anchors: bool) -> None:
    embeddings, labels = reference.batch(seed)
    triplets = AllTripletSelector(both_anchors).get_triplets(embeddings, labels)
    assert set(reference.tuples(triplets)) == reference.all_triplets(labels.tolist(), both_anchors)


@pytest.mark.parametrize("both_anchors", [True, False])
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("seed", SEEDS)
def test_hardest_triplets_equal_brute_force(seed: int, margin: float, both_anchors: bool) -> None:
    embeddings, labels = reference.batch(seed)
    expected = reference.hardest_triplets(embeddings.tolist(), labels.tolist(), margin, both_anchors)
    by_function = FunctionNegativeTripletSelector(margin, greatest_loss, both_anchors=both_anchors)
    for selector in (HardestNegativeTripletSelector(margin, both_anchors=both_anchors), by_function):
        assert set(reference.tuples(selector.get_triplets(embeddings, labels))) == expected


@pytest.mark.parametrize("both_anchors", [True, False])
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_and_semihard_triplets_are_one_legal_candidate_per_pair(
    seed: int, margin: float, both_anchors: bool
) -> None:
    embeddings, labels = reference.batch(seed)
    for selector, is_candidate in (
        (RandomNegativeTripletSelector(margin, both_anchors=both_anchors), is_violating),
        (SemihardNegativeTripletSelector(margin, both_anchors=both_anchors), is_semihard(margin)),
    ):
        expected = reference.candidates(embeddings.tolist(), labels.tolist(), is_candidate, margin, both_anchors)
        triplets = reference.tuples(selector.get_triplets(embeddings, labels))
        assert sorted(triplet[:2] for triplet in triplets) == sorted(expected)
        assert all(negative in expected[anchor, positive] for anchor, positive, negative in triplets)


@pytest.mark.parametrize("both_anchors", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_uniform_triplets_have_one_negative_for_each_positive_pair(seed: int, both_anchors: bool) -> None:
    embeddings, labels = reference.batch(seed)
    expected = reference.candidates(embeddings.tolist(), labels.tolist(), lambda cost: True, 1.0, both_anchors)
    triplets = reference.tuples(
        UniformNegativeTripletSelector(both_anchors=both_anchors).get_triplets(embeddings, labels)
    )
    assert sorted(triplet[:2] for triplet in triplets) == sorted(expected)
    assert all(negative in expected[anchor, positive] for anchor, positive, negative in triplets)


def test_uniform_negatives_do_not_depend_on_distances() -> None:
    embeddings, labels = torch.tensor([[0.0], [0.1], [0.2], [5.0], [1e6], [-7.0]]), torch.tensor([0, 0, 1, 1, 2, 3])
    selector = UniformNegativeTripletSelector(both_anchors=False)
    drawn = [selector.get_triplets(embeddings, labels)[0].tolist() for _ in range(1200)]
    reference.assert_uniform((negative for _, _, negative in drawn), {2, 3, 4, 5})
    same, other = (UniformNegativeTripletSelector(generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(same.get_triplets(embeddings, labels), other.get_triplets(-embeddings, labels))


@pytest.mark.parametrize("selector", [*MARGIN_SELECTORS, HardestSemihardTripletSelector, AllSemihardTripletSelector])
def test_a_triplet_with_a_loss_of_exactly_zero_is_not_selected(selector: Callable[..., TripletSelector]) -> None:
    embeddings, labels = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 0, 1])
    triplets = selector(3.0, both_anchors=False).get_triplets(embeddings, labels)  # 1 − 4 + 3 = 0
    assert triplets.shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(20))
def test_points_on_a_grid_with_many_losses_of_exactly_zero_equal_brute_force(seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randint(-3, 4, (12, 2), generator=generator).to(dtype)
    labels = torch.randint(0, 3, (12,), generator=generator)
    triplets = HardestNegativeTripletSelector(1.0).get_triplets(embeddings, labels)
    assert set(reference.tuples(triplets)) == reference.hardest_triplets(embeddings.tolist(), labels.tolist(), 1.0)


def test_semihard_leaves_out_a_negative_exactly_as_far_as_the_positive() -> None:
    embeddings, labels = torch.tensor([[0.0], [1.0], [-1.0]]), torch.tensor([0, 0, 1])
    assert SemihardNegativeTripletSelector(1.0, both_anchors=False).get_triplets(embeddings, labels).shape == (0, 3)


@pytest.mark.parametrize(("both_anchors", "expected"), [(True, 345_600), (False, 172_800)])
def test_a_batch_of_10_classes_by_16_images_has_the_expected_counts(both_anchors: bool, expected: int) -> None:
    embeddings, labels = torch.zeros(160, 2), torch.arange(10).repeat(16)
    assert AllTripletSelector(both_anchors).get_triplets(embeddings, labels).shape == (expected, 3)
    positive, negative = AllPositivePairSelector(balance=False).get_pairs(embeddings, labels)
    assert len(positive) + len(negative) == 12_720
    per_pair = 1_200 * (1 + both_anchors)  # every negative of coinciding points violates the margin
    assert (
        len(HardestNegativeTripletSelector(1.0, both_anchors=both_anchors).get_triplets(embeddings, labels)) == per_pair
    )


@pytest.mark.parametrize("selector", [AllTripletSelector(), *(make(1.0) for make in MARGIN_SELECTORS)])
def test_both_images_of_a_positive_pair_are_anchors_by_default(selector: TripletSelector) -> None:
    embeddings = torch.tensor([[0.0], [2.0], [2.25], [0.25]])  # loss > 0 with either image as the anchor
    if isinstance(selector, SemihardNegativeTripletSelector):
        embeddings = torch.tensor([[0.0], [0.5], [1.25], [-0.75]])
    triplets = selector.get_triplets(embeddings, torch.tensor([0, 0, 1, 2]))
    assert {(0, 1), (1, 0)} == {tuple(triplet[:2]) for triplet in triplets.tolist()}


# all selectors


@pytest.mark.parametrize("selector", every_selector())
@pytest.mark.parametrize(
    ("labels", "n_positive", "n_negative"),
    [([], 0, 0), ([3], 0, 0), ([1, 1, 1], 3, 0), ([0, 1, 2, 3], 0, 6)],
    ids=["no image", "one image", "one class", "singletons only"],
)
def test_a_batch_with_no_valid_triplet_gives_an_empty_selection(
    selector: PairSelector | TripletSelector, labels: list[int], n_positive: int, n_negative: int
) -> None:
    selection = select(selector, torch.randn(len(labels), 2), torch.tensor(labels, dtype=torch.int64))
    assert all(indices.dtype == torch.int64 for indices in selection)
    if isinstance(selector, TripletSelector):
        assert selection[0].shape == (0, 3)
    else:
        balanced = not isinstance(selector, AllPositivePairSelector) or selector.balance
        assert selection[0].shape == (n_positive, 2)
        assert selection[1].shape == (min(n_positive, n_negative) if balanced else n_negative, 2)


def test_an_argmax_as_negative_function_works_for_an_empty_batch() -> None:
    selector = FunctionNegativeTripletSelector(1.0, lambda losses: losses.argmax(dim=1))
    assert selector.get_triplets(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)).shape == (0, 3)


@pytest.mark.parametrize("selector", every_selector())
def test_a_singleton_class_serves_as_a_negative_only(selector: PairSelector | TripletSelector) -> None:
    embeddings, labels = torch.tensor([[0.0], [0.5], [0.75], [1.5]]), torch.tensor([0, 0, 1, 0])
    positives = select(selector, embeddings, labels)[0]
    if isinstance(selector, TripletSelector):
        assert set(positives[:, 2].tolist()) == {2}
    assert 2 not in positives[:, :2]


@pytest.mark.parametrize("base", [PairSelector(), TripletSelector()])
def test_a_selector_without_select_raises(base: PairSelector | TripletSelector) -> None:
    with pytest.raises(NotImplementedError, match="must define select"):
        select(base, torch.zeros(2, 2), torch.tensor([0, 1]))


@pytest.mark.parametrize("base", [PairSelector, TripletSelector])
def test_a_custom_selector_runs_without_gradients(base: type) -> None:
    def select_nothing(self: object, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> object:
        assert not distances.requires_grad
        assert not torch.is_grad_enabled()
        none = is_positive.nonzero()[:0]
        return (none, none) if base is PairSelector else torch.cat([none, none[:, :1]], dim=1)

    own = type("Own", (base,), {"select": select_nothing})()
    select(own, torch.zeros(3, 2, requires_grad=True), torch.tensor([0, 0, 1]))


# the extension point


@pytest.mark.parametrize("both_anchors", [True, False])
@pytest.mark.parametrize("seed", SEEDS[:20])
def test_negative_function_gets_the_matrix_of_losses_once_per_batch(seed: int, both_anchors: bool) -> None:
    embeddings, labels = reference.batch(seed)
    seen = []

    def none_at_all(losses: Tensor) -> Tensor:
        seen.append(losses)
        return torch.full((len(losses),), -1)

    triplets = FunctionNegativeTripletSelector(1.5, none_at_all, both_anchors=both_anchors).get_triplets(
        embeddings, labels
    )
    assert triplets.shape == (0, 3)
    if len(labels):
        assert len(seen) == 1
    rows, names = embeddings.tolist(), labels.tolist()
    pairs = reference.anchor_positive_pairs(names, both_anchors)
    expected = [
        [
            reference.triplet_cost(rows, (anchor, positive, image), 1.5) if name != names[anchor] else -math.inf
            for image, name in enumerate(names)
        ]
        for anchor, positive in pairs
    ]
    for losses in seen:
        assert losses.shape == (len(pairs), len(labels))
        torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64).reshape(losses.shape))


def test_negative_function_chooses_the_column_and_minus_one_leaves_the_pair_out() -> None:
    embeddings, labels = torch.zeros(4, 1), torch.tensor([0, 1, 0, 2])
    selector = FunctionNegativeTripletSelector(1.0, lambda losses: torch.tensor([3, -1]))
    assert selector.get_triplets(embeddings, labels).tolist() == [[0, 2, 3]]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (torch.tensor([1]), r"int64 of shape \(2,\).* got torch.int64 of shape \(1,\)"),
        (torch.tensor([[1], [1]]), r"int64 of shape \(2,\).* of shape \(2, 1\)"),
        (torch.tensor([1.0, 1.0]), r"int64 of shape \(2,\).* got torch.float32"),
        (torch.tensor([True, True]), r"int64 of shape \(2,\).* got torch.bool"),
        ([1, 1], "got list"),
        (None, "got NoneType"),
        (torch.tensor([1, 3]), "columns from 1 to 3; a column is 0 to 2, or −1"),
        (torch.tensor([1, -2]), "columns from -2 to 1"),
        (torch.tensor([1, 0]), "column 0 for pair 1, which is not a negative"),
        (torch.tensor([2, 1]), "column 2 for pair 0, which is not a negative"),
    ],
)
def test_a_bad_choice_of_the_negative_function_raises(returned: object, message: str) -> None:
    selector = FunctionNegativeTripletSelector(1.0, lambda losses: returned)
    with pytest.raises(ValueError, match=message):
        selector.get_triplets(torch.zeros(3, 1), torch.tensor([0, 1, 0]))


# calls and functions of the original tutorial, and indices that are elsewhere


@pytest.mark.parametrize(
    "make",
    [
        lambda: HardNegativePairSelector(False),
        lambda: HardNegativePairSelector(cpu=True),
        lambda: HardestNegativeTripletSelector(1.0, True),
        lambda: RandomNegativeTripletSelector(1.0, False),
        lambda: SemihardNegativeTripletSelector(1.0, cpu=False),
        lambda: FunctionNegativeTripletSelector(1.0, greatest_loss, False),
    ],
)
def test_the_originals_argument_cpu_is_an_error_that_says_so(make: Callable) -> None:
    with pytest.raises(TypeError, match="the original's `cpu` is gone"):
        make()


def hardest_of_one(losses: np.ndarray) -> int | None:
    hardest = np.argmax(losses)
    return hardest if losses[hardest] > 0 else None


def some_of_one(losses: np.ndarray) -> int | None:
    violating = np.where(losses > 0)[0]
    return violating[0] if len(violating) else None


@pytest.mark.parametrize("function", [hardest_of_one, some_of_one, lambda losses: torch.tensor(0)])
def test_a_function_of_one_vector_is_told_of_the_matrix_and_of_a_way_to_use_it(function: Callable) -> None:
    embeddings, labels = reference.batch(1)
    with pytest.raises(ValueError, match="not once per pair with a vector as in the original"):
        FunctionNegativeTripletSelector(1.0, function).get_triplets(embeddings, labels)


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), IndexError("a mistake")])
def test_an_error_of_a_function_stays_what_it_is(error: Exception) -> None:
    def raising(losses: Tensor) -> Tensor:
        raise error

    embeddings, labels = reference.batch(1)
    with pytest.raises(type(error), match=r"^a mistake$"):
        FunctionNegativeTripletSelector(1.0, raising).get_triplets(embeddings, labels)


def test_the_way_that_the_error_names_gives_the_originals_triplets() -> None:
    embeddings, labels = reference.batch(1)
    f = hardest_of_one
    way = re.search(r"works as (lambda .*)$", ALL_PAIRS).group(1)
    by_row = FunctionNegativeTripletSelector(1.5, eval(way, {"f": f, "torch": torch}))
    triplets = by_row.get_triplets(embeddings, labels)
    assert len(triplets)
    assert torch.equal(triplets, HardestNegativeTripletSelector(1.5).get_triplets(embeddings, labels))


class CpuPairs(PairSelector):
    def get_pairs(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tensor([[0, 1]]), torch.tensor([[0, 2]])


class CpuTriplets(TripletSelector):
    def get_triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return torch.tensor([[0, 1, 2]])


class CpuSelect(TripletSelector):
    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> Tensor:
        return torch.tensor([[0, 1, 2]])


class CpuSelectPairs(PairSelector):
    def select(self, distances: Tensor, is_positive: Tensor, is_negative: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tensor([[0, 1]]), torch.tensor([[0, 2]])


@pytest.mark.parametrize("selector", [CpuPairs(), CpuTriplets(), CpuSelect(), CpuSelectPairs()])
def test_indices_are_moved_to_the_device_of_the_embeddings(selector: PairSelector | TripletSelector) -> None:
    elsewhere = [torch.zeros(3, 2), torch.zeros(3).long(), torch.zeros(3, 3)]
    arguments = [tensor.to("meta") for tensor in elsewhere]
    if isinstance(selector, PairSelector):
        found = pairs_of(selector, *arguments)
    else:
        found = (triplets_of(selector, *arguments),)
    assert {indices.device.type for indices in found} == {"meta"}
    if isinstance(selector, (CpuPairs, CpuTriplets)):
        assert {indices.device.type for indices in SelectorMiner(selector)(*arguments[:2])} == {"meta"}
