"""Answers with pictures: as HTML in a notebook, and as one page that holds everything it shows."""

import base64
import html
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet.datasets import read_photo
from siamese_triplet.datasets._naming import printable
from siamese_triplet.search.answers import BEYOND, NONE_OF_THESE, Answer, Match

SIDE = 160  # pixels of a thumbnail
MOST = 200  # answers on one page: its pictures take some 50 KB each

STYLE = """
.st-answer {font: 14px/1.35 system-ui, sans-serif; margin: 0 0 28px; max-width: 1200px}
.st-answer h2 {font-size: 16px; margin: 0 0 2px; overflow-wrap: anywhere; font-weight: 600; color: inherit}
.st-answer .st-verdict {margin: 0 0 8px}
.st-answer .st-row {display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start}
.st-answer .st-query {width: 150px; flex: none; font-size: 13px}
.st-answer ol {display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 10px; flex: 1 1 240px;
  list-style: none; margin: 0; padding: 0; min-width: 0}
.st-answer li {margin: 0; min-width: 0; font-size: 13px; overflow-wrap: anywhere}
.st-answer img, .st-answer .st-missing {display: block; width: 100%; aspect-ratio: 1; border-radius: 6px;
  margin: 0 0 4px}
.st-answer img {height: auto; object-fit: cover}
.st-answer .st-missing {display: grid; place-items: center; border: 1px dashed; opacity: .6; box-sizing: border-box}
.st-answer .st-beyond img {opacity: .5}
.st-answer .st-limit {grid-column: 1 / -1; border-top: 2px dashed; padding-top: 3px; opacity: .85}
.st-answer .st-path {opacity: .75; font-size: 12px; display: block}
.st-answer b {font-weight: 600}
"""
PAGE_STYLE = """
:root {color-scheme: light dark}
body {margin: 0; padding: 16px; font: 15px/1.4 system-ui, sans-serif; background: Canvas; color: CanvasText}
header {max-width: 1200px; margin: 0 0 20px}
h1 {font-size: 21px; margin: 0 0 4px}
header p {margin: 0; opacity: .8}
"""


def answer_html(answer: Answer, picture: bytes | None = None) -> str:
    """Show an answer with thumbnails, for a notebook; `picture` is the query's image file if it is not on disk."""
    return f"<style>{STYLE}</style>{_section(answer, _Thumbnails(), picture)}"


def write_page(path: str | os.PathLike, answers: Sequence[Answer], title: str = "Search") -> None:
    """Write `answers` to one HTML file that holds its pictures, and needs neither scripts nor a connection.

    Of more than 200 answers it shows the first 200, and says so.

    >>> import torch
    >>> from siamese_triplet.search import Index, write_page
    >>> index = Index()
    >>> index.add(torch.eye(3), paths=["a.jpg", "b.jpg", "c.jpg"])
    3 added, 0 changed, 0 removed
    >>> write_page("found.html", [index.search(torch.eye(3)[0], k=2)], title="Letters")
    """
    thumbnail = _Thumbnails()
    shown = answers[:MOST]
    said = [f"{len(answers):,} {'query' if len(answers) == 1 else 'queries'}"]
    said += [f"the first {MOST} are shown"] * (len(answers) > MOST)
    page = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_text(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{_text(title)}</h1><p>{_text('; '.join(said))}</p></header>\n<main>\n"
        + "\n".join(_section(answer, thumbnail) for answer in shown)
        + "\n</main>\n</body>\n</html>\n"
    )
    write_atomically(path, page.encode())


class _Thumbnails:
    """Thumbnails as addresses that hold them; each file is read once. An image that cannot be read has none."""

    def __init__(self) -> None:
        self.made: dict[Path, str | None] = {}

    def __call__(self, file: Path | None) -> str | None:
        if file is None:
            return None
        if file not in self.made:
            self.made[file] = thumbnail(file)
        return self.made[file]


def thumbnail(file: str | os.PathLike | io.BytesIO) -> str | None:
    """Make the address of a small JPEG of an image file, which holds it; None if the file cannot be read."""
    try:
        image: Image.Image = read_photo(file, SIDE, 3)  # type: ignore[arg-type]
    except ValueError:
        return None
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _section(answer: Answer, thumbnail_of: Callable[[Path | None], str | None], picture: bytes | None = None) -> str:
    own = thumbnail(io.BytesIO(picture)) if picture is not None else thumbnail_of(answer.file)
    shown = (
        f'<div class="st-query">{_image(own, f"the image that was asked with: {answer.query}")}query</div>'
        if own
        else ""
    )
    items = [_item(match, thumbnail_of) for match in answer]
    n_within = sum(match.is_accepted for match in answer)  # the nearest ones
    if n_within < len(items) and answer.threshold is not None:
        items.insert(n_within, f'<li class="st-limit">{BEYOND}, {_number(answer.threshold)}:</li>')
    return (
        f'<section class="st-answer"><h2>{_text(answer.query)}</h2><p class="st-verdict">{_verdict(answer)}</p>'
        f'<div class="st-row">{shown}<ol>{"".join(items)}</ol></div></section>'
    )


def _verdict(answer: Answer) -> str:
    words = [f"<b>{NONE_OF_THESE}</b>"] if answer.is_none else []
    words += [] if answer.class_name is None else [f"<b>{_text(answer.class_name)}</b>"]
    words += [f"the nearest is at {_number(answer[0].distance)}"] if len(answer) else []
    return "; ".join(words)


def _item(match: Match, thumbnail_of: Callable[[Path | None], str | None]) -> str:
    kind = "within" if match.is_accepted else "beyond"
    name = f"<b>{_text(match.class_name)}</b> " if match.class_name is not None else ""
    alt = f"{match.class_name or 'image'}, a neighbour at distance {_number(match.distance)}"
    return (
        f'<li class="st-{kind}">{_image(thumbnail_of(match.file), alt)}{name}{_number(match.distance)}'
        f'<span class="st-path">{_text(match.path).replace("/", "/<wbr>")}</span></li>'
    )


def _number(distance: float) -> str:
    return f"{distance:.3f}" if distance < 1000 else f"{distance:.4g}"


def _image(source: str | None, alt: str) -> str:
    if source is None:
        return '<span class="st-missing">no picture</span>'
    return f'<img src="{source}" alt="{_text(alt)}" width="{SIDE}" height="{SIDE}">'


def _text(text: str) -> str:
    """Escape names: those of files and classes may hold anything."""
    return html.escape(printable(text), quote=True)
