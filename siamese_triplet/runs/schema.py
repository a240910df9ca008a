"""Dataclasses from JSON, with a check of every field."""

import math
import reprlib
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Fields = TypeVar("Fields")
WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def read_fields(kind: type[Fields], values: Any, prefix: str = "") -> Fields:
    """Make the dataclass `kind` of `values`, an object from JSON.

    Raises ValueError for a missing field without a default, an unknown one, and one of another type, naming it.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{prefix.rstrip('.')} must be an object, got {reprlib.repr(values)}")
    hints, own = get_type_hints(kind), fields(kind)  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in hints]:
        raise ValueError(f"{prefix}{reprlib.repr(unknown[0])} is no field of a run")
    if missing := [field.name for field in own if field.default is MISSING and field.name not in values]:
        raise ValueError(f"{prefix}{missing[0]} is missing")
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{prefix}{name} must be {_describe(hints[name])}, got {reprlib.repr(value)}")
    return kind(**values)


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether `value` is of the type `hint`; a whole number is a float, too."""
    if get_origin(hint) is list:
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    kinds = get_args(hint) or (hint,)
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, (*kinds, int) if float in kinds else kinds)


def _describe(hint: Any) -> str:
    if get_origin(hint) is list:
        return f"a list, each {_describe(get_args(hint)[0])}"
    return " or ".join(WORDS.get(kind, kind.__name__) for kind in get_args(hint) or (hint,))
