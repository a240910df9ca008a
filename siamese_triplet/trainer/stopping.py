"""Early stopping by a score of your own, such as retrieval among classes not trained on."""

import copy
import math
from collections.abc import Callable

from torch import nn

from siamese_triplet.trainer.history import History


class EarlyStopping:
    """Callback of `fit` that ends the run once `score(model)` has not risen for `patience` epochs.

    Greater is better: `lambda model: retrieval_metrics(*embed(model, validation_set))["map_at_r"]`.

    - `scores`: the scores of all epochs, by epoch.
    - `best_epoch`: the first epoch with the greatest score, counted from 1.
    - `restore(model)`: load the weights of the best epoch; `fit` leaves the weights of the last.

    Epochs that a checkpoint already holds are not scored again: a continued run compares only later ones. An epoch that
    is not beyond all seen so far begins another run, and the scores of the previous run are forgotten. Raises
    ValueError for a `patience` below 1 and for a score of NaN.
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
                f"EarlyStopping: the score after epoch {epoch} is NaN; are there classes with two images to score?"
            )
        self.scores[epoch] = score
        if not self.best_epoch or score > self.scores[self.best_epoch]:
            self.best_epoch = epoch
            self._best_weights = copy.deepcopy(model.state_dict())
        return epoch - self.best_epoch >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Load the weights of the best epoch into `model`. Raises ValueError if no epoch has been scored."""
        if not self.best_epoch:
            raise ValueError("EarlyStopping: no epoch has been scored yet; pass it to fit as callbacks=[...]")
        model.load_state_dict(self._best_weights)
