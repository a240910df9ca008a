"""Can new classes be told apart from one or a few images of each? Few-shot classification in episodes."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from siamese_triplet._validation import check_batch
from siamese_triplet.distances import full_precision, wide_dtype
from siamese_triplet.evaluation.intervals import bootstrap_intervals
from siamese_triplet.evaluation.neighbours import check_not_empty

CHUNK = 2**20  # numbers of embeddings at a time


class Episodes(NamedTuple):
    """Images of some episodes with as many classes, by index: the support and the queries of each class."""

    support: Tensor  # (E, n_way, k_shot)
    queries: Tensor  # (E, n_way, n_queries)


def few_shot_accuracy(
    embeddings: Tensor,
    labels: Tensor,
    n_way: int,
    k_shot: int,
    n_queries: int = 5,
    n_episodes: int = 1000,
    seed: int = 0,
    *,
    groups: Tensor | None = None,
    allow_fewer: bool = False,
) -> dict[str, Any]:
    """The accuracy of `n_way` classification from `k_shot` labelled images a class, over random episodes.

    An episode draws `n_way` classes of `embeddings` (N, D), `k_shot` images of each as the support and `n_queries`
    others to classify. It is scored in two ways: `prototype`, the class whose support has the nearest mean (Snell and
    others, 2017), and `neighbour`, the class of the nearest support image (Vinyals and others, 2016). With one
    shot both are the same. A query as near to another class as to its own counts as wrong.

    `groups` (N,) are integers, such as the alphabets of characters: each episode then draws its classes from one group,
    all groups equally often, the first of them once more where the episodes do not divide; this is the harder task,
    as classes of a group look alike. `allow_fewer` takes all classes of a group that has fewer than `n_way`; its
    episodes are easier, which the result tells as `n_way_of_groups`, a dict.

    Returns `prototype` and `neighbour`, means over the episodes, with 95 % bootstrap intervals over the episodes,
    `<name>_interval`: they tell how far other episodes from the same classes would differ, not other classes.

    Raises ValueError for no images, embeddings that are not finite, fewer classes (of a group) than `n_way`, a class
    with fewer images than `k_shot + n_queries`, and a class in two groups.

    >>> import torch
    >>> from siamese_triplet import few_shot_accuracy
    >>> labels = torch.arange(6).repeat_interleave(6)
    >>> embeddings = torch.eye(6)[labels]  # every image on the corner of its class
    >>> found = few_shot_accuracy(embeddings, labels, n_way=5, k_shot=1, n_episodes=10)
    >>> found["prototype"], found["prototype_interval"]
    (1.0, (1.0, 1.0))
    """
    check_not_empty("embeddings", embeddings)
    check_batch(embeddings, labels)
    for name, number, least in (
        ("n_way", n_way, 2), ("k_shot", k_shot, 1), ("n_queries", n_queries, 1), ("n_episodes", n_episodes, 1),
    ):  # fmt: skip
        if number < least:
            raise ValueError(f"{name}={number} must be at least {least}")
    members = _members(labels, k_shot + n_queries)
    classes = _classes_of_groups(labels, groups, len(members))
    ways = {
        group: _ways(group, len(of_group), n_way, groups is not None, allow_fewer)
        for group, of_group in classes.items()
    }
    generator = torch.Generator().manual_seed(seed)
    scores = torch.empty(n_episodes, 2, dtype=torch.float64)
    wide = full_precision(embeddings).to(wide_dtype(embeddings))
    wide = wide - wide.mean(dim=0)
    for number, (group, of_group) in enumerate(classes.items()):
        if number >= n_episodes:
            break  # fewer episodes than groups
        turns = torch.arange(number, n_episodes, len(classes))
        at_once = max(1, CHUNK // (ways[group] * (k_shot + n_queries) * max(1, wide.shape[1])))
        for some in turns.split(at_once):
            drawn = [_draw(of_group, members, ways[group], k_shot + n_queries, generator) for _ in some]
            images = torch.stack(drawn).to(wide.device)
            scores[some] = _scores(wide, Episodes(*images.split([k_shot, n_queries], dim=2))).cpu()
    values = dict(zip(("prototype", "neighbour"), scores.T, strict=True))
    results: dict[str, Any] = {name: of_episodes.mean().item() for name, of_episodes in values.items()}
    results |= bootstrap_intervals(values, seed=seed)
    return results if groups is None else results | {"n_way_of_groups": ways}


def _members(labels: Tensor, n_needed: int) -> list[Tensor]:
    """The images of each class, in the order of the labels, on the CPU."""
    labels = labels.cpu()
    classes, sizes = labels.unique(return_counts=True)
    if sizes.min() < n_needed:
        which = int(classes[sizes.argmin()])
        raise ValueError(
            f"class {which} has {int(sizes.min())} images, fewer than the k_shot + n_queries = {n_needed} of an "
            "episode; lower one of them, or leave the class out"
        )
    return list(labels.argsort(stable=True).split(sizes.tolist()))


def _classes_of_groups(labels: Tensor, groups: Tensor | None, n_classes: int) -> dict[int, Tensor]:
    """The classes of each group, by their place among all classes; one group 0 where there are no groups."""
    if groups is None:
        return {0: torch.arange(n_classes)}
    if groups.shape != labels.shape or groups.is_floating_point():
        raise ValueError(
            f"groups must be one integer an image, as labels {tuple(labels.shape)}, got {groups.dtype} of shape "
            f"{tuple(groups.shape)}"
        )
    place = labels.cpu().unique(return_inverse=True)[1]
    both = torch.stack([groups.cpu(), place], dim=1).unique(dim=0)  # (C, 2), one row a class
    if len(both) > n_classes:
        raise ValueError("a class has images in two groups; give all images of a class one group")
    return {int(group): both[both[:, 0] == group, 1] for group in both[:, 0].unique()}


def _ways(group: int, n_classes: int, n_way: int, is_group: bool, allow_fewer: bool) -> int:
    if n_classes >= n_way:
        return n_way
    where = f"group {group} has" if is_group else "there are"
    if not allow_fewer or n_classes < 2:
        raise ValueError(
            f"{where} {n_classes} classes, fewer than {n_way=}; lower n_way, or, with groups, pass allow_fewer=True to "
            "take all that a group has, two at least"
        )
    return n_classes


def _draw(classes: Tensor, members: list[Tensor], n_way: int, n_images: int, generator: torch.Generator) -> Tensor:
    """The images of an episode, (n_way, n_images)."""
    chosen = classes[torch.randperm(len(classes), generator=generator)[:n_way]].tolist()
    return torch.stack([members[c][torch.randperm(len(members[c]), generator=generator)[:n_images]] for c in chosen])


def _scores(rows: Tensor, episodes: Episodes) -> Tensor:
    """The accuracy of each episode by prototype and by neighbour, (E, 2)."""
    support, queries = rows[episodes.support], rows[episodes.queries].flatten(1, 2)  # (E, W, K, D), (E, W·Q, D)
    n_way, k_shot = support.shape[1:3]
    own = torch.arange(n_way, device=rows.device).repeat_interleave(episodes.queries.shape[2])  # (W·Q,)
    to_means = _squared_distances(queries, support.mean(dim=2))  # (E, W·Q, W)
    to_images = _squared_distances(queries, support.flatten(1, 2))  # (E, W·Q, W·K)
    to_nearest = to_images.unflatten(2, (n_way, k_shot)).amin(dim=3)
    return torch.stack([_accuracy(distances, own) for distances in (to_means, to_nearest)], dim=1)


def _squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Between rows (E, q, D) and (E, s, D) of centred float64 numbers, as float32 (E, q, s)."""
    of_left, of_right = left.square().sum(dim=2), right.square().sum(dim=2)
    squared = torch.baddbmm(of_left[:, :, None] + of_right[:, None], left, right.mT, alpha=-2)
    rounding = 4 * (left.shape[2] + 2) * torch.finfo(left.dtype).eps * of_left[:, :, None]
    return torch.where(squared > rounding, squared, 0).float()


def _accuracy(distances: Tensor, own: Tensor) -> Tensor:
    """The share of queries nearer to their `own` class (q,) than to all others, (E,), from distances (E, q, W)."""
    to_own = distances.gather(2, own[None, :, None].expand(len(distances), -1, 1))
    is_nearer = (distances <= to_own).sum(dim=2) == 1  # itself alone
    return is_nearer.double().mean(dim=1)
