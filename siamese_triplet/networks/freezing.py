"""Parts of a network that training leaves as they are."""

from functools import partial
from typing import TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

Net = TypeVar("Net", bound=nn.Module)


def freeze(net: Net) -> Net:
    """Freeze `net`, and return it: its parameters take no gradient, and it stays in evaluation mode.

    `net` may be part of another network. Neither `fit` nor `train()` puts it into training mode: statistics of batch
    normalisation do not change, and dropout drops nothing.

    >>> import torch
    >>> from siamese_triplet.networks import freeze, unfreeze
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Dropout())
    >>> freeze(net).train().training, net[0].weight.requires_grad
    (False, False)
    >>> unfreeze(net).train().training, net[0].weight.requires_grad, net[1].training, net[2].training
    (True, True, False, True)
    """
    net.requires_grad_(False)
    for module in net.modules():
        _stay_in_evaluation(module)
    return net


def unfreeze(net: Net, batch_norm: bool = False) -> Net:
    """Let the parameters of `net` be trained, put it into training mode, and return it.

    The statistics of batch normalisation stay frozen unless `batch_norm`: those of a few images of a few classes are
    worse than those of the pretraining. Its scales and shifts are trained with the rest.
    """
    net.requires_grad_(True)
    for module in net.modules():
        if batch_norm or not isinstance(module, BatchNorm):
            module.__dict__.pop("train", None)
            module.training = True
    return net


def freeze_batch_norm(net: Net) -> Net:
    """Keep the batch normalisation of `net` in evaluation mode, also when `net` is trained, and return `net`."""
    for module in net.modules():
        if isinstance(module, BatchNorm):
            _stay_in_evaluation(module)
    return net


def _stay_in_evaluation(module: nn.Module) -> None:
    module.training = False
    module.__dict__["train"] = partial(_ignore_mode, module)  # hides the method, in copies and pickles too


def _ignore_mode(module: nn.Module, mode: bool = True) -> nn.Module:
    """Stand in for `module.train(mode)`."""
    return module
