"""Verdicts of self-checking exercises: "correct", or the first case that is not right yet, with a hint.

No answer is an error here: whatever the reader's function returns or raises is shown.
"""

import textwrap
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

WIDTH = 88  # characters in a line: a page of the book shows about as many without scrolling
LONGEST = 240  # characters shown of an answer or a message


@dataclass(frozen=True)
class Case:
    """A small case: `arguments` for the reader's function, the `expected` answer, and a `hint` for any other answer.

    `explain` gives a better hint for some wrong answers, and "" for all others. A number may be off by `tolerance`,
    where it rests on chance.
    """

    name: str
    arguments: tuple[Any, ...]
    expected: Any
    hint: str
    explain: Callable[[Any], str] = lambda answer: ""
    tolerance: float = 0.0


def judge(
    function: Callable[..., Any],
    cases: Sequence[Case],
    correct: str,
    read: Callable[[Any], Any] = lambda answer: answer,
) -> None:
    """Print `correct`, or the first of `cases` that `function` gets wrong.

    `read` brings an answer into the form to compare and show, such as pairs into a sorted list. It returns an answer
    that it cannot read unchanged.
    """
    for case in cases:
        try:
            answer = function(*deepcopy(case.arguments))
            answer = answer if answer is None else read(answer)
            if agrees(answer, case.expected, case.tolerance):
                continue
            verdict, hint = [_line("given", describe(answer))], case.explain(answer) or case.hint
        except Exception as error:  # any exception: it is the reader's
            verdict, hint = [_line("raised", f"{type(error).__name__}: {error}")], case.hint
        verdict.append(_line("expected", describe(case.expected)))
        verdict.append(_line("hint", hint))
        title = f"not yet: {case.name}".splitlines()  # several lines if the name shows a batch as a table
        print(*(textwrap.fill(line, WIDTH, subsequent_indent=" " * 9) for line in title), *verdict, sep="\n")
        return
    print(f"correct: {correct}")


def agrees(answer: Any, expected: Any, tolerance: float = 0.0) -> bool:
    """Compare `answer` with `expected`: numbers up to rounding or `tolerance`, tensors by shape too, others exactly."""
    if isinstance(expected, Tensor):
        if not expected.ndim and isinstance(answer, float):
            answer = torch.tensor(answer)  # what .item() gives is as right
        if not isinstance(answer, Tensor) or answer.shape != expected.shape:
            return False
        return torch.allclose(answer.detach().double(), expected.double(), rtol=1e-4, atol=1e-6)
    if isinstance(expected, tuple):
        is_alike = isinstance(answer, (tuple, list)) and len(answer) == len(expected)
        return is_alike and all(map(agrees, answer, expected))
    if isinstance(answer, Tensor) and not answer.ndim:
        answer = answer.item()
    if isinstance(expected, (int, float)) and isinstance(answer, (int, float)):
        return abs(answer - expected) <= max(tolerance, 1e-6 + 1e-4 * abs(expected))
    return type(answer) is type(expected) and answer == expected


def describe(value: Any) -> str:
    """Format `value` with few digits, a tensor also with its shape."""
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
