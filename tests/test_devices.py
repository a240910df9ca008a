import pytest
from torch import nn

from siamese_triplet.devices import device_of
from siamese_triplet.networks import EmbeddingNet


def test_device_of_a_model() -> None:
    assert device_of(EmbeddingNet()).type == "cpu"
    assert device_of(EmbeddingNet().to("meta")).type == "meta"
    assert device_of(nn.Flatten()).type == "cpu"
    with pytest.raises(ValueError, match=r"several devices \(cpu, meta\)"):
        device_of(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1, device="meta")))
