"""The commands `train` and `evaluate`."""

import argparse
import dataclasses
import json
from typing import Any

from siamese_triplet._validation import check_margin_or_soft
from siamese_triplet.cli.options import (
    MAX_BATCH,
    MAX_DIM,
    MAX_SEED,
    MAX_SIDE,
    add_place,
    add_speed,
    at_most,
    count,
    speed_of,
)
from siamese_triplet.datasets._naming import expand
from siamese_triplet.datasets.mnist import SOURCES
from siamese_triplet.methods import FULL_EPOCHS, METHODS, SELECTORS_OF, Method
from siamese_triplet.runs import Data, Run, evaluate_run, read_run, train_run
from siamese_triplet.selectors.by_name import BATCH_ALL, PAIR_SELECTORS, SOFT, TRIPLET_SELECTORS

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


def add_training_commands(commands: Any) -> None:
    """Add `train` and `evaluate` to the subparsers of a parser."""
    _add_train(commands)
    _add_evaluate(commands)


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
    train.add_argument("--dim", type=at_most(MAX_DIM), help="size of the embedding (2)")
    train.add_argument("--unit-sphere", action="store_true", default=None, help="embeddings of length 1")
    train.add_argument("--epochs", type=count, default=FULL_EPOCHS, help="default: %(default)s")
    train.add_argument("--seed", type=at_most(MAX_SEED), default=0, help="default: %(default)s")
    train.add_argument("--lr", type=float, help="learning rate of Adam; falls to a tenth after 8 and 16 of 20 epochs")
    train.add_argument("--weight-decay", type=float)
    train.add_argument(
        "--batch-size", type=at_most(MAX_SEED), help="images, pairs or triplets per batch; not for online methods"
    )
    train.add_argument("--n-classes", type=at_most(MAX_BATCH), help="classes per batch, for online methods (10)")
    train.add_argument(
        "--n-samples", type=at_most(MAX_BATCH), help="images per class in a batch, for online methods (25)"
    )
    train.add_argument("--image-size", type=at_most(MAX_SIDE), default=28, help="size of the images of a folder (28)")
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
