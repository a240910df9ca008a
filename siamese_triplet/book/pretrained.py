"""The experiment on emoji with a pretrained network: must one train at all?

The same 400 unseen classes, by pixels, by the frozen features of a network trained on ImageNet, by a head trained on
these features, and by the whole network, fine-tuned. What is trained from scratch comes from the experiment on many
classes.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torchvision.transforms import v2

from siamese_triplet._devices import best_device
from siamese_triplet.book.one_cycle import fit_one_cycle
from siamese_triplet.book.results import Results, check_complete, collect, markdown_table, spread
from siamese_triplet.datasets import Images, RandomColour, RandomWarp, load_emoji
from siamese_triplet.evaluation import embed, frozen_features, retrieval_metrics
from siamese_triplet.loader import TensorLoader
from siamese_triplet.losses import SupervisedContrastiveLoss
from siamese_triplet.networks import (
    EmbeddingHead,
    PretrainedNet,
    freeze,
    layers,
    load_pretrained,
    parameter_groups,
    unfreeze,
)
from siamese_triplet.runs import provenance
from siamese_triplet.samplers import BalancedBatchSampler
from siamese_triplet.trainer import Callback, History

PIXELS, FROZEN, HEAD, TUNED, SCRATCH = "pixels", "frozen features", "head", "fine-tuned", "from scratch"
TITLES = {
    PIXELS: "pixels",
    FROZEN: "frozen features, by cosine",
    HEAD: "linear head on frozen features",
    SCRATCH: "small network from scratch",
    TUNED: "whole network, fine-tuned",
}


@dataclass(frozen=True)
class FineTuning:
    """The settings that decide the result of training on emoji with a pretrained network.

    - `image_size`: one side of the images in the network; emoji are scaled to it.
    - `n_frozen`: the first layers of the network that stay frozen, of those that `layers` lists.
    - `learning_rate` is that of the head, `backbone_learning_rate` that of the pretrained network.
    - `n_classes`, `n_samples`: the batch; `temperature` is that of the `SupervisedContrastiveLoss`.
    - `warp`, `colour`, `mirrored`: the strength of the random changes of the drawings.
    """

    network: str = "efficientnet-lite0"
    image_size: int = 128
    n_steps: int = 400
    n_frozen: int = 5
    n_classes: int = 64
    n_samples: int = 2
    temperature: float = 0.05
    embedding_size: int = 512
    learning_rate: float = 3e-3
    backbone_learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    warp: float = 0.7
    colour: float = 0.1
    mirrored: float = 0.0

    def backbone(self) -> PretrainedNet:
        return load_pretrained(self.network, self.image_size)

    def sampler(self, images: Images, seed: int) -> BalancedBatchSampler:
        n_classes = min(self.n_classes, len(images.classes))
        return BalancedBatchSampler(images.targets, n_classes, self.n_samples, replacement=True, seed=seed)

    def plain(self) -> dict[str, Any]:
        """Return the settings as they are in JSON."""
        return json.loads(json.dumps(asdict(self)))


def prepared(images: Images, backbone: PretrainedNet) -> Images:
    """Return `images` with the normalisation that `backbone` was trained with."""
    same = images.subset(range(len(images)))
    same.transform = backbone.preprocessing.transform()
    return same


def augmentation(settings: FineTuning, backbone: PretrainedNet, seed: int) -> v2.Compose:
    """Make the random changes of a batch of images normalised for `backbone`; white stays white."""
    preprocessing = backbone.preprocessing
    white = [(1 - mean) / std for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True)]
    limits = {"degrees": 15, "shift": 0.1, "scale": 0.2, "shear": 0.2, "elastic": 0.02}
    strengths: dict[str, Any] = {name: settings.warp * limit for name, limit in limits.items()}
    warp = RandomWarp(**strengths, mirrored=settings.mirrored, seed=seed)
    return v2.Compose([warp, RandomColour(settings.colour, white, seed=seed)])


def fine_tune(
    settings: FineTuning,
    images: Images,
    seed: int = 0,
    *,
    device: torch.device | str | None = None,
    checkpoint: Path | None = None,
    verbose: bool = True,
    callbacks: Sequence[Callback] = (),
) -> tuple[nn.Module, History]:
    """Train a pretrained network with a new head on `images`, and return it with its history.

    Images enter it in their own size, and are scaled within. Both learning rates rise over the first tenth of the steps
    and then fall to zero. For the other arguments see `fit`.
    """
    device = best_device() if device is None else torch.device(device)
    torch.manual_seed(seed)
    backbone = unfreeze(settings.backbone())
    for layer in layers(backbone)[: settings.n_frozen]:
        freeze(layer)
    head = EmbeddingHead(backbone.embedding_size, settings.embedding_size)
    model = nn.Sequential(nn.Upsample(size=settings.image_size, mode="bicubic"), backbone, head).to(device)
    groups = parameter_groups(model, backbone, settings.learning_rate, settings.backbone_learning_rate)
    loader = TensorLoader(
        prepared(images, backbone),
        batch_sampler=settings.sampler(images, seed),
        device=device,
        augment=augmentation(settings, backbone, seed),
    )
    return model, _fit(settings, model, groups, loader, device, checkpoint, verbose, callbacks)


def train_head(
    settings: FineTuning, features: Images, seed: int = 0, *, verbose: bool = True, callbacks: Sequence[Callback] = ()
) -> tuple[nn.Module, History]:
    """Train a linear head on `features` (N, D) of `frozen_features`, and return it with its history."""
    torch.manual_seed(seed)
    head = EmbeddingHead(features.data.shape[1], settings.embedding_size)
    groups = [{"params": list(head.parameters()), "lr": settings.learning_rate}]
    loader = TensorLoader(features, batch_sampler=settings.sampler(features, seed), device="cpu")
    return head, _fit(settings, head, groups, loader, torch.device("cpu"), None, verbose, callbacks)


def _fit(
    settings: FineTuning,
    model: nn.Module,
    groups: list[dict[str, Any]],
    loader: TensorLoader,
    device: torch.device,
    checkpoint: Path | None,
    verbose: bool,
    callbacks: Sequence[Callback],
) -> History:
    n_epochs = math.ceil(settings.n_steps / len(loader))
    optimizer = AdamW(groups, weight_decay=settings.weight_decay)
    history = fit_one_cycle(
        loader,
        model,
        SupervisedContrastiveLoss(settings.temperature),
        optimizer,
        n_epochs,
        per_batch=True,
        device=device,
        checkpoint=checkpoint,
        verbose=verbose,
        callbacks=callbacks,
    )
    check_complete(history, n_epochs)
    return history


def compare_starts(
    path: Path | None,
    work: Path | None,
    base: FineTuning,
    seeds: Iterable[int] = (0, 1, 2),
    *,
    device: torch.device | str | None = None,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Evaluate pixels, frozen features, heads and fine-tuned networks without a result in the list `path`.

    Returns all results. Interrupted training resumes from checkpoints in `work`, where frozen features are kept too.
    Without these paths nothing is kept.
    """
    train_set, test_set = load_emoji(), load_emoji(train=False)

    def compute(key: dict[str, Any]) -> dict[str, Any]:
        seed, cache = key["seed"], work and work / "features"
        with Cost() as cost:
            backbone, train_seconds = base.backbone(), 0.0
            model: nn.Module = nn.Flatten()
            images = test_set
            if key["name"] in (FROZEN, HEAD):
                images = frozen_features(backbone, test_set, cache, verbose=verbose)
                images.data = nn.functional.normalize(images.data)
                model = nn.Identity()
            if key["name"] == HEAD:
                features = frozen_features(backbone, train_set, cache, verbose=verbose)
                features.data = nn.functional.normalize(features.data)
                model, history = train_head(base, features, seed, verbose=verbose)
                train_seconds = sum(history["seconds"]) * cost.share_of_one_thread()
            if key["name"] == TUNED:
                checkpoint = work and work / checkpoint_name(base, seed)
                model, history = fine_tune(base, train_set, seed, device=device, checkpoint=checkpoint, verbose=verbose)
                train_seconds = sum(history["seconds"]) * cost.share_of_one_thread()
                images = prepared(test_set, backbone)
            metrics = retrieval_metrics(*embed(model, images), ks=(1,))
        found = {name: metrics[name] for name in ("recall_at_1", "map_at_r")}
        made = provenance(model if list(model.parameters()) else backbone)
        return found | {"seconds": train_seconds, "megabytes": cost.megabytes, "made": made}

    names = [(PIXELS, 0), (FROZEN, 0), *((name, seed) for seed in seeds for name in (HEAD, TUNED))]
    keys = ({"name": name, "seed": seed, "settings": base.plain()} for name, seed in names)
    return collect(path, keys, compute, verbose)


