"""The files of a cache of features: each holds those of some images, and none can run code."""

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from siamese_triplet._atomic_files import seal, unseal, write_atomically
from siamese_triplet._validation import warn
from siamese_triplet.datasets._naming import expand, printable

ENDING = ".features"
KEY_SIZE = 16  # bytes


class FeatureFiles:
    """The features of one network, by the keys of their images, in a folder of `cache` named by the network's key."""

    def __init__(self, cache: str | os.PathLike, network: str) -> None:
        self.folder = expand(cache) / network
        self.known: dict[bytes, Tensor] = {}  # (D,)
        for path in sorted(self.folder.glob(f"*{ENDING}")):
            try:
                self.known |= _read(path)
            except Exception as error:
                warn(printable(f"{path} is left out, and its features are computed anew: {error}"))

    def add(self, features: Mapping[bytes, Tensor]) -> None:
        """Write `features` to a new file."""
        keys = b"".join(features)
        contents: dict[str, Any] = {
            "keys": torch.frombuffer(bytearray(keys), dtype=torch.uint8).view(-1, KEY_SIZE),
            "features": torch.stack(list(features.values())),
        }
        file = io.BytesIO()
        torch.save(contents, file)
        write_atomically(self.folder / f"{hashlib.sha256(keys).hexdigest()[:16]}{ENDING}", seal(file.getvalue()))
        self.known |= features


def _read(path: Path) -> dict[bytes, Tensor]:
    contents = torch.load(
        io.BytesIO(unseal(path.read_bytes(), "frozen_features")), map_location="cpu", weights_only=True
    )
    keys, features = contents["keys"], contents["features"]
    return {bytes(key.tolist()): feature for key, feature in zip(keys, features, strict=True)}
