"""The commands for the experiments of the book: reproduce, compare, evidence, omniglot, emoji, pretrained."""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from siamese_triplet._atomic_files import write_atomically
from siamese_triplet.book.comparison import Settings, compare, compare_unseen
from siamese_triplet.book.evidence import ARMS, compare_arms, evidence_table, measure_costs, measure_references
from siamese_triplet.book.many_classes import Emoji, compare_numbers, emoji_runs, metrics_table
from siamese_triplet.book.official import (
    choice_runs,
    official_runs,
    official_table,
    reproduce_official,
    reproduce_references,
)
from siamese_triplet.book.official_settings import HELD_OUT
from siamese_triplet.book.omniglot import Characters, error_table, reproduce_characters, selection_runs
from siamese_triplet.book.plane import Plane, measure_plane
from siamese_triplet.book.pretrained import FineTuning, compare_starts, from_scratch, starts_table
from siamese_triplet.book.report import COMPARISON, SWEEP, UNSEEN, write_report
from siamese_triplet.book.reproduction import DATASETS, REPRODUCTION, reproduce, summary
from siamese_triplet.book.results import read_results
from siamese_triplet.book.settings_grid import train_settings
from siamese_triplet.book.sweep import sweep
from siamese_triplet.book.today import EMOJI, FASHION, TODAY, Today, compare_today
from siamese_triplet.book.today_report import today_table
from siamese_triplet.cli import add_place, add_speed, count, device, speed_of
from siamese_triplet.datasets import load_emoji
from siamese_triplet.methods import FULL_EPOCHS, METHODS

EVIDENCE = (*ARMS, "references", "plane", "costs")
COMPARED = ("seen", "unseen", "sweep", "settings", "report")
SETTINGS = "settings.json"
Run = Callable[[argparse.Namespace], int]


def add_book_commands(commands: Any) -> None:
    """Add the commands to the subparsers of a parser."""
    _add_reproduce(commands)
    _add_compare(commands)
    _add_evidence(commands)
    _add_omniglot(commands)
    _add_emoji(commands)
    _add_pretrained(commands)
    _add_today(commands)


def _add_command(
    commands: Any, name: str, run: Run, summary: str, description: str, out: bool = True
) -> argparse.ArgumentParser:
    """Add a command for an experiment, with the options that all of them share."""
    parser = commands.add_parser(name, help=f"run the book's {summary}", description=description)
    parser.set_defaults(command=run)
    parser.add_argument("--seeds", type=count, default=3, help="number of seeds, from 0 on (3)")
    parser.add_argument("--results", type=Path, default=Path("book/results"), help="default: %(default)s")
    if out:
        parser.add_argument("--out", type=Path, default=Path("runs", name), help="folder of the runs (%(default)s)")
    return parser


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", type=device, help="such as cpu or cuda:1; by default a GPU if there is one")


def _add_reproduce(commands: Any) -> None:
    text = (
        "Run the experiments of the book one after the other, and print the results beside the log of the tutorial on "
        "which the book is based. Results that exist are not computed again; interrupted runs resume."
    )
    parser = _add_command(commands, "reproduce", _reproduce, "experiments at the full recipe", text)
    parser.add_argument("--dataset", choices=DATASETS, action="append", help="a data set; may be repeated (both)")
    parser.add_argument("--method", choices=METHODS, action="append", help="a method; may be repeated (all)")
    parser.add_argument("--epochs", type=count, default=FULL_EPOCHS, help="default: %(default)s")
    add_speed(parser)
    add_place(parser)


def _add_compare(commands: Any) -> None:
    text = (
        "Train the five methods on both data sets, on all classes (seen) and on six of them (unseen); online triplets "
        "with one setting changed at a time (sweep); and every method with several selectors and margins (settings). "
        "Write all metrics as JSON, and the tables and figures of the book. Results that exist are not computed again."
    )
    parser = _add_command(commands, "compare", _compare, "comparison of methods", text)
    parser.add_argument("--part", choices=COMPARED, action="append", help="a part; may be repeated (all)")
    parser.add_argument("--epochs", type=count, default=FULL_EPOCHS, help="epochs of the part seen (%(default)s)")
    parser.add_argument("--short-epochs", type=count, default=3, help="epochs of the other parts (%(default)s)")
    add_speed(parser)
    add_place(parser)


def _add_evidence(commands: Any) -> None:
    text = (
        "Train what the argument of the book rests on: pairs and triplets offline, online and mined (mining), offline "
        "triplets with as many steps as pairs on MNIST (steps), all methods at the recommended settings (recommended), "
        "and the best network in the plane (plane); measure what untrained embeddings and the cosine give (references),"
        " and what a step takes (costs). Results that exist are not computed again, those of `compare` are taken over, "
        "and interrupted runs resume."
    )
    parser = _add_command(commands, "evidence", _evidence, "controlled comparisons", text)
    parser.add_argument("--part", choices=EVIDENCE, action="append", help="a part; may be repeated (all)")
    parser.add_argument("--epochs", type=count, default=FULL_EPOCHS, help="default: %(default)s")
    add_speed(parser)
    add_place(parser)


