"""Wide charts on a phone.

`book/results/NAME-narrow.svg` is the narrow version of the chart `NAME.svg` of a page. The pictures among a chapter's
outputs have none: the wide ones are marked, and on a phone keep a width at which they can be read, and scroll.
"""

import re
import shutil
from pathlib import Path
from typing import Any

NARROW = "-narrow.svg"
PHONE = "(max-width: 600px)"
CHART = re.compile(r'<img [^>]*src="([^"]*/)([\w-]+)\.svg"[^>]*>')
OUTPUT = re.compile(r'<a class="(reference internal image-reference)"([^>]*><img [^>]*style="width: (\d+)px)')
WIDE = 600  # pixels


def setup(app: Any) -> None:
    app.connect("builder-inited", copy_narrow)
    app.connect("html-page-context", change_page)


def folder(app: Any) -> Path:
    return Path(app.srcdir) / "book" / "results"


def copy_narrow(app: Any) -> None:
    images = Path(app.outdir) / "_images"
    images.mkdir(parents=True, exist_ok=True)
    for path in folder(app).glob(f"*{NARROW}"):
        shutil.copy(path, images)


def change_page(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Offer the narrow version of each chart of a page, where there is one, and mark wide pictures."""
    known = {path.name.removesuffix(NARROW) for path in folder(app).glob(f"*{NARROW}")}

    def picture(image: re.Match) -> str:
        place, name = image.groups()
        if name not in known:
            return image[0]
        return f'<picture><source media="{PHONE}" srcset="{place}{name}{NARROW}">{image[0]}</picture>'

    context["body"] = OUTPUT.sub(mark, CHART.sub(picture, context.get("body", "")))


def mark(link: re.Match) -> str:
    """Mark the link around a wide picture, which leads to the picture alone."""
    kind, rest, width = link.groups()
    return f'<a class="{kind} wide"{rest}' if int(width) >= WIDE else link[0]
