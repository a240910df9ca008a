"""The losses that came after triplets, beside triplets: one network, one batch, one number of steps.

Settings are those of the papers; the learning rate of a loss's own parameters is chosen by classes held out of the
training classes. The results are a list in a JSON file, of the parts `tuning` and `final`; the losses of
pytorch-metric-learning need that library.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from siamese_triplet.book.comparison import split_classes
from siamese_triplet.book.many_classes import Emoji
from siamese_triplet.book.modern_losses import LOSSES, make_loss
from siamese_triplet.book.one_cycle import fit_one_cycle
from siamese_triplet.book.results import Key, check_complete, collect
from siamese_triplet.datasets import Images, load, load_emoji
from siamese_triplet.evaluation import embed, retrieval_metrics
from siamese_triplet.loader import TensorLoader
from siamese_triplet.networks import EmbeddingNet
from siamese_triplet.networks.heads import scale_to_unit_length
from siamese_triplet.runs import provenance
from siamese_triplet.samplers import BalancedBatchSampler

TODAY = "today.json"
PIXELS, UNTRAINED = "pixels", "untrained network"
FASHION, EMOJI = "fashion-mnist", "emoji"
N_HELD_OUT = {FASHION: 2, EMOJI: 200}  # classes of the training classes, to tune on
N_TUNING_IMAGES = 500  # of each held-out class, at most


@dataclass(frozen=True)
class Today:
    """How much is trained: steps, of which tuning takes a part, on batches of `n_classes` × `n_samples` images."""

    fashion_steps: int = 1200
    emoji_steps: int = 600
    fashion_tuning_steps: int = 300
    emoji_tuning_steps: int = 100
    seeds: tuple[int, ...] = (0, 1, 2)
    subset: str | None = None  # of FashionMNIST, see `load`
    root: str | None = None
    verbose: bool = True

    def n_steps(self, data: str, part: str) -> int:
        steps = {
            (FASHION, "final"): self.fashion_steps, (FASHION, "tuning"): self.fashion_tuning_steps,
            (EMOJI, "final"): self.emoji_steps, (EMOJI, "tuning"): self.emoji_tuning_steps,
        }  # fmt: skip
        return steps[data, part]


def compare_today(
    path: Path | None,
    settings: Today,
    datasets: Sequence[str] = (FASHION, EMOJI),
    losses: Mapping[str, Sequence[str]] | None = None,
) -> list[dict[str, Any]]:
    """Tune and train the losses without a result in the list `path`, and return the results of the part `final`.

    The settings of a loss are those with the best MAP@R of held-out classes: on FashionMNIST for each seed, whose six
    training classes differ, on emoji once. `losses` names those to train on each data set, by default all of `LOSSES`.
    """
    sets: dict[str, tuple[Images, Images]] = {}

    def compute(key: Key) -> dict[str, Any]:
        data = key["data"]
        if data not in sets:
            sets[data] = _load(data, settings)
        return _compute(key, *sets[data])

    def key(data: str, part: str, loss: str, seed: int, chosen: Mapping[str, float]) -> Key:
        steps = settings.n_steps(data, part) if loss in LOSSES else 0
        subset = settings.subset if data == FASHION else None
        shared = {"data": data, "part": part, "loss": loss, "seed": seed}
        return {**shared, "settings": dict(chosen), "n_steps": steps, "subset": subset}

    found = []
    for data in datasets:
        for seed in settings.seeds:
            for loss in [PIXELS, UNTRAINED, *(LOSSES if losses is None else losses[data])]:
                candidates = LOSSES[loss].candidates if loss in LOSSES else ({},)
                chosen: Mapping[str, float] = candidates[0]
                if len(candidates) > 1:
                    tuned_at = seed if data == FASHION else settings.seeds[0]
                    keys = [key(data, "tuning", loss, tuned_at, candidate) for candidate in candidates]
                    chosen = best_settings(collect(path, keys, compute, settings.verbose))
                found += collect(path, [key(data, "final", loss, seed, chosen)], compute, settings.verbose)
    return found


def best_settings(tuned: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the settings with the best MAP@R; the first of several."""
    return max(tuned, key=lambda result: result["map_at_r"])["settings"]


