"""Training recipes of the chapters: the book's full one, or a quick one for a small machine.

The environment variable SIAMESE_TRIPLET_RECIPE sets the default.
"""

import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from siamese_triplet.datasets import Images
from siamese_triplet.evaluation import embed
from siamese_triplet.methods import FULL_EPOCHS, METHODS, Speed, fit_method, step_size
from siamese_triplet.trainer import Callback, History

RECIPE_VARIABLE = "SIAMESE_TRIPLET_RECIPE"
RUNS_VARIABLE = "SIAMESE_TRIPLET_RUNS"


@dataclass(frozen=True)
class Recipe:
    """The data, epochs and device of a chapter's training; made by `choose`."""

    name: str
    n_epochs: int
    subset: str | None  # for datasets.load
    device: torch.device
    started: float = field(default_factory=time.perf_counter, compare=False)

    @property
    def step_size(self) -> int:
        """The number of epochs after which the learning rate falls."""
        return step_size(self.n_epochs)

    @property
    def speed(self) -> dict[str, Any]:
        """The arguments of `fit` that speed the full recipe up, on a GPU and on many CPUs; none in the quick one."""
        return {"autocast": torch.bfloat16, "channels_last": True} if self.name == "full" else {}

    def __str__(self) -> str:
        _, _, per_class = (self.subset or "").partition(":")
        data = ("the embedded subset" if self.subset else "the full data") + f", {per_class} per class" * bool(
            per_class
        )
        return f"{self.name} recipe: {data}, {self.n_epochs} epochs, on {self.device}"

    def checkpoint(self, name: str) -> Path | None:
        """Return the checkpoint of the run `name`, for `fit`, in the folder set by SIAMESE_TRIPLET_RUNS.

        A chapter then need not train what `python -m siamese_triplet reproduce --out FOLDER` has trained. Without that
        variable, or in the quick recipe, this is None: nothing is kept.
        """
        folder = os.environ.get(RUNS_VARIABLE)
        return Path(folder) / name / "checkpoint.pt" if folder and self.name == "full" else None

    def report(self, train_set: Images, seed: int, training: float | None = None, n_epochs: int | None = None) -> str:
        """Report the origin of a chapter's outputs: data, epochs, seed, device, versions and wall time.

        `training` is the training time in seconds, if not all of it was in this run of the chapter. `n_epochs` replaces
        the recipe's number of epochs; 0 omits it.
        """
        seconds = time.perf_counter() - self.started
        if n_epochs is None:
            is_cut = self.name == "full" and self.n_epochs != FULL_EPOCHS
            epochs = f", {self.n_epochs} epochs" + f" (the complete recipe has {FULL_EPOCHS})" * is_cut
        else:
            epochs = f", {n_epochs} epochs" * bool(n_epochs)
        n_threads = torch.get_num_threads()
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device
        return "\n".join(
            [
                f"recipe     {self.name}{epochs}",
                f"data       {len(train_set):,} training images",
                f"seed       {seed}",
                f"device     {device}, {n_threads} thread{'s' if n_threads > 1 else ''}",
                f"versions   torch {torch.__version__}, Python {platform.python_version()}",
                f"wall time  {seconds / 60:.1f} min",
                *([] if training is None else [f"training   {training / 60:.1f} min, then kept in checkpoints"]),
            ]
        )


def choose(name: str | None = None, quick_epochs: int = 3, full_epochs: int = FULL_EPOCHS) -> Recipe:
    """Return the recipe `name`: "full" (all images, `full_epochs`) or "quick" (the embedded subset, `quick_epochs`).

    "full:N" and "quick:N" train for N epochs, and "quick:N:M" on M images per class, enough to see a chapter run.
    Without a name the environment variable SIAMESE_TRIPLET_RECIPE decides; if it is not set, the recipe is full on a
    machine with a GPU, else quick. In Colab it is quick even then: its readers run all cells of a chapter at once, and
    a chapter may train dozens of networks. Raises ValueError for another name.
    """
    has_gpu = torch.cuda.is_available()
    default = "full" if has_gpu and "google.colab" not in sys.modules else "quick"
    given = name or os.environ.get(RECIPE_VARIABLE) or default
    if not re.fullmatch(r"full(:[1-9]\d*)?|quick(:[1-9]\d*){0,2}", given):
        raise ValueError(
            f"unknown recipe {given!r}; expected 'full' or 'quick', with a number of epochs as in 'full:6', or of "
            "epochs and images per class as in 'quick:1:100'"
        )
    kind, epochs, per_class = [*given.split(":"), "", ""][:3]
    return Recipe(
        name=kind,
        n_epochs=int(epochs) if epochs else full_epochs if kind == "full" else quick_epochs,
        subset="embedded" + f":{per_class}" * bool(per_class) if kind == "quick" else None,
        device=torch.device("cuda" if has_gpu else "cpu"),
    )


@dataclass(frozen=True)
class Result:
    """A trained model, its history, and `(embeddings (N, D), labels (N,))` of the training and of the test images."""

    model: nn.Module
    history: History
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def train(
    name: str,
    train_set: Images,
    test_set: Images,
    recipe: Recipe,
    seed: int = 0,
    verbose: bool = True,
    checkpoint: str | os.PathLike | None = None,
    speed: Speed | None = None,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Train the method `name` of `METHODS` on `train_set` by `recipe`, and validate on `test_set`.

    The same `seed` gives the same result on one device. If the `checkpoint` is complete, nothing is trained.
    `checkpoint` and `callbacks` are those of `fit`. Raises ValueError for an unknown name.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; there are {', '.join(map(repr, METHODS))}")
    model, history = fit_method(
        METHODS[name],
        train_set,
        test_set,
        recipe.n_epochs,
        seed,
        device=recipe.device,
        speed=speed,
        checkpoint=checkpoint,
        verbose=verbose,
        callbacks=callbacks,
    )
    return Result(model, history, embed(model, train_set), embed(model, test_set))
