"""Embeddings of a whole data set."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from siamese_triplet._devices import device_of, evaluating
from siamese_triplet.datasets import Images
from siamese_triplet.distributed import Share
from siamese_triplet.loader import TensorLoader


def extract_embeddings(dataloader: Iterable, model: nn.Module) -> tuple[Tensor, Tensor]:
    """Embed all images of `dataloader`; return the embeddings (N, D) and the labels (N,), both on the CPU.

    `dataloader` yields batches of (images, labels). The embeddings are `model.get_embedding(images)`, or
    `model(images)` for a model without that method, in evaluation mode and without gradients. Afterwards the model is
    in its previous mode. Raises ValueError for a loader without batches.

    >>> import torch
    >>> from siamese_triplet import EmbeddingNet, extract_embeddings
    >>> loader = [(torch.rand(4, 1, 28, 28), torch.tensor([3, 1, 4, 1]))] * 2  # any iterable of batches
    >>> embeddings, labels = extract_embeddings(loader, EmbeddingNet())
    >>> embeddings.shape, labels.tolist()
    (torch.Size([8, 2]), [3, 1, 4, 1, 3, 1, 4, 1])
    """
    embed = getattr(model, "get_embedding", model)
    device = device_of(model)
    embeddings, labels = [], []
    with evaluating(model):
        for images, targets in dataloader:
            embeddings.append(embed(images.to(device)).cpu())
            labels.append(targets.cpu())
    if not embeddings:
        raise ValueError("extract_embeddings: the loader has no batches")
    return torch.cat(embeddings), torch.cat(labels)


def embed(model: nn.Module, images: Images) -> tuple[Tensor, Tensor]:
    """Embed all `images` in their order; return the embeddings (N, D) and the labels (N,), both on the CPU.

    Like `extract_embeddings` of a `TensorLoader`, in batches of 1,000 on the model's device; raises the same errors.

    >>> from siamese_triplet import EmbeddingNet, embed, load
    >>> embeddings, labels = embed(EmbeddingNet(), load("mnist", train=False, subset="embedded:10"))
    >>> embeddings.shape, labels.shape
    (torch.Size([100, 2]), torch.Size([100]))
    """
    return extract_embeddings(TensorLoader(images, 1000, share=Share(), device=device_of(model)), model)
