"""Links between the API reference and the chapters, both ways.

Code in a sentence that names something of the package links to its entry, and so do the names that a chapter's code
imports. An entry lists the chapters whose code imports it.
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
NO_KEYWORD = '(?!<span class="o">=</span>)'  # not the name of an argument
IN_CODE = re.compile(rf'(<span class="o">\.</span>)?<span class="n">(\w+)</span>{NO_KEYWORD}')
NO_LINKS_IN = (nodes.reference, nodes.title, nodes.caption, nodes.term)


def setup(app: Any) -> None:
    app.connect("builder-inited", read_imports)
    app.connect("autodoc-process-docstring", add_chapters)
    app.connect("doctree-resolved", link_sentences)
    app.connect("html-page-context", link_code)


def read_imports(app: Any) -> None:
    """Record the imports of each chapter from the package, and the chapters that import each object."""
    app.imports, app.importers = {}, defaultdict(list)
    for path in sorted((Path(app.srcdir) / "book").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        page = f"book/{path.stem}"
        app.imports[page] = find_imports("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
        for name in set(app.imports[page].values()):
            app.importers[name].append(page)


def find_imports(source: str) -> dict[str, str]:
    """Find the imports from the package in the code of a notebook: full names, by the names in the code."""
    python = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)  # without IPython's magics
    imports = {}
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            module = importlib.import_module(node.module)
            imports |= {name.asname or name.name: full_name(module, name.name) for name in node.names}
    return imports


def full_name(module: ModuleType, name: str) -> str:
    """Return the full name of `module.name` where it is defined; a constant keeps this module."""
    if not hasattr(module, name):
        importlib.import_module(f"{module.__name__}.{name}")
    value = getattr(module, name)
    if isinstance(value, ModuleType):
        return value.__name__
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else f"{module.__name__}.{name}"


def find_entry(full: str, entries: Mapping[str, Any]) -> Any:
    """Find the entry of a full name, in its module or in a package around that; None without one."""
    module, _, name = full.rpartition(".")
    while module and f"{module}.{name}" not in entries:
        module = module.rpartition(".")[0]
    return entries.get(f"{module}.{name}")


def add_chapters(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Add to an entry the chapters that use it."""
    if what in ("class", "function", "exception"):
        name = f"{thing.__module__}.{thing.__qualname__}"
    if pages := app.importers.get(name):
        lines += ["", "*Used in* " + ", ".join(f":doc:`/{page}`" for page in pages) + ".", ""]


def link_sentences(app: Any, doctree: nodes.document, page: str) -> None:
    """Link each literal that names an entry of the reference."""
    known, objects = index_short_names(app), app.env.get_domain("py").objects
    for literal in list(doctree.findall(nodes.literal)):
        match = NAME.match(literal.astext())
        entry = match and find_entry(known.get(match[1], ""), objects)
        if entry and not any(isinstance(node, NO_LINKS_IN) or describes(node, entry) for node in ancestors(literal)):
            link = make_refnode(app.builder, page, entry.docname, entry.node_id, literal.deepcopy(), match[1])
            literal.replace_self(link)


def index_short_names(app: Any) -> dict[str, str]:
    """Map the unambiguous endings of full names to the full names.

    A name at the root of the package always means that. Any other lower-case word, such as `table`, may be a variable,
    and so may the name of an exercise or of a member of a class: without a dot they do not count.
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
    """Tell whether this node is the entry itself, which needs no link to itself."""
    return isinstance(node, addnodes.desc) and entry.node_id in node[0].get("ids", ())


def link_code(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Link the names that the code of a chapter imports."""
    objects = app.env.get_domain("py").objects
    entries = {name: find_entry(full, objects) for name, full in app.imports.get(page, {}).items()}
    addresses = {
        name: f"{app.builder.get_relative_uri(page, entry.docname)}#{entry.node_id}"
        for name, entry in entries.items()
        if entry
    }

    def link(code: re.Match) -> str:
        is_attribute, name = code.groups()
        if is_attribute or name not in addresses:
            return code[0]
        return f'<a class="api" href="{addresses[name]}">{code[0]}</a>'

    if addresses:
        context["body"] = IN_CODE.sub(link, context["body"])
