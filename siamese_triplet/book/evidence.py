"""The controlled comparisons behind the book's argument: one thing differs at a time, three seeds each.

Each part is a list of results in a JSON file, whose runs are resumed after an interruption:

- `mining`: pairs and triplets offline, online but not mined, and mined, on FashionMNIST in the plane. Reusing
  embeddings, balanced batches and mining are the three things in which online methods differ from offline ones.
- `steps`: triplets offline on MNIST, with as many steps as pairs; on FashionMNIST they are in `mining`.
- `early`: pairs and triplets, mined and unmined, after a tenth of the epochs.
- `recommended`: the methods at the settings that the book recommends, with as many images and as many steps each.
- `plane`: the best network for FashionMNIST in two dimensions, see `book.plane`.
- `costs`: what a step of each run in `mining` and `recommended` takes, on a quiet machine.
- `references`: the pixels, the untrained network, and the softmax measured by Euclidean distance and by cosine.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

from torch import nn
from torch.nn import functional as F

from siamese_triplet.book.comparison import DATASETS, INPUTS, Settings, epochs_of
from siamese_triplet.book.results import Key, Results, collect, read_results, table
from siamese_triplet.evaluation import embed
from siamese_triplet.evaluation.summary import Embedded, seen_classes
from siamese_triplet.methods import METHODS, Method
from siamese_triplet.runs import provenance

MNIST, FASHION = DATASETS
AT_EQUAL_STEPS = 0.5  # of the epochs: triplets have as many steps as pairs, with half as many images again
PIXELS, UNTRAINED, SOFTMAX = "pixels", "untrained network", "softmax"


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: a method on a data set, for a share of the epochs.

    By default the share is the one that brings as many images through each network, see `epochs_of`. A share of 0
    leaves the network untrained.
    """

    method: Method
    share: float | None = None
    dataset: str = FASHION

    def n_epochs(self, settings: Settings) -> int:
        """Return the number of epochs, where a softmax has `settings.n_epochs`."""
        if self.share is None:
            return epochs_of(self.method.method, settings.n_epochs)
        return max(1, round(self.share * settings.n_epochs)) if self.share else 0


MINING = {
    "pairs, offline random": Arm(METHODS["siamese"]),
    "pairs, online unmined": Arm(replace(METHODS["online-contrastive"], selector="all")),
    "pairs, online mined": Arm(METHODS["online-contrastive"]),
    "triplets, offline random": Arm(METHODS["triplet"]),
    "triplets, offline random, as many steps": Arm(METHODS["triplet"], AT_EQUAL_STEPS),
    "triplets, online unmined": Arm(replace(METHODS["online-triplet"], selector="uniform")),
    "triplets, online random with a loss": Arm(METHODS["online-triplet"]),
    "triplets, online semi-hard": Arm(replace(METHODS["online-triplet"], selector="semihard")),
}
STEPS = {"triplets, offline random, as many steps": Arm(METHODS["triplet"], AT_EQUAL_STEPS, MNIST)}
EARLY = {
    name: replace(MINING[name], share=0.1)
    for name in (
        "pairs, online unmined",
        "pairs, online mined",
        "triplets, online unmined",
        "triplets, online random with a loss",
    )
}
RECOMMENDED = {  # batches of 40 images: 40, 20 pairs, 13 triplets, 10 × 4
    name: Arm(replace(method, learning_rate=1e-3, weight_decay=0.0, embedding_size=16, unit_sphere=True))
    for name, method in {
        "softmax": Method("softmax", batch_size=40),
        "siamese": Method("siamese", batch_size=20),
        "triplet": Method("triplet", margin=0.2, batch_size=13),
        "online-contrastive": Method("online-contrastive", selector="hard", n_samples=4),
        "online-triplet, semi-hard": Method("online-triplet", selector="semihard", margin=0.2, n_samples=4),
        "online-triplet, batch-all": Method("online-triplet", selector="batch-all", margin=0.2, n_samples=4),
    }.items()
}
RECOMMENDED = {UNTRAINED: replace(RECOMMENDED["siamese"], share=0.0)} | RECOMMENDED
ARMS: dict[str, Mapping[str, Arm]] = {"mining": MINING, "steps": STEPS, "early": EARLY, "recommended": RECOMMENDED}


def compare_arms(
    path: Path | None, arms: Mapping[str, Arm], settings: Settings, work: Path | None = None, stored: Results = ()
) -> list[dict[str, Any]]:
    """Train each of `arms` with each seed of `settings`, unless `path` has its result; return all results.

    Besides the metrics of `seen_classes`, a result has its `n_steps` and the `n_images` that went through the network.
    Checkpoints are kept in `work`. `stored` are results of `compare`: a run that is among them is not repeated.
    """

    def compute(key: Key) -> dict[str, Any]:
        arm = arms[key["name"]]
        train, test = settings.load(arm.dataset)
        n_steps = key["n_epochs"] * len(arm.method.loader(train))
        n_images = key["n_epochs"] * len(train) * INPUTS.get(arm.method.method, 1)
        extent = {"n_steps": n_steps, "n_images": n_images}
        if (known := _known(stored, arm, key)) is not None:
            return known | extent
        checkpoint = work and work / f"{key['name'].replace(', ', '-').replace(' ', '-')}-{key['seed']}.pt"
        model, history = settings.fit(arm.method, train, test, key["seed"], key["n_epochs"], checkpoint)
        metrics = seen_classes(embed(model, train), embed(model, test))
        return metrics | extent | {"seconds": sum(history["seconds"]), "made": provenance(model)}

    keys = (
        {
            "name": name,
            "dataset": arm.dataset,
            "method": asdict(arm.method),
            "seed": seed,
            "n_epochs": arm.n_epochs(settings),
            **settings.shared_key(),
        }
        for seed in settings.seeds
        for name, arm in arms.items()
    )
    return collect(path, keys, compute, settings.verbose)


