"""A grid of settings, trained beforehand, whose outcomes the reader predicts and then sees."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from siamese_triplet.book.comparison import Settings
from siamese_triplet.book.results import Key, collect, read_results
from siamese_triplet.datasets._naming import expand
from siamese_triplet.datasets.mnist import SOURCES
from siamese_triplet.evaluation import embed
from siamese_triplet.evaluation.summary import seen_classes
from siamese_triplet.live.element import LiveFigure
from siamese_triplet.live.embeddings import EmbeddingRecorder, encode_points
from siamese_triplet.methods import METHODS, Method
from siamese_triplet.runs import provenance
from siamese_triplet.selectors.by_name import BATCH_ALL

NONE = "–"  # the value of a setting that the method does not have
MARGINS = (0.1, 1.0, 10.0)
SELECTORS = {"online-contrastive": ("hard", "all"), "online-triplet": ("random", "semihard", "hardest", BATCH_ALL)}
FIELDS = ("data", "method", "selector", "margin")
N_POINTS = 500
APART = 0.9  # the least MAP@R of clusters that lie apart
ONE_POINT = 0.05  # the mean distance to the middle below which embeddings have collapsed
REMEDY = (
    "The network has collapsed: the loss stays at the margin. Begin with milder negatives, random or semi-hard, or "
    "with all triplets, and take the hardest later, if at all."
)
QUESTIONS = (  # the score of the runs, its name, and what is asked
    (
        "knn_accuracy",
        "kNN accuracy",
        "Which gives more test images their class, by the five nearest training images of each: A or B?",
    ),
    ("map_at_r", "MAP@R", "In which have test images more of their own class around them, by MAP@R: A or B?"),
)
TIE = 0.01  # the difference of two scores below which neither is better: another seed may turn it round
PAIRS = (  # to begin with, one after another: the question, and two runs
    ("knn_accuracy", "mnist online-triplet random 1.0", "mnist triplet – 1.0"),
    ("knn_accuracy", "fashion-mnist siamese – 1.0", "fashion-mnist online-contrastive hard 1.0"),
    ("knn_accuracy", "mnist softmax – –", "mnist triplet – 1.0"),
    ("map_at_r", "mnist softmax – –", "mnist triplet – 1.0"),
    ("knn_accuracy", "fashion-mnist online-triplet semihard 1.0", "fashion-mnist online-triplet batch-all 1.0"),
    ("knn_accuracy", "fashion-mnist online-triplet random 0.1", "fashion-mnist online-triplet random 10.0"),
    ("map_at_r", "mnist online-contrastive hard 10.0", "mnist online-contrastive hard 0.1"),
    ("knn_accuracy", "mnist online-triplet hardest 1.0", "mnist online-triplet semihard 1.0"),
    ("knn_accuracy", "mnist siamese – 1.0", "mnist online-contrastive hard 1.0"),
)


def train_settings(
    path: Path | None,
    settings: Settings,
    datasets: Sequence[str] = ("mnist", "fashion-mnist"),
    margins: Sequence[float] = MARGINS,
    seed: int = 0,
    methods: Sequence[str] = tuple(METHODS),
) -> list[dict[str, Any]]:
    """Train and evaluate each setting of the grid, and keep the results and some test embeddings in the list `path`.

    Settings that the list has already are not trained again.
    """

    def compute(key: Key) -> dict[str, Any]:
        train, test = settings.load(key["data"])
        experiment = experiment_of(key)
        model, history = settings.fit(experiment, train, test, seed, key["n_epochs"])
        recorder = EmbeddingRecorder(test, N_POINTS)
        recorder.record(model, "last")
        points = recorder.embeddings[-1]
        metrics = seen_classes(embed(model, train), embed(model, test))
        spread = float((points - points.mean(dim=0)).norm(dim=1).mean())
        curves = {"loss": history["train_loss"]}
        if "train_nonzero_triplets" in history:
            curves["triplets with a loss"] = history["train_nonzero_triplets"]
        outcome = "collapse" if spread < ONE_POINT else "apart" if metrics["map_at_r"] >= APART else "overlap"
        return {
            "outcome": outcome,
            "spread": spread,
            "labels": " ".join(map(str, recorder.labels.tolist())),  # on one line of the file
            "curves": curves,
            "n_images": len(train),
            "figures": {name: metrics[name] for name in ("knn_accuracy", "map_at_r", "auc")},
            "seconds": sum(history["seconds"]),
            "made": provenance(model),
            **encode_points(points),
        }

    keys = (
        {"data": dataset, **setting, "seed": seed, "n_epochs": settings.n_epochs, **settings.shared_key()}
        for dataset in datasets
        for setting in grid(margins, methods)
    )
    return collect(path, keys, compute, settings.verbose)


def grid(margins: Sequence[float] = MARGINS, methods: Sequence[str] = tuple(METHODS)) -> Iterator[Key]:
    """Yield the settings: each of `methods` with its selectors and these margins, if it has any."""
    for method in methods:
        for selector in SELECTORS.get(method, (NONE,)):
            for margin in margins if method != "softmax" else (NONE,):
                yield {"method": method, "selector": selector, "margin": margin}


def experiment_of(setting: Key) -> Method:
    """Make the method to train for a setting of `grid`."""
    changes = {name: setting[name] for name in ("selector", "margin") if setting[name] != NONE}
    return replace(METHODS[setting["method"]], **changes)


def _origin(results: list[dict[str, Any]]) -> str:
    epochs = sorted({result["n_epochs"] for result in results})
    images = sorted({result["n_images"] for result in results})
    trained = f"{' or '.join(map(str, epochs))} epochs of {' or '.join(f'{n:,}' for n in images)} images"
    return f"Each run: {trained}, one seed. Drawn are {N_POINTS} test images."


def _settings(result: dict[str, Any]) -> dict[str, str]:
    return {field: str(result[field]) for field in FIELDS}


def _pairs(settings: list[dict[str, str]]) -> list[dict[str, Any]]:
    """List the pairs of `PAIRS` that were trained, or else the first run beside the last."""
    known = {" ".join(setting.values()): setting for setting in settings}
    pairs = [{"ask": ask, "runs": [known[a], known[b]]} for ask, a, b in PAIRS if a in known and b in known]
    return pairs or [{"ask": QUESTIONS[0][0], "runs": [settings[0], settings[-1]]}]


def settings_gallery(results: Path | str | Iterable[dict[str, Any]], name: str = "settings") -> LiveFigure:
    """Show two of the runs of `train_settings`, a list or its file: choose settings, predict which is better, and see.

    `name`: see `triplet_playground`. Raises ValueError for a file that holds no such list, and for no runs.
    """
    results = read_results(expand(results)) if isinstance(results, (str, Path)) else list(results)
    if not results:
        command = "python -m siamese_triplet compare --part settings"
        raise ValueError(f"no runs to show; make them with train_settings or {command}")
    runs = [
        {
            "settings": _settings(result),
            "metrics": {
                "kNN accuracy": f"{result['figures']['knn_accuracy']:.1%}",
                "MAP@R": f"{result['figures']['map_at_r']:.1%}",
                "mean distance to the middle": f"{result['spread']:.2g}",
            },
            "scores": {score: result["figures"][score] for score, *_ in QUESTIONS},
            "labels": [int(label) for label in result["labels"].split()],
            "epochs": result["n_epochs"],
            **{part: result[part] for part in ("outcome", "curves", "points", "unit")},
        }
        for result in results
    ]
    data = {
        "fields": FIELDS,
        "metrics": list(runs[0]["metrics"]),
        "runs": runs,
        "questions": [{"score": score, "name": title, "text": text} for score, title, text in QUESTIONS],
        "pairs": _pairs([run["settings"] for run in runs]),
        "tie": TIE,
        "least": 0.5,
        "remedy": REMEDY,
        "origin": _origin(results),
        "classes": {
            name: list(SOURCES[name].torchvision_class.classes) for name in dict.fromkeys(r["data"] for r in results)
        },
    }
    alt = (
        f"{len(runs)} runs with other methods, selectors and margins, two of them side by side: their test embeddings, "
        "curves and figures. Some collapse onto one point."
    )
    return LiveFigure("settings-gallery", name, "What do these settings lead to?", data, alt)
