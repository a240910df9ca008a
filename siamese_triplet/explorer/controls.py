"""The form of the explorer: a control per setting; those that do not apply are disabled."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets

from siamese_triplet.explorer.settings import OWN, Settings, devices, has_margin, may_be_soft
from siamese_triplet.methods import METHODS, SELECTORS_OF

NO_SELECTOR = "–"
WIDE = {"width": "21em"}
LABEL = {"description_width": "11em"}


class Controls:
    """The form: `settings` reads and fills it; `changed` is called after every change by the reader."""

    def __init__(self, settings: Settings, datasets: Sequence[str], changed: Callable[[], object]) -> None:
        self.changed = changed
        self.is_filling = False
        self.dataset = _choice("data set", datasets)
        self.embedded = _choice("images", [("small subset", True), ("all", False)])
        self.device = _choice("device", devices())
        self.method = _choice("method", METHODS)
        self.selector = _choice("selector", [NO_SELECTOR])
        self.margin = _number("margin", minimum=0.0, maximum=1000.0, step=0.1)
        self.soft = widgets.Checkbox(description="soft margin", style=LABEL, layout=WIDE, indent=True)
        self.embedding_size = _whole("embedding size", 2, 1024)
        self.unit_sphere = widgets.Checkbox(description="unit sphere", style=LABEL, layout=WIDE, indent=True)
        self.n_classes = _whole("classes per batch (P)", 1, 100_000)
        self.n_samples = _whole("images per class (K)", 1, 100_000)
        self.batch_size = _whole("batch size", 1, 100_000)
        self.learning_rate = _number("learning rate", minimum=0.0, maximum=100.0, step=None)
        self.n_epochs = _whole("epochs", 1, 10_000)
        self.seed = _whole("seed", 0, 2**31 - 1)
        groups = (
            ("Data", (self.dataset, self.embedded, self.device)),
            ("Method", (self.method, self.selector, self.margin, self.soft)),
            ("Batches", (self.n_classes, self.n_samples, self.batch_size)),
            ("Network", (self.embedding_size, self.unit_sphere)),
            ("Training", (self.learning_rate, self.n_epochs, self.seed)),
        )
        columns = [widgets.VBox([widgets.HTML(f"<b>{title}</b>"), *parts]) for title, parts in groups]
        self.widget = widgets.Box(columns, layout={"flex_flow": "row wrap", "align_items": "flex-start"})
        self.inputs = [part for _, parts in groups for part in parts]
        self.settings = settings
        for part in self.inputs:
            part.observe(self._take_change, names="value")

    @property
    def settings(self) -> Settings:
        """The settings in the form; can be set. Raises ValueError for a value that the form does not offer."""
        return Settings(
            dataset=self.dataset.value,
            embedded=self.embedded.value,
            method=self.method.value,
            selector=None if self.selector.value == NO_SELECTOR else self.selector.value,
            margin="soft" if self.soft.value else self.margin.value,
            embedding_size=self.embedding_size.value,
            unit_sphere=self.unit_sphere.value,
            batch_size=self.batch_size.value,
            n_classes=self.n_classes.value,
            n_samples=self.n_samples.value,
            learning_rate=self.learning_rate.value,
            n_epochs=self.n_epochs.value,
            device=self.device.value,
            seed=self.seed.value,
        )

    @settings.setter
    def settings(self, settings: Settings) -> None:
        with self._filling():
            for name in ("dataset", "embedded", "method", "device"):
                _choose(getattr(self, name), name, getattr(settings, name))
            self._offer_selectors(settings.selector)
            if settings.method in SELECTORS_OF:
                _choose(self.selector, "selector", settings.selector)
            self.soft.value = settings.margin == "soft"
            if not self.soft.value:
                _fill(self.margin, "margin", settings.margin)
            for name in ("embedding_size", "n_classes", "n_samples", "batch_size", "learning_rate", "n_epochs", "seed"):
                _fill(getattr(self, name), name, getattr(settings, name))
            self.unit_sphere.value = settings.unit_sphere
        self._switch()

    @contextmanager
    def _filling(self) -> Iterator[None]:
        """Treat the changes made within as one change."""
        self.is_filling = True
        try:
            yield
        finally:
            self.is_filling = False

    def _take_change(self, change: dict[str, Any]) -> None:
        if self.is_filling:
            return
        if change["owner"] is self.method:
            with self._filling():
                defaults = METHODS[self.method.value]
                self.learning_rate.value, self.batch_size.value = defaults.learning_rate, defaults.batch_size
                self._offer_selectors(defaults.selector)
        self._switch()
        self.changed()

    def _offer_selectors(self, chosen: str | None) -> None:
        offered = SELECTORS_OF.get(self.method.value, (NO_SELECTOR,))
        self.selector.options = offered
        self.selector.value = chosen if chosen in offered else offered[0]

    def _switch(self) -> None:
        """Disable the controls that do not apply. A soft margin that is not allowed stays enabled, to be unticked."""
        settings = self.settings
        is_online = settings.method in SELECTORS_OF
        self.selector.disabled = not is_online
        self.n_classes.disabled = self.n_samples.disabled = not is_online
        self.batch_size.disabled = is_online
        self.soft.disabled = not has_margin(settings.method) or not (may_be_soft(settings) or self.soft.value)
        self.margin.disabled = not has_margin(settings.method) or self.soft.value
        self.embedded.disabled = settings.dataset == OWN


def _choice(description: str, options: Any) -> widgets.Dropdown:
    return widgets.Dropdown(description=description, options=list(options), style=LABEL, layout=WIDE)


def _whole(description: str, minimum: int, maximum: int) -> widgets.BoundedIntText:
    return widgets.BoundedIntText(
        description=description, min=minimum, max=maximum, value=minimum, style=LABEL, layout=WIDE
    )


def _number(description: str, minimum: float, maximum: float, step: float | None) -> widgets.BoundedFloatText:
    return widgets.BoundedFloatText(
        description=description, min=minimum, max=maximum, step=step, style=LABEL, layout=WIDE
    )


def _choose(control: widgets.Dropdown, name: str, value: Any) -> None:
    """Set a choice. Raises ValueError for a value that is not offered."""
    offered = [option[1] if isinstance(option, tuple) else option for option in control.options]
    if value not in offered:
        raise ValueError(f"{name} cannot be {value!r}; there {'are' if len(offered) > 1 else 'is'} {offered}")
    control.value = value


def _fill(control: widgets.ValueWidget, name: str, value: Any) -> None:
    """Set a number. Raises ValueError for one out of the control's bounds, which it would change."""
    control.value = value
    if control.value != value:
        raise ValueError(f"{name} cannot be {value}; the form has {control.min:g} to {control.max:g}")


def keep_in_order(controls: Iterable[widgets.DOMWidget]) -> None:
    """Have the kernel handle the messages of all `controls` in one thread, in the order they are sent.

    From version 7.4 on, ipykernel handles a widget's messages in the thread that last sent a message to that widget.
    If a click had another thread than the value changed before it, both would be handled at the same time or, while a
    cell runs, the click first: the run would silently have other settings than the form shows. Hence this sends every
    control one message, which changes nothing, from the calling thread.
    """
    for control in controls:
        control.send_state("disabled")
