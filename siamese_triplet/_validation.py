"""Argument checks: each raises a ValueError that says how to fix the input.

Public functions check their arguments once, under the arguments' own names; internal ones trust their callers. A check
for NaN reads a number back from the device, a device-host sync. Selection needs such a sync anyway, as the number of
pairs and triplets depends on the data; losses that need none check for NaN on a CPU only, where it costs nothing.
"""

import inspect
import os
import warnings
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Selector = TypeVar("Selector")
PACKAGE = os.path.join(os.path.dirname(__file__), "")
MAX_SUMMANDS = 2**16  # squared distances whose sum must not overflow


class NotFiniteError(ValueError):
    """Embeddings hold NaN or infinite values, or values whose squares overflow."""


def check_embeddings(**named: Tensor) -> None:
    """Check that the tensors are floating-point matrices of one shape on one device, and on a CPU that they are finite.

    Elsewhere the check for NaN would take a sync per tensor, where the loss needs none.
    """
    first_name, first = next(iter(named.items()))
    for name, embeddings in named.items():
        check_matrix(name, embeddings)
        if embeddings.shape != first.shape:
            raise ValueError(
                f"{first_name} and {name} must have the same shape, "
                f"got {tuple(first.shape)} and {tuple(embeddings.shape)}"
            )
        if embeddings.device != first.device:
            raise ValueError(
                f"{first_name} is on {first.device}, {name} on {embeddings.device}; move one of them with .to(device)"
            )
        if embeddings.device.type == "cpu":
            check_finite(name, embeddings)


def check_matrix(name: str, embeddings: Tensor) -> None:
    """Check that `embeddings` are a floating-point matrix."""
    if not isinstance(embeddings, Tensor) or embeddings.ndim != 2 or not embeddings.is_floating_point():
        raise ValueError(
            f"{name} must be a floating-point tensor of shape (batch, embedding size), got {_described(embeddings)}"
        )


def check_finite(name: str, embeddings: Tensor) -> None:
    """Check that every row of `embeddings` (B, D) is finite and its squares can be summed; else a NotFiniteError."""
    computed_in = torch.promote_types(embeddings.dtype, torch.float32)
    limit = (torch.finfo(computed_in).max / 4 / max(1, embeddings.shape[1])) ** 0.5 / MAX_SUMMANDS**0.5
    if not embeddings.numel():
        return
    low, high = embeddings.detach().aminmax()  # no copy, unlike the maximum of abs()
    if not torch.maximum(-low, high) < limit:  # a device-host sync; NaN is not below
        is_bad = ~(embeddings.abs() < limit)  # (B, D)
        raise NotFiniteError(
            f"{name}: {int(is_bad.any(dim=1).sum())} of {len(embeddings)} rows hold NaN or infinite values, "
            "or values whose squares overflow; the network has probably diverged: lower the learning rate, "
            "or look for NaN in the images"
        )


def check_labels(embeddings: Tensor, labels: Tensor, name: str = "embeddings", labels_name: str = "labels") -> None:
    """Check that `embeddings` are a (B, D) matrix and `labels` B integers on the same device; booleans are integers."""
    check_matrix(name, embeddings)
    if not isinstance(labels, Tensor) or labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"{labels_name} must be integers of shape (batch,), got {_described(labels)}; {_advice(labels)}"
        )
    if len(labels) != len(embeddings):
        raise ValueError(
            f"got {len(embeddings)} {name} but {len(labels)} {labels_name}; there must be one label for each embedding"
        )
    if labels.device != embeddings.device:
        raise ValueError(
            f"{name} are on {embeddings.device}, {labels_name} on {labels.device}; move one of them with .to(device)"
        )


