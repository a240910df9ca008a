"""Training: one loop for every network, loss and kind of batch, and all that a run needs to survive."""

from siamese_triplet.trainer.checkpoints import CheckpointError, load_checkpoint, load_weights
from siamese_triplet.trainer.history import History
from siamese_triplet.trainer.loop import Callback, evaluate, fit
from siamese_triplet.trainer.stopping import EarlyStopping

__all__ = [
    "Callback",
    "CheckpointError",
    "EarlyStopping",
    "History",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_weights",
]
