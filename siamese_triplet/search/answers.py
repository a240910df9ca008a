"""What a search finds: matches, the nearest first, or "none of these"."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from siamese_triplet.datasets._naming import printable

NONE_OF_THESE, BEYOND = "none of these", "beyond the threshold"


@dataclass(frozen=True)
class Match:
    """An image that a search has found."""

    path: str  # as the index names it, relative to its folder
    distance: float  # Euclidean, not squared
    class_name: str | None  # None for an image without a class
    is_accepted: bool  # whether the distance is within the threshold; True without one
    file: Path | None  # where the image was when it was added; None for an embedding without an image

    def __str__(self) -> str:
        return _columns([self])[0]


@dataclass(frozen=True, repr=False)
class Answer:
    """What a search has found for one query: the `matches`, the nearest first; `len`, `[i]` and `for` work on them.

    In a notebook it shows the pictures.
    """

    matches: tuple[Match, ...]
    query: str  # the path of the image, or what else was asked for
    file: Path | None = None  # of the query
    threshold: float | None = None

    @property
    def is_none(self) -> bool:
        """Whether the answer is "none of these": even the nearest image is beyond the threshold."""
        return not any(match.is_accepted for match in self.matches)

    @property
    def class_name(self) -> str | None:
        """The class of the nearest accepted match that has one; None if there is none.

        >>> from siamese_triplet.search import Answer, Match
        >>> near, far = Match("1.jpg", 0.2, "cat", True, None), Match("2.jpg", 0.9, "dog", False, None)
        >>> Answer((near, far), "query.jpg", threshold=0.5).class_name
        'cat'
        """
        names = (match.class_name for match in self.matches if match.is_accepted)
        return next((name for name in names if name is not None), None)

    def __len__(self) -> int:
        return len(self.matches)

    def __getitem__(self, place: int) -> Match:
        return self.matches[place]

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)

    def __repr__(self) -> str:
        verdict = NONE_OF_THESE if self.is_none else self.class_name
        head = self.query if verdict is None else f"{self.query}: {verdict}"
        return "\n".join([printable(head), *(f"  {line}" for line in _columns(self.matches))])

    def _repr_html_(self) -> str:
        from siamese_triplet.search.page import answer_html

        return answer_html(self)


def _columns(matches: Sequence[Match]) -> list[str]:
    """Print matches in columns: distance, class, path, and a mark beyond the threshold."""
    names = [printable("–" if match.class_name is None else match.class_name) for match in matches]
    width = max(map(len, names), default=0)
    marks = ["" if match.is_accepted else f"  ({BEYOND})" for match in matches]
    rows = zip(matches, names, marks, strict=True)
    return [f"{match.distance:.4f}  {name:<{width}}  {printable(match.path)}{mark}" for match, name, mark in rows]
