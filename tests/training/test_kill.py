"""A training run killed repeatedly at random moments ends bit for bit like an uninterrupted one.

Also a script: `python tests/training/test_kill.py --kills 20 --seed 0`.
"""

import argparse
import random
import signal
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import torch
from forked import fork_context
from PIL import Image

from siamese_triplet.methods import METHODS, Method
from siamese_triplet.runs import Data, Run, train_run
from siamese_triplet.trainer import load_checkpoint

N_EPOCHS = 40
PATIENCE = 60  # seconds for a process to begin training
LONGEST_LIFE = 1 / 4  # as a fraction of an uninterrupted run


def small_run(folder: Path) -> Run:
    """Make a run in which every step draws random numbers: random negatives, on noisy images of three classes."""
    generator = torch.Generator().manual_seed(0)
    for label in range(3):
        (folder / f"class {label}").mkdir(parents=True)
        for number in range(20):
            pixels = torch.randint(0, 120, (16, 16), generator=generator)
            pixels[5 * label] += 130
            Image.fromarray(pixels.to(torch.uint8).numpy()).save(folder / f"class {label}" / f"{number}.png")
    method = METHODS["online-triplet"]
    experiment = Method(method.method, selector=method.selector, n_classes=3, n_samples=4)
    return Run(Data(str(folder), image_size=16), experiment, N_EPOCHS)


def train(run: Run, folder: Path, begun: Event | None = None) -> None:
    if begun is not None:
        begun.set()
    torch.set_num_threads(1)
    random.seed(0)  # checkpoints hold the unused random state of Python and NumPy too
    np.random.seed(0)  # noqa: NPY002
    train_run(run, folder, device="cpu", verbose=False)


def train_with_kills(run: Run, folder: Path, n_kills: int, seed: int, longest_life: float) -> list[int]:
    """Train in `n_kills` processes, each killed after a random time; return the complete epochs at each kill.

    `longest_life` is in seconds, from the beginning of training.
    """
    context = fork_context()
    lives = random.Random(seed)
    left = []
    while len(left) < n_kills:
        begun = context.Event()
        process = context.Process(target=train, args=(run, folder, begun))
        process.start()
        begun.wait(PATIENCE)
        process.join(lives.uniform(0, longest_life))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            left.append(
                load_checkpoint(folder / "checkpoint.pt")["epoch"] if (folder / "checkpoint.pt").exists() else 0
            )
        elif process.exitcode != 0:
            raise RuntimeError(f"training ended with exit code {process.exitcode}")
        else:  # it finished before the kill: start again
            for file in folder.iterdir():
                file.unlink()
    return left


def differences(one: Path, other: Path) -> list[str]:
    """Name the entries in which the checkpoints of two folders differ, except for the seconds."""
    first, second = (load_checkpoint(folder / "checkpoint.pt") for folder in (one, other))
    for contents in (first, second):
        contents["history"].pop("seconds")
    return [name for name in first if not same(first[name], second[name])]


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def compare(folder: Path, n_kills: int, seed: int) -> tuple[list[int], list[str]]:
    """Train without kills, and with kills to the end; return the epochs at the kills, and the differences."""
    run = small_run(folder / "images")
    started = time.perf_counter()
    train(run, folder / "whole")
    longest_life = LONGEST_LIFE * (time.perf_counter() - started)  # some 15 epochs, also on a loaded machine
    left = train_with_kills(run, folder / "killed", n_kills, seed, longest_life)
    train(run, folder / "killed")
    return left, differences(folder / "whole", folder / "killed")


def test_a_run_killed_at_20_random_moments_ends_bit_for_bit_like_an_uninterrupted_one(tmp_path: Path) -> None:
    left, differing = compare(tmp_path, n_kills=20, seed=0)
    assert len(left) == 20
    assert max(left) > 0
    assert differing == []


def test_a_difference_would_be_found(tmp_path: Path) -> None:
    run = small_run(tmp_path / "images")
    few = Run(run.data, run.experiment, n_epochs=2)
    train(few, tmp_path / "one")
    train(Run(run.data, run.experiment, n_epochs=2, seed=1), tmp_path / "other seed")
    train(few, tmp_path / "again")
    assert differences(tmp_path / "one", tmp_path / "again") == []
    assert set(differences(tmp_path / "one", tmp_path / "other seed")) >= {"model", "optimizer", "history", "random"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default: %(default)s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        left, differing = compare(Path(folder), arguments.kills, arguments.seed)
    print(f"killed {len(left)} times, with {left} of {N_EPOCHS} epochs complete; then trained to the end")
    print(f"differs in: {', '.join(differing)}" if differing else "identical to the last bit to a run without kills")


if __name__ == "__main__":
    main()
