"""The output of a cell that shows a widget, or only words."""

import ipywidgets as widgets
from IPython.display import display

VIEW = "application/vnd.jupyter.widget-view+json"


def show(widget: widgets.Widget | None, words: str) -> None:
    """Display `widget`; where there are no widgets, or for None, its output reads `words`.

    The bundle is made here, as ipywidgets 7, which Colab has, makes none on demand.
    """
    live = {} if widget is None else {VIEW: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}
    display({**live, "text/plain": words}, raw=True)
