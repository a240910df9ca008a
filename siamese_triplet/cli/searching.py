"""The commands `index` and `search`: from a folder of images to a search among them."""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torchvision.datasets.folder import IMG_EXTENSIONS

from siamese_triplet.cli.options import MAX_SIDE, at_most, device
from siamese_triplet.datasets._naming import expand, printable
from siamese_triplet.networks import Preprocessing, load_pretrained
from siamese_triplet.runs import load_run
from siamese_triplet.search import Answer, Index, write_page
from siamese_triplet.search.embedder import Embedder
from siamese_triplet.search.files import list_images
from siamese_triplet.search.storage import StoredNet

INTERRUPTED = 130  # the exit status that shells give a command ended by Ctrl-C
FALSE_ACCEPTS, BALANCED = 0.05, "balanced"
NETWORK = "efficientnet-lite0"
MAX_FOUND = 2**20

INDEX = """\
Embed the images of a folder, with sub-folders or without, and keep them in one file, to be searched with `search`. The
class of an image is its sub-folder. The same command again brings the index in step with the folder: it reads what is
new or has changed. It may be interrupted at any time, by Ctrl-C, and goes on where it was.

Where there are classes, a threshold for "none of these" is chosen: the distance within which the nearest image lies for
5 % of the images whose class is missing (--false-accepts). That suits answers that are acted on at once; for a person
who looks at them, --false-accepts balanced refuses fewer images whose class is there.
"""
INDEX_EXAMPLES = """\
examples
  python -m siamese_triplet index photos/ --out photos.index
  python -m siamese_triplet index photos/ --out small.index --image-size 96 --false-accepts 0.01
  python -m siamese_triplet index photos/ --out mine.index --run runs/x
"""
SEARCH = """\
Search an index for the images nearest to each query, an image file or a folder of them. For each it prints the class
of the nearest, or "none of these" beyond the threshold, and distances (Euclidean, not squared), classes and paths.
"""
SEARCH_EXAMPLES = """\
examples
  python -m siamese_triplet search photos.index query.jpg
  python -m siamese_triplet search photos.index new/ -k 20 --html found.html
"""


def add_search_commands(commands: Any) -> None:
    """Add `index` and `search` to the subparsers of a parser."""
    _add_index(commands)
    _add_search(commands)