class Cost:
    """The megabytes of memory that a block takes at its peak, and its share of a processor's time.

    Memory is None where the system does not tell.
    """

    megabytes: float | None = None

    def __enter__(self) -> "Cost":
        self.started, self.before = (time.perf_counter(), time.process_time()), _status("VmRSS")
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        except OSError:
            self.before = None
        return self

    def __exit__(self, *error: object) -> None:
        peak = _status("VmHWM")
        if self.before is not None and peak is not None:
            self.megabytes = max(0.0, peak - self.before)

    def share_of_one_thread(self) -> float:
        """Return the share of the time so far in which the processor worked for this process, if it has one thread.

        With it, seconds become those that a run takes when it has the processor to itself. Otherwise it is 1.
        """
        if torch.get_num_threads() > 1 or best_device().type != "cpu":
            return 1.0
        return min(1.0, (time.process_time() - self.started[1]) / (time.perf_counter() - self.started[0]))


def _status(name: str) -> float | None:
    """Read memory of this process in megabytes from Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return None


def checkpoint_name(settings: FineTuning, seed: int) -> str:
    """Name the checkpoint of a run; other settings give another name."""
    return f"fine-tuned-{hashlib.sha256(repr(settings).encode()).hexdigest()[:8]}-{seed}.pt"


def from_scratch(results: Results) -> list[dict[str, Any]]:
    """Select the runs on all classes of the experiment on many classes, as those of this one."""
    return [{**result, "name": SCRATCH} for result in results if result["name"] == "all classes"]


def starts_table(results: Results) -> str:
    """Format metrics and minutes of training, mean ± standard deviation over the seeds, and the most memory."""
    rows = []
    for name, title in TITLES.items():
        chosen = [result for result in results if result["name"] == name]
        if not chosen:
            continue
        scores = [spread([100 * result[metric] for result in chosen]) for metric in ("recall_at_1", "map_at_r")]
        minutes = [result["seconds"] / 60 for result in chosen]
        memory = [result["megabytes"] for result in chosen if result.get("megabytes") is not None]
        most = f"{max(memory):.0f}" if memory else "–"  # a process that has trained before needs to take less
        costs = [spread(minutes) if max(minutes) > 0 else "–", most]
        rows.append([title, *scores, *costs])
    return markdown_table(["", "recall@1", "MAP@R", "minutes of training", "MB of memory, at most"], rows)
