"""Training: one loop for every network, loss and kind of batch, with history, checkpoints and early stopping."""

from siamese_triplet._original import old_names
from siamese_triplet.trainer.checkpoints import CheckpointError, load_checkpoint, load_weights
from siamese_triplet.trainer.epoch import OnBatch
from siamese_triplet.trainer.history import History
from siamese_triplet.trainer.loop import Callback, evaluate, fit
from siamese_triplet.trainer.step import BatchInfo
from siamese_triplet.trainer.stopping import EarlyStopping
from siamese_triplet.trainer.thawing import LayerwiseThaw

__all__ = [
    "BatchInfo",
    "Callback",
    "CheckpointError",
    "EarlyStopping",
    "History",
    "LayerwiseThaw",
    "OnBatch",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_weights",
]

__getattr__ = old_names(
    __name__,
    {
        "train_epoch": "fit(train_loader, None, model, loss_fn, optimizer, None, 1) trains one epoch",
        "test_epoch": "evaluate(loader, model, loss_fn, metrics=[…]) returns the loss and the metrics by name",
    },
)
