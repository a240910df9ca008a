"""Batch samplers for online mining: a fixed number of classes per batch and of images per class."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import BatchSampler

from siamese_triplet._generators import PicklesGenerators
from siamese_triplet._sorting import members_by_class
from siamese_triplet._validation import check_all_known, integer_vector


class BalancedBatchSampler(PicklesGenerators, BatchSampler):
    """A batch sampler: each batch holds `n_samples` images of each of `n_classes` classes.

    `labels` are the integer labels of a data set, one per image, as a tensor, array or list. An epoch has `len(labels)
    // (n_classes * n_samples)` batches, at least one. Every batch is full, and repeats no image unless `replacement`
    allows it. Coverage is as even as possible: over an epoch any two classes, and any two images of one class, are
    drawn equally often, give or take one. Epochs differ, and the same `seed` gives the same epochs.

    With several processes the same `seed` gives all the same batches, and `TensorLoader` gives each process its share
    of every batch. For other batches in each process pass each its own seed, such as its rank. Lightning needs
    `Trainer(use_distributed_sampler=False)` for that. accelerate deals the batches of one seed out to the processes;
    its `split_batches=True` would leave each process with a part of the classes.

    Raises ValueError for labels of −1, which stand for images without a class (unless the labels are −1 and 1), for
    fewer than `n_classes` classes, and for a class with fewer than `n_samples` images, unless
    `replacement` lets such a class repeat its images within a batch.

    >>> from siamese_triplet import BalancedBatchSampler
    >>> labels = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    >>> for batch in BalancedBatchSampler(labels, n_classes=2, n_samples=3):
    ...     print(sorted(labels[index] for index in batch))
    [0, 0, 0, 2, 2, 2]
    [1, 1, 1, 2, 2, 2]
    """

    def __init__(
        self,
        labels: Tensor | Sequence[int],
        n_classes: int,
        n_samples: int,
        replacement: bool = False,
        seed: int = 0,
    ) -> None:
        labels = _labels("BalancedBatchSampler: labels", labels)
        check_all_known("BalancedBatchSampler: labels", labels)
        if n_classes < 1 or n_samples < 1:
            raise ValueError(f"BalancedBatchSampler: {n_classes=} and {n_samples=} must both be at least 1")
        self.members = members_by_class(labels)
        if n_classes > len(self.members):
            raise ValueError(
                f"BalancedBatchSampler: {n_classes=}, but there are only {len(self.members)} classes; lower n_classes"
            )
        for label, images in self.members.items():
            if len(images) < n_samples and not replacement:
                raise ValueError(
                    f"BalancedBatchSampler: class {label} has {len(images)} images, fewer than {n_samples=}; "
                    "lower n_samples or pass replacement=True"
                )
        self.n_classes = n_classes
        self.n_samples = n_samples
        self.batch_size = n_classes * n_samples
        self.drop_last = True  # every batch is full
        self.n_batches = max(1, len(labels) // self.batch_size)
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        classes = _Deck(torch.tensor(list(self.members)), self.generator)
        images = {label: _Deck(members, self.generator) for label, members in self.members.items()}
        for _ in range(self.n_batches):
            hands = [images[label].deal(self.n_samples) for label in classes.deal(self.n_classes).tolist()]
            yield torch.cat(hands).tolist()


class GroupedBatchSampler(PicklesGenerators, BatchSampler):
    """A batch sampler for classes that belong to groups: `n_groups` groups × `n_classes` classes × `n_samples` images.

    Classes of one group, such as the characters of an alphabet, look alike, so a batch from few groups has harder
    negatives than one with the same number of classes from all groups. `labels` and `groups` are integers, one per
    image. A group with fewer than `n_classes` classes gives all it has, and such batches are smaller. An epoch has
    `len(labels) // (n_groups * n_classes * n_samples)` batches, at least one; groups, classes of a group and images of
    a class are each drawn equally often, give or take one. Epochs differ, and the same `seed` gives the same epochs.
    Several processes share or deal out batches as with `BalancedBatchSampler`. `batch_size` is None if batches differ
    in size.

    Raises ValueError if `labels` or `groups` are not integers, there are fewer than `n_groups` groups, a class is in
    two groups, or a class has fewer than `n_samples` images.

    >>> from siamese_triplet import GroupedBatchSampler
    >>> labels, groups = [0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 1, 1, 1, 1]  # classes 0 and 1 belong to group 0
    >>> for batch in GroupedBatchSampler(labels, groups, n_groups=1, n_classes=2, n_samples=2):
    ...     print(len(batch), len({groups[index] for index in batch}))
    4 1
    4 1
    """

    def __init__(
        self,
        labels: Tensor | Sequence[int],
        groups: Tensor | Sequence[int],
        n_groups: int,
        n_classes: int,
        n_samples: int,
        seed: int = 0,
    ) -> None:
        labels = _labels("GroupedBatchSampler: labels", labels)
        check_all_known("GroupedBatchSampler: labels", labels)
        groups = _labels("GroupedBatchSampler: groups", groups)
        if labels.shape != groups.shape:
            raise ValueError(
                f"GroupedBatchSampler: expected one label and one group per image, got {tuple(labels.shape)} labels "
                f"and {tuple(groups.shape)} groups"
            )
        self.members = BalancedBatchSampler(labels, 1, n_samples).members  # also checks n_samples
        group_and_class = torch.stack([groups, labels], dim=1).unique(dim=0)  # (C, 2), one row per class
        if len(group_and_class) > len(self.members):
            raise ValueError("GroupedBatchSampler: a class has images in two groups; each class must be in one group")
        group_column, class_column = group_and_class.T
        self.classes = {group: class_column[rows] for group, rows in members_by_class(group_column).items()}
        if not 1 <= n_groups <= len(self.classes) or n_classes < 1:
            raise ValueError(
                f"GroupedBatchSampler: {n_groups=} must be between 1 and the {len(self.classes)} groups, {n_classes=} "
                "at least 1"
            )
        self.n_groups, self.n_classes, self.n_samples = n_groups, n_classes, n_samples
        largest, is_same = n_groups * n_classes * n_samples, min(map(len, self.classes.values())) >= n_classes
        self.batch_size = largest if is_same else None  # type: ignore[assignment]
        self.drop_last = True  # no batch is cut at the end
        self.n_batches = max(1, len(labels) // largest)
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        groups = _Deck(torch.tensor(list(self.classes)), self.generator)
        classes = {group: _Deck(members, self.generator) for group, members in self.classes.items()}
        images = {label: _Deck(members, self.generator) for label, members in self.members.items()}
        for _ in range(self.n_batches):
            hands = []
            for group in groups.deal(self.n_groups).tolist():
                dealt = classes[group].deal(min(self.n_classes, len(self.classes[group])))
                hands += [images[label].deal(self.n_samples) for label in dealt.tolist()]
            yield torch.cat(hands).tolist()


def _labels(name: str, values: Tensor | Sequence[int]) -> Tensor:
    """Convert `values` to int64 (N,) on the CPU; a ValueError unless they are integers, at least one."""
    expected = "a non-empty vector of integers"
    vector = integer_vector(name, values, expected).cpu()
    if not len(vector):
        raise ValueError(f"{name} must be {expected}, got none")
    return vector


class _Deck:
    """A shuffled deck of cards to deal from, which is shuffled again when it runs short."""

    def __init__(self, cards: Tensor, generator: torch.Generator) -> None:
        self.cards = cards
        self.generator = generator
        self.rest = self._shuffle(cards)

    def deal(self, n: int) -> Tensor:
        """Deal the next `n` cards, all different if the deck has that many."""
        whole_decks = [self._shuffle(self.cards) for _ in range((n - 1) // len(self.cards))]
        n -= len(whole_decks) * len(self.cards)
        hand, self.rest = self.rest[:n], self.rest[n:]
        if len(hand) < n:
            deck = self._shuffle(self.cards)
            is_in_hand = torch.isin(deck, hand)
            others, missing = deck[~is_in_hand], n - len(hand)
            hand = torch.cat([hand, others[:missing]])
            self.rest = self._shuffle(torch.cat([others[missing:], deck[is_in_hand]]))
        return torch.cat([*whole_decks, hand]) if whole_decks else hand

    def _shuffle(self, cards: Tensor) -> Tensor:
        return cards[torch.randperm(len(cards), generator=self.generator)]
