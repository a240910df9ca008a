"""The explorer: a form and buttons, the session that trains, and the panel that shows it."""

import os
from collections.abc import Callable
from dataclasses import replace

import ipywidgets as widgets

from siamese_triplet._style import plain
from siamese_triplet.datasets import Images
from siamese_triplet.explorer.controls import Controls, keep_in_order
from siamese_triplet.explorer.output import show
from siamese_triplet.explorer.panel import NOTE, WARNING, Panel, status_html
from siamese_triplet.explorer.records import Outcome, export
from siamese_triplet.explorer.session import Session
from siamese_triplet.explorer.settings import OWN, DataSets, Settings, devices, problems, unused
from siamese_triplet.live import IN_BOOK

BUSY = "A run is going on: press Stop or wait for its end before you train another."
PATIENCE = 3.0  # seconds that Reset waits for the current batch


def explore(
    dataset: str | tuple[Images, Images] = "mnist",
    *,
    root: str | os.PathLike | None = None,
    embedded: bool | None = None,
    settings: Settings | None = None,
) -> "Explorer":
    """Show controls to train the methods of the book, with pictures that follow the training. Needs a running kernel.

    - `dataset`: "mnist", "fashion-mnist", or a pair of training and test images of your own, as from `load_folder`.
    - `root`: the folder of the full data; see `datasets.load`.
    - `embedded`: use the small subset inside the package; by default if there is no GPU.
    - `settings`: the first state of the form, except for the data set.

    Training runs beside the kernel's main loop, so that other cells can run meanwhile. A run seeds torch's global
    generator, as `fit_method` does. Raises ValueError for a value that the form does not offer.
    """
    own = None if isinstance(dataset, str) else dataset
    fastest = devices()[0]
    first = settings or Settings(device=fastest)
    if embedded is None:
        embedded = first.embedded if settings else fastest == "cpu"
    return Explorer(
        DataSets(root, own), replace(first, dataset=dataset if isinstance(dataset, str) else OWN, embedded=embedded)
    )


class Explorer:
    """The widget of `explore`. It displays itself in a notebook; its methods do what its buttons do.

    `widget` is all of it; `session` is the current run, or the last one.
    """

    def __init__(self, datasets: DataSets, settings: Settings) -> None:
        self.datasets, self.first_settings = datasets, settings
        self.session: Session | None = None
        self.message = ""  # the problems of the settings, or why Train was refused
        self.controls = Controls(settings, datasets.names(), self._judge)
        self.panel = Panel(ended=lambda: self._switch(is_running=self.is_running))
        self.train_button = _button("Train", "play", "Train with these settings", "primary", self.train)
        self.stop_button = _button("Stop", "stop", "End the run and keep its network", "", self.stop)
        self.reset_button = _button("Reset", "undo", "End the run and put the settings back", "", self.reset)
        self.message_html = widgets.HTML()
        buttons = widgets.Box(
            [self.train_button, self.stop_button, self.reset_button, self.panel.progress],
            layout={"flex_flow": "row wrap"},
        )
        self.widget = widgets.VBox([self.controls.widget, self.message_html, buttons, self.panel.widget])
        self._switch(is_running=False)

    def _ipython_display_(self) -> None:
        words = "explore(): controls that need a running kernel; run this cell in Jupyter or Colab"
        show(None if IN_BOOK in os.environ else self.widget, words)

    @property
    def settings(self) -> Settings:
        """The settings in the form; can be set. Raises ValueError for a value that the form does not offer."""
        return self.controls.settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self.controls.settings = settings
        self._judge()

    @property
    def runs(self) -> list[Outcome]:
        """The records of all runs, in their order."""
        return list(self.panel.outcomes.values())

    @property
    def status(self) -> str:
        """The status line of the widget."""
        return self.panel.text

    @property
    def is_running(self) -> bool:
        """Whether a run is going on."""
        return self.session is not None and self.session.is_running

    def train(self) -> bool:
        """Start a run, and return whether it has started.

        It does not start during another run or with settings that cannot be trained; `message` and the widget say why.
        """
        if self.is_running:
            self._tell(BUSY)
            return False
        if self._judge():
            return False
        settings = self.settings
        self.panel.begin()
        self._switch(is_running=True)
        self.session = Session(len(self.runs) + 1, settings, lambda: self.datasets.load(settings), self.panel)
        self.session.start()
        return True

    def stop(self) -> None:
        """End the current run, if there is one. Returns at once; see `wait`."""
        if self.session is not None:
            self.session.stop()

    def reset(self) -> None:
        """End the run and restore the first settings and pictures. The table keeps its runs."""
        if self.session is not None and self.is_running:
            self.session.cancel()
        self.wait(PATIENCE)
        self.panel.clear()
        self.settings = self.first_settings

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run and for its last picture, at most `timeout` seconds each; return whether both
        have come."""
        is_over = self.session is None or self.session.wait(timeout)
        return self.panel.painter.wait(timeout) and is_over

    def export(self, path: str | os.PathLike) -> None:
        """Write the records of the runs to `path`: a .csv file, or a .json file that has their histories too.

        Raises ValueError for another suffix.
        """
        export(self.runs, path)

    def _judge(self) -> list[str]:
        """Show the problems of the settings, enable Train where there are none, and return them."""
        keep_in_order([*self.controls.inputs, self.train_button, self.stop_button, self.reset_button])
        settings = self.settings
        try:
            found = problems(settings, self.datasets.class_sizes(settings))
        except Exception as error:  # data that cannot be loaded
            found = [plain(f"{type(error).__name__}: {error}")]
        self._tell(" ".join(found), unused(settings))
        self.train_button.disabled = bool(found) or self.is_running
        return found

    def _tell(self, message: str, note: str = "") -> None:
        self.message = message
        parts = [status_html(message, WARNING) if message else "", status_html(note, NOTE) if note else ""]
        self.message_html.value = "".join(parts)

    def _switch(self, is_running: bool) -> None:
        self.stop_button.disabled = not is_running
        self.train_button.disabled = is_running
        if not is_running:
            self._judge()


def _button(text: str, icon: str, tooltip: str, style: str, clicked: Callable[[], object]) -> widgets.Button:
    button = widgets.Button(description=text, icon=icon, tooltip=tooltip, button_style=style)
    button.on_click(lambda _: clicked())
    return button
