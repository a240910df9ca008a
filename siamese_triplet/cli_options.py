"""Options and types of options that several commands share."""

import argparse
from pathlib import Path

import torch

from siamese_triplet.experiments import Speed


def add_speed(parser: argparse.ArgumentParser) -> None:
    """Options for a faster network; `speed_of` reads them."""
    parser.add_argument("--bfloat16", action="store_true", help="the network in 16-bit floating point, by autocast")
    parser.add_argument("--channels-last", action="store_true", help="images with the channels innermost")
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
    """Options for the data and the device."""
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="of MNIST and FashionMNIST, see datasets.load")
    parser.add_argument("--embedded", action="store_true", help="the small subset inside the package instead")
    parser.add_argument("--device", type=device, help="such as cpu or cuda:1; by default a GPU where there is one")


def speed_of(given: argparse.Namespace) -> Speed:
    """What the options of `add_speed` ask for."""
    return Speed(given.bfloat16, given.channels_last, given.compile)


def device(text: str) -> torch.device:
    """A device of this machine. Raises ArgumentTypeError for any other."""
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}: {str(error).splitlines()[0]}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise argparse.ArgumentTypeError(f"cannot use {text!r}: the number of GPUs is {torch.cuda.device_count()}")
    return device


def count(text: str) -> int:
    """A whole number from 1 on. Raises ArgumentTypeError for anything else."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)
