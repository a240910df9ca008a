"""The order in which the kernel handles what a reader does."""

from collections.abc import Iterable

import ipywidgets as widgets


def keep_in_order(controls: Iterable[widgets.DOMWidget]) -> None:
    """Have the messages of all `controls` handled in the order in which they are sent, in one thread of the kernel.

    From version 7.4 on, ipykernel handles the messages of a widget in the thread that last sent one to it. If a click
    had another thread than the value changed before it, both would be handled at the same time or, while a cell runs,
    the click first: a run would silently have other settings than the form shows. So all of them are sent one message,
    which changes nothing, by the thread that calls this.
    """
    for control in controls:
        control.send_state("disabled")
