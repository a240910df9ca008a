"""A figure to search images with: a query, and the images nearest to it by several embeddings."""

import base64
import html
import io
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from siamese_triplet._style import AS_IT_IS, INK, plain
from siamese_triplet._validation import check_finite
from siamese_triplet.datasets import Images
from siamese_triplet.datasets.images import check_in_memory, to_indices
from siamese_triplet.evaluation.neighbours import check_k, nearest
from siamese_triplet.live.element import LiveFigure
from siamese_triplet.live.sheets import data_url, tile, webp_sheet

MOST_IMAGES = 5000  # in one page, about two megabytes of 32 × 32 in colour
RIGHT = "#117733"


def search_figure(
    images: Images,
    embeddings: Mapping[str, Tensor],
    queries: Iterable[int] | Tensor | None = None,
    k: int = 8,
    *,
    first: int | None = None,
    name: str = "search",
    title: str = "Search by example",
) -> LiveFigure:
    """Show a search whose reader picks a query, and sees the `k` images nearest to it by each of the `embeddings`.

    `embeddings` (N, D) of all `images` have names, such as "pixels" and "after training", and are searched here, by
    Euclidean distance. `queries` are the indices, or a mask (N,), of the images that the reader can pick, by default
    all; `first` is the index of the one that the page begins with, by default the first query. The query itself is not
    among its neighbours. The page holds the queries and all their neighbours, at most 5,000 images; `groups` and
    `sources` of the images are shown where there are any. On paper it is a picture of the first search. `name`: see
    `triplet_playground`.

    Raises ValueError for images that are not uint8 in memory, without queries, for a query that is no image, for
    embeddings that do not fit the images, for a `k` beyond the other images, and for too many images.

    >>> import torch
    >>> from siamese_triplet import Images
    >>> from siamese_triplet.live import search_figure
    >>> data = torch.tensor([10, 90, 30, 80], dtype=torch.uint8)[:, None, None].expand(4, 8, 8)
    >>> images = Images(data, torch.tensor([0, 1, 0, 1]), ["dark", "light"])
    >>> search_figure(images, {"brightness": images.data.flatten(1).float()}, k=1).alt
    'search among 4 images of 2 classes for the 1 nearest to a query. For dark: brightness finds 1 of 1.'
    """
    chosen = _check_queries(images, queries)
    check_k(k, len(images) - 1)
    if not embeddings:
        raise ValueError('embeddings are empty; give at least one, as {"pixels": …}')
    first = int(chosen[0]) if first is None else first
    if first not in chosen:
        raise ValueError(f"{first=} is not one of the {len(chosen)} queries")
    found = {row: _neighbours(row, images, vectors, chosen, k) for row, vectors in embeddings.items()}  # (Q, k) each
    shown = torch.cat([chosen, *(indices.flatten() for indices in found.values())]).unique()  # in the page
    if len(shown) > MOST_IMAGES:
        raise ValueError(
            f"the {len(chosen):,} queries and their neighbours are {len(shown):,} images, and a page has room for "
            f"{MOST_IMAGES:,}; give fewer queries"
        )
    place = chosen.tolist().index(first)
    to_find = _to_find(images, chosen, k)
    data = _described(images.subset(shown)) | {
        "queries": torch.searchsorted(shown, chosen).tolist(),
        "toFind": to_find,
        "first": place,
        "k": k,
        "rows": [{"name": row, "found": _encode(torch.searchsorted(shown, hits))} for row, hits in found.items()],
    }
    first_found = {row: hits[place] for row, hits in found.items()}
    alt = _alt(images, first, first_found, to_find[place])
    return LiveFigure("search", name, title, data, alt, still=_still(images, first, first_found, alt))


