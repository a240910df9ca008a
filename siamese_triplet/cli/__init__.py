"""The command line, `python -m siamese_triplet`: `train` and `evaluate`, `index` and `search`.

Mistakes of users give one line and an exit status, no traceback.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from siamese_triplet.cli.options import add_place, add_speed, count, device, speed_of
from siamese_triplet.cli.searching import add_search_commands
from siamese_triplet.cli.training import add_training_commands

__all__ = ["add_place", "add_speed", "count", "device", "main", "parser", "speed_of"]

INTERRUPTED = 130  # the exit status that shells give a command ended by Ctrl-C
TOO_LARGE = ("can't allocate memory", "out of memory", "not enough memory", "Invalid buffer size", "overflow")
LOWER = "--dim, --image-size, --n-classes, --n-samples or --batch-size"  # of the commands that train

AddCommands = Callable[[Any], None]  # takes the result of `ArgumentParser.add_subparsers`


def main(arguments: Sequence[str] | None = None, add_commands: AddCommands | None = None) -> int:
    """Run one command and return the exit status.

    `add_commands` adds commands beside those of the package.
    """
    lower = LOWER
    try:
        parsed = parser(add_commands).parse_args(arguments)
        lower = getattr(parsed, "lower", LOWER)
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
            return parsed.command(parsed)
    except (ValueError, OSError, FloatingPointError) as error:
        return _report(str(error))
    except (RuntimeError, MemoryError) as error:
        if not _is_too_large(error):
            raise
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        return _report(f"this takes too much memory: {first_line}; lower {lower}")
    except KeyboardInterrupt:
        print("interrupted; the same command resumes after the last complete epoch", file=sys.stderr)
        return INTERRUPTED


def _report(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


def _is_too_large(error: Exception) -> bool:
    """Tell whether an error is about memory or depth; those of PyTorch have no types of their own."""
    return isinstance(error, (MemoryError, RecursionError)) or any(text in str(error) for text in TOO_LARGE)


def parser(add_commands: AddCommands | None = None) -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    main_parser = argparse.ArgumentParser(
        prog="python -m siamese_triplet", description="Train, evaluate and compare embeddings without a notebook."
    )
    commands = main_parser.add_subparsers(required=True, metavar="command", title="commands")
    add_training_commands(commands)
    add_search_commands(commands)
    if add_commands is not None:
        add_commands(commands)
    return main_parser
