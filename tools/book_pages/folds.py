"""What the folded parts of a page say on their buttons.

MyST-NB folds a cell, its code or its output by the tags `hide-cell`, `hide-input` and `hide-output`. The buttons say
what is below: an answer, after a prediction; what a check says; a log; the code. Their text is their name for a screen
reader as well. The paragraph after an answer says what it shows, so it is folded with it.
"""

import re
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.transforms.post_transforms import SphinxPostTransform

PREDICTION = "Predict first."
ANSWER = 'class="answer"'
PARTS = {  # the parts of a chapter that stand in each, by their code
    "installation": re.compile(r"google\.colab"),
    "extra packages": re.compile(r"pip install"),
    "recipe": re.compile(r"recipes\.choose\("),
    "origin of the outputs": re.compile(r"\.report\("),
    "imports": re.compile(r"\A(?:(?:from .*)?\bimport (?:\([^)]*\)|.*)\s*)+\Z"),
}
CHECK = re.compile(r"^check\.", re.MULTILINE)
LOG = re.compile(r"^epoch\b.*\n(?:.*\n)*?epoch\b", re.MULTILINE | re.IGNORECASE)  # two lines of a training
NAMELESS = ' aria-label="Toggle hidden content"'


def setup(app: Any) -> None:
    app.add_post_transform(NameFolds)
    app.connect("html-page-context", uncover_names)


class NameFolds(SphinxPostTransform):
    """Name the folded parts of cells; after the cells are folded and the formats of their outputs chosen."""

    default_priority = 205
    formats = ("html",)

    def run(self, **options: Any) -> None:
        for cell, is_answer in cells(self.document):
            for fold in cell.findall(HideCodeCellNode):
                name = content(cell, fold)
                if is_answer and "above-input" not in fold["classes"] and name != "log":
                    name = "answer"
                fold["prompt_show"], fold["prompt_hide"] = f"Show the {name}", f"Hide the {name}"
                fold["classes"].append(name.replace(" ", "-"))
            if is_answer:
                fold_discussion(cell)


def cells(document: nodes.document) -> list[tuple[nodes.container, bool]]:
    """List the code cells, each with whether it answers a prediction: all cells from there to the next text.

    If the text after them has an answer of its own, the cells have none.
    """
    found: list[tuple[nodes.container, bool]] = []
    answers: list[int] = []  # places in `found`, since the last prediction or heading
    is_open = is_answered = False
    for node in document.findall():
        if isinstance(node, nodes.section) and not within_code(node):
            answers = []
        if isinstance(node, nodes.strong) and node.astext() == PREDICTION:
            is_open, is_answered, answers = True, False, []
        elif isinstance(node, nodes.raw) and ANSWER in node.astext():
            is_open = False
            for place in answers:
                found[place] = found[place][0], False
        elif is_code(node):
            answers += [len(found)] * is_open
            found.append((node, is_open))
            is_answered = is_answered or any("cell_output" in part["classes"] for part in node.findall(nodes.container))
        elif is_open and is_answered and isinstance(node, nodes.paragraph | nodes.section) and not within_code(node):
            is_open = False
    return found


def is_code(node: nodes.Node | None) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def within_code(node: nodes.Node) -> bool:
    """Tell whether a node is part of a code cell, such as a paragraph of its output."""
    parent = node.parent
    while parent is not None and not is_code(parent):
        parent = parent.parent
    return parent is not None


def fold_discussion(cell: nodes.container) -> None:
    """Move the paragraph after the last cell of an answer into its fold, with the list that it announces."""
    folds = [fold for fold in cell.findall(HideCodeCellNode) if "answer" in fold["classes"]]
    following = cell.next_node(descend=False, siblings=True)
    if not folds or not isinstance(following, nodes.paragraph) or PREDICTION in following.astext():
        return
    moved = [following]
    listed = following.next_node(descend=False, siblings=True)
    if following.astext().endswith(":") and isinstance(listed, nodes.bullet_list):
        moved.append(listed)
    for node in moved:
        node.parent.remove(node)
        folds[-1].append(node)


def content(cell: nodes.container, fold: HideCodeCellNode) -> str:
    """Say in a word or two what a fold has in it."""
    parts = [node.get("nb_element") for node in fold.children if isinstance(node, nodes.container)]
    if "cell_code_source" in parts:
        code = cell.children[0].astext()
        return next((name for name, sign in PARTS.items() if sign.search(code)), "code")
    if CHECK.search(cell.astext()):
        return "verdict"
    return "log" if LOG.search(fold.astext()) else "output"


def uncover_names(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Remove the label that would hide the text of each button from a screen reader."""
    context["body"] = context.get("body", "").replace(NAMELESS, "")
