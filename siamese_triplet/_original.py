"""Errors that answer the calls of the original tutorial with what to write now."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

NO_CPU = "the original's `cpu` is gone, as selection runs where the embeddings are; give other options by name"

NO_SIZE_AVERAGE = (
    "the original's `size_average` is gone: the loss is a mean; multiply by the number of rows for the sum"
)


def explains_misfit(advice: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add `advice` to the TypeError of each call that does not fit the signature of the decorated function."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                if fits(function, *args, **kwargs):
                    raise
                raise TypeError(f"{error}: {advice}") from None

        return call

    return decorate


def fits(function: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
    """Tell whether `function` can be called with these arguments; True where its signature is not known."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return True
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def old_names(module: str, now: Mapping[str, str]) -> Callable[[str], NoReturn]:
    """Make the `__getattr__` of `module`: an old name raises an ImportError with what there is `now`."""

    def answer(name: str) -> NoReturn:
        if name in now:
            raise ImportError(f"{module}.{name} of the original is gone: {now[name]}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return answer
