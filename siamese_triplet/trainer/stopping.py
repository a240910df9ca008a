"""When to stop, and which weights to keep: by a score of your own, such as retrieval among classes not trained on."""

import copy
import math
from collections.abc import Callable

from torch import nn

from siamese_triplet.trainer.history import History


class EarlyStopping:
    """A callback of `fit` that ends the run once `score(model)` has not risen for `patience` epochs.

    Greater is better: `lambda model: retrieval_metrics(*embed(model, validation_set))["map_at_r"]`. `scores` are those
    of all epochs; `best_epoch`, from 1, is the first with the greatest, and `restore(model)` gives the model the
    weights of that one, where `fit` leaves it those of the last. Epochs that a checkpoint holds already are not scored
    again: a run that goes on compares only those since. An epoch that is not beyond all seen so far begins another run,
    and what is known of the one before is forgotten. Raises ValueError for a `patience` below 1, and for a score of
    NaN.
    """

    def __init__(self, score: Callable[[nn.Module], float], patience: int = 5) -> None:
        if patience < 1:
            raise ValueError(f"EarlyStopping: {patience=} must be at least 1")
        self.score, self.patience = score, patience
        self.scores: dict[int, float] = {}
        self.best_epoch = 0

    def __call__(self, epoch: int, history: History, model: nn.Module) -> bool:
        if epoch <= max(self.scores, default=0):
            self.scores, self.best_epoch = {}, 0
        score = float(self.score(model))
        if math.isnan(score):
            raise ValueError(
                f"EarlyStopping: the score after epoch {epoch} is NaN; does it have classes of two images?"
            )
        self.scores[epoch] = score
        if not self.best_epoch or score > self.scores[self.best_epoch]:
            self.best_epoch = epoch
            self._best_weights = copy.deepcopy(model.state_dict())
        return epoch - self.best_epoch >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Give `model` the weights of the best epoch. A ValueError where no epoch has been scored."""
        if not self.best_epoch:
            raise ValueError("EarlyStopping: no epoch has been scored yet; pass it to fit as callbacks=[...]")
        model.load_state_dict(self._best_weights)