def integer_vector(name: str, values: Any, expected: str = "a vector of integers") -> Tensor:
    """Convert `values` to int64 (N,); a ValueError unless they are a vector of integers. Booleans are integers."""
    if hasattr(values, "targets"):  # a data set, of which as_tensor would read every image
        raise ValueError(
            f"{name} must be integers, one per image, got a data set, {type(values).__name__}; give its .targets"
        )
    try:
        vector = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:  # a RuntimeError for None
        raise ValueError(
            f"{name} must be integers, one per image, got a {type(values).__name__} ({error}); number them, 0, 1, 2 …"
        ) from error
    is_integer = not (vector.is_floating_point() or vector.is_complex()) or not vector.numel()  # an empty list is float
    if vector.ndim != 1 or not is_integer:
        advice = _advice(vector) if isinstance(values, Tensor) else _advice(vector).replace(".long()", ".astype(int)")
        raise ValueError(f"{name} must be {expected}, got {_described(vector)}; {advice}")
    return vector.long()


def check_known(name: str, labels: Tensor) -> None:
    """Check that `labels` (N,) are not all −1, which stands for an image without a class.

    A device-host sync. Without this check all images without a class would be of one.
    """
    if len(labels) and bool((labels == -1).all()):
        raise ValueError(
            f"{name}: all {len(labels):,} are -1, the label of images without a class, so that nothing says which "
            "belong together; label some of them, or search by a pretrained network, which needs no labels"
        )


def check_all_known(name: str, labels: Tensor) -> None:
    """Check that none of `labels` (N,) is −1, for data that draw images by class; −1 and 1 are two classes."""
    check_known(name, labels)
    n_unknown = int((labels == -1).sum())
    if n_unknown and int(labels.max()) != 1:
        raise ValueError(
            f"{name}: {n_unknown:,} of {len(labels):,} are -1, the label of images without a class, which are not one "
            "class; leave them out, such as by images.subset(images.targets >= 0)"
        )


def check_batch(embeddings: Tensor, labels: Tensor, name: str = "embeddings", labels_name: str = "labels") -> None:
    """Check that `embeddings` (B, D) are finite and `labels` B integers on the same device."""
    check_labels(embeddings, labels, name, labels_name)
    check_finite(name, embeddings)


def check_margin(margin: float) -> float:
    """Return `margin` as a float, if it is finite and not negative."""
    try:
        is_valid = 0 <= margin < float("inf")
    except TypeError:  # not a number
        is_valid = False
    if not is_valid:
        raise ValueError(f"margin must be a finite number ≥ 0, got {margin!r}")
    return float(margin)


def check_margin_or_soft(margin: float | str) -> float | str:
    """Return `margin` as a float, or "soft" for the soft margin."""
    if isinstance(margin, str):
        if margin != "soft":
            raise ValueError(f'margin must be a finite number ≥ 0 or "soft", got {margin!r}')
        return margin
    return check_margin(margin)


def check_optimizer(optimizer: Optimizer, *modules: nn.Module) -> None:
    """Check that `optimizer` holds a parameter of one of `modules`; without one it would train nothing."""
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not any(id(parameter) in held for module in modules for parameter in module.parameters()):
        raise ValueError(
            "the optimizer holds none of the parameters of the model or the loss, and would train nothing; was it made "
            "for another model? Make it anew, such as Adam(model.parameters())"
        )


def check_selector(selector: Selector, method: str) -> Selector:
    """Return `selector`, if it is an object with `method`."""
    if isinstance(selector, type) or not hasattr(selector, method):
        raise ValueError(
            f"expected a selector, an object with the method {method}, got {selector!r}; a class must be called first: "
            "HardestNegativeTripletSelector(margin=1.0), and pair and triplet selectors have a loss each"
        )
    return selector


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning that points at the line outside of the package that led to it."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _advice(labels: object) -> str:
    """Say how to turn `labels` of a wrong dtype or shape into one integer per image."""
    if not isinstance(labels, Tensor) or labels.ndim not in (1, 2):
        return "give one class number per image"
    if labels.ndim == 2 and labels.shape[1] != 1:
        return "convert one-hot rows to class numbers with .argmax(dim=1)"
    has_fractions = labels.is_floating_point() or labels.is_complex()
    return "convert class labels with " + ".squeeze(1)" * (labels.ndim == 2) + ".long()" * has_fractions


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return f"{type(value).__name__}, of which torch.as_tensor makes a tensor"
