"""Training runs kept in a folder (settings, checkpoint, history, evaluation), which resume after an interruption."""

from siamese_triplet.runs.data import Data, TrainedOn
from siamese_triplet.runs.provenance import provenance
from siamese_triplet.runs.run import Run, evaluate_run, load_run, read_run, train_run

__all__ = ["Data", "Run", "TrainedOn", "evaluate_run", "load_run", "provenance", "read_run", "train_run"]