def _check_queries(images: Images, queries: Iterable[int] | Tensor | None) -> Tensor:
    """Return the indices (Q,) of the queries, each once, in their order."""
    check_in_memory(images, "search_figure takes images that are in memory", ("data", "targets", "subset"))
    if images.data.dtype != torch.uint8 or images.data.ndim not in (3, 4):
        raise ValueError(
            f"a page shows images uint8 (N, H, W) or (N, H, W, C), got {images.data.dtype} {tuple(images.data.shape)}"
        )
    chosen = to_indices(range(len(images)) if queries is None else queries, len(images))
    if not len(chosen) or not 0 <= int(chosen.min()) <= int(chosen.max()) < len(images):
        limits = f"from {int(chosen.min())} to {int(chosen.max())}" if len(chosen) else "none"
        raise ValueError(f"queries must be indices of the {len(images)} images, got {limits}")
    return torch.tensor(list(dict.fromkeys(chosen.tolist())))


def _neighbours(row: str, images: Images, embeddings: Tensor, queries: Tensor, k: int) -> Tensor:
    """Find the `k` images nearest to each query (Q, k), itself left out."""
    if embeddings.ndim != 2 or len(embeddings) != len(images):
        raise ValueError(f"{row!r}: expected embeddings ({len(images)}, D), got shape {tuple(embeddings.shape)}")
    check_finite(repr(row), embeddings)
    embeddings = embeddings.detach().cpu()
    found = nearest(embeddings[queries], embeddings, k + 1).indices  # (Q, k + 1)
    is_other = found != queries[:, None]
    is_other[is_other.all(1), -1] = False  # so many images coincide that the query is not even among them
    return found[is_other].view(len(queries), k)


def _to_find(images: Images, queries: Tensor, k: int) -> list[int]:
    """Count the others of each query's class, at most `k`: as many can be among the first."""
    _, label, count = images.targets.unique(return_inverse=True, return_counts=True)
    return (count[label[queries]] - 1).clamp(max=k).tolist()


def _described(images: Images) -> dict[str, Any]:
    """Collect for a page what is known of its images, with names of the classes that occur."""
    labels, numbers = images.targets.unique(return_inverse=True)
    return {
        "sheet": webp_sheet(images.data),
        "labels": numbers.tolist(),
        "classes": [_class_name(images, label) for label in labels.tolist()],
        "groups": [] if images.groups is None else images.groups.tolist(),
        "groupNames": images.group_names,
        "sources": [] if images.sources is None else images.sources.tolist(),
        "sourceNames": images.source_names,
    }


def _class_name(images: Images, label: int) -> str:
    return images.classes[label] if images.classes else str(label)


def _encode(numbers: Tensor) -> str:
    """Encode numbers below 2¹⁶ as base64 of little-endian 16-bit integers."""
    return base64.b64encode(numbers.numpy().astype("<u2").tobytes()).decode()


def _alt(images: Images, query: int, found: Mapping[str, Tensor], n_right: int) -> str:
    label, k = int(images.targets[query]), len(next(iter(found.values())))
    counts = [f"{row} finds {int((images.targets[hits] == label).sum())} of {n_right}" for row, hits in found.items()]
    return (
        f"search among {len(images):,} images of {len(images.targets.unique()):,} classes for the {k} nearest to a "
        f"query. For {_class_name(images, label)}: {', '.join(counts)}."
    )


def _still(images: Images, query: int, found: Mapping[str, Tensor], alt: str) -> str:
    """Draw a query, and below it a row of its neighbours by each embedding, as an HTML image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    k = len(next(iter(found.values())))
    figure = Figure(figsize=(7, 0.4 + 1.15 * (1 + len(found))), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(1 + len(found), k, squeeze=False)
    rows = {_class_name(images, int(images.targets[query])): torch.tensor([query]), **found}
    for row, (axes, (title, hits)) in enumerate(zip(grid, rows.items(), strict=True)):
        axes[0].set_title(plain(title), loc="left", fontsize=10, color=INK, **AS_IT_IS)
        for ax in axes:
            ax.set_axis_off()
        for ax, hit in zip(axes, hits.tolist(), strict=False):
            ax.imshow(tile(images.data[hit][None], 1).convert("RGB"))
            if row and images.targets[hit] == images.targets[query]:
                ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, color=RIGHT, linewidth=4))
                ax.text(0.02, 0.98, "✓", transform=ax.transAxes, va="top", color=RIGHT, fontsize=12, weight="bold")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=80)
    return f'<img alt="{html.escape(plain(alt))}" src="{data_url("png", stream.getvalue())}">'
