"""Tools for the gallery of failures: short training runs, diagnosed at every step or repeated, and wrong labels."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from siamese_triplet._devices import device_of
from siamese_triplet.datasets import Images
from siamese_triplet.diagnostics import diagnose
from siamese_triplet.distributed import Share
from siamese_triplet.evaluation import embed, retrieval_metrics
from siamese_triplet.loader import TensorLoader
from siamese_triplet.losses import BatchAllTripletLoss, OnlineTripletLoss
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.trainer import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TripletLosses = OnlineTripletLoss | BatchAllTripletLoss
N_SAMPLES = 8  # images of each class in a batch


def train_steps(
    model: nn.Module,
    loss_fn: TripletLosses,
    images: Images,
    n_steps: int,
    *,
    n_classes: int = 10,
    n_samples: int = N_SAMPLES,
    learning_rate: float = 1e-3,
    seed: int = 0,
    diagnosed: bool = True,
) -> History:
    """Train `model` with Adam on `n_steps` balanced batches, and diagnose each batch before its step.

    The history has one number per step, not per epoch; see `diagnose`:

    - `loss`, `triplets`: as returned by `loss_fn`.
    - `active`: the fraction of all triplets of the batch that have a loss.
    - `norm`, `positive distance`, `negative distance`: medians; the distances are not squared.

    Numbers that a batch does not have are NaN. No steps give an empty history. Unless `diagnosed`, the history has the
    loss and the triplets alone, which takes less time.
    """
    sampler = BalancedBatchSampler(images.targets, n_classes, n_samples, seed=seed)
    loader = TensorLoader(images, batch_sampler=sampler, device=device_of(model), share=Share())
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    history = History()
    model.train()
    for _, (batch, labels) in zip(range(n_steps), _repeat(loader), strict=False):
        embeddings = model(batch)  # (B, D)
        loss, n_triplets = loss_fn(embeddings, labels)
        numbers: dict[str, float] = {"loss": loss.item(), "triplets": int(n_triplets)}
        if diagnosed:
            diagnosis = diagnose(embeddings.detach(), labels, loss_fn.margin)
            numbers |= {
                "active": diagnosis.active_fraction,
                "norm": diagnosis.norms[1],
                "positive distance": diagnosis.positive_distances[1],
                "negative distance": diagnosis.negative_distances[1],
            }
        history.append(numbers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return history


def _repeat(loader: TensorLoader) -> Iterator:
    while True:
        yield from loader


def train_copies(
    models: Sequence[nn.Module],
    loss_fn: TripletLosses,
    images: Images | Sequence[Images],
    n_steps: int,
    *,
    first_seed: int = 0,
    **options: Any,
) -> tuple[list[nn.Module], History]:
    """Train a copy of each of `models` by `train_steps`, each on batches of its own seed.

    Return the copies, and the history of the first, which alone is diagnosed.

    - `images`: the images of all runs, or those of each.
    - `first_seed`: the seed of the first run; those of the others follow.
    - `options`: for `train_steps`.
    """
    of_each = [images] * len(models) if isinstance(images, Images) else images
    copies, histories = [copy.deepcopy(model) for model in models], []
    for number, (model, of_model) in enumerate(zip(copies, of_each, strict=True)):
        own = copy.deepcopy(loss_fn)  # a selector may draw at random: each run starts the draws anew
        seed, is_first = first_seed + number, number == 0
        histories.append(train_steps(model, own, of_model, n_steps, seed=seed, diagnosed=is_first, **options))
    return copies, histories[0]


def score(name: str, models: Sequence[nn.Module], images: Images | Sequence[Images]) -> list[dict[str, Any]]:
    """Compute recall@1 and MAP@R of each of `models` on `images`, or on its own: results for a table.

    A result has the `name`, the `seed`, which is the number of the model, `recall_at_1` and `map_at_r`.
    """
    of_each = [images] * len(models) if isinstance(images, Images) else images
    results = []
    for seed, (model, of_model) in enumerate(zip(models, of_each, strict=True)):
        found = retrieval_metrics(*embed(model, of_model), ks=(1,))
        metrics = {metric: found[metric] for metric in ("recall_at_1", "map_at_r")}
        results.append({"name": name, "seed": seed} | metrics)
    return results


def with_wrong_labels(images: Images, fraction: float, seed: int = 0) -> tuple[Images, torch.Tensor]:
    """Give a random `fraction` of `images` the label of another class; return the images and a mask (N,) of those.

    Raises ValueError for a fraction outside [0, 1], and for a single class.
    """
    n_classes = len(images.classes)
    if not 0 <= fraction <= 1 or n_classes < 2:
        raise ValueError(f"wrong labels need a fraction from 0 to 1 and two classes, got {fraction} and {n_classes}")
    generator = torch.Generator().manual_seed(seed)
    is_wrong = torch.zeros(len(images), dtype=torch.bool)
    is_wrong[torch.randperm(len(images), generator=generator)[: round(fraction * len(images))]] = True
    shift = torch.randint(1, n_classes, (len(images),), generator=generator)  # never 0: another class
    targets = torch.where(is_wrong, (images.targets + shift) % n_classes, images.targets)
    changed = copy.copy(images)
    changed.targets = targets
    return changed, is_wrong


def plot_steps(runs: Mapping[str, History], stuck_at: Sequence[float] = ()) -> "Figure":
    """Plot runs of `train_steps`, by name, in three panels: loss, active triplets and median distances.

    Dotted lines mark the losses `stuck_at` of embeddings that all coincide: the margin, or log 2.
    """
    from matplotlib.lines import Line2D

    from siamese_triplet.plots import COLOURS, new_figure

    figure, [[losses, active, distances]] = new_figure(1, 3, 2.7)
    for number, ((name, run), colour) in enumerate(zip(runs.items(), COLOURS[::2], strict=False)):
        wide = 1.4 + 1.4 * (len(runs) - 1 - number)  # so that a curve under another one can be seen
        losses.plot(run["loss"], color=colour, label=name, lw=wide)
        active.plot([100 * share for share in run["active"]], color=colour, label=name, lw=wide)
        distances.plot(run["negative distance"], color=colour)
        distances.plot(run["positive distance"], "--", color=colour)
    for loss in stuck_at:
        losses.axhline(loss, color="0.5", ls=":")
    losses.set(title="loss", xlabel="step", ylim=(0, 1.08 * losses.get_ylim()[1]))
    active.set(title="active triplets, % of all", xlabel="step", ylim=(-2, 108))
    distances.set(title="median distance", xlabel="step", ylim=(0, None))
    styles = {"negative pairs": "-", "positive pairs": "--"}
    handles = [*losses.lines[: len(runs)], *(Line2D([], [], color="0.4", ls=ls, label=of) for of, ls in styles.items())]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure
