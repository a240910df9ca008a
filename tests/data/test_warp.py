"""Random warps of batches."""

import pytest
import torch
from toy_data import stripes

from siamese_triplet import Images, SiameseMNIST, TensorLoader
from siamese_triplet.datasets import RandomWarp, normalization

NOTHING = {"degrees": 0, "shift": 0, "scale": 0, "shear": 0, "elastic": 0}


def images(n: int = 6, channels: int = 1, height: int = 20, width: int = 20) -> torch.Tensor:
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(0))


def test_a_warp_of_nothing_returns_the_images() -> None:
    torch.testing.assert_close(RandomWarp(**NOTHING)(images()), images(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(1, 20, 20), (3, 20, 20), (1, 12, 30), (3, 31, 8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype_are_kept(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    given = images(4, *size).to(dtype)
    before = given.clone()
    warped = RandomWarp()(given)
    assert (warped.shape, warped.dtype) == (given.shape, dtype)
    assert torch.equal(given, before)
    assert warped.min() >= given.min() - 1e-6
    assert warped.max() <= given.max() + 1e-6
    torch.testing.assert_close(RandomWarp(**NOTHING)(given), given, atol=1e-4, rtol=0)


def test_the_channels_of_an_image_are_warped_alike() -> None:
    warped = RandomWarp()(images(3).expand(3, 3, 20, 20))
    assert torch.equal(warped[:, 0], warped[:, 1])
    assert torch.equal(warped[:, 0], warped[:, 2])


@pytest.mark.parametrize(
    "setting", [{"degrees": 20}, {"shift": 0.2}, {"scale": 0.3}, {"shear": 0.3}, {"elastic": 0.05}]
)
def test_each_kind_of_warp_changes_each_image_in_its_own_way(setting: dict) -> None:
    one = images(1).expand(6, 1, 20, 20)
    warped = RandomWarp(**(NOTHING | setting))(one)
    assert warped.shape == one.shape
    for number in range(6):
        assert not torch.allclose(warped[number], one[0], atol=1e-3)
        assert not torch.allclose(warped[number], warped[number - 1], atol=1e-3)


def test_the_same_seed_warps_alike_and_batches_differ(global_random_state_untouched: None) -> None:
    one, other = RandomWarp(seed=1), RandomWarp(seed=1)
    first = one(images())
    assert torch.equal(first, other(images()))
    assert not torch.equal(first, one(images()))


def test_a_shift_moves_a_point_by_no_more_than_its_share_of_the_side() -> None:
    point = torch.zeros(200, 1, 41, 41)
    point[:, :, 20, 20] = 1
    warped = RandomWarp(**(NOTHING | {"shift": 0.1}))(point)
    rows, columns = torch.meshgrid(torch.arange(41.0), torch.arange(41.0), indexing="ij")
    total = warped.sum(dim=(1, 2, 3))
    offsets = torch.stack([(warped[:, 0] * axis).sum(dim=(1, 2)) / total - 20 for axis in (rows, columns)])
    assert 3.5 < offsets.abs().max() <= 4.1 + 1e-3
    assert offsets.mean().abs() < 0.5


def moments(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the centre (n, 2) and covariance (n, 2, 2) of the brightness, in shares of the side."""
    side = torch.linspace(-0.5, 0.5, images.shape[-1])
    positions = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).reshape(-1, 2)
    weights = images.flatten(1) / images.flatten(1).sum(dim=1, keepdim=True)
    centre = weights @ positions
    offsets = positions - centre[:, None]
    return centre, torch.einsum("np,npi,npj->nij", weights, offsets, offsets)


def bar(n: int) -> torch.Tensor:
    """Draw a horizontal bar in the middle, much longer than high."""
    one = torch.zeros(n, 1, 81, 81)
    one[:, :, 39:42, 20:61] = 1
    return one


def test_angles_stay_within_the_degrees_in_both_directions() -> None:
    centre, covariance = moments(RandomWarp(**(NOTHING | {"degrees": 30}))(bar(300)))
    angles = torch.rad2deg(0.5 * torch.atan2(2 * covariance[:, 0, 1], covariance[:, 0, 0] - covariance[:, 1, 1]))
    assert (angles.min(), angles.max()) == (pytest.approx(-30, abs=2), pytest.approx(30, abs=2))
    assert angles.mean().abs() < 4
    assert centre.abs().max() < 0.01


def test_each_side_is_scaled_between_the_reciprocal_and_the_factor() -> None:
    square = torch.zeros(300, 1, 81, 81)
    square[:, :, 25:56, 25:56] = 1
    before, after = moments(square)[1], moments(RandomWarp(**(NOTHING | {"scale": 0.5}))(square))[1]
    ratios = (after / before).diagonal(dim1=1, dim2=2).sqrt()
    for side in ratios.T:
        assert (side.min(), side.max()) == (pytest.approx(1 / 1.5, abs=0.03), pytest.approx(1.5, abs=0.03))
    assert torch.corrcoef(ratios.log().T)[0, 1].abs() < 0.2


def test_an_elastic_warp_displaces_by_its_share_of_the_side() -> None:
    ramp = torch.linspace(-0.5, 0.5, 101).expand(200, 1, 101, 101)  # the brightness is the position
    moved = (RandomWarp(**(NOTHING | {"elastic": 0.03}))(ramp) - ramp)[:, 0, 50, 50]
    assert moved.std() == pytest.approx(0.03, rel=0.3)


def test_oblong_colour_images_and_constant_images_are_warped() -> None:
    assert RandomWarp()(images(2, 3, 12, 30)).shape == (2, 3, 12, 30)
    torch.testing.assert_close(RandomWarp()(torch.full((3, 1, 9, 9), 0.4)), torch.full((3, 1, 9, 9), 0.4))


def test_a_loader_warps_its_batches() -> None:
    data = (255 * images(8)[:, 0]).byte()
    dataset = Images(data, torch.arange(8) % 2, "ab", transform=normalization(0.5, 0.5))
    plain, warped = (TensorLoader(dataset, 4, device="cpu", augment=augment) for augment in (None, RandomWarp()))
    [(before, labels), _], [(after, same_labels), _] = list(plain), list(warped)
    assert torch.equal(labels, same_labels)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, RandomWarp()(before))


def test_a_loader_warps_the_two_images_of_a_pair_differently() -> None:
    dataset = SiameseMNIST(stripes(False))
    loaders = [TensorLoader(dataset, 5, device="cpu", augment=augment) for augment in (None, RandomWarp())]
    plain, warped = (next(iter(loader)) for loader in loaders)
    warp = RandomWarp()
    for before, after in zip(plain[0], warped[0], strict=True):
        assert torch.equal(after, warp(before))
    assert torch.equal(plain[1], warped[1])


def test_a_loader_warps_differently_in_each_epoch_and_keeps_its_images() -> None:
    loader = TensorLoader(stripes(), 60, device="cpu", augment=RandomWarp())
    before = loader.images.clone()
    first, second = (next(iter(loader))[0] for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(loader.images, before)


WRONG = [{"degrees": -1}, {"shift": -0.1}, {"scale": -0.1}, {"shear": -1}, {"elastic": -1}, {"cells": 1}]


@pytest.mark.parametrize("setting", WRONG)
def test_bad_settings_raise(setting: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(setting))}="):
        RandomWarp(**setting)


@pytest.mark.parametrize("given", [torch.zeros(2, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)])
def test_anything_but_a_batch_of_float_images_raises(given: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="RandomWarp warps floating-point images"):
        RandomWarp()(given)


def test_all_half_or_none_of_the_images_are_mirrored() -> None:
    given = images(400)
    for share in (0.0, 0.5, 1.0):
        warped = RandomWarp(**NOTHING, mirrored=share)(given)
        is_mirrored = [torch.allclose(one, other.flip(2), atol=1e-4) for one, other in zip(warped, given, strict=True)]
        is_same = [torch.allclose(one, other, atol=1e-4) for one, other in zip(warped, given, strict=True)]
        assert all(one != other for one, other in zip(is_mirrored, is_same, strict=True))
        assert sum(is_mirrored) / 400 == pytest.approx(share, abs=0.08)


def test_without_mirrors_the_warps_of_a_seed_are_those_of_before() -> None:
    """Stored results depend on the order of the draws: rotation, stretch, shear, shift."""
    generator = torch.Generator().manual_seed(3)
    torch.rand(4, generator=generator), torch.rand(4, 2, generator=generator), torch.rand(4, generator=generator)
    shift = 0.1 * (2 * torch.rand(4, 2, 1, generator=generator) - 1)
    torch.testing.assert_close(RandomWarp(seed=3)._affine_maps(4)[:, :, 2:], 2 * shift)


@pytest.mark.parametrize("mirrored", [-0.1, 1.1])
def test_a_share_of_mirrored_images_beyond_0_to_1_raises(mirrored: float) -> None:
    with pytest.raises(ValueError, match=r"mirrored=.* a share from 0 to 1"):
        RandomWarp(mirrored=mirrored)
