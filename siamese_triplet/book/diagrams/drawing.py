"""Building blocks of the diagrams: `Diagram`, and functions that draw a shape as SVG text.

Coordinates are pixels from the upper left corner. On a wide page a diagram is `WIDTH` wide, and its text is as large as
the text around it. A phone shrinks both to about 60 %, so no text may be smaller than `FONT`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet._style import COLOURS, INK, MARKERS, PALE, SOFT

WIDTH = 560
BORDER = 8  # white paper around the picture
FONT = 16
LINE = 20  # from one line of text to the next
FAMILY = "DejaVu Sans, Verdana, sans-serif"  # matplotlib's font, or one as wide

# The corners of matplotlib's markers, of size 1; "o" is a circle.
OUTLINES = {
    "s": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "^": ((0, -1.1), (1, 0.8), (-1, 0.8)),
    "D": ((0, -1.15), (1.15, 0), (0, 1.15), (-1.15, 0)),
    "v": ((0, 1.1), (1, -0.8), (-1, -0.8)),
    "P": (
        *((-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4)),
        *((0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4)),
    ),
    "X": (
        *((-0.55, -1.1), (0, -0.55), (0.55, -1.1), (1.1, -0.55), (0.55, 0), (1.1, 0.55)),
        *((0.55, 1.1), (0, 0.55), (-0.55, 1.1), (-1.1, 0.55), (-0.55, 0), (-1.1, -0.55)),
    ),
    "<": ((-1.1, 0), (0.8, -1), (0.8, 1)),
    ">": ((1.1, 0), (-0.8, -1), (-0.8, 1)),
    "*": (
        *((0, -1.3), (0.32, -0.42), (1.24, -0.4), (0.5, 0.16), (0.76, 1.05)),
        *((0, 0.52), (-0.76, 1.05), (-0.5, 0.16), (-1.24, -0.4), (-0.32, -0.42)),
    ),
}


@dataclass(frozen=True)
class Diagram:
    """A vector picture for notebooks and the book's pages; `alt` describes it in words.

    `parts` are SVG elements, drawn in their order on `WIDTH` × `height` pixels with a white `BORDER` around.
    """

    title: str
    alt: str
    height: int
    parts: Sequence[str]

    def __repr__(self) -> str:
        return f"{self.title}: {self.alt}"

    def _repr_svg_(self) -> str:
        width, height = WIDTH + 2 * BORDER, self.height + 2 * BORDER
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="-{BORDER} -{BORDER} {width} {height}" '
            f'width="{width}" height="{height}" style="max-width: 100%; height: auto" font-family="{FAMILY}" '
            f'font-size="{FONT}"><title>{escape(self.title)}</title><desc>{escape(self.alt)}</desc>'
            f'<rect x="-{BORDER}" y="-{BORDER}" width="{width}" height="{height}" fill="white"/>'
            f"{''.join(self.parts)}</svg>"
        )

    def save(self, path: str | Path) -> None:
        """Write the picture to the SVG file `path`."""
        write_atomically(path, (self._repr_svg_() + "\n").encode())


def text(x: float, y: float, *lines: str, anchor: str = "middle", colour: str = INK, bold: bool = False) -> str:
    """Draw lines of text around the height `y`, with their `anchor` at `x`: start, middle or end."""
    baseline = y + 0.36 * FONT - LINE * (len(lines) - 1) / 2
    weight = ' font-weight="bold"' if bold else ""
    return "".join(
        f'<text x="{number(x)}" y="{number(baseline + LINE * row)}" text-anchor="{anchor}" fill="{colour}"{weight}>'
        f"{escape(words, quote=False)}</text>"
        for row, words in enumerate(lines)
    )


def box(x: float, y: float, width: float, height: float, *lines: str, fill: str = PALE, edge: str = INK) -> str:
    """Draw a rectangle with its upper left corner at (x, y) and lines of text in its middle."""
    place = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    corners = f'rx="{number(min(4, height / 6))}"'
    return f'<rect {place} {corners} fill="{fill}"{_stroke(edge)}/>{text(x + width / 2, y + height / 2, *lines)}'


def line(*points: tuple[float, float], colour: str = INK, width: float = 1.5, dashed: bool = False) -> str:
    """Draw a line through points."""
    return f'<polyline points="{_point_list(points)}" fill="none"{_stroke(colour, width, dashed)}/>'


def arrow(*points: tuple[float, float], colour: str = INK) -> str:
    """Draw a line through points, with an arrowhead at the last one."""
    (x0, y0), (x, y) = points[-2:]
    length = ((x - x0) ** 2 + (y - y0) ** 2) ** 0.5
    dx, dy = 8 * (x - x0) / length, 8 * (y - y0) / length
    head = ((x, y), (x - dx - dy / 2, y - dy + dx / 2), (x - dx + dy / 2, y - dy - dx / 2))
    shaft = line(*points[:-1], (x - dx, y - dy), colour=colour)
    return f'{shaft}<polygon points="{_point_list(head)}" fill="{colour}"/>'


def circle(x: float, y: float, radius: float, fill: str = "none", edge: str = SOFT, dashed: bool = False) -> str:
    """Draw a circle around (x, y)."""
    place = f'cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"'
    return f'<circle {place} fill="{fill}"{_stroke(edge, 1.2, dashed)}/>'


def point(x: float, y: float, style: tuple[str, str], size: float = 7, hollow: bool = False) -> str:
    """Draw a marker at (x, y) in a `style`, a colour and one of matplotlib's markers; `hollow` makes it recede."""
    colour, marker = style
    fill, edge = ("white", SOFT) if hollow else (colour, INK)
    if marker == "o":
        return circle(x, y, size, fill, edge)
    corners = [(x + size * dx, y + size * dy) for dx, dy in OUTLINES[marker]]
    return f'<polygon points="{_point_list(corners)}" fill="{fill}"{_stroke(edge, 1.2)}/>'


def image(x: float, y: float, label: int, side: float) -> str:
    """Draw an image of the class `label` with its middle at (x, y): the marker of the class in a frame."""
    frame = box(x - side / 2, y - side / 2, side, side, fill="white", edge=SOFT)
    return frame + point(x, y, style_of(label), 0.28 * side)


def style_of(label: int) -> tuple[str, str]:
    """Return the colour and the marker of a class, as in the plots."""
    return COLOURS[label % len(COLOURS)], MARKERS[label % len(MARKERS)]


def number(value: float) -> str:
    """Format a coordinate to a tenth of a pixel, alike on every machine."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _point_list(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)


def _stroke(colour: str, width: float = 1.5, dashed: bool = False) -> str:
    return f' stroke="{colour}" stroke-width="{number(width)}"' + (' stroke-dasharray="6 4"' if dashed else "")
