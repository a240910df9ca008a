"""Layers of the package: each imports only from the layers below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "siamese_triplet"
LAYERS = (  # from top to bottom; all other files and folders form the bottom layer
    {"__main__"},
    {"book"},
    {"explorer", "cli"},
    {"runs", "live", "search"},
    {"methods", "gallery"},
    {"trainer", "evaluation", "diagnostics"},
    {"losses", "loader", "plots", "utils"},
    {"networks"},
    {"selectors", "datasets"},
)


def layer(room: str) -> int:
    return next((number for number, rooms in enumerate(LAYERS) if room in rooms), len(LAYERS))


def imported_rooms(source: str) -> Iterator[str]:
    """Yield the file or folder of the package that each import in `source` names, anywhere in the code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "siamese_triplet":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("siamese_triplet."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("siamese_triplet."))


def forbidden(room: str, source: str) -> list[str]:
    """List the imports of a file in `room` that are not from a layer below its own."""
    bottom = len(LAYERS)
    return [
        other
        for other in imported_rooms(source)
        if other != room and layer(other) <= layer(room) and not layer(other) == layer(room) == bottom
    ]


FILES = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_the_layers_below_its_own(path: Path) -> None:
    assert forbidden(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path.read_text()) == []


def test_the_root_imports_neither_the_book_nor_the_explorer() -> None:
    assert not {"book", "explorer", "cli", "live"} & set(imported_rooms((PACKAGE / "__init__.py").read_text()))


def test_a_forbidden_import_is_found() -> None:
    late_import = "def late():\n    from siamese_triplet.book.recipes import Recipe"
    assert forbidden("runs", late_import) == ["book"]
    assert forbidden("losses", "from siamese_triplet.trainer import fit") == ["trainer"]
    assert forbidden("losses", "import siamese_triplet.loader") == ["loader"]
    assert forbidden("distances", "from siamese_triplet import selectors") == ["selectors"]
    assert forbidden("samplers", "from siamese_triplet.distances import root") == []


def test_every_layer_names_existing_files_and_folders() -> None:
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    assert set().union(*LAYERS) <= rooms
