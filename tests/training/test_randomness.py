import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from siamese_triplet.datasets import Images, TripletMNIST, normalization
from siamese_triplet.loader import TensorLoader
from siamese_triplet.losses import OnlineTripletLoss
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.selectors import RandomNegativeTripletSelector
from siamese_triplet.trainer.randomness import random_states, restore_random_states

GENERATORS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch": (
        lambda: torch.Generator().manual_seed(1),
        lambda generator: torch.rand(3, generator=generator).tolist(),
    ),
    "python": (lambda: random.Random(1), lambda generator: [generator.random(), generator.gauss(0, 1)]),
    "numpy": (lambda: np.random.default_rng(1), lambda generator: generator.integers(0, 99, 3, dtype="int32").tolist()),
    "numpy, legacy": (lambda: np.random.RandomState(1), lambda generator: generator.normal(size=3).tolist()),
    "numpy, Mersenne": (
        lambda: np.random.Generator(np.random.MT19937(1)),
        lambda generator: generator.normal(size=3).tolist(),
    ),
    "numpy, Philox": (
        lambda: np.random.Generator(np.random.Philox(1)),
        lambda generator: generator.normal(size=3).tolist(),
    ),
}


class Holder:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def in_a_cycle(generator: Any) -> Any:
    one, other = Holder(), Holder(generator=generator)
    one.other, other.one = other, one
    return one


PLACES: dict[str, Callable[[Any], Any]] = {
    "itself": lambda generator: generator,
    "attribute": lambda generator: Holder(generator=generator),
    "list": lambda generator: [1, generator],
    "tuple": lambda generator: ("a", generator),
    "dictionary": lambda generator: {"x": None, 3: generator},
    "nested": lambda generator: Holder(a=[{"b": (Holder(c=generator),)}]),
    "cycle": in_a_cycle,
    "module": lambda generator: OnlineTripletLoss(1.0, RandomNegativeTripletSelector(1.0, generator=generator)),
    "loader": lambda generator: DataLoader(TensorDataset(torch.zeros(2)), shuffle=True, generator=generator),
}


def through_a_file(states: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(states, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.usefixtures("global_random_state_untouched")
def test_a_generator_of_any_kind_continues_its_sequence(kind: str) -> None:
    make, draw = GENERATORS[kind]
    generator = make()
    draw(generator)
    states = through_a_file(random_states(loader=generator))
    expected = draw(generator), draw(generator)
    fresh = make()
    restore_random_states(states, loader=fresh)
    assert (draw(fresh), draw(fresh)) == expected
    assert expected[0] != expected[1]


@pytest.mark.parametrize("place", PLACES)
def test_generators_are_found_anywhere(place: str) -> None:
    put = PLACES[place]
    generator = torch.Generator().manual_seed(5)
    states = random_states(source=put(generator))
    assert len(states["generators"]) == 1
    other = torch.Generator().manual_seed(6)
    restore_random_states(through_a_file(states), source=put(other))
    assert torch.equal(other.get_state(), generator.get_state())


def test_one_generator_in_two_places_is_saved_once() -> None:
    generator = torch.Generator()
    assert len(random_states(a=generator, b=[generator, Holder(c=generator)])["generators"]) == 1


def test_the_generators_of_the_books_loaders_are_found() -> None:
    images = Images(torch.zeros(8, 2, 2, dtype=torch.uint8), torch.arange(8) % 2, ["a", "b"], True, normalization(0, 1))
    sampler = BalancedBatchSampler(images.targets, 2, 2)
    assert set(random_states(train=TensorLoader(TripletMNIST(images), 4, shuffle=True))["generators"]) == {
        "train.generator",
        "train.dataset.source._generator",
    }
    for loader in (TensorLoader(images, batch_sampler=sampler), DataLoader(images, batch_sampler=sampler)):
        assert "train.batch_sampler.generator" in random_states(train=loader)["generators"]
    loader = DataLoader(images, sampler=RandomSampler(images, generator=torch.Generator()))
    assert list(random_states(train=loader)["generators"]) == ["train.sampler.generator"]


def test_long_lists_of_data_are_not_searched() -> None:
    assert not random_states(data=[torch.Generator()] * 2000)["generators"]


def test_the_state_of_the_process_is_restored() -> None:
    def draw() -> tuple[float, ...]:
        return torch.rand(1).item(), random.random(), float(np.random.rand())  # noqa: NPY002

    states = through_a_file(random_states())
    expected = draw()
    assert draw() != expected
    restore_random_states(states)
    assert draw() == expected


@pytest.mark.usefixtures("global_random_state_untouched")
def test_reading_the_state_draws_nothing() -> None:
    generator = torch.Generator()
    before = generator.get_state()
    random_states(a=generator)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.usefixtures("global_random_state_untouched")
def test_generators_other_than_the_saved_ones_are_an_error_and_nothing_changes() -> None:
    states = random_states(train=Holder(generator=torch.Generator().manual_seed(1)))
    other = torch.Generator().manual_seed(2)
    before = other.get_state()
    for sources in ({"train": None}, {"train": other}, {"train": Holder(generator=other, more=random.Random(0))}):
        with pytest.raises(ValueError, match=r"of train\.generator were saved, but this run has those of"):
            restore_random_states(states, **sources)
    assert torch.equal(other.get_state(), before)
    with pytest.raises(ValueError, match="of nothing were saved, but this run has those of train"):
        restore_random_states(random_states(), train=other)
