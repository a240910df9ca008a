"""Ways to divide labelled images into parts: by class, or by image."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from siamese_triplet._sorting import members_by_class


def check_shares(shares: Sequence[float]) -> None:
    """Raise a ValueError for shares that are not positive or do not sum to 1."""
    if min(shares, default=0) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"{shares=} must be positive and sum to 1")


def draw_classes(
    names: Sequence[str], shares: Sequence[float], seed: int, family: Callable[[str], str] | None
) -> list[list[str]]:
    """Deal the classes out to parts, families together; each part lists its names in their order."""
    check_shares(shares)
    family_of = {name: family(name) if family else name for name in names}
    families = sorted(set(family_of.values()))
    order = torch.randperm(len(families), generator=torch.Generator().manual_seed(seed)).tolist()
    ends = [round(sum(shares[:count]) * len(families)) for count in range(len(shares) + 1)]
    parts = [{families[i] for i in order[first:end]} for first, end in pairwise(ends)]
    if not all(parts):
        raise ValueError(f"{len(families)} classes or families are too few for parts of {shares=}")
    return [[name for name in names if family_of[name] in part] for part in parts]


def draw_images(targets: Tensor, shares: Sequence[float], seed: int) -> list[Tensor]:
    """Deal the images (N,) of each class out to parts; each part lists its places, ascending.

    The first part gets two images of each class before another part gets one: without a pair it teaches nothing. The
    last part is served next, so that there is a test before there is a validation.
    """
    check_shares(shares)
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in shares]
    for label, members in members_by_class(targets).items():
        if label < 0:
            continue
        order = members[torch.randperm(len(members), generator=generator)]
        for part, drawn in zip(parts, order.split(_sizes(len(members), shares)), strict=True):
            part.append(drawn)
    return [torch.cat(part).sort().values if part else torch.empty(0, dtype=torch.int64) for part in parts]


def _sizes(n_images: int, shares: Sequence[float]) -> list[int]:
    """Return how many images of a class of `n_images` each part gets."""
    left = max(0, n_images - 2)
    sizes = [0] * len(shares)
    for number in reversed(range(1, len(shares))):
        sizes[number] = min(left, max(1, round(shares[number] * n_images)))
        left -= sizes[number]
    sizes[0] = n_images - sum(sizes)
    return sizes
