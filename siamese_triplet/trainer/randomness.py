"""All random states of a training run, as values that a checkpoint can hold."""

import random
from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data.dataloader import _BaseDataLoaderIter

LONGEST = 1000  # a longer list holds data, not generators
_WORKERS = _BaseDataLoaderIter  # a DataLoader's record of its worker processes
_OPAQUE = (str, bytes, int, float, complex, Tensor, np.ndarray, type, FunctionType, MethodType, ModuleType, _WORKERS)


def random_states(**sources: Any) -> dict[str, Any]:
    """Collect the random states of this process, and of every generator that `sources` hold, at any depth.

    Generators of torch, NumPy and Python are found in attributes, lists and dictionaries: a loader's, its sampler's,
    its data set's, a selector's. Generators in closures and in the memory of worker processes are not found.
    """
    states = {name: _to_plain(_get_state(generator)) for name, generator in _find_generators(sources)}
    process = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": _to_plain(np.random.get_state())}  # noqa: NPY002
    if torch.cuda.is_available():
        process["cuda"] = torch.cuda.get_rng_state_all()
    return {"process": process, "generators": states}


def restore_random_states(states: dict[str, Any], **sources: Any) -> None:
    """Restore the result of `random_states`, into the same `sources`.

    Raises ValueError if they hold other generators. The states of GPUs are restored if their number is the same.
    """
    generators = dict(_find_generators(sources))
    if set(generators) != set(states["generators"]):
        raise ValueError(
            f"the random generators of {', '.join(sorted(states['generators'])) or 'nothing'} were saved, but this run "
            f"has those of {', '.join(sorted(generators)) or 'nothing'}: it must have the same loaders and loss"
        )
    for name, generator in generators.items():
        _set_state(generator, states["generators"][name])
    process = states["process"]
    torch.set_rng_state(process["torch"])
    random.setstate(process["python"])
    np.random.set_state(tuple(process["numpy"]))  # noqa: NPY002
    if torch.cuda.is_available() and len(process.get("cuda", [])) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(process["cuda"])


def _find_generators(sources: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the generators that can be reached from `sources`, each once, named by the path to it."""
    seen: set[int] = set()
    rest = [(name, value) for name, value in reversed(sources.items())]
    parts: Iterable[tuple[Any, Any]]
    while rest:
        name, value = rest.pop()
        if value is None or isinstance(value, _OPAQUE) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)):
            yield name, value
            continue
        if isinstance(value, (list, tuple)):
            parts = enumerate(value) if len(value) <= LONGEST else ()
        elif isinstance(value, dict):
            parts = value.items() if len(value) <= LONGEST else ()
        else:
            parts = getattr(value, "__dict__", {}).items()
        rest += reversed([(f"{name}.{part}", held) for part, held in parts])


def _get_state(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.getstate()


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(tuple(state))
    else:
        generator.setstate(state)


def _to_plain(state: Any) -> Any:
    """Replace the NumPy arrays in `state`, which a checkpoint cannot hold, by lists of numbers."""
    if isinstance(state, dict):
        return {key: _to_plain(value) for key, value in state.items()}
    if isinstance(state, (np.ndarray, np.generic)):
        return state.tolist()
    return type(state)(_to_plain(value) for value in state) if type(state) in (list, tuple) else state
