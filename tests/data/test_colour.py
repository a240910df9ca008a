"""Random colours of batches."""

import pytest
import torch

from siamese_triplet import TensorLoader, load
from siamese_triplet.datasets import RandomColour


def images(n: int = 6) -> torch.Tensor:
    return torch.rand(n, 3, 8, 10, generator=torch.Generator().manual_seed(0))


def test_a_strength_of_zero_returns_the_images() -> None:
    torch.testing.assert_close(RandomColour(0.0, fixed=(0.3, 0.1, 0.2))(images()), images())


def test_the_fixed_colour_stays_and_others_change_in_their_own_way() -> None:
    fixed = (0.5, -1.0, 2.0)
    given = torch.tensor(fixed).view(1, 3, 1, 1).expand(50, 3, 4, 4).clone()
    given[:, :, 0, 0] = 0.3
    coloured = RandomColour(0.2, fixed)(given)
    torch.testing.assert_close(coloured[:, :, 1:], given[:, :, 1:])
    assert len(coloured[:, :, 0, 0].unique(dim=0)) == 50


def test_pixels_of_one_colour_keep_one_colour() -> None:
    given = images()
    given[:, :, 2] = given[:, :, :1, 0]
    coloured = RandomColour(0.2)(given)
    torch.testing.assert_close(coloured[:, :, 2], coloured[:, :, :1, 0].expand(6, 3, 10))


def test_the_mixing_numbers_have_the_strength_for_standard_deviation() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(20_000, 3, 1, 1)
    mixed = RandomColour(0.25)(red)[:, :, 0, 0]  # the first column of each matrix
    torch.testing.assert_close(mixed.mean(dim=0), torch.tensor([1.0, 0.0, 0.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(mixed.std(dim=0), torch.full((3,), 0.25), atol=0.01, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shape_and_dtype_are_kept_and_the_input_too(dtype: torch.dtype) -> None:
    given = images().to(dtype)
    before = given.clone()
    coloured = RandomColour()(given)
    assert (coloured.shape, coloured.dtype) == (given.shape, dtype)
    assert torch.equal(given, before)


def test_the_same_seed_colours_alike_and_batches_differ(global_random_state_untouched: None) -> None:
    one, other = RandomColour(seed=1), RandomColour(seed=1)
    first = one(images())
    assert torch.equal(first, other(images()))
    assert not torch.equal(first, one(images()))


def test_an_empty_batch_stays_empty() -> None:
    assert RandomColour()(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)


def test_a_loader_colours_its_batches() -> None:
    emoji = load("emoji", train=False).subset(range(20))
    plain, coloured = (TensorLoader(emoji, 20, augment=augment) for augment in (None, RandomColour(0.3)))
    assert not torch.allclose(next(iter(plain))[0], next(iter(coloured))[0], atol=0.01)


@pytest.mark.parametrize(
    "given", [torch.zeros(2, 1, 8, 8), torch.zeros(3, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8)]
)
def test_images_of_another_kind_raise(given: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"takes floating-point images \(B, 3, H, W\).*leave it out for grey images"):
        RandomColour()(given)


@pytest.mark.parametrize("arguments", [(-0.1,), (0.1, (1.0, 1.0))])
def test_settings_that_make_no_sense_raise(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="must not be negative, and fixed="):
        RandomColour(*arguments)
