"""The triplet loss, of given triplets and of triplets selected in a batch."""

from torch import Tensor, nn
from torch.nn import functional as F

from siamese_triplet._original import NO_SIZE_AVERAGE, explains_misfit
from siamese_triplet._validation import check_batch, check_embeddings, check_margin_or_soft, check_selector
from siamese_triplet.distances import chosen_distances, pairwise_distances, root, row_distances
from siamese_triplet.losses._batch import is_empty_selection, mean_or_zero
from siamese_triplet.selectors import TripletSelector, triplets_of


class TripletLoss(nn.Module):
    """Triplet loss max(0, d²(anchor, positive) + m − d²(anchor, negative)), mean over the triplets.

    From Schroff and others (2015). `margin="soft"` gives log(1 + exp(d²(anchor, positive) − d²(anchor, negative))),
    which never quite vanishes (Hermans, Beyer and Leibe, 2017). `squared=False` takes plain distances d instead of d².

    >>> import torch
    >>> from siamese_triplet import TripletLoss
    >>> anchor, positive, negative = torch.tensor([[0.0]]), torch.tensor([[1.0]]), torch.tensor([[1.2]])
    >>> TripletLoss(margin=1.0)(anchor, positive, negative)  # 1² + 1 − 1.2²
    tensor(0.5600)
    >>> TripletLoss(margin=1.0, squared=False)(anchor, positive, negative)  # 1 + 1 − 1.2
    tensor(0.8000)
    """

    is_empty: bool | Tensor = False

    def __init__(self, margin: float | str, squared: bool = True) -> None:
        super().__init__()
        self.margin, self.squared = check_margin_or_soft(margin), squared

    @explains_misfit(NO_SIZE_AVERAGE)
    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the mean loss of triplets of embeddings, each (T, D).

        T = 0 gives a zero. Raises ValueError for embeddings that are not (T, D) matrices of one shape, and on a CPU for
        embeddings that are not finite; on other devices this would take a sync, and NaN gives NaN.
        """
        check_embeddings(anchor=anchor, positive=positive, negative=negative)
        self.is_empty = not len(anchor)
        positive_distances = row_distances(anchor, positive, self.squared)  # (T,)
        negative_distances = row_distances(anchor, negative, self.squared)  # (T,)
        return mean_or_zero(_triplet_losses(positive_distances, negative_distances, self.margin))


class OnlineTripletLoss(nn.Module):
    """Triplet loss of the triplets that `triplet_selector` selects in a batch; for its options see `TripletLoss`.

    A selector of triplets with a loss has a `margin` and `squared` of its own: give selector and loss the same.

    >>> import torch
    >>> from siamese_triplet import HardestNegativeTripletSelector, OnlineTripletLoss
    >>> embeddings, labels = torch.tensor([[0.0], [1.0], [1.2]]), torch.tensor([0, 0, 1])
    >>> loss, n_triplets = OnlineTripletLoss(1.0, HardestNegativeTripletSelector(1.0))(embeddings, labels)
    >>> round(loss.item(), 3), n_triplets  # the mean of 1² + 1 − 1.2² and 1² + 1 − 0.2²
    (1.26, 2)
    """

    is_empty: bool | Tensor = False

    def __init__(self, margin: float | str, triplet_selector: TripletSelector, squared: bool = True) -> None:
        super().__init__()
        self.margin, self.squared = check_margin_or_soft(margin), squared
        self.triplet_selector = check_selector(triplet_selector, "get_triplets")
        if hasattr(triplet_selector, "margin") and getattr(triplet_selector, "squared", squared) != squared:
            raise ValueError(
                f"{type(triplet_selector).__name__} has squared={not squared} but the loss squared={squared}; "
                "their margins would mean different things: give both the same"
            )

    def forward(self, embeddings: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """Return the mean loss over the triplets selected from `embeddings` (B, D), and the number of these triplets.

        `target` (B,) are integer class labels. A batch without triplets gives a zero and 0. Raises ValueError for
        embeddings that are not a finite (B, D) matrix and for labels that are not B integers.
        """
        check_batch(embeddings, target, labels_name="target")
        distances = pairwise_distances(embeddings.detach())  # (B, B), squared, for the selector and the loss alike
        triplets = triplets_of(self.triplet_selector, embeddings, target, distances)  # (T, 3)
        self.is_empty = is_empty_selection(len(triplets), target)
        anchor = triplets[:, 0].repeat(2)  # (2T,): of the positive pairs, then of the negative pairs
        other = triplets[:, 1:].T.reshape(-1)  # (2T,)
        chosen = chosen_distances(embeddings, distances, anchor, other)
        chosen = chosen if self.squared else root(chosen)
        to_positives, to_negatives = chosen.chunk(2)  # (T,), (T,)
        return mean_or_zero(_triplet_losses(to_positives, to_negatives, self.margin)), len(triplets)


def _triplet_losses(positive_distances: Tensor, negative_distances: Tensor, margin: float | str) -> Tensor:
    if isinstance(margin, str):  # the soft margin
        return -F.logsigmoid(negative_distances - positive_distances)
    return F.relu(positive_distances + margin - negative_distances)