def _add_omniglot(commands: Any) -> None:
    text = (
        "Train an embedding on the five alphabets of the first minimal set of Omniglot, and print its errors on the "
        "three alphabets that only the second has. Results that exist are not computed again."
    )
    parser = _add_command(commands, "omniglot", _omniglot, "experiment on Omniglot", text)
    parser.add_argument("--epochs", type=count, default=Characters.n_epochs, help="default: %(default)s")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--selection",
        action="store_true",
        help="compare selectors and losses instead, in a quarter of the epochs",
    )
    what.add_argument(
        "--official",
        action="store_true",
        help="train for the 20 official one-shot runs instead, on one minimal set and on both; epochs are fixed",
    )
    parser.add_argument("--bfloat16", action="store_true", help="run the network in bfloat16, by autocast")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folder of Omniglot; see load_omniglot")
    _add_device(parser)


def _add_emoji(commands: Any) -> None:
    text = (
        "Train embeddings of emoji on 10 to all training classes, and print their metrics on the 400 held-out classes. "
        "Results that exist are not computed again."
    )
    parser = _add_command(commands, "emoji", _emoji, "experiment on emoji", text, out=False)
    parser.add_argument("--steps", type=count, default=Emoji.n_steps, help="default: %(default)s")
    _add_device(parser)


def _add_pretrained(commands: Any) -> None:
    text = (
        "Evaluate a network trained on ImageNet on the 400 held-out classes of emoji: as it is, with a head trained on "
        "its features, and fine-tuned. It takes the extra `pretrained`. Results that exist are not computed again; "
        "interrupted runs resume."
    )
    parser = _add_command(commands, "pretrained", _pretrained, "experiment with a pretrained network", text)
    parser.add_argument("--steps", type=count, default=FineTuning.n_steps, help="default: %(default)s")
    _add_device(parser)


def _add_today(commands: Any) -> None:
    text = (
        "Tune the losses that came after triplets on classes held out of the training classes, train them on "
        "FashionMNIST and on emoji, and print their metrics on unseen classes. It takes pytorch-metric-learning. "
        "Results that exist are not computed again."
    )
    parser = _add_command(commands, "today", _today, "experiment with the losses after triplets", text, out=False)
    parser.add_argument("--fashion-steps", type=count, default=Today.fashion_steps, help="default: %(default)s")
    parser.add_argument("--emoji-steps", type=count, default=Today.emoji_steps, help="default: %(default)s")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folder of FashionMNIST; see load")


def _reproduce(given: argparse.Namespace) -> int:
    reproduce(
        given.results / REPRODUCTION,
        given.out,
        datasets=given.dataset or DATASETS,
        methods=given.method or tuple(METHODS),
        seeds=range(given.seeds),
        n_epochs=given.epochs,
        embedded=given.embedded,
        speed=speed_of(given),
        root=given.data,
        device=given.device,
    )
    table = summary(given.results / REPRODUCTION)
    write_atomically(given.results / "reproduction.md", table.encode() + b"\n")
    print(table)
    return 0


def _compare(given: argparse.Namespace) -> int:
    parts = given.part or COMPARED
    settings = _settings(given)
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


def _evidence(given: argparse.Namespace) -> int:
    settings = _settings(given)
    for part in given.part or EVIDENCE:
        path, work = given.results / f"{part}.json", given.out / part
        if part == "costs":
            for cost in measure_costs(path, settings):
                print(f"{cost['part']}: {cost['name']}, {1000 * cost['seconds']:.1f} ms per step")
        elif part == "references":
            print(evidence_table(measure_references(path, settings, work)))
        elif part == "plane":
            print(evidence_table(measure_plane(path, Plane(), settings, work)))
        else:
            stored = read_results(given.results / COMPARISON)
            print(evidence_table(compare_arms(path, ARMS[part], settings, work, stored)))
    return 0


def _settings(given: argparse.Namespace) -> Settings:
    return Settings(
        given.epochs,
        tuple(range(given.seeds)),
        "embedded" if given.embedded else None,
        given.data,
        given.device,
        speed_of(given),
    )


def _omniglot(given: argparse.Namespace) -> int:
    if given.official:
        return _official(given)
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


def _official(given: argparse.Namespace) -> int:
    references = reproduce_references(given.results / "omniglot-references.json", root=given.data)
    path, runs = given.results / "omniglot-official.json", official_runs(range(given.seeds))
    results = reproduce_official(path, given.out, runs, root=given.data, device=given.device)
    results += reproduce_official(path, given.out, runs, side_by_side=True, root=given.data, device=given.device)
    print(official_table([*references, *results]))
    results = reproduce_official(path, given.out, choice_runs(), root=given.data, device=given.device)
    print(official_table(results, " and ".join(HELD_OUT)))
    return 0


def _emoji(given: argparse.Namespace) -> int:
    runs = emoji_runs(Emoji(n_steps=given.steps), range(given.seeds))
    sets = load_emoji(), load_emoji(train=False)
    print(metrics_table(compare_numbers(given.results / "emoji.json", runs, *sets, device=given.device)))
    return 0


def _pretrained(given: argparse.Namespace) -> int:
    settings = FineTuning(n_steps=given.steps)
    path = given.results / "pretrained.json"
    results = compare_starts(path, given.out, settings, range(given.seeds), device=given.device)
    print(starts_table([*results, *from_scratch(read_results(given.results / "emoji.json"))]))
    return 0


def _today(given: argparse.Namespace) -> int:
    settings = Today(
        given.fashion_steps, given.emoji_steps, seeds=tuple(range(given.seeds)), root=given.data and str(given.data)
    )
    results = compare_today(given.results / TODAY, settings)
    print(today_table(results, FASHION), today_table(results, EMOJI), sep="\n\n")
    return 0
