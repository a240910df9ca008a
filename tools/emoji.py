"""Render the emoji of the package: `python tools/emoji.py NODE_MODULES [--out FOLDER]`.

`NODE_MODULES` holds the drawings, in the packages of npm that PACKAGES names, installed with `npm install`. Needs
`pip install resvg`.

Drawings show the same emoji if they stand for the same Unicode characters. Most packages name their drawings alike,
and three list the characters; the others' names are looked up there and among the names of Unicode. An emoji becomes a
class if at least LEAST_DESIGNS designers drew it. A drawing is rendered ZOOM times as large, on white, and averaged
down. All of one designer's are one sheet, in the order of the classes. The held-out classes are drawn from SEED, the
same share of each group.
"""

import argparse
import functools
import io
import json
import math
import random
import re
import unicodedata
from pathlib import Path

import resvg
from PIL import Image

PACKAGES = {  # @iconify-json/NAME: version
    "noto": "1.2.9",
    "noto-v1": "1.2.5",
    "fxemoji": "1.2.2",
    "fluent-emoji-flat": "1.2.6",
    "fluent-emoji": "1.2.7",
    "twemoji": "1.2.5",
    "emojione": "1.2.3",
}
SIZE, ZOOM = 32, 4
COLUMNS = 40  # drawings in a row of a sheet
LEAST_DESIGNS = 4
N_HELD_OUT, SEED = 400, 0
LEFT_OUT = re.compile("[\U0001f3fb-\U0001f3ff]|\u200d\u27a1$")  # skin tones, and mirror images
QUALITY = 90
OUT = Path(__file__).parents[1] / "siamese_triplet" / "datasets" / "embedded" / "emoji"


