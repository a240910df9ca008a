"""Training loop of the original tutorial (2018), rewritten for the comparison in `training.py`.

It takes the same steps: batches as in `data.py`, selection as in `selection.py`, PyTorch's own PReLU in the network,
the ordinary Adam, and the loss read after every step. Only the metrics and the printed lines are left out.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from original import selection
from original.data import loader
from siamese_triplet import Images
from siamese_triplet.methods import METHODS

MARGIN = 1.0


class Original:
    """An experiment of the original, ready to train: `epoch()` trains and validates once."""

    def __init__(self, name: str, train_set: Images, test_set: Images) -> None:
        experiment = METHODS[name]
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - as in the original
        self.name = name
        self.model = network(name == "softmax")
        self.optimizer = Adam(
            self.model.parameters(), experiment.learning_rate, weight_decay=experiment.weight_decay, fused=False
        )
        self.train_loader, self.test_loader = (loader(experiment, images) for images in (train_set, test_set))

    def epoch(self) -> tuple[float, float]:
        """Train and validate for one epoch; return both mean losses."""
        train_losses = []
        self.model.train()
        for batch in self.train_loader:
            self.optimizer.zero_grad()
            loss = self._loss(batch)
            train_losses.append(loss.item())
            loss.backward()
            self.optimizer.step()
        self.model.eval()
        with torch.no_grad():
            val_losses = [self._loss(batch).item() for batch in self.test_loader]
        return float(np.mean(train_losses)), float(np.mean(val_losses))

    def _loss(self, batch: tuple) -> Tensor:
        data, target = batch
        data = data if isinstance(data, (tuple, list)) else (data,)
        return LOSSES[self.name](*(self.model(images) for images in data), *([target] if len(target) else []))


def network(is_classifier: bool = False) -> nn.Sequential:
    """Make the network of the experiments with PyTorch's own PReLU; a classifier has log-softmax on top."""
    top = [nn.PReLU(), nn.Linear(2, 10), nn.LogSoftmax(dim=-1)] if is_classifier else []
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.PReLU(), nn.MaxPool2d(2, stride=2),
        nn.Conv2d(32, 64, 5), nn.PReLU(), nn.MaxPool2d(2, stride=2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 256), nn.PReLU(),
        nn.Linear(256, 256), nn.PReLU(),
        nn.Linear(256, 2), *top,
    )  # fmt: skip


def contrastive(first: Tensor, second: Tensor, target: Tensor) -> Tensor:
    squared = (second - first).pow(2).sum(1)
    apart = F.relu(MARGIN - (squared + 1e-9).sqrt()).pow(2)
    return (0.5 * (target.float() * squared + (1 - target).float() * apart)).mean()


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    return F.relu((anchor - positive).pow(2).sum(1) - (anchor - negative).pow(2).sum(1) + MARGIN).mean()


def online_contrastive(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Compute the loss without the factor ½ of `contrastive`, as in the original."""
    positive, negative = selection.hard_negative_pairs(embeddings.detach(), labels)
    together = (embeddings[positive[:, 0]] - embeddings[positive[:, 1]]).pow(2).sum(1)
    apart = F.relu(MARGIN - (embeddings[negative[:, 0]] - embeddings[negative[:, 1]]).pow(2).sum(1).sqrt()).pow(2)
    return torch.cat([together, apart]).mean()


def online_triplet(embeddings: Tensor, labels: Tensor) -> Tensor:
    triplets = selection.triplets_with(selection.random_violating, MARGIN, embeddings.detach(), labels)
    if not len(triplets):
        return embeddings.sum() * 0
    return triplet(*(embeddings[column] for column in triplets.T))


LOSSES = {
    "softmax": F.nll_loss,
    "siamese": contrastive,
    "triplet": triplet,
    "online-contrastive": online_contrastive,
    "online-triplet": online_triplet,
}
