"""Random generators that can be sent to another process."""

from typing import Any, NamedTuple

import torch


class PicklesGenerators:
    """Pickle the `torch.Generator`s among the attributes as bytes.

    Between processes torch sends a generator's state as a file in shared memory, of a size that the receiver refuses.
    A copy, such as one from `copy.copy`, has generators of its own, in the same state.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: _Packed.of(value) if isinstance(value, torch.Generator) else value
            for name, value in self.__dict__.items()
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            self.__dict__[name] = value.generator() if isinstance(value, _Packed) else value


class _Packed(NamedTuple):
    device: str
    state: bytes

    @classmethod
    def of(cls, generator: torch.Generator) -> "_Packed":
        return cls(str(generator.device), generator.get_state().numpy().tobytes())

    def generator(self) -> torch.Generator:
        generator = torch.Generator(self.device)
        generator.set_state(torch.frombuffer(bytearray(self.state), dtype=torch.uint8))
        return generator