class Drawings:
    """The drawings of one package: their SVG by name, and the characters of the names that it lists."""

    def __init__(self, node_modules: Path, package: str) -> None:
        folder = node_modules / "@iconify-json" / package
        found = read_json(folder / "package.json")["version"]
        if found != PACKAGES[package]:
            raise SystemExit(f"{package} is version {found}; npm install @iconify-json/{package}@{PACKAGES[package]}")
        contents = read_json(folder / "icons.json")
        self.width, self.height = contents["width"], contents["height"]
        self.icons = contents["icons"]
        self.aliases = {name: alias["parent"] for name, alias in contents.get("aliases", {}).items() if len(alias) == 1}
        self.categories = read_json(folder / "metadata.json").get("categories", {})
        self.characters = {name: characters(code) for code, name in read_json(folder / "chars.json").items()}

    def names(self) -> list[str]:
        """Return the names of all drawings, those of aliases last."""
        return [*self.icons, *self.aliases]

    def render(self, name: str) -> Image.Image:
        """Render a drawing, SIZE × SIZE in colour."""
        icon = self.icons[self.aliases.get(name, name)]
        width, height = icon.get("width", self.width), icon.get("height", self.height)
        side, large = max(width, height), SIZE * ZOOM
        left, top = icon.get("left", 0) - (side - width) / 2, icon.get("top", 0) - (side - height) / 2
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{large}" '
            f'height="{large}" viewBox="{left} {top} {side} {side}">{icon["body"]}</svg>'
        )
        tree = resvg.usvg.Tree.from_str(svg, resvg.usvg.Options.default())
        drawing = Image.open(io.BytesIO(resvg.render(tree, (1, 0, 0, 0, 1, 0)))).convert("RGBA")
        on_white = Image.alpha_composite(Image.new("RGBA", drawing.size, "white"), drawing).convert("RGB")
        return on_white.resize((SIZE, SIZE), Image.Resampling.BOX)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node_modules", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    packages = {package: Drawings(arguments.node_modules, package) for package in PACKAGES}
    named = {package: names_of_characters(drawings, packages) for package, drawings in packages.items()}
    classes = list_classes(packages, named)
    held_out = hold_out(classes)
    sheets = {package: render_sheet(packages[package], named[package], classes) for package in PACKAGES}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for package, sheet in sheets.items():
        sheet.save(arguments.out / f"{package}.webp", quality=QUALITY, method=6)
    entries = [
        {
            "name": name,
            "group": group,
            "characters": text,
            "designs": [package for package in PACKAGES if text in named[package]],
            "test": text in held_out,
        }
        for text, name, group in classes
    ]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    (arguments.out / "emoji.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    n_bytes = sum(file.stat().st_size for file in arguments.out.iterdir())
    print(f"{len(classes)} emoji, {sum(len(entry['designs']) for entry in entries)} drawings, {n_bytes:,} bytes")


def names_of_characters(drawings: Drawings, packages: dict[str, Drawings]) -> dict[str, str]:
    """Return the name of the drawing of each emoji, by its characters."""
    by_name: dict[str, str] = {}
    for source in (drawings, *packages.values()):  # its own list first
        for name, text in source.characters.items():
            by_name.setdefault(squeezed(name), text)
        for name, parent in source.aliases.items():
            if parent in source.characters:
                by_name.setdefault(squeezed(name), source.characters[parent])
    found: dict[str, str] = {}
    for name in drawings.names():
        text = by_name.get(squeezed(name)) or unicode_character(name)
        if text and not LEFT_OUT.search(text):
            found.setdefault(text, name)
    return found


def squeezed(name: str) -> str:
    """Return the letters and digits of a name: some packages write "acorn-nut", some "acornnut"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@functools.cache
def unicode_names() -> dict[str, str]:
    """Return the characters of Unicode's symbols by their squeezed names."""
    symbols = (chr(code) for code in (*range(0x2000, 0x3300), *range(0x1F000, 0x20000)))
    return {squeezed(name): symbol for symbol in symbols if (name := unicodedata.name(symbol, ""))}


def unicode_character(name: str) -> str | None:
    return unicode_names().get(squeezed(name))


def list_classes(packages: dict[str, Drawings], named: dict[str, dict[str, str]]) -> list[tuple[str, str, str]]:
    """List the emoji that become classes, in order: characters, name and group."""
    classes = []
    for text in {text: None for names in named.values() for text in names}:
        designs = [package for package in PACKAGES if text in named[package]]
        names = [named[package][text] for package in designs if named[package][text] in packages[package].characters]
        group = group_of(text, packages, named)
        if len(designs) >= LEAST_DESIGNS and names and group:
            classes.append((text, names[0], group))
    return sorted(classes, key=lambda entry: (entry[2], entry[1]))


def group_of(text: str, packages: dict[str, Drawings], named: dict[str, dict[str, str]]) -> str | None:
    """Return the group of an emoji, by the first of the packages with Unicode's nine groups that has it."""
    for package in ("noto", "twemoji", "fluent-emoji-flat"):
        for group, names in packages[package].categories.items():
            if named[package].get(text) in names:
                return group
    return None


def hold_out(classes: list[tuple[str, str, str]]) -> set[str]:
    """Draw the characters of the held-out classes, the same share of each group."""
    draw, order = random.Random(SEED), []
    for group in sorted({group for _, _, group in classes}):
        members = [text for text, _, other in classes if other == group]
        draw.shuffle(members)
        order += [((place + 0.5) / len(members), text) for place, text in enumerate(members)]
    return {text for _, text in sorted(order)[:N_HELD_OUT]}


def render_sheet(drawings: Drawings, names: dict[str, str], classes: list[tuple[str, str, str]]) -> Image.Image:
    """Render one designer's drawings of the classes, in order, COLUMNS in a row."""
    drawn = [names[text] for text, _, _ in classes if text in names]
    sheet = Image.new("RGB", (COLUMNS * SIZE, math.ceil(len(drawn) / COLUMNS) * SIZE), "white")
    for place, name in enumerate(drawn):
        sheet.paste(drawings.render(name), (place % COLUMNS * SIZE, place // COLUMNS * SIZE))
    return sheet


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def characters(code: str) -> str:
    """Return the characters of a code such as "1f468-200d-1f33e", without those that only choose a presentation."""
    return "".join(chr(int(part, 16)) for part in code.split("-") if part not in ("fe0f", "fe0e"))


if __name__ == "__main__":
    main()
