"""Exercises on searching among images: chapters 17 and 18."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamese_triplet.book.check.verdict import Case, judge


def none_of_these(function: Callable[[list[float], list[str | None], float], str | None]) -> None:
    """Check the class of an answer, from distances, classes (None for none) and a threshold (chapter 17)."""

    def case(
        name: str, distances: list[float], classes: str, threshold: float, expected: str | None, hint: str
    ) -> Case:
        names = [None if word == "-" else word for word in classes.split()]
        return Case(f"{name}: {distances}, {names}, {threshold=}", (distances, names, threshold), expected, hint)

    cases = [
        case("all within", [0.3, 0.1], "cat dog", 1.0, "dog", "the nearest image need not come first"),
        case("three within", [0.3, 0.1, 0.2], "cat dog cat", 1.0, "dog", "the nearest decides, not the most frequent"),
        case("on the threshold", [0.5, 0.3], "dog cat", 0.3, "cat", "a distance equal to the threshold is within it"),
        case("none within", [0.5, 0.4], "cat dog", 0.3, None, "then the answer is None"),
        case("the nearest has no class", [0.3, 0.1, 0.2], "cat - dog", 1.0, "dog", "take the nearest that has a class"),
        case("only that one is within", [0.5, 0.1], "cat -", 0.3, None, "a class beyond the threshold is no answer"),
        case("no class at all", [0.2, 0.1], "- -", 1.0, None, "then the answer is None"),
    ]
    judge(function, cases, "this is what Answer.class_name does")


def search_threshold(function: Callable[[Tensor, Tensor, float], float]) -> None:
    """Check the greatest threshold of a search for a share of false accepts (chapter 17).

    From the distances (N, N) of all images, with labels (N,). Each image asks as if its class were missing. The
    threshold is judged by the queries that it accepts.
    """

    def accepted(distances: Tensor, labels: Tensor, threshold: float) -> tuple[float, float]:
        is_other = labels[:, None] != labels
        others = distances.masked_fill(~is_other, torch.inf).amin(dim=1)
        own = distances.masked_fill(is_other, torch.inf).fill_diagonal_(torch.inf).amin(dim=1)
        return (others <= threshold).double().mean().item(), (own <= threshold).double().mean().item()

    def case(name: str, points: Tensor, labels: list[int], share: float, hint: str) -> Case:
        distances, target = torch.cdist(points, points), torch.tensor(labels)
        others = distances.masked_fill(target[:, None] == target, torch.inf).amin(dim=1).sort().values
        n_allowed = int(share * len(others))
        least = others[n_allowed] if n_allowed < len(others) else torch.tensor(torch.inf)
        expected = accepted(distances, target, torch.nextafter(least, -least).item())
        title = f"{name}, judged by the shares accepted, of missing classes and of known ones, {share=}"
        return Case(title, (distances, target, share), expected, hint)

    line = torch.tensor([0.0, 1.0, 5.0, 10.0, 18.0, 19.0])[:, None]
    shown = "images at 0, 1, 5, 10, 18, 19 on a line, labels [0, 0, 1, 1, 2, 2]"
    points = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    cases = [
        case(shown, line, [0, 0, 1, 1, 2, 2], 0.4,
             "for each image the distance of the nearest image of another class; then at most the share of these"),
        case(shown, line, [0, 0, 1, 1, 2, 2], 0.0, "below the least of these distances nobody is accepted by mistake"),
        case(shown, line, [0, 0, 1, 1, 2, 2], 1.0, "a share of 1 accepts everything"),
        case("60 points of 12 classes", points, [n % 12 for n in range(60)], 0.05,
             "one distance for each image, not one for each pair"),
    ]  # fmt: skip

    def judged(distances: Tensor, labels: Tensor, share: float) -> tuple[float, float]:
        return accepted(distances.clone(), labels, float(function(distances, labels, share)))

    judge(judged, cases, "the threshold of choose_threshold, on the images it was chosen on")


def approximate_search(function: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> None:
    """Check a search in the `n_probe` cells nearest to each query (chapter 18).

    From queries (Q, D), embeddings (N, D) and the centres (C, D) of the cells, it gives the index (Q,) of the nearest
    embedding in these cells; −1 if they are empty. An embedding is in the cell of its nearest centre.
    """

    def case(name: str, queries: Tensor, embeddings: Tensor, centres: Tensor, n_probe: int, hint: str) -> Case:
        cells = torch.cdist(embeddings, centres).argmin(dim=1)  # (N,)
        probed = torch.cdist(queries, centres).topk(n_probe, largest=False).indices  # (Q, n_probe)
        is_seen = (probed[:, :, None] == cells).any(dim=1)  # (Q, N)
        nearest = torch.cdist(queries, embeddings).masked_fill(~is_seen, torch.inf).min(dim=1)
        expected = torch.where(nearest.values.isfinite(), nearest.indices, -1)
        return Case(f"{name}, {n_probe=}", (queries, embeddings, centres, n_probe), expected, hint)

    def column(*values: float) -> Tensor:
        return torch.tensor(values)[:, None]

    generator = torch.Generator().manual_seed(0)
    points, asking = torch.randn(300, 4, generator=generator), torch.randn(20, 4, generator=generator)
    line, shown = column(0.0, 1.0, 4.2, 9.0, 10.0), "embeddings 0, 1, 4.2, 9, 10, centres 0, 9"
    cases = [
        case(f"{shown}, query 8", column(8.0), line, column(0.0, 9.0), 1,
             "the nearest in the cell of the nearest centre"),
        case(f"{shown}, query 5", column(5.0), line, column(0.0, 9.0), 1,
             "4.2 is nearer, but in the other cell: an approximate search misses it"),
        case(f"{shown}, query 5", column(5.0), line, column(0.0, 9.0), 2, "with all cells it is an exact search"),
        case("embeddings 0, 1, centres 0, 9, query 8", column(8.0), column(0.0, 1.0), column(0.0, 9.0), 1,
             "the cell is empty: −1"),
        case("300 embeddings, 10 centres, 20 queries", asking, points, points[:10], 3,
             "the cells of each query are its own"),
    ]  # fmt: skip
    judge(function, cases, "what the index IVFFlat of faiss does")
