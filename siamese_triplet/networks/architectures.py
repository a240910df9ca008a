"""Networks as names and numbers, from which they are rebuilt without running anybody's code."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from siamese_triplet._prelu import PReLU
from siamese_triplet.networks.embedding import ConvEmbeddingNet, EmbeddingNet, EmbeddingNetL2
from siamese_triplet.networks.heads import EmbeddingHead
from siamese_triplet.networks.pretrained import Preprocessing, PretrainedNet, build_pretrained
from siamese_triplet.networks.residual import ResidualEmbeddingNet

CLASSES: dict[str, Callable[..., nn.Module]] = {  # their arguments are attributes of the same names
    "EmbeddingNet": EmbeddingNet,
    "EmbeddingNetL2": EmbeddingNetL2,
    "ConvEmbeddingNet": ConvEmbeddingNet,
    "ResidualEmbeddingNet": ResidualEmbeddingNet,
    "EmbeddingHead": EmbeddingHead,
    "Identity": nn.Identity,
    "PReLU": PReLU,
    "Upsample": nn.Upsample,
}
KNOWN = f"PretrainedNet, {', '.join(CLASSES)}, Linear, and Sequential of these"
DEEPEST = 10  # networks within networks


def architecture(net: nn.Module) -> dict[str, Any]:
    """Describe `net` by names, numbers and lists only, as JSON has them, so that `build` rebuilds it.

    The weights are not part of it. Known are the embedding nets of this package, a `PretrainedNet`, an `EmbeddingHead`,
    and `Linear`, `Identity`, `Upsample` and `Sequential` of `torch.nn`. Raises ValueError for any other network.

    >>> from siamese_triplet import ConvEmbeddingNet
    >>> from siamese_triplet.networks import architecture, build
    >>> described = architecture(ConvEmbeddingNet(embedding_size=32))
    >>> described["embedding_size"], build(described).embedding_size
    (32, 32)
    """
    kind = type(net)
    if kind is nn.Sequential:
        return {"network": "Sequential", "parts": [architecture(part) for part in net.children()]}
    if isinstance(net, PretrainedNet):
        return {"network": "PretrainedNet", "name": net.name, **_plain(dataclasses.asdict(net.preprocessing))}
    if isinstance(net, nn.Linear):
        sizes = {"in_features": net.in_features, "out_features": net.out_features}
        return {"network": "Linear", **sizes, "bias": net.bias is not None}
    if CLASSES.get(kind.__name__) is not kind:
        raise ValueError(
            f"a {kind.__module__}.{kind.__qualname__} cannot be rebuilt from its name; known are {KNOWN}. Keep the "
            "code that makes it, and its weights as net.state_dict()"
        )
    names = [] if kind is nn.Identity else list(inspect.signature(type(net)).parameters)
    return {"network": type(net).__name__, **_plain({name: getattr(net, name) for name in names})}


def build(described: Mapping[str, Any]) -> nn.Module:
    """Build the network that `architecture` has described, with random weights; nothing is downloaded.

    A `PretrainedNet` is frozen, as `load_pretrained` returns it. Raises ValueError for anything that is no description
    of a known network, and ImportError for a network of a library that is missing.
    """
    return _build(described, DEEPEST)


def _build(described: Any, depth: int) -> nn.Module:
    if not depth:
        raise ValueError(f"a network is described by at most {DEEPEST} levels of parts within parts")
    if not isinstance(described, Mapping) or not isinstance(described.get("network"), str):
        raise ValueError(f"a network is described by a dictionary with its name as 'network'; known are {KNOWN}")
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in described.items()
    }
    name = arguments.pop("network")
    try:
        if name == "Sequential":
            return nn.Sequential(*(_build(part, depth - 1) for part in arguments["parts"]))
        if name == "PretrainedNet":
            return build_pretrained(arguments.pop("name"), Preprocessing(**arguments))
        if name == "Linear":
            return nn.Linear(**arguments)
        if name in CLASSES:
            return CLASSES[name](**arguments)
    except (TypeError, KeyError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be built from {list(arguments)}: {error}") from error
    raise ValueError(
        f"no network {name[:100]!r}; known are {KNOWN}. Build any other with its own code, and load its weights"
    )


def _plain(values: Any) -> Any:
    """Turn tuples into lists, as in JSON."""
    if isinstance(values, dict):
        return {key: _plain(value) for key, value in values.items()}
    return list(values) if isinstance(values, tuple) else values