def _add_index(commands: Any) -> None:
    index = commands.add_parser(
        "index",
        help="embed the images of a folder, to search among them",
        description=INDEX,
        epilog=INDEX_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    index.set_defaults(command=_index, lower="--image-size")
    index.add_argument("folder", type=expand, help="the folder of the images")
    index.add_argument("--out", type=expand, required=True, metavar="FILE", help="the file of the index")
    index.add_argument("--network", metavar="NAME", help=f"a pretrained network, see load_pretrained ({NETWORK})")
    index.add_argument("--run", type=expand, metavar="RUN", help="the network of a run of `train`, in its folder")
    index.add_argument("--image-size", type=at_most(MAX_SIDE), help="size of the images for a pretrained network")
    index.add_argument(
        "--threshold", type=_threshold, metavar="DISTANCE", help='a threshold of your own, or "none" for none'
    )
    index.add_argument(
        "--false-accepts",
        type=_share,
        metavar="SHARE",
        help=f"share of images of a missing class that the threshold may accept ({FALSE_ACCEPTS}), or "
        f'"{BALANCED}" for the best balance of this error and its opposite',
    )
    index.add_argument("--device", type=device, help="such as cpu or cuda:1; by default a GPU if there is one")


def _add_search(commands: Any) -> None:
    search = commands.add_parser(
        "search",
        help="search an index for images like a given one",
        description=SEARCH,
        epilog=SEARCH_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    search.set_defaults(command=_search, lower="-k")
    search.add_argument("index", type=expand, help="the file of the index")
    search.add_argument("queries", type=expand, nargs="+", metavar="query", help="an image file, or a folder of them")
    search.add_argument("-k", type=at_most(MAX_FOUND), default=10, help="images to find for each (%(default)s)")
    search.add_argument("--html", type=expand, metavar="PAGE", help="also write a page with the pictures")
    search.add_argument("--folder", type=expand, help="where the images are, if they have moved away from the index")
    search.add_argument("--device", type=device, help="such as cpu or cuda:1; by default a GPU if there is one")


def _index(given: argparse.Namespace) -> int:
    started = time.perf_counter()
    index = _open(given)
    if given.threshold is not None:
        index.threshold = None if math.isinf(given.threshold) else given.threshold
    if given.threshold is not None or given.false_accepts is not None:
        index.false_accepts = None if given.false_accepts == BALANCED else given.false_accepts
    interrupted = False
    before = len(index)
    try:
        print(printable(f"reading {given.folder}"), file=sys.stderr)
        changes = str(index.update())
    except KeyboardInterrupt:
        interrupted, changes = True, f"{len(index) - before:,} added before the interruption"
    if interrupted and len(index) == before:
        print("interrupted; nothing was read yet", file=sys.stderr)
        return INTERRUPTED
    said = _threshold_of(index, given.false_accepts == BALANCED)
    index.save(given.out)
    seconds = time.perf_counter() - started
    print(printable(f"{index}: {given.out} ({seconds:.0f} s)"))
    print(printable(changes))
    if interrupted:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    print(said)
    return 0


def _open(given: argparse.Namespace) -> Index:
    """Return the index to update."""
    if given.run is not None and (given.network is not None or given.image_size is not None):
        raise ValueError("--run brings its own network and image size; leave out --network and --image-size")
    if given.threshold is not None and given.false_accepts is not None:
        raise ValueError("--threshold sets the threshold, --false-accepts chooses it; give one of them")
    if given.out.is_dir():
        raise ValueError(printable(f"--out {given.out} is a folder; name a file, such as {given.out.name}.index"))
    is_new = not given.out.exists()
    asked = (given.network, given.run, given.image_size) != (None, None, None)
    embedder, trained_on = _network(given) if is_new or asked else (None, [])
    if is_new:
        assert embedder is not None
        if not given.folder.is_dir():
            raise FileNotFoundError(printable(f"{given.folder} is not a folder"))
        index = Index(embedder.net, embedder.preprocessing, folder=given.folder, device=given.device)
        index.trained_classes, index.false_accepts = trained_on, FALSE_ACCEPTS
        return index
    index = Index.load(given.out, device=given.device)
    if index.folder is None or index.folder.resolve() != given.folder.resolve():
        raise ValueError(
            printable(
                f"{given.out} is the index of {index.folder}, not of {given.folder}; name another file with --out"
            )
        )
    if embedder is not None and not _is_same(StoredNet.of(embedder), StoredNet.of(index.embedder)):
        raise ValueError(
            printable(f"{given.out} was made with another network or image size; name another file with --out")
        )
    return index


def _network(given: argparse.Namespace) -> tuple[Embedder, list[str]]:
    """Return the network that is asked for, and the classes that it was trained on."""
    if given.run is not None:
        net, kept = load_run(given.run)
        channels, height, width = kept.input_size
        size = height if height == width else (height, width)
        preprocessing = Preprocessing(size, channels, tuple(kept.mean), tuple(kept.std))
        return Embedder(net, preprocessing, device=given.device), kept.classes
    try:
        return Embedder(load_pretrained(given.network or NETWORK, given.image_size), device=given.device), []
    except ImportError as error:
        raise ValueError(str(error)) from error


def _is_same(one: StoredNet, other: StoredNet) -> bool:
    return (
        (one.architecture, one.preprocessing) == (other.architecture, other.preprocessing)
        and one.weights.keys() == other.weights.keys()
        and all(torch.equal(weights, other.weights[name]) for name, weights in one.weights.items())
    )


def _threshold_of(index: Index, balanced: bool) -> str:
    """Choose the threshold where it is to be chosen, and say which it is."""
    if index.false_accepts is not None or balanced:
        try:
            return str(index.choose_threshold(index.false_accepts))
        except ValueError as error:
            index.threshold = None  # a later image may have a class
            return f"no threshold, all matches will be shown: {_without_classes(index) or error}"
    return "no threshold" if index.threshold is None else f"threshold {index.threshold:.4g}"


def _without_classes(index: Index) -> str | None:
    """Say which classes a threshold lacks, and what to do about it; None if it has some."""
    if not index.classes:
        return "the images have no classes; put those of each class into a sub-folder, or pass --threshold DISTANCE"
    if set(index.classes) <= set(index.trained_classes):
        return "it takes classes that the network was not trained on; add some, or pass --threshold DISTANCE"
    return None


def _search(given: argparse.Namespace) -> int:
    try:
        index = Index.load(given.index, folder=given.folder, device=given.device)
    except ValueError as error:
        if given.index.suffix.lower() not in IMG_EXTENSIONS:
            raise
        raise ValueError(printable(f"{given.index} is an image; the index comes first: search INDEX QUERY")) from error
    if given.k < 1:
        raise ValueError(f"-k must be at least 1, got {given.k}")
    answers: list[Answer] = []
    n_failed = 0
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # enough for one image, and much faster on a busy machine
        for query in _files(given.queries):
            try:
                answers.append(index.search(query, given.k))
            except ImportError as error:
                raise ValueError(str(error)) from error
            except ValueError as error:
                print(f"error: {error}", file=sys.stderr)
                n_failed += 1
            else:
                print(answers[-1])
    finally:
        torch.set_num_threads(n_threads)
    if given.html is not None and answers:
        write_page(given.html, answers, f"Search in {os.path.basename(given.index)}")
        print(printable(f"wrote {given.html}"))
    return 1 if n_failed else 0


def _files(queries: list[Path]) -> Iterator[Path]:
    """Yield the image files among the queries, and those in the folders."""
    for query in queries:
        if query.is_dir():
            found = list_images(query)
            if not found:
                raise FileNotFoundError(printable(f"there is no image in {query}"))
            yield from (query / path for path in found)
        else:
            yield query


def _threshold(text: str) -> float:
    try:
        value = math.inf if text == "none" else float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise argparse.ArgumentTypeError(f'expected a distance ≥ 0 or "none", got {text[:40]!r}')
    return value


def _share(text: str) -> float | str:
    if text == BALANCED:
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'expected a share from 0 to 1 or "{BALANCED}", got {text[:40]!r}')
    return value