def _load(data: str, settings: Today) -> tuple[Images, Images]:
    if data == EMOJI:
        return load_emoji(), load_emoji(train=False)
    train, test = (load(data, train, settings.root, subset=settings.subset) for train in (True, False))
    return train, test


def _compute(key: Key, train: Images, test: Images) -> dict[str, Any]:
    """Train and evaluate the run of `key`: on held-out classes in the part `tuning`, on test images in `final`."""
    data, seed, is_final = key["data"], key["seed"], key["part"] == "final"
    seen: Images | None = None
    if data == FASHION:
        numbers, others = split_classes(len(train.classes), seed)
        seen, unseen, train = test.of_classes(numbers), test.of_classes(others), train.of_classes(numbers)
    else:
        unseen = test
    if not is_final:
        n_train = len(train.classes) - N_HELD_OUT[data]
        kept, held_out = split_classes(len(train.classes), seed, n_train)
        seen, unseen, train = None, _first_of_each(train.of_classes(held_out)), train.of_classes(kept)
    model, seconds = train_with(key["loss"], key["settings"], data, train, seed, key["n_steps"])
    embedding = nn.Flatten() if key["loss"] == PIXELS else model
    found: dict[str, Any] = _metrics(embedding, unseen)
    if seen is not None:
        found["seen"] = _metrics(embedding, seen)
        found["unseen_classes"] = unseen.classes
    return found | {"seconds": seconds, "made": provenance(model)}


def train_with(
    loss: str, settings: Mapping[str, float], data: str, train: Images, seed: int, n_steps: int
) -> tuple[nn.Module, float]:
    """Train a new network with a loss of `LOSSES`; return it and the processor seconds. No steps leave it untrained.

    On FashionMNIST an `EmbeddingNet` to 16 dimensions, in batches of 10 images of each class; on emoji the network and
    the batches of `Emoji`. The learning rate rises over the first tenth of the steps and then falls to zero, and that
    of the loss's own parameters is `settings["rate"]` times that of the network. The network returns unit vectors
    unless the loss is the plain softmax.
    """
    emoji = Emoji()
    torch.manual_seed(seed)
    model: Any = emoji.network() if data == EMOJI else EmbeddingNet(16)
    n_classes, n_samples = (emoji.n_classes, emoji.n_samples) if data == EMOJI else (len(train.classes), 10)
    if data == EMOJI:
        model.unit_sphere = False
    if not n_steps:
        return model, 0.0
    sampler = BalancedBatchSampler(train.targets, n_classes, n_samples, replacement=True, seed=seed)
    sampler.n_batches = n_steps
    augment = emoji.augment(train, seed) if data == EMOJI else None
    loader = TensorLoader(train, batch_sampler=sampler, device="cpu", augment=augment)
    loss_fn = make_loss(loss, settings, len(train.classes), model.embedding_size)
    rate = emoji.learning_rate if data == EMOJI else 1e-3
    groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "lr": rate}]
    if list(loss_fn.parameters()):
        groups.append({"params": list(loss_fn.parameters()), "lr": rate * settings["rate"]})
    optimizer = AdamW(groups, weight_decay=0)
    started = time.process_time()
    history = fit_one_cycle(
        loader, model, loss_fn, optimizer, 1, per_batch=True, device="cpu", verbose=False, autocast=torch.bfloat16
    )
    check_complete(history, 1)
    return model, time.process_time() - started


def _metrics(model: nn.Module, images: Images) -> dict[str, float]:
    """Compute recall@1 and MAP@R, each image a query among the others: of pixels as they are, else of directions."""
    embeddings, labels = embed(model, images)
    if not isinstance(model, nn.Flatten):
        embeddings = scale_to_unit_length(embeddings)
    metrics = retrieval_metrics(embeddings, labels, ks=(1,))
    return {name: metrics[name] for name in ("recall_at_1", "map_at_r")}


def _first_of_each(images: Images) -> Images:
    """Select the first `N_TUNING_IMAGES` of each class."""
    chosen = [(images.targets == label).nonzero()[:N_TUNING_IMAGES, 0] for label in range(len(images.classes))]
    return images.subset(torch.cat(chosen))
