"""The command line: `python -m siamese_triplet train | evaluate | reproduce | compare | omniglot`."""

import argparse
import dataclasses
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from siamese_triplet.checks import check_margin_or_soft
from siamese_triplet.comparison import Settings, compare, compare_unseen, sweep
from siamese_triplet.comparison_report import COMPARISON, SWEEP, UNSEEN, write_report
from siamese_triplet.datasets import SOURCES
from siamese_triplet.experiments import BATCH_ALL, METHODS, PAIR_SELECTORS, SOFT, TRIPLET_SELECTORS, Experiment, Speed
from siamese_triplet.figures.settings import train_settings
from siamese_triplet.files import write_atomically
from siamese_triplet.one_shot import Characters, error_table, reproduce_characters, selection_runs
from siamese_triplet.recipes import FULL_EPOCHS
from siamese_triplet.reproduction import DATASETS, reproduce, summary
from siamese_triplet.runs import Data, Run, evaluate_run, read_run, train_run

COMPARED = ("seen", "unseen", "sweep", "settings", "report")
SETTINGS = "settings.json"
INTERRUPTED = 130  # what a shell reports for a command that Ctrl-C ended

TRAIN = f"""\
Train an embedding, and keep all of it in one folder: the settings, a checkpoint after every epoch, the history and the
evaluation. Interrupt it as you like, with Ctrl-C or a power cut: the same command goes on after the last whole epoch,
and ends with the same weights on a CPU as if it had never stopped.

methods      softmax             a classifier, whose last hidden layer is the embedding
             siamese             pairs of images, contrastive loss
             triplet             triplets of images, triplet loss
             online-contrastive  pairs within a batch: --selector {", ".join(PAIR_SELECTORS)}
             online-triplet      triplets within a batch: --selector {", ".join(TRIPLET_SELECTORS)},
                                 {BATCH_ALL}

What you leave out is set as in the book's experiments.
"""
EXAMPLES = """\
examples
  python -m siamese_triplet train --dataset fashion-mnist --method online-triplet --selector semihard --out runs/x
  python -m siamese_triplet train --dataset photos/ --image-size 64 --channels 3 --dim 32 --n-classes 8 --out runs/y
  python -m siamese_triplet train --dataset mnist --method siamese --bfloat16 --channels-last --out runs/fast
  torchrun --nproc-per-node 2 -m siamese_triplet train --dataset mnist --method online-triplet --out runs/two
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
            return parsed.command(parsed)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last whole epoch", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m siamese_triplet", description="Train, evaluate and compare embeddings without a notebook."
    )
    commands = parser.add_subparsers(required=True, metavar="command", title="commands")
    _add_train(commands)
    _add_evaluate(commands)
    _add_reproduce(commands)
    _add_compare(commands)
    _add_omniglot(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train an embedding in a folder, or go on with it",
        description=TRAIN,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.set_defaults(command=_train)
    train.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder of this run")
    train.add_argument(
        "--dataset", required=True, help="mnist, fashion-mnist, or a folder with a sub-folder of images for each class"
    )
    train.add_argument("--method", choices=METHODS, default="online-triplet", help="default: %(default)s")
    train.add_argument("--selector", help="which pairs or triplets of a batch to learn from, see above")
    train.add_argument("--margin", type=_margin, help=f'a number, or "soft" with {", ".join(SOFT)}')
    train.add_argument("--dim", type=int, help="size of the embedding (2)")
    train.add_argument("--unit-sphere", action="store_true", default=None, help="embeddings of length 1")
    train.add_argument("--epochs", type=_count, default=FULL_EPOCHS, help="default: %(default)s")
    train.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    train.add_argument("--lr", type=float, help="learning rate of Adam; falls to a tenth after 8 and 16 of 20 epochs")
    train.add_argument("--weight-decay", type=float)
    train.add_argument("--batch-size", type=int, help="images, pairs or triplets of a batch, for methods not online")
    train.add_argument("--n-classes", type=int, help="classes of a batch, for online methods (10)")
    train.add_argument("--n-samples", type=int, help="images of each class of a batch, for online methods (25)")
    train.add_argument("--image-size", type=int, default=28, help="of a folder of images (28)")
    train.add_argument("--channels", type=int, choices=(1, 3), default=1, help="of a folder of images (1, grey)")
    _add_speed(train)
    _add_place(train)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="evaluate the model of a folder",
        description="Print the evaluation of the model in a folder as JSON, and write it there, as evaluation.json.",
    )
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("folder", type=Path)
    evaluate.add_argument("--dataset", help="other images than those it was trained on; nothing is written then")
    _add_place(evaluate)


def _add_reproduce(commands: Any) -> None:
    again = commands.add_parser(
        "reproduce",
        help="run the book's experiments at the full recipe",
        description="Run the experiments of the book, one after the other, each with one result file, and print them "
        "beside the log of the tutorial that the book grew out of. What has a result is not run again, and what was "
        "interrupted goes on.",
    )
    again.set_defaults(command=_reproduce)
    again.add_argument("--seeds", type=_count, default=3, help="how many, from 0 on (3)")
    again.add_argument("--dataset", choices=DATASETS, action="append", help="one of them; may be repeated (both)")
    again.add_argument("--method", choices=METHODS, action="append", help="one of them; may be repeated (all)")
    again.add_argument("--epochs", type=_count, default=FULL_EPOCHS, help="default: %(default)s")
    again.add_argument("--results", type=Path, default=Path("book/results"), help="default: %(default)s")
    again.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="folder of the runs (%(default)s)")
    _add_speed(again)
    _add_place(again)


def _add_compare(commands: Any) -> None:
    compared = commands.add_parser(
        "compare",
        help="run the book's comparison of methods",
        description="Train the five methods on both data sets, on all classes (seen) and on six of them (unseen), and "
        "online triplets with one setting changed at a time (sweep), and every method with several selectors and "
        "margins (settings); write all figures as JSON, and as the tables and figures of the book. What has a result "
        "is not run again.",
    )
    compared.set_defaults(command=_compare)
    compared.add_argument("--part", choices=COMPARED, action="append", help="(all)")
    compared.add_argument("--seeds", type=_count, default=3, help="how many, from 0 on (3)")
    compared.add_argument("--epochs", type=_count, default=FULL_EPOCHS, help="of the part seen (%(default)s)")
    compared.add_argument("--short-epochs", type=_count, default=3, help="of the other parts (%(default)s)")
    compared.add_argument("--results", type=Path, default=Path("book/results"), help="default: %(default)s")
    compared.add_argument("--out", type=Path, default=Path("runs/compare"), help="folder of the runs (%(default)s)")
    _add_speed(compared)
    _add_place(compared)


def _add_omniglot(commands: Any) -> None:
    omniglot = commands.add_parser(
        "omniglot",
        help="run the book's experiment on Omniglot",
        description="Train an embedding on the five alphabets of the first minimal set of Omniglot, and print its "
        "errors on the three alphabets that only the second has. What has a result is not run again.",
    )
    omniglot.set_defaults(command=_omniglot)
    omniglot.add_argument("--seeds", type=_count, default=3, help="how many, from 0 on (3)")
    omniglot.add_argument("--epochs", type=_count, default=Characters.n_epochs, help="default: %(default)s")
    omniglot.add_argument(
        "--selection",
        action="store_true",
        help="instead, selectors and losses side by side, in a quarter of the epochs",
    )
    omniglot.add_argument("--results", type=Path, default=Path("book/results"), help="default: %(default)s")
    omniglot.add_argument("--out", type=Path, default=Path("runs/omniglot"), help="folder of the runs (%(default)s)")
    omniglot.add_argument("--bfloat16", action="store_true", help="the network in 16-bit floating point, by autocast")
    omniglot.add_argument("--data", type=Path, metavar="FOLDER", help="of Omniglot, see omniglot.load_omniglot")
    omniglot.add_argument("--device", type=_device, help="such as cpu or cuda:1; by default a GPU where there is one")


def _add_speed(parser: argparse.ArgumentParser) -> None:
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


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="of MNIST and FashionMNIST, see datasets.load")
    parser.add_argument("--embedded", action="store_true", help="the small subset inside the package instead")
    parser.add_argument("--device", type=_device, help="such as cpu or cuda:1; by default a GPU where there is one")


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
    experiment: Experiment = dataclasses.replace(METHODS[given.method], **chosen)
    data = Data(_dataset(given.dataset), given.embedded, given.image_size, given.channels)
    run = Run(data, experiment, given.epochs, given.seed, _speed(given))
    evaluation = train_run(run, given.out, root=given.data, device=given.device)
    if evaluation is not None:
        print(f"accuracy of {evaluation['k']} neighbours {100 * evaluation['knn_accuracy']:.2f} %")
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    data = None
    if given.dataset is not None:  # images of a folder are cut to the size that the network takes
        data = dataclasses.replace(read_run(given.folder).data, name=given.dataset, embedded=given.embedded)
    evaluation = evaluate_run(given.folder, data=data, root=given.data, device=given.device)
    print(json.dumps(evaluation, indent=1))
    return 0


def _reproduce(given: argparse.Namespace) -> int:
    reproduce(
        given.results,
        given.out,
        datasets=given.dataset or DATASETS,
        methods=given.method or tuple(METHODS),
        seeds=range(given.seeds),
        n_epochs=given.epochs,
        embedded=given.embedded,
        speed=_speed(given),
        root=given.data,
        device=given.device,
    )
    table = summary(given.results)
    write_atomically(given.results / "reproduction.md", table.encode() + b"\n")
    print(table)
    return 0


def _speed(given: argparse.Namespace) -> Speed:
    return Speed(given.bfloat16, given.channels_last, given.compile)


def _device(text: str) -> torch.device:
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}: {str(error).splitlines()[0]}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise argparse.ArgumentTypeError(f"cannot use {text!r}: the number of GPUs is {torch.cuda.device_count()}")
    return device


def _dataset(name: str) -> str:
    """The name of a data set, or the whole path of a folder, so that a run knows it from wherever it is evaluated."""
    return name if name in SOURCES or not Path(name).is_dir() else str(Path(name).resolve())


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _margin(text: str) -> float | str:
    try:
        return check_margin_or_soft(text if text == "soft" else float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'expected a number ≥ 0 or "soft", got {text!r}') from error


def _compare(given: argparse.Namespace) -> int:
    parts = given.part or COMPARED
    settings = Settings(
        given.epochs, tuple(range(given.seeds)), given.embedded, given.data, given.device, _speed(given)
    )
    short = dataclasses.replace(settings, n_epochs=given.short_epochs)
    if "seen" in parts:
        compare(given.results / COMPARISON, given.out, settings)
    if "unseen" in parts:
        compare_unseen(given.results / UNSEEN, short)
    if "sweep" in parts:
        sweep(given.results / SWEEP, short)
    if "settings" in parts:
        train_settings(given.results / SETTINGS, short)
    if "report" in parts:
        print(write_report(given.results))
    return 0


def _omniglot(given: argparse.Namespace) -> int:
    chosen = dataclasses.replace(Characters(n_epochs=given.epochs), bfloat16=given.bfloat16)
    seeds = range(given.seeds)
    if given.selection:
        runs = selection_runs(dataclasses.replace(chosen, n_epochs=max(1, given.epochs // 4)), seeds)
    else:
        runs = [("batch-all", chosen, seed) for seed in seeds]
    name = "omniglot-selection.json" if given.selection else "omniglot.json"
    results = reproduce_characters(given.results / name, given.out, runs, root=given.data, device=given.device)
    print(error_table(results))
    return 0
