"""Tests for faults that were planted in the data sets and that no other test had found."""

import pytest
import torch
from omniglot_archives import minimal  # noqa: F401 - a fixture
from torch.nn import functional as F
from torch.utils.data import DataLoader
from toy_data import part

from siamese_triplet import SiameseMNIST, TripletMNIST, load


def test_the_ink_of_shrunk_drawings_is_rounded(minimal) -> None:  # noqa: F811
    whole, small = (load("omniglot", True, minimal, subset="minimal", image_size=size).data for size in (105, 28))
    exact = F.interpolate(whole[:, None].float(), (28, 28), mode="bilinear", antialias=True)[:, 0]
    assert (exact - exact.floor() > 0.5).any()  # or cutting the fraction off would be the same
    assert (small - exact).abs().max() <= 0.5 + 1e-4


@pytest.mark.parametrize("make", [SiameseMNIST, TripletMNIST])
def test_worker_processes_draw_by_the_seed_of_the_data_set(make: type) -> None:
    def drawn(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)  # the workers' seed
        loader = DataLoader(make(part(True, 8), seed=seed), 80, num_workers=1, generator=generator)
        [(images, _)] = list(loader)
        return torch.cat(images)

    first = drawn(0)
    assert torch.equal(drawn(0), first)
    assert not torch.equal(drawn(1), first)
