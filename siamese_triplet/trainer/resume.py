"""Where a run starts: at its first epoch, or where its checkpoint left off."""

import os
from pathlib import Path

from siamese_triplet.distributed import call_on_first, gather_objects, is_first
from siamese_triplet.trainer.checkpoints import CheckpointError, TrainingState, load_checkpoint
from siamese_triplet.trainer.history import History, required


def start(
    state: TrainingState, checkpoint: str | os.PathLike | None, start_epoch: int, n_epochs: int, names: list[str]
) -> tuple[int, History]:
    """Return the number of complete epochs and their history with these names, from the checkpoint if there is one."""
    if start_epoch < 0:
        raise ValueError(f"{start_epoch=} must not be negative")
    if n_epochs < 0:
        raise ValueError(f"{n_epochs=} must not be negative; it is the epoch to train up to")
    if len(set(gather_objects(checkpoint is None))) > 1:
        raise ValueError("some processes were given a checkpoint and others none; give all processes the same")
    if checkpoint is None or not call_on_first(Path(checkpoint).exists):
        if checkpoint is not None and is_first():
            Path(checkpoint).parent.mkdir(parents=True, exist_ok=True)  # fails now, not after an epoch
        return start_epoch, History({name: [] for name in names})
    contents = call_on_first(lambda: load_checkpoint(checkpoint))
    epoch = contents["epoch"]
    if epoch > n_epochs or start_epoch not in (0, epoch):
        raise CheckpointError(
            f"{checkpoint} was written after {epoch} epochs, which does not go with {n_epochs=} and {start_epoch=}; "
            "name another file to train anew, or ask for at least as many epochs and leave start_epoch out"
        )
    state.check(checkpoint, contents)
    if required(contents["history"]) != required(names):
        raise CheckpointError(
            f"{checkpoint} has a history of {', '.join(contents['history'])}, this run would have one of "
            f"{', '.join(names)}; give the same metrics, and a val_loader if there was one, or name another file"
        )
    return epoch, state.restore(checkpoint, contents)
