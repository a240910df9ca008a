"""Fine-tuning that begins with the last layers."""

from collections.abc import Sequence

from torch import nn
from torch.optim import Optimizer

from siamese_triplet.networks.freezing import freeze, unfreeze
from siamese_triplet.trainer.history import History


class LayerwiseThaw:
    """Callback of `fit` that freezes `parts` and thaws them one by one, the last first (Howard and Ruder, 2018).

    - `parts`: parts of the network, first to last, such as `layers(backbone)`; `nn.ModuleList` joins several to one.
    - `every`: the number of epochs before the first part is thawed, and between two parts.
    - `optimizer`: that of the run. It must hold the parameters of all parts from the beginning: see `parameter_groups`.
    - `batch_norm`: whether statistics of batch normalisation change in thawed parts, see `unfreeze`.

    What is in no part is trained from the beginning, such as a head. A run that continues from a checkpoint goes on
    with the parts that were thawed. Raises ValueError for no parts, for `every` below 1, for a part without
    parameters, and for one that is not in the optimizer.
    """

    def __init__(
        self, optimizer: Optimizer, parts: Sequence[nn.Module], every: int = 1, batch_norm: bool = False
    ) -> None:
        if every < 1 or not parts:
            raise ValueError(f"LayerwiseThaw: {every=} must be at least 1, and there must be parts; got {len(parts)}")
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for number, part in enumerate(parts):
            parameters = list(part.parameters())
            if not parameters or not all(id(parameter) in held for parameter in parameters):
                raise ValueError(
                    f"LayerwiseThaw: part {number}, {type(part).__name__}, has no parameters, or some that the "
                    "optimizer does not hold and would never train; make it of all parameters, frozen ones too: "
                    "parameter_groups does"
                )
        self.parts, self.every, self.batch_norm = list(parts), every, batch_norm

    def n_thawed(self, epoch: int) -> int:
        """Return the number of parts that are thawed once `epoch` epochs are complete."""
        return min(epoch // self.every, len(self.parts))

    def start(self, epoch: int, model: nn.Module) -> None:
        """Freeze and thaw as it is after `epoch` epochs; `fit` calls this before the first epoch of a run."""
        n_frozen = len(self.parts) - self.n_thawed(epoch)
        for number, part in enumerate(self.parts):
            if number < n_frozen:
                freeze(part)
            else:
                unfreeze(part, self.batch_norm)

    def __call__(self, epoch: int, history: History, model: nn.Module) -> None:
        self.start(epoch, model)
