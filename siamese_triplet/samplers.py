"""Batches with a fixed number of classes and of images of each: what online mining needs."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler


class BalancedBatchSampler(Sampler[list[int]]):
    """A batch sampler: each batch holds `n_samples` images of each of `n_classes` classes.

    `labels` are the integer labels of a data set, one an image, as a tensor, array or list. An epoch is `len(labels)
    // (n_classes * n_samples)` batches, at least one. Each of them is full, and without a repeated image unless
    `replacement` asks for it. Coverage is as even as it can be: over an epoch any two classes, and any two images of
    one class, are drawn equally often, give or take one. Each epoch is shuffled anew, from `seed`; the same seed
    gives the same epochs.

    Raises ValueError where there are fewer than `n_classes` classes, or where a class has fewer than `n_samples`
    images, unless `replacement` allows such a class to repeat its images within a batch.

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
        labels = _integers("BalancedBatchSampler: labels", labels)
        if n_classes < 1 or n_samples < 1:
            raise ValueError(f"BalancedBatchSampler: {n_classes=} and {n_samples=} must both be at least 1")
        self.members = {int(label): (labels == label).nonzero().squeeze(1) for label in labels.unique()}
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
        self.n_batches = max(1, len(labels) // (n_classes * n_samples))
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        classes = _Deck(torch.tensor(list(self.members)), self.generator)
        images = {label: _Deck(members, self.generator) for label, members in self.members.items()}
        for _ in range(self.n_batches):
            hands = [images[label].deal(self.n_samples) for label in classes.deal(self.n_classes).tolist()]
            yield torch.cat(hands).tolist()


class GroupedBatchSampler(Sampler[list[int]]):
    """A batch sampler for classes that belong to groups: `n_groups` groups × `n_classes` classes × `n_samples` images.

    Classes of one group, such as the characters of an alphabet, look alike, so that a batch of few groups has harder
    negatives than one of as many classes from all of them. `labels` and `groups` are integers, one an image. A group
    with fewer than `n_classes` classes gives all it has, so that such batches are smaller. An epoch is `len(labels) //
    (n_groups * n_classes * n_samples)` batches, at least one; groups, the classes of a group and the images of a class
    are each drawn equally often, give or take one. Each epoch is shuffled anew, from `seed`.

    Raises ValueError where `labels` or `groups` are no integers, there are fewer than `n_groups` groups, a class is in
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
        labels = _integers("GroupedBatchSampler: labels", labels)
        groups = _integers("GroupedBatchSampler: groups", groups)
        if labels.shape != groups.shape:
            raise ValueError(
                f"GroupedBatchSampler: one label and one group an image, got {tuple(labels.shape)} labels and "
                f"{tuple(groups.shape)} groups"
            )
        self.members = BalancedBatchSampler(labels, 1, n_samples).members  # which checks n_samples
        both = torch.stack([groups, labels], dim=1).unique(dim=0)  # (C, 2), a row for each class
        if len(both) > len(self.members):
            raise ValueError("GroupedBatchSampler: a class has images in two groups; give all images of a class one")
        self.classes = {int(group): both[both[:, 0] == group, 1] for group in both[:, 0].unique()}
        if not 1 <= n_groups <= len(self.classes) or n_classes < 1:
            raise ValueError(
                f"GroupedBatchSampler: {n_groups=} must be between 1 and the {len(self.classes)} groups, {n_classes=} "
                "at least 1"
            )
        self.n_groups, self.n_classes, self.n_samples = n_groups, n_classes, n_samples
        self.n_batches = max(1, len(labels) // (n_groups * n_classes * n_samples))
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


def _integers(name: str, values: Tensor | Sequence[int]) -> Tensor:
    """`values` as a tensor (N,) on the CPU. A ValueError unless they are integers, one at least."""
    try:
        vector = torch.as_tensor(values).cpu()
    except (TypeError, ValueError, RuntimeError) as error:  # a RuntimeError for None
        raise ValueError(
            f"{name} must be integers, one an image, got a {type(values).__name__} ({error}); number them, 0, 1, 2 …"
        ) from error
    if vector.ndim != 1 or vector.is_floating_point() or not len(vector):
        raise ValueError(
            f"{name} must be a non-empty vector of integers, got {vector.dtype} of shape {tuple(vector.shape)}"
        )
    return vector


class _Deck:
    """A shuffled deck of cards that is dealt out, and shuffled again when it runs short."""

    def __init__(self, cards: Tensor, generator: torch.Generator) -> None:
        self.cards = cards
        self.generator = generator
        self.rest = self._shuffled(cards)

    def deal(self, n: int) -> Tensor:
        """The next `n` cards, all different if the deck has as many."""
        if n > len(self.cards):
            return torch.cat([self._shuffled(self.cards), self.deal(n - len(self.cards))])
        hand, self.rest = self.rest[:n], self.rest[n:]
        if len(hand) < n:
            deck = self._shuffled(self.cards)
            is_in_hand = torch.isin(deck, hand)
            others, missing = deck[~is_in_hand], n - len(hand)
            hand = torch.cat([hand, others[:missing]])
            self.rest = self._shuffled(torch.cat([others[missing:], deck[is_in_hand]]))
        return hand

    def _shuffled(self, cards: Tensor) -> Tensor:
        return cards[torch.randperm(len(cards), generator=self.generator)]
