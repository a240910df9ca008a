"""The command line: `python -m siamese_triplet train | evaluate`, and the options shared with other commands."""

import argparse
import dataclasses
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from siamese_triplet._validation import check_margin_or_soft
from siamese_triplet.datasets._naming import expand
from siamese_triplet.datasets.mnist import SOURCES
from siamese_triplet.methods import FULL_EPOCHS, METHODS, SELECTORS_OF, Method, Speed
from siamese_triplet.runs import Data, Run, evaluate_run, read_run, train_run
from siamese_triplet.selectors.by_name import BATCH_ALL, PAIR_SELECTORS, SOFT, TRIPLET_SELECTORS

INTERRUPTED = 130  # the exit status that shells give a command ended by Ctrl-C
MAX_DIM, MAX_BATCH, MAX_SIDE, MAX_SEED = 2**16, 2**16, 2**12, 2**63 - 1
TOO_LARGE = ("can't allocate memory", "out of memory", "not enough memory", "Invalid buffer size", "overflow")

TRAIN = f"""\
Train an embedding and keep everything in one folder: the settings, a checkpoint after every epoch, the history and the
evaluation. Training may be interrupted at any time, by Ctrl-C or a power cut: the same command resumes it after the
last complete epoch. On a CPU it then ends with the same weights as an uninterrupted run.

methods      softmax             a classifier; its last hidden layer is the embedding
             siamese             pairs of images, contrastive loss
             triplet             triplets of images, triplet loss
             online-contrastive  pairs within a batch: --selector {", ".join(PAIR_SELECTORS)}
             online-triplet      triplets within a batch: --selector {", ".join(TRIPLET_SELECTORS)},
                                 {BATCH_ALL}

The defaults are the settings of the book's experiments.
"""
EXAMPLES = """\
examples
  python -m siamese_triplet train --dataset fashion-mnist --method online-triplet --selector semihard --out runs/x
  python -m siamese_triplet train --dataset photos/ --image-size 64 --channels 3 --dim 32 --n-classes 8 --out runs/y
  python -m siamese_triplet train --dataset mnist --method siamese --bfloat16 --channels-last --out runs/fast
  torchrun --nproc-per-node 2 -m siamese_triplet train --dataset mnist --method online-triplet --out runs/two
"""


AddCommands = Callable[[Any], None]  # takes the result of `ArgumentParser.add_subparsers`


def main(arguments: Sequence[str] | None = None, add_commands: AddCommands | None = None) -> int:
    """Run one command and return the exit status.

    `add_commands` adds commands beside `train` and `evaluate`.
    """
    try:
        parsed = parser(add_commands).parse_args(arguments)
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
            return parsed.command(parsed)
    except (ValueError, OSError, FloatingPointError) as error:
        return _report(str(error))
    except (RuntimeError, MemoryError) as error:
        if not _is_too_large(error):
            raise
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        return _report(
            f"this takes too much memory: {first_line}; lower --dim, --image-size, --n-classes, --n-samples or "
            "--batch-size"
        )
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
    _add_train(commands)
    _add_evaluate(commands)
    if add_commands is not None:
        add_commands(commands)
    return main_parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train an embedding in a folder, or resume its training",
        description=TRAIN,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.set_defaults(command=_train)
    train.add_argument("--out", type=expand, required=True, metavar="FOLDER", help="the folder of this run")
    train.add_argument(
        "--dataset", required=True, help="mnist, fashion-mnist, or a folder with a sub-folder of images for each class"
    )
    train.add_argument("--method", choices=METHODS, default="online-triplet", help="default: %(default)s")
    train.add_argument("--selector", help="how to select pairs or triplets from a batch; see above")
    train.add_argument("--margin", type=_margin, help=f'a number, or "soft" with {", ".join(SOFT)}')
    train.add_argument("--dim", type=_at_most(MAX_DIM), help="size of the embedding (2)")
    train.add_argument("--unit-sphere", action="store_true", default=None, help="embeddings of length 1")
    train.add_argument("--epochs", type=count, default=FULL_EPOCHS, help="default: %(default)s")
    train.add_argument("--seed", type=_at_most(MAX_SEED), default=0, help="default: %(default)s")
    train.add_argument("--lr", type=float, help="learning rate of Adam; falls to a tenth after 8 and 16 of 20 epochs")
    train.add_argument("--weight-decay", type=float)
    train.add_argument(
        "--batch-size", type=_at_most(MAX_SEED), help="images, pairs or triplets per batch; not for online methods"
    )
    train.add_argument("--n-classes", type=_at_most(MAX_BATCH), help="classes per batch, for online methods (10)")
    train.add_argument(
        "--n-samples", type=_at_most(MAX_BATCH), help="images per class in a batch, for online methods (25)"
    )
    train.add_argument("--image-size", type=_at_most(MAX_SIDE), default=28, help="size of the images of a folder (28)")
    train.add_argument(
        "--channels", type=int, choices=(1, 3), default=1, help="channels of the images of a folder (1, grey)"
    )
    add_speed(train)
    add_place(train)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="evaluate the model in a folder",
        description="Print the evaluation of the model in a folder as JSON, and write it there to evaluation.json.",
    )
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("folder", type=expand)
    evaluate.add_argument("--dataset", help="evaluate on these images instead, and write nothing")
    add_place(evaluate)


def _train(given: argparse.Namespace) -> int:
    settings = {
        "selector": given.selector,
        "margin": given.margin,
        "embedding_size": given.dim,
        "unit_sphere": given.unit_sphere,
        "learning_rate": given.lr,
        "weight_decay": given.weight_decay,
        "batch_size": given.batch_size,
        "n_classes": given.n_classes,
        "n_samples": given.n_samples,
    }
    chosen = {name: value for name, value in settings.items() if value is not None}
    experiment: Method = dataclasses.replace(METHODS[given.method], **chosen)
    if experiment.method in SELECTORS_OF and experiment.n_classes * experiment.n_samples > MAX_BATCH:
        raise ValueError(
            f"a batch of {experiment.n_classes:,} × {experiment.n_samples:,} images is too large, as all their "
            f"distances are computed; lower --n-classes or --n-samples, to {MAX_BATCH:,} images at most"
        )
    data = Data(_dataset(given.dataset), given.embedded, given.image_size, given.channels)
    run = Run(data, experiment, given.epochs, given.seed, speed_of(given))
    evaluation = train_run(run, given.out, root=given.data, device=given.device)
    if evaluation is not None:
        print(f"accuracy of {evaluation['k']} neighbours {100 * evaluation['knn_accuracy']:.2f} %")
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    data = None
    if given.dataset is not None or given.embedded:  # keeps the image size of the network
        trained_on = read_run(given.folder).data
        name = _dataset(given.dataset) if given.dataset else trained_on.name
        data = dataclasses.replace(trained_on, name=name, embedded=given.embedded)
    evaluation = evaluate_run(given.folder, data=data, root=given.data, device=given.device)
    print(json.dumps(evaluation, indent=1))
    return 0


def _dataset(name: str) -> str:
    """Make the path of a folder absolute, so that a run can be evaluated from anywhere; keep the name of a data set."""
    return name if name in SOURCES or not expand(name).is_dir() else str(expand(name).resolve())


def _margin(text: str) -> float | str:
    try:
        return check_margin_or_soft(text if text == "soft" else float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'expected a number ≥ 0 or "soft", got {text!r}') from error


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


def _at_most(limit: int) -> Callable[[str], int]:
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
