"""Features of a frozen network, computed once for every image and kept on disk."""

import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from siamese_triplet._devices import device_of, embedding_function, evaluating
from siamese_triplet._progress import bar
from siamese_triplet.datasets import FolderImages, Images
from siamese_triplet.datasets.images import check_in_memory
from siamese_triplet.evaluation._feature_files import FeatureFiles
from siamese_triplet.evaluation._reading import FileReader, PixelReader, Reader, TransformReader, network_key
from siamese_triplet.networks import Preprocessing

CHUNK = 512  # images that are read, embedded and written together
BATCH = 32  # images in the network at a time


def frozen_features(
    net: nn.Module,
    images: Images | FolderImages,
    cache: str | os.PathLike | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    verbose: bool = True,
) -> Images:
    """Compute the features of all `images` by `net`, once: vectors (N, D), to train and to evaluate a head on.

    Returns `Images` whose `data` are the features, float32, with the targets, classes, groups and sources of `images`.
    The features are `net.get_embedding(images)`, or `net(images)`, in evaluation mode, on the device of `net`.

    Images are read as `preprocessing` says, by default that of a `PretrainedNet`: scaled from their pixels to its size,
    and normalised. For other networks each image is read through the `transform` of `images`. Image files are read as
    they are needed; a bar shows the progress, unless `verbose` is False. Broken files raise a ValueError, or are left
    out with `skip_broken`, as in `FolderImages.in_memory`.

    `cache` is a folder for the features, `~` the home folder. A feature is found there again by the bytes of its image
    (or the transformed image), the preprocessing, and the layers and weights of `net`, whatever else has changed, so an
    image file may be moved, changed or added. An interrupted call goes on where it was. A damaged file of the cache is
    computed anew, with a warning. Delete the folder whenever you like.

    No images give `data` of shape (0, 0).

    >>> from siamese_triplet import load
    >>> from siamese_triplet.evaluation import frozen_features
    >>> from siamese_triplet.networks import load_pretrained
    >>> net = load_pretrained("efficientnet-lite0", image_size=32)
    >>> images = load("emoji", train=False).of_classes(["ant", "cat", "tiger"])
    >>> features = frozen_features(net, images, cache="features")
    >>> features.data.shape, features.classes
    (torch.Size([21, 1280]), ['ant', 'cat', 'tiger'])
    """
    if preprocessing is None:
        of_net = getattr(net, "preprocessing", None)
        preprocessing = of_net if isinstance(of_net, Preprocessing) else None
    reader = _reader(images, preprocessing)
    files = None if cache is None else FeatureFiles(cache, network_key(net, preprocessing))
    found: dict[int, Tensor] = {}  # by number of the image
    with bar(len(images), "images", verbose) as progress, evaluating(net):
        for first in range(0, len(images), CHUNK):
            numbers = range(first, min(first + CHUNK, len(images)))
            found |= _compute(net, reader, numbers) if files is None else _look_up(net, reader, numbers, files)
            progress.update(len(numbers))
    return _as_images(found, images, reader)


def _reader(images: Images | FolderImages, preprocessing: Preprocessing | None) -> Reader:
    if isinstance(images, FolderImages):
        return TransformReader(images) if preprocessing is None else FileReader(images, preprocessing)
    check_in_memory(images, "frozen_features takes Images or FolderImages", ("data", "targets", "transform"))
    return TransformReader(images) if preprocessing is None else PixelReader(images, preprocessing)


def _look_up(net: nn.Module, reader: Reader, numbers: Sequence[int], files: FeatureFiles) -> dict[int, Tensor]:
    """Find the features of the images of `numbers` in `files`; compute those that are missing, and add them."""
    key_of = reader.keys(numbers)
    missing = {key: number for number, key in key_of.items() if key not in files.known}  # equal images once
    unreadable = [number for number in numbers if number not in key_of]
    computed = _compute(net, reader, [*missing.values(), *unreadable])
    if computed:
        files.add({key_of[number]: feature for number, feature in computed.items()})
    return {number: files.known[key] for number, key in key_of.items() if key in files.known}


def _compute(net: nn.Module, reader: Reader, numbers: Sequence[int]) -> dict[int, Tensor]:
    """Compute the features (D,) of the images of `numbers`, on the CPU; those that cannot be read are left out."""
    embed, device = embedding_function(net), device_of(net)
    found: dict[int, Tensor] = {}
    for first in range(0, len(numbers), BATCH):
        inputs = reader.inputs(numbers[first : first + BATCH])
        if inputs:
            batch = torch.stack(list(inputs.values())).to(device)
            layout = torch.channels_last if batch.ndim == 4 else torch.contiguous_format  # faster on a CPU
            features = embed(batch.contiguous(memory_format=layout))
            found |= dict(zip(inputs, features.float().cpu(), strict=True))
    return found


def _as_images(found: dict[int, Tensor], images: Images | FolderImages, reader: Reader) -> Images:
    """Make `Images` of the features, by number of the image."""
    kept = sorted(found)
    reader.report()
    data = torch.stack([found[number] for number in kept]) if kept else torch.empty(0, 0)
    sources = {}
    for name in ("groups", "sources"):
        numbers = getattr(images, name, None)
        sources[name] = None if numbers is None else numbers[kept]
    return Images(
        data,
        images.targets[kept],
        images.classes,
        getattr(images, "train", True),
        None,
        sources["groups"],
        getattr(images, "group_names", ()),
        sources["sources"],
        getattr(images, "source_names", ()),
    )
