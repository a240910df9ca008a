"""Wide charts on a phone, and charts in the dark.

`book/results/NAME-narrow.svg` is the narrow version of the chart `NAME.svg` of a page. The pictures among a chapter's
outputs have none: the wide ones are marked, and on a phone keep a width at which they can be read, and scroll.

In the dark theme charts are light on dark. Photographs and drawings keep their colours: the cells that show them are
marked.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.transforms.post_transforms import SphinxPostTransform

from book_pages.folds import is_code

NARROW = "-narrow.svg"
PHONE = "(max-width: 600px)"
CHART = re.compile(r'<img [^>]*src="([^"]*/)([\w-]+)\.svg"[^>]*>')
OUTPUT = re.compile(r'<a class="(reference internal image-reference)"([^>]*><img [^>]*style="width: (\d+)px)')
WIDE = 600  # pixels
PHOTOS = re.compile(r"plot_(?:tuples|images|designs|neighbours)\(|\.imshow\(|own_images\.show_")


def setup(app: Any) -> None:
    app.add_post_transform(MarkPhotos)
    app.connect("builder-inited", copy_narrow)
    app.connect("html-page-context", change_page)


class MarkPhotos(SphinxPostTransform):
    """Give the class `photos` to the cells that show images of a data set."""

    default_priority = 205
    formats = ("html",)

    def run(self, **options: Any) -> None:
        for node in self.document.findall(is_code):
            if PHOTOS.search(node.children[0].astext()):
                node["classes"].append("photos")


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
