"""Options that several commands share, and parsers of their values."""

import argparse
from collections.abc import Callable

import torch

from siamese_triplet.datasets._naming import expand
from siamese_triplet.methods import Speed

MAX_DIM, MAX_BATCH, MAX_SIDE, MAX_SEED = 2**16, 2**16, 2**12, 2**63 - 1


def add_speed(parser: argparse.ArgumentParser) -> None:
    """Add the options of `Speed`; `speed_of` reads them."""
    parser.add_argument("--bfloat16", action="store_true", help="run the network in bfloat16, by autocast")
    parser.add_argument("--channels-last", action="store_true", help="lay out images with the channels innermost")
    parser.add_argument(
        "--compile",
        nargs="?",
        const=True,
        default=False,
        choices=(True, "default", "reduce-overhead", "max-autotune"),
        metavar="MODE",
        help='compile the network; the mode "reduce-overhead" uses CUDA graphs',
    )


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options for data and device."""
    parser.add_argument(
        "--data", type=expand, metavar="FOLDER", help="folder of MNIST and FashionMNIST; see datasets.load"
    )
    parser.add_argument("--embedded", action="store_true", help="use the small subset inside the package")
    parser.add_argument("--device", type=device, help="such as cpu or cuda:1; by default a GPU if there is one")


def speed_of(given: argparse.Namespace) -> Speed:
    """Return the `Speed` given by the options of `add_speed`."""
    return Speed(given.bfloat16, given.channels_last, given.compile)


def device(text: str) -> torch.device:
    """Parse a device of this machine. Raises ArgumentTypeError for any other."""
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}: {str(error).splitlines()[0]}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise argparse.ArgumentTypeError(f"cannot use {text!r}: the number of GPUs is {torch.cuda.device_count()}")
    if device.type != "cuda":  # torch.device takes names that this machine, or this PyTorch, lacks
        try:
            torch.ones(1, device=device).item()
        except Exception as error:  # each kind of device has errors of its own
            first_line = (str(error) or type(error).__name__).splitlines()[0]
            raise argparse.ArgumentTypeError(f"cannot use {text!r}: {first_line}") from error
    return device


def at_most(limit: int) -> Callable[[str], int]:
    """Make a parser of whole numbers from −`limit` to `limit`; larger ones are slips of the keys."""

    def whole_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected a whole number, got {text[:40]!r}") from error
        if abs(number) > limit:
            raise argparse.ArgumentTypeError(f"expected at most {limit:,}, got {text[:40]}")
        return number

    return whole_number


def count(text: str) -> int:
    """Parse a whole number ≥ 1. Raises ArgumentTypeError for anything else."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number ≥ 1, got {text!r}")
    return int(text)