def measure_references(path: Path | None, settings: Settings, work: Path | None = None) -> list[dict[str, Any]]:
    """Measure the pixels, the untrained network and the trained softmax, which is also measured by cosine.

    The cosine of two embeddings orders them as the Euclidean distance of the normalised embeddings does.
    """

    def compute(key: Key) -> dict[str, Any]:
        train, test = settings.load(key["dataset"])
        if key["name"] == PIXELS:
            flat = nn.Flatten()
            return seen_classes(embed(flat, train), embed(flat, test)) | {
                "seconds": 0.0,
                "made": provenance(nn.Linear(1, 1)),
            }
        method = METHODS["siamese" if key["name"] == UNTRAINED else "softmax"]
        checkpoint = work and work / f"{key['dataset']}-{key['name'].replace(' ', '-')}-{key['seed']}.pt"
        model, history = settings.fit(method, train, test, key["seed"], key["n_epochs"], checkpoint)
        embedded = embed(model, train), embed(model, test)
        result = seen_classes(*embedded) | {"seconds": sum(history["seconds"]), "made": provenance(model)}
        return result | {"cosine": seen_classes(*map(on_the_sphere, embedded))} if method.method == SOFTMAX else result

    rows = (
        (PIXELS, 0, settings.seeds[:1]),
        (UNTRAINED, 0, settings.seeds),
        (SOFTMAX, settings.n_epochs, settings.seeds),
    )
    keys = (
        {"name": name, "dataset": dataset, "seed": seed, "n_epochs": n_epochs, **settings.shared_key()}
        for name, n_epochs, seeds in rows
        for dataset in DATASETS
        for seed in seeds
    )
    return collect(path, keys, compute, settings.verbose)


def measure_costs(path: Path | None, settings: Settings, n_steps: int = 40, n_rounds: int = 7) -> list[dict[str, Any]]:
    """Measure the seconds of a training step of each arm of `mining` and `recommended`; return the results.

    Nothing is measured if the list `path` has all of them. The arms take turns; a result is the median over the rounds,
    of `n_steps` steps each, after a round for warming up. The machine must have nothing else to do.
    """
    arms = {
        (part, name): arm for part in ("mining", "recommended") for name, arm in ARMS[part].items() if name != UNTRAINED
    }
    rounds: dict[tuple[str, str], list[float]] = {arm: [] for arm in arms}

    def compute(key: Key) -> dict[str, Any]:
        while len(rounds[key["part"], key["name"]]) <= n_rounds:
            for place, arm in arms.items():
                rounds[place].append(_seconds_per_step(arm.method, settings, n_steps))
        seconds = median(rounds[key["part"], key["name"]][1:])
        return {"seconds": seconds, "made": provenance(nn.Linear(1, 1))}

    keys = (
        {"part": part, "name": name, "method": asdict(arm.method), "seed": 0, **settings.shared_key()}
        for (part, name), arm in arms.items()
    )
    return collect(path, keys, compute, settings.verbose)


def _seconds_per_step(method: Method, settings: Settings, n_steps: int) -> float:
    """Train a new network for about `n_steps` steps on FashionMNIST, and return the seconds that one took."""
    train, _ = settings.load(FASHION)
    few = train.subset(range(n_steps * len(train) // len(method.loader(train))))
    _, history = settings.fit(method, few, None, seed=0, n_epochs=1)
    return float(history["seconds"][0]) / len(method.loader(few))


def on_the_sphere(embedded: Embedded) -> Embedded:
    """Normalise embeddings (N, D) to length 1, so that their Euclidean distances order as cosines do."""
    embeddings, labels = embedded
    return F.normalize(embeddings), labels


def evidence_results(folder: Path | None, part: str, names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Return the stored results of a part in `folder`, those with `names` only; none without a folder."""
    results = read_results(folder / f"{part}.json") if folder is not None else []
    chosen = None if names is None else set(names)
    return [result for result in results if chosen is None or result["name"] in chosen]


def reference_results(
    folder: Path | None, names: Iterable[str] = (PIXELS, UNTRAINED), dataset: str = FASHION
) -> list[dict[str, Any]]:
    """Return the stored references on a data set, those with `names` only; none without a folder."""
    return [result for result in evidence_results(folder, "references", names) if result["dataset"] == dataset]


def evidence_table(results: Results, columns: Mapping[str, str] | None = None) -> str:
    """Format results by name: steps, images and the metrics in `columns` (title to key), in Markdown."""
    columns = columns or {"MAP@R": "map_at_r", "kNN accuracy": "knn_accuracy", "recall@1": "recall_at_1", "AUC": "auc"}
    return table(results, _row_name, {title: itemgetter(key) for title, key in columns.items()})


def _row_name(result: Mapping[str, Any]) -> str:
    if not result.get("n_steps"):
        return str(result["name"])
    return f"{result['name']}: {result['n_steps']:,} steps, {result['n_images'] / 1e6:.1f} million images"


def _known(stored: Results, arm: Arm, key: Key) -> dict[str, Any] | None:
    """Return the part of a stored result of `compare` that is no key, if it is the run of `arm` and `key`."""
    if METHODS[arm.method.method] != arm.method:
        return None
    wanted = {name: key[name] for name in ("dataset", "seed", "n_epochs", "subset", "speed")}
    wanted["method"] = arm.method.method
    for result in stored:
        if all(result.get(name) == value for name, value in wanted.items()):
            return {name: value for name, value in result.items() if name not in wanted}
    return None
