"""One batch, and the pairs or triplets that a selector takes from it, with their losses."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from siamese_triplet._validation import check_batch, check_margin, integer_vector
from siamese_triplet.datasets import Images, load
from siamese_triplet.datasets.images import unit_range
from siamese_triplet.distances import pair_masks, pairwise_distances, root
from siamese_triplet.distributed import Share
from siamese_triplet.evaluation import embed
from siamese_triplet.live import EmbeddingRecorder, LiveFigure, selector_bench
from siamese_triplet.loader import TensorLoader
from siamese_triplet.methods import METHODS, fit_method
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.selectors import AllTripletSelector
from siamese_triplet.selectors.by_name import BATCH_ALL, PAIR_SELECTORS, SELECTORS, TRIPLET_SELECTORS

TRIPLETS, PAIRS = "triplets", "pairs"


@dataclass(frozen=True)
class Batch:
    """Embeddings (B, D) and labels (B,) of a batch; its images (B, C, H, W) and class names, if known."""

    embeddings: Tensor
    labels: Tensor
    images: Tensor | None = None
    classes: Sequence[str] | None = None

    def class_of(self, index: int) -> str:
        label = int(self.labels[index])
        return str(label) if self.classes is None else self.classes[label]


@dataclass(frozen=True)
class Selection:
    """Triplets (T, 3) or pairs (T, 2), as indices into a batch, and their losses (T,), the greatest first."""

    kind: str
    indices: Tensor
    losses: Tensor
    n_possible: int  # number in the batch

    def __len__(self) -> int:
        return len(self.indices)

    def __str__(self) -> str:
        counted = f"{len(self):,} of the {self.n_possible:,} {self.kind} of the batch are selected"
        return f"{counted}; their mean loss is {float(self.losses.mean()):.4g}" if len(self) else counted


def select(batch: Batch, kind: str, selector: str, margin: float, seed: int = 0) -> Selection:
    """Select from a batch. `kind` is "triplets" or "pairs", `selector` one of the names of that kind in `SELECTORS`.

    "batch-all" selects the triplets with a loss. Random choices are drawn from `seed`. Raises ValueError for another
    kind, selector or margin.
    """
    if selector not in SELECTORS.get(kind, ()):
        known = "; ".join(f"for {other}: {', '.join(map(repr, names))}" for other, names in SELECTORS.items())
        raise ValueError(f"unknown selector {selector!r} for {kind!r}; there are, {known}")
    margin, generator = check_margin(margin), torch.Generator().manual_seed(seed)
    squared = pairwise_distances(batch.embeddings)  # (B, B)
    is_positive, is_negative = pair_masks(batch.labels)
    if kind == PAIRS:
        positive, negative = PAIR_SELECTORS[selector](generator).get_pairs(batch.embeddings, batch.labels)
        pulled = 0.5 * squared[positive[:, 0], positive[:, 1]]
        pushed = 0.5 * (margin - root(squared[negative[:, 0], negative[:, 1]])).clamp(min=0).square()
        n_pairs = len(squared) * (len(squared) - 1) // 2
        return _sorted(kind, torch.cat([positive, negative]), torch.cat([pulled, pushed]), n_pairs)
    maker = TRIPLET_SELECTORS.get(selector, lambda margin, generator: AllTripletSelector())
    triplets = maker(margin, generator).get_triplets(batch.embeddings, batch.labels)  # (T, 3)
    anchor, positive, negative = triplets.T
    losses = (squared[anchor, positive] + margin - squared[anchor, negative]).clamp(min=0)
    if selector == BATCH_ALL:
        triplets, losses = triplets[losses > 0], losses[losses > 0]
    n_triplets = int((is_positive.sum(dim=1) * is_negative.sum(dim=1)).sum())
    return _sorted(kind, triplets, losses, n_triplets)


def batch_of(
    embeddings: Tensor | None = None,
    labels: Tensor | None = None,
    images: Images | None = None,
    model: nn.Module | None = None,
    n_classes: int = 10,
    n_samples: int = 16,
    seed: int = 0,
) -> Batch:
    """Draw a balanced batch of `n_classes` × `n_samples` images, or of fewer if there are no more.

    With `embeddings` (N, D) and `labels` (N,), the batch is drawn from those; `images`, if given, are the same N.
    Without, `model` embeds a batch of `images`, by default of the embedded MNIST's test images. Without a model, one is
    trained for an epoch on the embedded MNIST, which takes seconds. Raises ValueError for embeddings without labels,
    and for sizes that do not fit together.
    """
    if embeddings is None:
        images = load("mnist", train=False, subset="embedded") if images is None else images
        chosen = _balanced(torch.as_tensor(images.targets), n_classes, n_samples, seed)
        part = images.subset(chosen)
        return _with_images(*embed(briefly_trained(seed) if model is None else model, part), part)
    if labels is None or (images is not None and len(images) != len(embeddings)):
        given = "no labels" if labels is None else f"{len(images or ())} images"
        raise ValueError(
            f"pick_triplets: got {given} for {len(embeddings)} embeddings; each needs one label, and one image if any"
        )
    embeddings, labels = (
        torch.as_tensor(embeddings).detach().cpu(),
        integer_vector("pick_triplets: labels", labels).cpu(),
    )
    check_batch(embeddings, labels)
    chosen = _balanced(labels, n_classes, n_samples, seed)
    batch = Batch(embeddings[chosen], labels[chosen])
    return batch if images is None else _with_images(batch.embeddings, batch.labels, images.subset(chosen))


def bench_of(batch: Batch, kind: str, selector: str, margin: float) -> LiveFigure:
    """Show a batch as a live figure, which needs no kernel, with a single epoch."""
    n_images, classes = len(batch.labels), batch.classes
    pixels = torch.zeros(n_images, 1, 1, 1) if batch.images is None else batch.images  # (B, C, H, W)
    greys = (unit_range(pixels) * 255).round().to(torch.uint8)
    data = greys.squeeze(1) if greys.shape[1] == 1 else greys.permute(0, 2, 3, 1)
    names = [str(label) for label in range(int(batch.labels.max()) + 1)] if classes is None else classes
    recorder = EmbeddingRecorder(Images(data, batch.labels, names), n_images)
    recorder.keep(batch.embeddings, "as it is")
    return selector_bench(recorder, selector, margin, kind=kind)


def briefly_trained(seed: int = 0) -> nn.Module:
    """Train a network for one epoch of online triplets on the embedded MNIST."""
    train_set, test_set = (load("mnist", train, subset="embedded") for train in (True, False))
    return fit_method(METHODS["online-triplet"], train_set, test_set, 1, seed, verbose=False)[0]


def describe(batch: Batch, selection: Selection, chosen: int) -> str:
    """Describe one tuple in words, or the lack of any."""
    if not len(selection):
        return f"No {selection.kind} of this batch are selected: with another margin or selector there may be some."
    row = selection.indices[chosen].tolist()
    names = names_of(batch, selection, chosen)
    far = [float((batch.embeddings[row[0]] - batch.embeddings[index]).norm()) for index in row[1:]]
    parts = [f"{name} at distance {distance:.3g}" for name, distance in zip(names[1:], far, strict=True)]
    kind = f"{selection.kind[:-1]} {chosen + 1:,} of {len(selection):,}"
    return f"{kind[0].upper()}{kind[1:]}: {', '.join(parts)}; loss {float(selection.losses[chosen]):.3g}"


def names_of(batch: Batch, selection: Selection, chosen: int) -> list[str]:
    """Name the roles of the images of one tuple."""
    if selection.kind == TRIPLETS:
        return ["anchor", "positive", "negative"]
    first, second = batch.labels[selection.indices[chosen]].tolist()
    return ["image", "positive" if first == second else "negative"]


def _balanced(labels: Tensor, n_classes: int, n_samples: int, seed: int) -> Tensor:
    """Draw the indices of a balanced batch, class after class."""
    sizes = labels.unique(return_counts=True)[1]
    sampler = BalancedBatchSampler(labels, min(n_classes, len(sizes)), min(n_samples, int(sizes.min())), seed=seed)
    chosen = torch.tensor(next(iter(sampler)))
    return chosen[labels[chosen].argsort(stable=True)]


def _with_images(embeddings: Tensor, labels: Tensor, part: Images) -> Batch:
    [(pixels, _)] = TensorLoader(part, len(part), device="cpu", share=Share())
    return Batch(embeddings, labels, pixels, part.classes)


def _sorted(kind: str, indices: Tensor, losses: Tensor, n_possible: int) -> Selection:
    order = losses.argsort(descending=True, stable=True)
    return Selection(kind, indices[order], losses[order], n_possible)
