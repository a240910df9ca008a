"""From the loss of a batch to new weights: gradients, their accumulation and clipping, and the optimizer's step."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from siamese_triplet._validation import warn
from siamese_triplet.distributed import sum_gradients

MOST_NAMES = 10  # in a message


class Scaler(torch.amp.GradScaler):
    """Scale the loss so that small gradients survive float16; with a name, as checkpoints keep it like a metric."""

    def name(self) -> str:
        return "gradient scaler"


class Update:
    """The steps of the optimizer, one for every `accumulate` batches, with the mean of their gradients.

    - `clip_norm`: the greatest norm of all gradients together; greater ones are scaled down to it.
    - `scaler`: for float16. It skips a step with gradients that are not finite.
    - `after_step`: called after each step that was not skipped.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        accumulate: int,
        clip_norm: float | None,
        scaler: Scaler | None,
        after_step: Callable[[], None],
    ) -> None:
        if accumulate < 1:
            raise ValueError(f"{accumulate=} must be at least 1; it is the number of batches for each step")
        if clip_norm is not None and not 0 < clip_norm < math.inf:
            raise ValueError(f"{clip_norm=} must be a finite number > 0, or None for gradients as they are")
        self.model, self.optimizer, self.accumulate, self.clip_norm = model, optimizer, accumulate, clip_norm
        self.scaler, self.after_step, self.n_batches = scaler, after_step, 0

    def start(self) -> None:
        """Begin a batch: forget the gradients of the last step."""
        if not self.n_batches:
            self.optimizer.zero_grad()

    def add(self, loss: Tensor) -> None:
        """Add the gradients of a batch, and take the step if it was the last that the step waits for."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        self.n_batches += 1
        if self.n_batches == self.accumulate:
            self.finish()

    def finish(self) -> None:
        """Take the step, also if it waits for more batches, as at the end of an epoch."""
        if not self.n_batches:
            return
        sum_gradients(self.model.parameters())
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        held = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        if self.n_batches > 1:
            torch._foreach_div_([p.grad for p in held if p.grad is not None], float(self.n_batches))
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(held, self.clip_norm)
        self.n_batches = 0
        if self._step():
            self.after_step()

    def _step(self) -> bool:
        """Step, and tell whether the scaler let it happen."""
        if self.scaler is None:
            self.optimizer.step()
            return True
        scale = self.scaler.get_scale()  # a sync, as in its step
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= scale


def warn_of_untrained(optimizer: Optimizer, **modules: Any) -> None:
    """Warn of parameters of `modules` that require a gradient and are not in `optimizer`: they stay as they are."""
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    left_out = [
        f"{role}.{name}"
        for role, module in modules.items()
        if isinstance(module, nn.Module)
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and id(parameter) not in held
    ]
    if left_out:
        more = f" and {len(left_out) - MOST_NAMES} more" if len(left_out) > MOST_NAMES else ""
        warn(
            f"the optimizer does not hold {', '.join(left_out[:MOST_NAMES])}{more}, and will not train "
            f"{'them' if len(left_out) > 1 else 'it'}; make it after the last change of the model, or freeze what "
            "should stay with requires_grad_(False)",
        )
