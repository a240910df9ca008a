"""The exercises of chapters 17 and 18 on searching: they tell right answers from wrong ones."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from verdicts import assert_correct, assert_hint

from siamese_triplet.book.check.search import approximate_search, none_of_these, search_threshold


def within(distances: list[float], classes: list[str | None], threshold: float) -> list[tuple[float, str]]:
    return sorted((d, c) for d, c in zip(distances, classes, strict=True) if c is not None and d <= threshold)


def nearest_class(distances: list[float], classes: list[str | None], threshold: float) -> str | None:
    found = within(distances, classes, threshold)
    return found[0][1] if found else None


def of_the_nearest(distances: list[float], classes: list[str | None], threshold: float) -> str | None:
    nearest = min(distances)
    return classes[distances.index(nearest)] if nearest <= threshold else None


def nearest_others(distances: Tensor, labels: Tensor) -> Tensor:
    return distances.masked_fill(labels[:, None] == labels, torch.inf).amin(1)


def below_the_next(distances: Tensor, labels: Tensor, share: float) -> Tensor:
    nearest = nearest_others(distances, labels).sort().values
    n_allowed = int(share * len(nearest))
    return distances.max() if n_allowed == len(nearest) else distances[distances < nearest[n_allowed]].max()


def in_cells(
    queries: Tensor, points: Tensor, centres: Tensor, n_probe: int, none: int = -1, of_first: bool = False
) -> Tensor:
    cells = torch.cdist(points, centres).argmin(1)
    order = torch.cdist(queries, centres).argsort(1)[:, :n_probe]
    found = []
    for query, probed in zip(queries, order[:1].expand_as(order) if of_first else order, strict=True):
        rows = torch.isin(cells, probed).nonzero()[:, 0]
        found.append(rows[torch.cdist(query[None], points[rows])[0].argmin()].item() if len(rows) else none)
    return torch.tensor(found)


RIGHT = [
    (none_of_these, nearest_class),
    (search_threshold, below_the_next),
    (search_threshold, lambda d, y, share: below_the_next(d, y, share).item()),
    (approximate_search, in_cells),
]
WRONG = [
    (none_of_these, lambda d, c, t: c[0]),
    (none_of_these, lambda d, c, t: c[0] if d[0] <= t else None),
    (none_of_these, lambda d, c, t: nearest_class(d, c, 9)),
    (none_of_these, lambda d, c, t: nearest_class(d, c, t - 1e-9)),
    (none_of_these, of_the_nearest),
    (none_of_these, lambda d, c, t: Counter(x for _, x in within(d, c, t)).most_common(1)[0][0]),
    (none_of_these, lambda d, c, t: nearest_class(d, c, t) or ""),
    (none_of_these, None),
    (search_threshold, lambda d, y, share: d.quantile(share)),
    (search_threshold, lambda d, y, share: d[y[:, None] != y].quantile(share)),  # of pairs
    (search_threshold, lambda d, y, share: nearest_others(d, y).quantile(share)),
    (search_threshold, lambda d, y, share: below_the_next(d, y, share) / 2),
    (search_threshold, lambda d, y, share: 0.0),
    (search_threshold, None),
    (approximate_search, lambda q, x, c, n: torch.cdist(q, x).argmin(1)),
    (approximate_search, lambda q, x, c, n: in_cells(q, x, c, 1)),
    (approximate_search, lambda q, x, c, n: in_cells(q, x, c, n, none=0)),
    (approximate_search, lambda q, x, c, n: in_cells(q, x, c, n, of_first=True)),
    (approximate_search, None),
]  # fmt: skip


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_the_right_answer_is_correct(check: Callable, answer: Callable, capsys: pytest.CaptureFixture) -> None:
    assert_correct(check, answer, capsys)


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_a_wrong_answer_has_a_hint(check: Callable, answer: Any, capsys: pytest.CaptureFixture) -> None:
    assert_hint(check, answer, capsys)
