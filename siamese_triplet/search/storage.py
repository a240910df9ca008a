"""An index as bytes: tensors and JSON in one sealed archive, which holds no code."""

import dataclasses
import io
import json
import math
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from siamese_triplet._atomic_files import seal, unseal
from siamese_triplet._devices import unwrap
from siamese_triplet._validation import check_batch
from siamese_triplet.datasets._naming import printable
from siamese_triplet.networks import Preprocessing, architecture, build
from siamese_triplet.search.embedder import Embedder
from siamese_triplet.search.files import Stamp
from siamese_triplet.search.table import Table

FORMAT, VERSION = "siamese_triplet.Index", 1
DAMAGED = (ValueError, RuntimeError, pickle.UnpicklingError, LookupError, TypeError, AttributeError, EOFError)


@dataclass(frozen=True)
class StoredNet:
    """A network as a description and weights, from which it is built again."""

    architecture: dict[str, Any]
    preprocessing: dict[str, Any]
    weights: dict[str, Tensor]

    @classmethod
    def of(cls, embedder: Embedder) -> "StoredNet":
        """Describe a network. Raises ValueError for one that cannot be described."""
        net = unwrap(embedder.net)
        weights = {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}
        return cls(architecture(net), dataclasses.asdict(embedder.preprocessing), weights)

    def embedder(self, cosine: bool, device: torch.device | str | None) -> Embedder:
        """Build the network. Raises ImportError if its library is missing, and ValueError if it cannot be built."""
        net = build(self.architecture)
        try:
            net.load_state_dict(self.weights)
        except RuntimeError as error:
            raise ValueError(f"the index's weights do not fit its network: {error}") from error
        return Embedder(net.eval(), self.reading(), cosine, device)

    def reading(self) -> Preprocessing:
        """Return how the images are read."""
        given = self.preprocessing
        values: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        return Preprocessing(**values)


def to_bytes(table: Table, facts: dict[str, Any], network: StoredNet | None) -> bytes:
    """Pack the rows, the facts and the network of an index."""
    names = table.classes
    described = {
        **facts,
        "paths": table.paths,
        "classes": names,
        "architecture": None if network is None else network.architecture,
        "preprocessing": None if network is None else network.preprocessing,
    }
    contents = {
        "format": FORMAT,
        "version": VERSION,
        "facts": json.dumps(described),
        "embeddings": table.embeddings.clone(),  # torch.save writes the whole tensor of a slice
        "labels": table.labels,
        "stamps": torch.tensor(table.stamps, dtype=torch.int64).view(-1, 2),
        "weights": None if network is None else network.weights,
    }
    stream = io.BytesIO()
    torch.save(contents, stream)
    return seal(stream.getvalue())


def from_bytes(packed: bytes, path: Path) -> tuple[Table, dict[str, Any], StoredNet | None]:
    """Unpack what `to_bytes` packed. Raises ValueError, naming `path`, for anything else."""
    try:
        contents = torch.load(io.BytesIO(unseal(packed, "Index.save")), map_location="cpu", weights_only=True)
        if contents["format"] != FORMAT:
            raise ValueError(f"it holds other data, {str(contents['format'])[:100]!r}")
        if contents["version"] > VERSION:
            newer = f"{path} was written by a newer version of siamese_triplet; update it, or make the index anew"
            raise NewerVersionError(printable(newer))
        facts = json.loads(contents["facts"])
        table = _table(contents, facts)
        _check(facts)
        described, reading = facts.pop("architecture"), facts.pop("preprocessing")
        network = None if described is None else StoredNet(described, reading, contents["weights"])
        if network is not None:
            network.reading()
        return table, facts, network
    except NewerVersionError:
        raise
    except DAMAGED as error:
        cause = str(error).partition("\n")[0]
        raise ValueError(printable(f"{path} is not an index, or is damaged: {cause}; make it anew")) from error


class NewerVersionError(ValueError):
    """The file has a format that this version does not know."""


def _table(contents: dict[str, Any], facts: dict[str, Any]) -> Table:
    paths, classes, labels = facts.pop("paths"), facts.pop("classes"), contents["labels"]
    embeddings, stamps = contents["embeddings"], contents["stamps"].tolist()
    check_batch(embeddings, labels)
    if not len(paths) == len(labels) == len(stamps) or len(set(paths)) < len(paths):
        raise ValueError(f"it has {len(paths)} paths, {len(labels)} embeddings and {len(stamps)} stamps")
    if not all(isinstance(text, str) for text in [*paths, *classes]) or any(".." in path.split("/") for path in paths):
        raise ValueError("its paths or classes are not names")
    names = dict(enumerate(classes)) | {-1: None}
    table = Table()
    table.put(paths, embeddings, [names[label] for label in labels.tolist()], [Stamp(*stamp) for stamp in stamps])
    return table


def _check(facts: dict[str, Any]) -> None:
    """Check the types of the facts, which `Index.load` uses."""
    for name in ("threshold", "false_accepts"):
        if facts[name] is not None and not math.isfinite(facts[name]):
            raise ValueError(f"its {name} is {facts[name]}")
    if not all(isinstance(name, str) for name in facts["trained_classes"]):
        raise ValueError("its trained classes are not names")
    if not isinstance(facts["cosine"], bool) or not all(len(row) == 4 for row in facts["broken"]):
        raise ValueError("its facts are of another kind")
    if facts["folder"] is not None and set(facts["folder"]) != {"absolute", "relative"}:
        raise ValueError("its folder is of another kind")


def relative_to_file(folder: Path, path: Path) -> str | None:
    """Return `folder` as seen from the folder of the file `path`; None if they are on two drives."""
    try:
        return Path(os.path.relpath(folder, Path(os.path.abspath(path)).parent)).as_posix()
    except ValueError:
        return None


def find_folder(path: Path, absolute: str, relative: str | None) -> Path:
    """Return the folder of the images: where it is `relative` to the file `path`, else where it was."""
    if relative is not None:
        beside = Path(os.path.normpath(Path(os.path.abspath(path)).parent / relative))
        if beside.is_dir():
            return beside
    return Path(absolute)
