"""Few-shot classification in episodes: can new classes be told apart from one or a few images of each?"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from siamese_triplet._validation import check_batch, check_finite, check_known, check_matrix
from siamese_triplet.distances import exponent_of, full_precision, scale, wide_dtype
from siamese_triplet.evaluation.intervals import bootstrap_intervals
from siamese_triplet.evaluation.neighbours import check_not_empty

CHUNK = 2**20  # coordinates of embeddings processed at once


class Episodes(NamedTuple):
    """Indices of the images of episodes with equally many classes: the support and the queries of each class."""

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
    """Compute the accuracy of n-way k-shot classification over random episodes.

    An episode draws `n_way` classes of `embeddings` (N, D) with integer `labels` (N,). Of each class it draws `k_shot`
    images as the support and `n_queries` others to classify. Queries are classified in two ways:

    - `prototype`: the class whose support has the nearest mean (Snell and others, 2017).
    - `neighbour`: the class of the nearest support image (Vinyals and others, 2016). With one shot both are the same.

    A query as near to another class as to its own counts as wrong.

    `groups` (N,) are integers, such as the alphabets of characters. Each episode then draws its classes from one group,
    a harder task as classes of a group look alike. Groups take part equally often, the first ones once more if the
    episodes do not divide evenly. `allow_fewer` takes all classes of a group with fewer than `n_way`, whose episodes
    are then easier; the result lists the number of classes per group as `n_way_of_groups`, a dict.

    Returns a dict of `prototype` and `neighbour`, the mean accuracies, and their 95 % bootstrap intervals over the
    episodes, `<name>_interval`. These reflect the choice of episodes from the same classes, not of other classes.

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
    check_known("labels", labels)
    for name, number, least in (
        ("n_way", n_way, 2), ("k_shot", k_shot, 1), ("n_queries", n_queries, 1), ("n_episodes", n_episodes, 1),
    ):  # fmt: skip
        if number < least:
            raise ValueError(f"{name}={number} must be at least {least}")
    members = _list_members(labels, k_shot + n_queries)
    classes = _list_classes(labels, groups, len(members))
    ways = {
        group: _check_n_way(group, len(group_classes), n_way, groups is not None, allow_fewer)
        for group, group_classes in classes.items()
    }
    generator = torch.Generator().manual_seed(seed)
    scores = torch.empty(n_episodes, 2, dtype=torch.float64)
    wide = _centre(embeddings)
    for number, (group, group_classes) in enumerate(classes.items()):
        if number >= n_episodes:
            break  # fewer episodes than groups
        turns = torch.arange(number, n_episodes, len(classes))
        chunk_size = max(1, CHUNK // (ways[group] * (k_shot + n_queries) * max(1, wide.shape[1])))
        for chunk in turns.split(chunk_size):
            drawn = [_draw_episode(group_classes, members, ways[group], k_shot + n_queries, generator) for _ in chunk]
            images = torch.stack(drawn).to(wide.device)
            scores[chunk] = _scores(wide, Episodes(*images.split([k_shot, n_queries], dim=2))).cpu()
    results = _summarise(scores, seed)
    return results if groups is None else results | {"n_way_of_groups": ways}


def episode_accuracy(embeddings: Tensor, support: Tensor, queries: Tensor, seed: int = 0) -> dict[str, Any]:
    """Compute the accuracy of few-shot classification in given episodes, such as the official runs of Omniglot.

    `support` (E, n_way, k_shot) and `queries` (E, n_way, n_queries) are indices of `embeddings` (N, D): in each of E
    episodes the images of each class. Queries are classified as by `few_shot_accuracy`, and the result has the same
    entries; `seed` is that of the bootstrap over the episodes.

    Raises ValueError for no images, embeddings that are not finite, indices that are no integers from 0 to N − 1, other
    shapes, fewer than two classes, and a query that is in the support of its episode.

    >>> import torch
    >>> from siamese_triplet.evaluation import episode_accuracy
    >>> embeddings = torch.tensor([[0.0], [1.0], [0.1], [0.4]])
    >>> support, queries = torch.tensor([[[0], [1]]]), torch.tensor([[[2], [3]]])  # one episode, two classes
    >>> episode_accuracy(embeddings, support, queries)["prototype"]  # 0.4 is nearer to 0 than to 1
    0.5
    """
    check_not_empty("embeddings", embeddings)
    check_matrix("embeddings", embeddings)
    check_finite("embeddings", embeddings)
    _check_episodes(support, queries, len(embeddings))
    wide = _centre(embeddings)
    n_images = support[0].numel() + queries[0].numel()
    chunk_size = max(1, CHUNK // (n_images * max(1, wide.shape[1])))
    chunks = zip(support.to(wide.device).split(chunk_size), queries.to(wide.device).split(chunk_size), strict=True)
    return _summarise(torch.cat([_scores(wide, Episodes(*chunk)) for chunk in chunks]).cpu(), seed)


def _check_episodes(support: Tensor, queries: Tensor, n_images: int) -> None:
    for name, indices in (("support", support), ("queries", queries)):
        if not isinstance(indices, Tensor) or indices.ndim != 3 or indices.dtype not in (torch.int32, torch.int64):
            raise ValueError(f"{name} must be integer indices (episodes, classes, images), got {_described(indices)}")
        if not indices.numel() or indices.min() < 0 or indices.max() >= n_images:
            raise ValueError(f"{name} must be indices from 0 to {n_images - 1}, at least one for each class")
    if support.shape[:2] != queries.shape[:2] or support.shape[1] < 2:
        raise ValueError(
            f"support and queries must have as many episodes, of as many classes, at least two; got "
            f"{tuple(support.shape)} and {tuple(queries.shape)}"
        )
    asked, known = queries.flatten(1).cpu(), support.flatten(1).cpu()
    if (asked[:, :, None] == known[:, None]).any():
        raise ValueError("a query is in the support of its own episode; leave it out of one of the two")


def _described(indices: Any) -> str:
    is_tensor = isinstance(indices, Tensor)
    return f"{indices.dtype} of shape {tuple(indices.shape)}" if is_tensor else type(indices).__name__


def _centre(embeddings: Tensor) -> Tensor:
    """Centre and scale `embeddings`, so that squares, as float32, neither vanish nor overflow."""
    wide = full_precision(embeddings).to(wide_dtype(embeddings))
    wide = wide - wide.mean(dim=0)
    return scale(wide, -exponent_of(wide))


def _summarise(scores: Tensor, seed: int) -> dict[str, Any]:
    """Compute the means of the scores (E, 2) of episodes, by prototype and by neighbour, and their intervals."""
    values = dict(zip(("prototype", "neighbour"), scores.T, strict=True))
    means = {name: accuracies.mean().item() for name, accuracies in values.items()}
    return means | bootstrap_intervals(values, seed=seed)


def _list_members(labels: Tensor, n_needed: int) -> list[Tensor]:
    """List the images of each class, in the order of the labels, on the CPU."""
    labels = labels.cpu()
    classes, sizes = labels.unique(return_counts=True)
    if sizes.min() < n_needed:
        which = int(classes[sizes.argmin()])
        raise ValueError(
            f"class {which} has {int(sizes.min())} images, fewer than the k_shot + n_queries = {n_needed} of an "
            "episode; lower one of them, or leave the class out"
        )
    return list(labels.argsort(stable=True).split(sizes.tolist()))


def _list_classes(labels: Tensor, groups: Tensor | None, n_classes: int) -> dict[int, Tensor]:
    """List the classes of each group, by their place among all classes; without groups, of a single group 0."""
    if groups is None:
        return {0: torch.arange(n_classes)}
    if groups.shape != labels.shape or groups.is_floating_point():
        raise ValueError(
            f"groups must be one integer per image, as labels {tuple(labels.shape)}, got {groups.dtype} of shape "
            f"{tuple(groups.shape)}"
        )
    place = labels.cpu().unique(return_inverse=True)[1]
    both = torch.stack([groups.cpu(), place], dim=1).unique(dim=0)  # (C, 2), one row per class
    if len(both) > n_classes:
        raise ValueError("a class has images in two groups; give all images of a class one group")
    numbers, sizes = both[:, 0].unique_consecutive(return_counts=True)  # `unique` has sorted the rows
    return dict(zip(numbers.tolist(), both[:, 1].split(sizes.tolist()), strict=True))


def _check_n_way(group: int, n_classes: int, n_way: int, is_group: bool, allow_fewer: bool) -> int:
    """Return the number of classes in an episode of `group`, if it has enough."""
    if n_classes >= n_way:
        return n_way
    where = f"group {group} has" if is_group else "there are"
    if not allow_fewer or n_classes < 2:
        raise ValueError(
            f"{where} {n_classes} classes, fewer than {n_way=}; lower n_way, or, with groups, pass allow_fewer=True to "
            "take all classes of a group, at least two"
        )
    return n_classes


def _draw_episode(
    classes: Tensor, members: list[Tensor], n_way: int, n_images: int, generator: torch.Generator
) -> Tensor:
    """Draw the images of one episode, (n_way, n_images)."""
    chosen = classes[torch.randperm(len(classes), generator=generator)[:n_way]].tolist()
    return torch.stack([members[c][torch.randperm(len(members[c]), generator=generator)[:n_images]] for c in chosen])


def _scores(rows: Tensor, episodes: Episodes) -> Tensor:
    """Compute the accuracy of each episode by prototype and by neighbour, (E, 2)."""
    support, queries = rows[episodes.support], rows[episodes.queries].flatten(1, 2)  # (E, W, K, D), (E, W·Q, D)
    n_way, k_shot = support.shape[1:3]
    own = torch.arange(n_way, device=rows.device).repeat_interleave(episodes.queries.shape[2])  # (W·Q,)
    to_means = _squared_distances(queries, support.mean(dim=2))  # (E, W·Q, W)
    to_images = _squared_distances(queries, support.flatten(1, 2))  # (E, W·Q, W·K)
    to_nearest = to_images.unflatten(2, (n_way, k_shot)).amin(dim=3)
    return torch.stack([_accuracy(distances, own) for distances in (to_means, to_nearest)], dim=1)


def _squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Compute distances between rows (E, q, D) and (E, s, D) of centred float64 numbers, as float32 (E, q, s)."""
    left_norms, right_norms = left.square().sum(dim=2), right.square().sum(dim=2)
    squared = torch.baddbmm(left_norms[:, :, None] + right_norms[:, None], left, right.mT, alpha=-2)
    rounding = 4 * (left.shape[2] + 2) * torch.finfo(left.dtype).eps * left_norms[:, :, None]
    return torch.where(squared > rounding, squared, 0).float()


def _accuracy(distances: Tensor, own: Tensor) -> Tensor:
    """Compute the share of queries nearer to their `own` class (q,) than to others, (E,), from distances (E, q, W)."""
    to_own = distances.gather(2, own[None, :, None].expand(len(distances), -1, 1))
    is_nearer = (distances <= to_own).sum(dim=2) == 1  # only its own class
    return is_nearer.double().mean(dim=1)
