"""`python -m siamese_triplet`: the commands of the package and of the book."""

import sys
from collections.abc import Sequence

from siamese_triplet import cli
from siamese_triplet.book.cli import add_book_commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    return cli.main(arguments, add_book_commands)


if __name__ == "__main__":
    sys.exit(main())
