"""What a self-checking exercise says: "correct", or what is not right yet, in which small case, and a hint.

Nothing that a reader gives is an error here. Whatever a function returns or raises is shown.
"""

import textwrap
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

WIDTH = 88  # of a line, about what a page of the book shows without scrolling
LONGEST = 240  # characters of an answer or a message that are shown


@dataclass(frozen=True)
class Case:
    """A small case: the `arguments` of the reader's function, the answer `expected`, a `hint` for who has another.

    `is_secret` where the answer is a single value, which a hint may lead to but should not give away.
    """

    name: str
    arguments: tuple[Any, ...]
    expected: Any
    hint: str
    is_secret: bool = False


def judge(
    function: Callable[..., Any],
    cases: Sequence[Case],
    correct: str,
    read: Callable[[Any], Any] = lambda answer: answer,
) -> None:
    """Print `correct`, or the first of `cases` in which `function` is not right.

    `read` turns an answer into what is compared and shown, such as pairs into a sorted list. What it cannot read it
    returns as it is.
    """
    for case in cases:
        try:
            answer = function(*deepcopy(case.arguments))
            answer = answer if answer is None else read(answer)
            if agrees(answer, case.expected):
                continue
            verdict = [_line("given", shown(answer))]
        except Exception as error:  # of any kind: it is the reader's
            verdict = [_line("raised", f"{type(error).__name__}: {error}")]
        if not case.is_secret:
            verdict.append(_line("expected", shown(case.expected)))
        verdict.append(_line("hint", case.hint))
        asked = f"not yet: {case.name}".splitlines()  # several, where a batch is shown as a table
        print(*(textwrap.fill(line, WIDTH, subsequent_indent=" " * 9) for line in asked), *verdict, sep="\n")
        return
    print(f"correct: {correct}")


def judge_value(answer: Any, expected: Any, asked: str, hint: str) -> None:
    """Print whether `answer` is `expected`."""
    judge(lambda: answer, [Case(asked, (), expected, hint, is_secret=True)], f"{asked}: {shown(expected)}")


def agrees(answer: Any, expected: Any) -> bool:
    """Whether `answer` is `expected`: numbers up to rounding, a tensor in its shape as well, anything else exactly."""
    if isinstance(expected, Tensor):
        if not isinstance(answer, Tensor) or answer.shape != expected.shape:
            return False
        return torch.allclose(answer.detach().double(), expected.double(), rtol=1e-4, atol=1e-6)
    if isinstance(expected, tuple):
        is_alike = isinstance(answer, (tuple, list)) and len(answer) == len(expected)
        return is_alike and all(map(agrees, answer, expected))
    if isinstance(answer, Tensor) and not answer.ndim:
        answer = answer.item()
    if isinstance(expected, (int, float)) and isinstance(answer, (int, float)):
        return abs(answer - expected) <= 1e-6 + 1e-4 * abs(expected)
    return type(answer) is type(expected) and answer == expected


def shown(value: Any) -> str:
    """`value` in few digits; of a tensor the shape as well."""
    if isinstance(value, Tensor) and value.ndim:
        return f"{_rounded(value.detach().tolist())}, a tensor of shape {tuple(value.shape)}"
    return "None: is a return missing?" if value is None else repr(_rounded(value))


def _rounded(value: Any) -> Any:
    if isinstance(value, Tensor) and not value.ndim:
        value = value.item()
    if isinstance(value, (list, tuple)):
        return type(value)(map(_rounded, value))
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _line(label: str, text: str) -> str:
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    return textwrap.fill(text, WIDTH, initial_indent=f"  {label:<10}", subsequent_indent=" " * 12)
