"""All random state that a training run draws from, as values that a checkpoint can hold."""

import random
from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data.dataloader import _BaseDataLoaderIter

LONGEST = 1000  # a longer list holds data, not generators
_WORKERS = _BaseDataLoaderIter  # what a DataLoader keeps of its worker processes
_OPAQUE = (str, bytes, int, float, complex, Tensor, np.ndarray, type, FunctionType, MethodType, ModuleType, _WORKERS)


def random_states(**sources: Any) -> dict[str, Any]:
    """The random states of this process, and those of every generator that `sources` hold, at any depth.

    Generators are those of torch, NumPy and Python, in attributes, lists and dictionaries: a loader's, its sampler's,
    its data set's, a selector's. Not found are those in closures and in the memory of worker processes.
    """
    states = {name: _plain(_state(generator)) for name, generator in _generators(sources)}
    of_process = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": _plain(np.random.get_state())}  # noqa: NPY002
    if torch.cuda.is_available():
        of_process["cuda"] = torch.cuda.get_rng_state_all()
    return {"process": of_process, "generators": states}


def restore_random_states(states: dict[str, Any], **sources: Any) -> None:
    """Put back what `random_states` returned, into the same `sources`.

    Raises ValueError where they hold other generators than those did. The states of GPUs are put back where there are
    as many as there were.
    """
    generators = dict(_generators(sources))
    if set(generators) != set(states["generators"]):
        raise ValueError(
            f"the random generators of {', '.join(sorted(states['generators'])) or 'nothing'} were saved, but this run "
            f"has those of {', '.join(sorted(generators)) or 'nothing'}: it must have the same loaders and loss"
        )
    for name, generator in generators.items():
        _set_state(generator, states["generators"][name])
    of_process = states["process"]
    torch.set_rng_state(of_process["torch"])
    random.setstate(of_process["python"])
    np.random.set_state(tuple(of_process["numpy"]))  # noqa: NPY002
    if torch.cuda.is_available() and len(of_process.get("cuda", [])) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(of_process["cuda"])


def _generators(sources: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The generators that can be reached from `sources`, each once, with the way there as its name."""
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


def _state(generator: Any) -> Any:
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


def _plain(state: Any) -> Any:
    """`state` with lists of numbers in place of NumPy's arrays, which a checkpoint does not hold."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    if isinstance(state, (np.ndarray, np.generic)):
        return state.tolist()
    return type(state)(_plain(value) for value in state) if type(state) in (list, tuple) else state
