"""The API reference and the chapters, linked both ways.

Code in a sentence that names something of the package links to its entry, and so do the names that a chapter's code
imports. An entry says which chapters use it: those whose code imports it.
"""

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.util.nodes import make_refnode

PACKAGE = "siamese_triplet"
EXERCISES = f"{PACKAGE}.book.check."
NAME = re.compile(r"^(?:siamese_triplet\.)?([A-Za-z_][\w.]*)(?:\(.*\))?$")
KEYWORD = '(?!<span class="o">=</span>)'  # not the name of an argument
IN_CODE = re.compile(rf'(<span class="o">\.</span>)?<span class="n">(\w+)</span>{KEYWORD}')
NO_LINKS_IN = (nodes.reference, nodes.title, nodes.caption, nodes.term)


def setup(app: Any) -> None:
    app.connect("builder-inited", read_imports)
    app.connect("autodoc-process-docstring", add_chapters)
    app.connect("doctree-resolved", link_sentences)
    app.connect("html-page-context", link_code)


def read_imports(app: Any) -> None:
    """What each chapter imports from the package, by the names it has there, and which chapters import a thing."""
    app.imports, app.importers = {}, defaultdict(list)
    for path in sorted((Path(app.srcdir) / "book").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        page = f"book/{path.stem}"
        app.imports[page] = imported("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
        for name in set(app.imports[page].values()):
            app.importers[name].append(page)


def imported(source: str) -> dict[str, str]:
    """What `source`, the code of a notebook, imports from the package: full names, by those that it uses."""
    python = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)  # what only IPython understands
    found = {}
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            module = importlib.import_module(node.module)
            found |= {name.asname or name.name: full_name(module, name.name) for name in node.names}
    return found


def full_name(module: ModuleType, name: str) -> str:
    """The name of a thing where it is defined, of a constant where it is found."""
    if not hasattr(module, name):
        importlib.import_module(f"{module.__name__}.{name}")
    thing = getattr(module, name)
    if isinstance(thing, ModuleType):
        return thing.__name__
    return f"{thing.__module__}.{thing.__qualname__}" if hasattr(thing, "__qualname__") else f"{module.__name__}.{name}"


def entry_of(full: str, entries: Mapping[str, Any]) -> Any:
    """The entry of a thing that is described where it is defined or in a package around that; None without one."""
    module, _, name = full.rpartition(".")
    while module and f"{module}.{name}" not in entries:
        module = module.rpartition(".")[0]
    return entries.get(f"{module}.{name}")


def add_chapters(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """End an entry with the chapters that use it."""
    if what in ("class", "function", "exception"):
        name = f"{thing.__module__}.{thing.__qualname__}"
    if pages := app.importers.get(name):
        lines += ["", "*Used in* " + ", ".join(f":doc:`/{page}`" for page in pages) + ".", ""]


def link_sentences(app: Any, doctree: nodes.document, page: str) -> None:
    """Make a link of each literal that names an entry of the reference."""
    known, objects = by_short_name(app), app.env.get_domain("py").objects
    for literal in list(doctree.findall(nodes.literal)):
        found = NAME.match(literal.astext())
        entry = found and entry_of(known.get(found[1], ""), objects)
        if entry and not any(isinstance(node, NO_LINKS_IN) or describes(node, entry) for node in ancestors(literal)):
            link = make_refnode(app.builder, page, entry.docname, entry.node_id, literal.deepcopy(), found[1])
            literal.replace_self(link)


def by_short_name(app: Any) -> dict[str, str]:
    """Full names of entries, by the last parts of them where these mean one entry only.

    What the package has at its root is meant wherever its name stands alone. Another word of small letters, such as
    `table`, may as well be a variable, and so may what belongs to a class or is an exercise: alone they do not count.
    """
    known = defaultdict(set)
    for full, entry in app.env.get_domain("py").objects.items():
        parts = [] if entry.aliased or entry.objtype == "module" else full.split(".")
        for first in range(len(parts)):
            short = ".".join(parts[first:])
            is_variable = (short.isalpha() and short.islower()) or full.startswith(EXERCISES)
            if "." in short or (entry.objtype in ("class", "function", "exception") and not is_variable):
                known[short].add(full)
    root = importlib.import_module(PACKAGE)
    at_root = {name: full_name(root, name) for name in root.__all__}
    return {short: names.pop() for short, names in known.items() if len(names) == 1} | at_root


def ancestors(node: nodes.Node) -> list[nodes.Node]:
    return [] if node.parent is None else [node.parent, *ancestors(node.parent)]


def describes(node: nodes.Node, entry: Any) -> bool:
    """Whether this is the entry itself, which needs no link to where the reader is."""
    return isinstance(node, addnodes.desc) and entry.node_id in node[0].get("ids", ())


def link_code(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Make links of the names that the code of a chapter has imported."""
    objects = app.env.get_domain("py").objects
    found = {name: entry_of(full, objects) for name, full in app.imports.get(page, {}).items()}
    addresses = {
        name: f"{app.builder.get_relative_uri(page, entry.docname)}#{entry.node_id}"
        for name, entry in found.items()
        if entry
    }

    def linked(code: re.Match) -> str:
        is_attribute, name = code.groups()
        if is_attribute or name not in addresses:
            return code[0]
        return f'<a class="api" href="{addresses[name]}">{code[0]}</a>'

    if addresses:
        context["body"] = IN_CODE.sub(linked, context["body"])
