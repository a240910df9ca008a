"""Embeddings of a whole data set."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet._devices import device_of, embedding_function, evaluating
from siamese_triplet.datasets import Images
from siamese_triplet.datasets.images import check_in_memory
from siamese_triplet.distributed import Share
from siamese_triplet.loader import TensorLoader


def extract_embeddings(dataloader: Iterable, model: nn.Module) -> tuple[Tensor, Tensor]:
    """Embed all images of `dataloader`; return the embeddings (N, D) and the labels (N,), both on the CPU.

    `dataloader` yields batches of (images, labels), two tensors. The embeddings are `model.get_embedding(images)`, or
    `model(images)` for a model without that method, in evaluation mode and without gradients. The method is also
    found within `DataParallel`, `torch.compile` and `nn.Sequential`. Afterwards the model is in its previous mode.
    Raises ValueError for a loader without batches, for batches of another form, and for a model that returns anything
    but one row per image.

    >>> import torch
    >>> from siamese_triplet import EmbeddingNet, extract_embeddings
    >>> loader = [(torch.rand(4, 1, 28, 28), torch.tensor([3, 1, 4, 1]))] * 2  # any iterable of batches
    >>> embeddings, labels = extract_embeddings(loader, EmbeddingNet())
    >>> embeddings.shape, labels.tolist()
    (torch.Size([8, 2]), [3, 1, 4, 1, 3, 1, 4, 1])
    """
    embed = embedding_function(model)
    device = device_of(model)
    embeddings, labels = [], []
    with evaluating(model):
        for batch in dataloader:
            images, targets = _unpack(batch)
            embeddings.append(_check_rows(embed(images.to(device)), len(images)).cpu())
            labels.append(targets.cpu())
    if not embeddings:
        raise ValueError("extract_embeddings: the loader has no batches")
    return torch.cat(embeddings), torch.cat(labels)


def embed(model: nn.Module, images: Images) -> tuple[Tensor, Tensor]:
    """Embed all `images` in their order; return the embeddings (N, D) and the labels (N,), both on the CPU.

    Like `extract_embeddings` of a `TensorLoader`, in batches of 1,000 on the model's device; raises the same errors,
    and ValueError for images that are read from disk one by one, or a `Subset`.

    >>> from siamese_triplet import EmbeddingNet, embed, load
    >>> embeddings, labels = embed(EmbeddingNet(), load("mnist", train=False, subset="embedded:10"))
    >>> embeddings.shape, labels.shape
    (torch.Size([100, 2]), torch.Size([100]))
    """
    message = "embed needs images in memory; extract_embeddings takes a DataLoader of any data set"
    check_in_memory(images, message, ("data", "targets", "transform"))
    return extract_embeddings(TensorLoader(images, 1000, share=Share(), device=device_of(model)), model)


def _unpack(batch: Any) -> tuple[Tensor, Tensor]:
    """Return the images and the labels of a batch, if it has these two."""
    given = _described(batch)
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        images, labels = batch
        if all(isinstance(part, Tensor) and part.ndim for part in batch) and len(images) == len(labels):
            return images, labels
        given = f"({_described(images)}, {_described(labels)})"
    raise ValueError(
        "extract_embeddings: a batch must be (images, labels), two tensors with one row per image, got "
        f"{given}; of images without labels yield (images, torch.full((len(images),), -1))"
    )


def _check_rows(output: Any, n_images: int) -> Tensor:
    """Return the output of a model, if it is a tensor with one row per image."""
    if isinstance(output, Tensor) and output.ndim and len(output) == n_images:
        return output
    raise ValueError(
        f"extract_embeddings: the model must return one embedding per image, a tensor of shape ({n_images}, D), got "
        f"{_described(output)}; give it a method get_embedding that does"
    )


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, (tuple, list, dict)) else "")
